from __future__ import annotations

from collections.abc import Sequence

import pytest

from fastcount.class_names import by_class, require_same_classes


def refusal(model: Sequence[str], data: Sequence[str]) -> str:
    """Why the two do not go together; nothing where they do."""
    try:
        require_same_classes(model, data, "set")
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "b", "c"), ("a", "b")),  # the model knows one more
        (("anything",), ("a", "b")),  # and counts it all
        (("object",), ("a",)),
        (("a", "b"), ("object",)),
    ],
)
def test_numbers_that_mean_the_same(model: tuple[str, ...], data: tuple[str, ...]) -> None:
    assert refusal(model, data) == ""


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (("a", "b"), ("b", "a"), "number 0 is a in the model [a, b] and b in set [b, a]; both"),
        (
            ("a", "b"),
            ("a", "b", "c"),
            "number 2 is none in the model [a, b] and c in set [a, b, c]",
        ),
        (("a", "b"), ("b",), "number 0 is a in the model [a, b] and b in set [b]"),
        (tuple("abcdefghijkl"), ("b", "a"), "[a, b, c, d, e, f, g, h, i, j, ... (12)]"),
    ],
)
def test_numbers_that_do_not(model: tuple[str, ...], data: tuple[str, ...], message: str) -> None:
    assert refusal(model, data).startswith("classes: number")
    assert message in refusal(model, data)


def test_classes_are_told_apart_where_both_do() -> None:
    assert by_class(("a", "b"), ("a",))
    assert not by_class(("a",), ("a", "b"))
    assert not by_class(("a", "b"), ("object",))
