"""When an environment may be released to: ``Mon-Fri 09:00-17:00 Europe/Berlin``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(DAYS)
_TEXT = re.compile(
    rf"(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*)"
    r" (?P<opens>[0-2]\d:[0-5]\d)-(?P<closes>[0-2]\d:[0-5]\d)(?: (?P<zone>[\w+/-]+))?"
)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Days of the week (0: Monday), and from when to when on each of them, in a time zone."""

    text: str
    days: frozenset[int]
    opens: time
    closes: time
    zone: tzinfo

    def holds(self, now: datetime) -> bool:
        """Whether a moment is in it."""
        there = now.astimezone(self.zone)
        return there.weekday() in self.days and self.opens <= there.time().replace(tzinfo=None) < self.closes

    def openings(self, now: datetime) -> Iterator[datetime]:
        """Yield when it opens next, within a week."""
        today = now.astimezone(self.zone).date()
        for ahead in range(8):
            day = today + timedelta(days=ahead)
            opening = datetime.combine(day, self.opens, self.zone)
            if day.weekday() in self.days and opening > now:
                yield opening.astimezone(UTC)


@lru_cache(maxsize=64)
def read(text: str) -> Window:
    """Read a window. Raises ValueError with what is wrong."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} should be like 'Mon-Fri 09:00-17:00 Europe/Berlin'")
    try:
        opens, closes = time.fromisoformat(match["opens"]), time.fromisoformat(match["closes"])
    except ValueError as error:
        raise ValueError(f"{text!r} has an hour that no day has") from error
    if opens >= closes:
        raise ValueError(f"{text!r} closes before it opens; one that goes over midnight is written as two")
    return Window(text=text, days=_days(match["days"]), opens=opens, closes=closes, zone=zone(match["zone"] or "UTC"))


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found.update((start + ahead) % 7 for ahead in range((end - start) % 7 + 1))
    return frozenset(found)


def zone(name: str) -> tzinfo:
    """Return a time zone by its name. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def is_open(windows: Iterable[str], now: datetime) -> bool:
    """Whether a moment is in one of the windows; without any, always."""
    every = [read(text) for text in windows]
    return not every or any(window.holds(now) for window in every)


def next_opening(windows: Iterable[str], now: datetime) -> datetime | None:
    """Return when the first of them opens next, in UTC."""
    return min((opening for text in windows for opening in read(text).openings(now)), default=None)
