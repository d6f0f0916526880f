"""Frozen values: equality, hashing, pickling, and the words of a wrong call."""

import copy
import pickle

import pytest

from securemail.values import Value


class Point(Value):
    x: int
    y: int = 0


class Named(Point, kw_only=True):
    name: str


class Same(Value):
    x: int
    y: int = 0


def test_values_are_equal_by_type_and_fields() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != Same(1), "another type with the same fields"
    assert hash(Point(1)) == hash(Point(1, 0))
    assert hash(Point(1)) != hash(Same(1))


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError, match="frozen"):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del Point(1).x


def test_values_survive_pickle_and_copy() -> None:
    for value in (Point(1, 2), Named(x=1, name="n")):
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Point(), "needs x"),  # type: ignore[call-arg]
        (lambda: Point(1, 2, 3), "takes x, y"),  # type: ignore[call-arg]
        (lambda: Point(1, z=3), "z= is unknown"),  # type: ignore[call-arg]
        (lambda: Point(1, x=3), "given twice"),  # type: ignore[misc]
        (lambda: Named(1, name="n"), "takes the keywords x, y, name"),  # type: ignore[misc]
    ],
)
def test_a_wrong_call_is_a_type_error_in_words(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(TypeError, match=words):
        make()


def test_repr_is_the_call_that_makes_it() -> None:
    assert repr(Named(x=1, name="n")) == "Named(x=1, y=0, name='n')"
