"""The rules of `tls.cache`, alone. With real contexts: tests/test_policy.py; among threads and
forks: tests/test_threads_and_forks.py."""

from collections import OrderedDict
from collections.abc import Callable

import pytest

from securemail.tls import cache
from securemail.tls.cache import cached

MOST = 64


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_kept", OrderedDict())


def never() -> object:
    raise AssertionError("it was there")


def made(what: str) -> Callable[[], str]:
    return lambda: what


def test_what_was_built_stays_while_its_content_does() -> None:
    assert cached("key", "content", made("one")) == "one"
    assert cached("key", "content", never) == "one"
    assert cached("key", "other content", made("two")) == "two"
    assert cached("key", "other content", never) == "two"
    assert cached("key", "content", made("three")) == "three", "the one before is not kept"
    assert cached("another key", "content", made("four")) == "four"


def test_sixty_four_are_kept() -> None:
    for number in range(MOST):
        cached(number, None, made(str(number)))
    for number in range(MOST):
        assert cached(number, None, never) == str(number)
    cached("one more", None, made("one more"))
    assert len(cache._kept) == MOST


def test_the_one_that_was_asked_for_longest_ago_goes() -> None:
    for number in range(MOST):
        cached(number, None, made(str(number)))
    cached(0, None, never)
    cached("one more", None, made("one more"))
    assert list(cache._kept) == [*range(2, MOST), 0, "one more"]
