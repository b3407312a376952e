from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import triage
from bot.core.words import distance, listed, nearest, short


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", 0), ("a", "", 1), ("", "abc", 3), ("deploy", "depoly", 1), ("deploy", "deploi", 1), ("ab", "ba", 1), ("ca", "abc", 3), ("kitten", "sitting", 3)],
)  # fmt: skip
def test_distance(one: str, other: str, expected: int) -> None:
    assert distance(one, other) == distance(other, one) == expected


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_triage_measures_alike(one: str, other: str) -> None:
    assert distance(one, other) == triage.edits(one, other)


@pytest.mark.parametrize(
    ("name", "names", "bound", "expected"),
    [
        ("stagin", ("staging", "production"), 2, "staging"),
        ("prod", ("staging", "production"), 2, None),
        ("x", (), 2, None),
        ("ab", ("aa", "ac"), 1, "aa"),
        ("abc", ("a", "abcde"), 1, None),
        ("x" * 100_000, ("staging",), 2, None),
    ],
)
def test_nearest(name: str, names: tuple[str, ...], bound: int, expected: str | None) -> None:
    assert nearest(name, names, distance=bound) == expected


def test_small_words() -> None:
    assert short("4f9a1c2d3e5f") == "4f9a1c2"
    assert listed(["a", "b"]) == "`a` and `b`"
    assert listed([]) == ""
