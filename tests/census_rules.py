"""What has to hold for every cell of the census."""

import imaplib
import poplib
import smtplib

import pytest

import census
from securemail import SecureMailError
from securemail.testing import Authority
from securemail.testing.hostile.scenario import Scenario

MARKS = [
    pytest.mark.filterwarnings("ignore::securemail.SecureMailWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("policy_file"),
]

OURS = (SecureMailError,)
# What the standard verbs raise where a server declines something, once the sign-in is over.
STANDARD = (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException)


def named(value: object) -> str:
    return value.name if isinstance(value, Scenario) else str(value)


def hold(scenario: Scenario, protocol: str, mode: str, authority: Authority) -> None:
    """No client of ours is robbed, fooled or held up; nor is another's, where that is up to its
    context. What fails is an error of our tree, and what is fine has kept nothing from before."""
    found = census.visit_all(scenario, protocol, mode, authority)
    for each in found:
        where = f"{each.client.name}: {each.verdict} {each.error!r}"
        if each.client.whose == "ours":
            in_clear = each.client.name.endswith("in clear")
            assert each.verdict.as_expected or (in_clear and each.verdict.kind == "refused"), where
            allowed = (SecureMailError, *STANDARD) if each.verdict.kind == "fine" else OURS
            assert each.error is None or isinstance(each.error, allowed), where
            assert each.kept == [], where
        elif scenario.family == "certificates":
            assert each.verdict.as_expected, where
        if scenario.is_control:
            assert (each.error is None) or each.client.name.endswith("in clear"), where
    census.saw(scenario, protocol, mode, found)
