from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import triage
from bot.core.words import distance, listed, nearest, short, spent


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


@pytest.mark.parametrize(
    ("seconds", "total", "expected"),
    [
        (12.9, 90, "12 of 90 seconds"),
        (719, 3600, "11 of 60 minutes"),
        (720, 3600, "12 of 60 minutes"),
        (0, 180, "0 of 3 minutes"),
        (7200, 5 * 3600, "2 of 5 hours"),
        (90000, 5 * 86400, "1 of 5 days"),
        (90000, 60, "60 of 60 seconds"),
        (5400, 4.5 * 3600, "1 of 4.5 hours"),
    ],
)
def test_how_much_of_a_time_is_over(seconds: float, total: float, expected: str) -> None:
    assert spent(seconds, total) == expected
