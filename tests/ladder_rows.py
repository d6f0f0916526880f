"""The rows of docs/certificates.md, and under which rungs each *should* be accepted.

Written by hand, from RFC 5280, RFC 9525 and the documents of the ladder; a rung is the letter that
it has in `ladder_rungs`. Where OpenSSL, or a rung that it has no part in, does otherwise, `found`
says what is so, and `because` why that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from servers.malformed import MALFORMED

AUTHORITY = "CSGTLPR"  # every rung that goes by an authority and can accept
EXACT = "FKDEMB"  # every one that goes by the certificate
KNOWN = "N"
ITSELF = EXACT + KNOWN
ALL = AUTHORITY + ITSELF
NOBODY = ""

NAME, ENDED, WEAK, SELF = "wrong name", "ended", "weak key", "self-signed"


@dataclass(frozen=True)
class Row:
    """`known`: the kind that was pinned or learned instead of what the server shows. `is_`: what
    the rules of the table ask about."""

    family: str
    name: str
    should: str
    is_: tuple[str, ...] = ()
    known: str | None = None
    found: str | None = None
    because: str = ""

    @property
    def accepted_by(self) -> set[str]:
        return set(self.should if self.found is None else self.found)


def _rows() -> Iterator[Row]:
    yield from _family("Good ones", ALL, *_GOOD.split())
    yield from _family("Names", ITSELF, *_NAMES.split(), is_=(NAME,))
    yield from _DATES
    yield from _family("Chains", ALL, *_GOOD_CHAINS.split())
    yield from _family("Chains", ITSELF, *_BAD_CHAINS.split())
    yield from _CHAINS
    yield from _PURPOSE
    yield from _SELF_SIGNED
    yield from _OTHERS
    for form in MALFORMED:
        found, because = _FORM.get(form, (None, ""))
        yield Row("Malformed, self-signed", form, "MB", (SELF,), found=found, because=because)


def _family(family: str, should: str, *names: str, is_: tuple[str, ...] = ()) -> Iterator[Row]:
    for name in names:
        yield Row(family, name, should, is_)


# RFC 5280, 6; RFC 9525, 6. RFC 9325, 4.2 and 4.5 for the keys.
_GOOD = """
good good_rsa rsa_3072 rsa_4096 rsa_pss p384 p521 ed25519 by_rsa
wildcard idn upper_case ipv6 no_subject begun ends_soon twenty_years eku_both eku_none
"""

# RFC 9525, 6.3 (whole labels), 2 and 6.2 (no common names; an address is no name), 6.4 (SRV-ID is
# another kind of identity). The rungs of one certificate do not compare names.
_NAMES = """
wrong_name wrong_ip cn_only name_in_cn uri_only srv_only address_as_name nul_in_name trailing_dot
leading_dot wildcard_partial wildcard_two_labels wildcard_top_level wildcard_all
"""

# What is sent and not needed is passed over (RFC 8446, 4.4.2).
_GOOD_CHAINS = """
with_intermediate two_between wrong_order root_sent leaf_twice junk_appended cross_signed
constraints_permit
"""
_BAD_CHAINS = """
unknown_ca unknown_ca_with_root_sent missing_intermediate by_weak_root by_sha1 weak_signature md5
"""
_SENT_ABOVE = (
    "With the certificate as its anchor OpenSSL still judges what the server sends above it, and "
    "refuses more than it need (dates not, under `Waive.EXPIRY`). By a pin, and on first use, "
    "nothing above the certificate is looked at."
)
_BAD_ABOVE = """
constraints_other constraints_exclude path_too_long by_no_authority by_no_cert_sign by_clients
by_weak forged_issuer
"""
_STAPLE = (
    "The certificate wants an OCSP answer in each handshake (RFC 7633). Python's `ssl` cannot ask "
    "for one, so this is not checked; every report says that revocation is not."
)
_CHAINS = (
    *(
        Row("Chains", name, ITSELF, found="KDMBN", because=_SENT_ABOVE)
        for name in _BAD_ABOVE.split()
    ),
    Row("Chains", "no_aki", "T" + ITSELF),
    Row("Chains", "ca_not_critical", "T" + ITSELF),
    Row("Revocation", "revoked", "CSGTLP" + ITSELF),
    Row("Revocation", "no_list", "CSGTLP" + ITSELF),
    Row("Revocation", "must_staple", NOBODY, found=ALL, because=_STAPLE),
)

_DATES = (
    Row("Dates", "expired", "EB", (ENDED,)),
    Row("Dates", "not_yet_valid", NOBODY),
    Row("Dates", "self_signed_expired", "EB", (ENDED, SELF)),
    Row("Dates", "by_expired", ITSELF, found="KDEMBN", because=_SENT_ABOVE),
    Row("Dates", "by_expired_root", ITSELF),
)

_SIGNING = (
    "RFC 8446, 4.4.2.2, wants keyUsage to have digitalSignature. OpenSSL takes a key for any use "
    "in TLS, as older CAs issued them, and so do we: the server has shown that it has the key."
)
_PURPOSE = (
    Row("Key and purpose", "weak_key", NOBODY, (WEAK,)),
    Row("Key and purpose", "p224", NOBODY),
    Row("Key and purpose", "wrong_eku", "MB"),
    Row("Key and purpose", "eku_any", "MB"),
    Row("Key and purpose", "wrong_key_usage", "MB"),
    Row("Key and purpose", "encipher_rsa", "MB", found=ALL, because=_SIGNING),
    Row("Key and purpose", "encipher_ec", "MB", found=ALL, because=_SIGNING),
    Row("Key and purpose", "agreement", "MB", found=ALL, because=_SIGNING),
    Row("Key and purpose", "ca_by_root", AUTHORITY + "KDMBN"),
    Row("Key and purpose", "critical_unknown", "MB"),
    Row("Key and purpose", "version_1", ITSELF, (NAME,)),
)

_SELF_SIGNED = (
    Row("Self-signed", "self_signed", ITSELF, (SELF,)),
    Row("Self-signed", "self_signed_cn_only", ITSELF, (SELF, NAME)),
    Row("Self-signed", "self_signed_no_extensions", ITSELF, (SELF, NAME)),
    Row("Self-signed", "self_signed_wrong_name", ITSELF, (SELF, NAME)),
    Row("Self-signed", "self_signed_ca", ITSELF, (SELF,)),
    Row("Self-signed", "bridge", ITSELF, (SELF,)),
    Row("Self-signed", "self_signed_sha1", ITSELF, (SELF,)),
    Row("Self-signed", "self_signed_md5", ITSELF, (SELF,)),
    Row("Self-signed", "self_signed_weak_key", NOBODY, (SELF, WEAK)),
    Row("Self-signed", "self_signed_cert_sign_only", "MB", (SELF,)),
)

_ANOTHER = "Another than the one that was named or learned"
_OTHERS = (
    Row(_ANOTHER, "renewed_same_key", "KN", (SELF,), known="self_signed"),
    Row(_ANOTHER, "known_key_expired", NOBODY, (SELF, ENDED), known="self_signed"),
    Row(_ANOTHER, "known_key_for_clients", NOBODY, (SELF,), known="self_signed"),
    Row(_ANOTHER, "child_of_self_signed", NOBODY, known="self_signed_cn_only"),
    Row(_ANOTHER, "child_of_self_signed_ca", NOBODY, known="self_signed_ca"),
    Row(_ANOTHER, "child_and_parent", NOBODY, known="self_signed_ca"),
    Row(_ANOTHER, "known_appended", NOBODY, (SELF,), known="self_signed_ca"),
    Row(_ANOTHER, "copied", NOBODY, (SELF,), known="self_signed_ca"),
)

_VERSION = (
    "A rule of form, which OpenSSL has. Where it is not asked (by a pin, on first use) the "
    "extensions count, whatever the version."
)
_UNREAD = (
    "A newer OpenSSL (3.6, with Python 3.14 and 3.15) cannot read this certificate at all, and "
    "refuses it with the code `tls`, also where its form is waived."
)
UNREADABLE = ("an end without seconds", "an end that is no time")
_FORM = {
    "version 1, with extensions": ("KDMBN", _VERSION),
    **dict.fromkeys(UNREADABLE, ("MB", _UNREAD)),
}

# Where the words of the kind are for those who write tests.
SAYS = {
    "good": "ECDSA P-256 key",
    "good_rsa": "RSA 2048 key",
    "ed25519": "Ed25519 key",
    "wildcard": "for *.example.org",
    "idn": "for straße.example.org, as xn--strae-oqa",
    "with_intermediate": "by an intermediate",
    "junk_appended": "unrelated certificates sent after it",
    "no_aki": "by an old private CA: no authorityKeyIdentifier",
    "ca_not_critical": "by an old private CA: basicConstraints not critical",
    "forged_issuer": "signed by somebody else in the name of our intermediate, which is sent",
    "wrong_eku": "for clients (extendedKeyUsage clientAuth)",
    "wrong_key_usage": "keyUsage for signing certificates alone",
    "weak_key": "RSA 1024 key, by the CA",
    "weak_signature": "signed with SHA-1 by the CA",
    "md5": "signed with MD5 by the CA",
    "revoked": "in its CA's list",
    "critical_unknown": "a critical extension nobody knows, by the CA",
    "self_signed_ca": "self-signed, CA:TRUE with keyCertSign",
    "self_signed_cert_sign_only": "self-signed, keyUsage for signing certificates alone",
    "wildcard_partial": "for m*il.example.org",
    "wildcard_two_labels": "for *.example.org, asked as a.b.example.org",
    "wildcard_top_level": "for *.org, asked as example.org",
    "wildcard_all": "for *",
    "renewed_same_key": "renewed under the same key",
    "known_key_expired": "the known key in another certificate, ended 30 days ago",
    "known_key_for_clients": "the known key in another certificate, for clients",
    "child_of_self_signed": "signed by the known certificate's key (CA:TRUE)",
    "child_of_self_signed_ca": "signed by the known certificate's key (CA:TRUE, keyCertSign)",
    "child_and_parent": "the same, and the known certificate sent after it",
    "known_appended": "somebody else's, and the known certificate sent after it",
    "copied": "the known one copied, serial number and identifiers and all, with another key",
}

ROWS = tuple(_rows())
