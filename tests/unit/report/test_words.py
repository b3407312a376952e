from __future__ import annotations

import math

import pytest

from bot.report.words import bar, clock, count, day_time, duration, listing, short


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (161.4, "2m 41s"),
        (302, "5m 02s"),
        (3599.7, "1h 00m"),
        (3900, "1h 05m"),
        (86_400 * 3 + 4 * 3600, "3d 04h"),
        (-5, "0.0s"),
        (math.nan, "0.0s"),
        (math.inf, "0.0s"),
    ],
)
def test_a_duration_is_short_and_never_negative(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_times_are_utc() -> None:
    assert clock(1_767_276_000.9) == "14:00:00"
    assert day_time(1_767_276_000) == "1 Jan 14:00"


@pytest.mark.parametrize(
    ("items", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_listing_reads_as_a_sentence(items: list[str], expected: str) -> None:
    assert listing(items) == expected


def test_counts_shas_and_bars() -> None:
    assert (count(1, "commit"), count(0, "commit"), count(1204, "line")) == ("1 commit", "0 commits", "1,204 lines")
    assert short("4f9a1c2d3e5f") == "4f9a1c2"
    assert [bar(fraction, 4) for fraction in (-1, 0, 0.5, 2)] == ["░░░░", "░░░░", "██░░", "████"]
