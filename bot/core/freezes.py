"""When nothing is released to an environment: ``2026-12-23 to 2027-01-02 Europe/Berlin (holidays)``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache

from bot.core.windows import zone

_MOMENT = r"(\d{4}-\d{2}-\d{2})(?: (\d{2}:\d{2}))?"
_TEXT = re.compile(rf"{_MOMENT} to {_MOMENT}(?: (?P<zone>[\w+/-]+))?(?: \((?P<reason>[^()]+)\))?")


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """From one moment to another (which is no more in it), and why."""

    starts: datetime
    ends: datetime
    reason: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether a moment is in it."""
        return self.starts <= now < self.ends


@lru_cache(maxsize=64)
def read(text: str) -> Freeze:
    """Read a freeze. A day without a time is meant from its first to its last minute. Raises ValueError."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} should be like '2026-12-23 to 2027-01-02 Europe/Berlin (holidays)'")
    first, at, last, until, *_ = match.groups()
    there = zone(match["zone"] or "UTC")
    try:
        starts = datetime.combine(datetime.fromisoformat(first), time.fromisoformat(at or "00:00"), there)
        day = datetime.fromisoformat(last) + timedelta(days=not until)
        ends = datetime.combine(day, time.fromisoformat(until or "00:00"), there)
    except ValueError as error:
        raise ValueError(f"{text!r} has a day or an hour that there is not") from error
    if starts >= ends:
        raise ValueError(f"{text!r} ends before it starts")
    return Freeze(starts=starts.astimezone(UTC), ends=ends.astimezone(UTC), reason=(match["reason"] or "").strip())


def in_force(freezes: Iterable[str], now: datetime) -> Freeze | None:
    """Return the freeze that a moment is in, the one that lasts longest of several."""
    holding = [freeze for freeze in map(read, freezes) if freeze.holds(now)]
    return max(holding, key=lambda freeze: freeze.ends, default=None)
