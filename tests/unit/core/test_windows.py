from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.windows import DAYS, is_open, next_opening, read

FRIDAY = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("Fri 09:00-17:00", FRIDAY, True),
        ("Fri 10:00-10:01", FRIDAY, True),
        ("Fri 09:00-10:00", FRIDAY, False),  # its end is not in it
        ("Mon-Fri 09:00-17:00", FRIDAY, True),
        ("Mon-Fri 09:00-17:00", FRIDAY + timedelta(days=1), False),
        ("Sat-Mon 09:00-17:00", FRIDAY + timedelta(days=2), True),  # over the end of the week
        ("Sat-Mon 09:00-17:00", FRIDAY, False),
        ("Mon,Wed-Fri 09:00-17:00", FRIDAY, True),
        ("Fri 11:00-12:00 Europe/Berlin", FRIDAY, True),  # an hour ahead in winter
        ("Fri 10:00-11:00 Europe/Berlin", FRIDAY, False),
        ("Fri 12:00-13:00 Europe/Berlin", FRIDAY.replace(month=7, day=3), True),  # two in summer
        ("Sat 00:00-01:00 Pacific/Kiritimati", FRIDAY, True),  # where it is tomorrow
    ],
)
def test_when_it_is_open(text: str, now: datetime, expected: bool) -> None:
    assert is_open([text], now) is expected


def test_one_of_several_is_enough_and_none_is_always() -> None:
    assert is_open(["Mon 09:00-10:00", "Fri 09:00-11:00"], FRIDAY)
    assert is_open([], FRIDAY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri 11:00-12:00", "2026-01-02 11:00"),
        ("Fri 09:00-12:00", "2026-01-09 09:00"),  # it is open now; this is the next time
        ("Mon 09:00-12:00 America/New_York", "2026-01-05 14:00"),
        ("Thu 00:00-01:00", "2026-01-08 00:00"),
    ],
)
def test_when_it_opens_next(text: str, expected: str) -> None:
    assert f"{next_opening([text], FRIDAY):%Y-%m-%d %H:%M}" == expected


def test_the_first_of_several() -> None:
    assert next_opening(["Sun 09:00-10:00", "Sat 09:00-10:00"], FRIDAY) == FRIDAY.replace(day=3, hour=9)
    assert next_opening([], FRIDAY) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("always", "should be like"),
        ("Mon", "should be like"),
        ("mon 09:00-17:00", "should be like"),
        ("Mon 9:00-17:00", "should be like"),
        ("Mon 09:00-17:00 ", "should be like"),
        ("Mon 09:00-25:00", "an hour that no day has"),
        ("Mon 17:00-09:00", "closes before it opens"),
        ("Mon 09:00-09:00", "closes before it opens"),
        ("Mon 09:00-17:00 Mars/Base", "no time zone 'Mars/Base'"),
        ("Mon 09:00-17:00 ../../etc", "should be like"),
        ("Mon 09:00-17:00 /etc/passwd", "no time zone"),
    ],
)
def test_what_cannot_be_read(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read(text)


@given(
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3),
    st.integers(0, 22),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.integers(1_577_836_800, 1_893_456_000),
)
def test_it_is_open_when_it_has_opened(days: list[str], hour: int, zone: str, moment: int) -> None:
    text, now = f"{','.join(days)} {hour:02}:00-{hour + 1:02}:00 {zone}", datetime.fromtimestamp(moment, UTC)
    opening = next_opening([text], now)
    assert opening is not None
    assert now < opening <= now + timedelta(days=8)
    # Where a clock jumps over that hour, it opens as it comes out of the jump.
    assert any(is_open([text], opening + timedelta(minutes=ahead)) for ahead in (0, 59))
