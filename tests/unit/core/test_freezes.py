"""Freezes of the configuration: how they are written, and when they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.core.freezes import in_force, read


@pytest.mark.parametrize(
    ("text", "starts", "ends", "reason"),
    [
        ("2026-12-23 to 2027-01-02", "2026-12-23T00:00", "2027-01-03T00:00", ""),
        ("2026-12-23 to 2026-12-23", "2026-12-23T00:00", "2026-12-24T00:00", ""),
        ("2026-12-23 18:00 to 2027-01-02 08:30", "2026-12-23T18:00", "2027-01-02T08:30", ""),
        ("2026-12-23 18:00 to 2027-01-02", "2026-12-23T18:00", "2027-01-03T00:00", ""),
        ("2026-12-23 to 2027-01-02 Europe/Berlin (holidays)", "2026-12-22T23:00", "2027-01-02T23:00", "holidays"),
        ("2026-06-01 to 2026-06-02 Europe/Berlin", "2026-05-31T22:00", "2026-06-02T22:00", ""),
        ("2026-06-01 to 2026-06-02 (a fair, in Bern)", "2026-06-01T00:00", "2026-06-03T00:00", "a fair, in Bern"),
    ],
)
def test_reading(text: str, starts: str, ends: str, reason: str) -> None:
    freeze = read(text)
    assert (freeze.starts, freeze.ends) == tuple(
        datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (starts, ends)
    )
    assert freeze.reason == reason
    assert freeze.holds(freeze.starts)
    assert freeze.holds(freeze.ends - timedelta(seconds=1))
    assert not freeze.holds(freeze.ends)
    assert not freeze.holds(freeze.starts - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Christmas", "should be like"),
        ("2026-12-23", "should be like"),
        ("2026-12-23 until 2027-01-02", "should be like"),
        ("2026-02-30 to 2026-03-02", "has a day or an hour that there is not"),
        ("2026-02-03 25:00 to 2026-03-02", "has a day or an hour that there is not"),
        ("2027-01-02 to 2026-12-23", "ends before it starts"),
        ("2026-12-23 10:00 to 2026-12-23 10:00", "ends before it starts"),
        ("2026-12-23 to 2027-01-02 Mars/Base", "there is no time zone 'Mars/Base'"),
    ],
)
def test_what_cannot_be_read(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read(text)


def test_of_several_the_one_that_lasts_longest_counts() -> None:
    now = datetime(2026, 12, 25, tzinfo=UTC)
    several = ["2026-12-24 to 2026-12-26 (a)", "2026-12-20 to 2027-01-10 (b)", "2027-01-01 to 2027-02-01 (c)"]
    found = in_force(several, now)
    assert found is not None
    assert found.reason == "b"
    assert in_force(several, now.replace(year=2025)) is None
    assert in_force((), now) is None
