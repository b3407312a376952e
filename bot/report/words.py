"""Times, durations, counts and short names in the words of a report. All times are UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400
_SHORT_SHA = 7  # what GitHub itself shows


def clock(seconds: float) -> str:
    """Return the time of day of a time in seconds since the epoch, as ``HH:MM:SS`` in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def day_time(seconds: float) -> str:
    """Return the day and the minute of a time in seconds since the epoch, as ``29 May 14:05`` in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%b %H:%M}"


def duration(seconds: float) -> str:
    """Return a length of time: ``0.4s`` below ten seconds, then ``38s``, ``2m 41s``, ``1h 05m``, ``3d 04h``.

    What is negative or not a number (a clock that was set back) counts as zero.
    """
    seconds = max(0.0, seconds) if math.isfinite(seconds) else 0.0
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02d}h"


def short(sha: str) -> str:
    """Return the first seven digits of a sha."""
    return sha[:_SHORT_SHA]


def count(number: int, noun: str) -> str:
    """Return a number and its noun: ``1 commit``, ``5 commits``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listing(items: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def bar(fraction: float, width: int = 20) -> str:
    """Return a bar of ``width`` characters, filled to a fraction from 0 to 1."""
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return "█" * filled + "░" * (width - filled)
