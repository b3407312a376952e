"""Repeating a request that failed: how often, after how long, and when not.

The rules are GitHub's (docs.github.com, "Best practices for using the REST API", "Handle rate limit errors
appropriately"): wait for ``retry-after``; else, when ``x-ratelimit-remaining`` is 0, until ``x-ratelimit-reset``;
else at least one minute after a secondary limit. A library's retry is not used because a wait must end at once when
the run is cancelled, and because only the caller knows whether a request whose reply was lost may be sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from bot.errors import CancelledError, SlipwayError

T = TypeVar("T")

SECONDARY_LIMIT_WAIT = 60.0
"""Seconds to wait after a secondary limit that names no time."""


class Failed(Exception):  # noqa: N818  it is not an error yet: `repeat` decides whether it becomes one
    """One attempt that failed.

    ``transient``: another attempt may succeed. ``lost``: the server may have acted on the request although no usable
    reply came. ``wait``: seconds that the server asked to wait.
    """

    def __init__(
        self, error: SlipwayError, *, transient: bool = False, lost: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.transient = transient
        self.lost = lost
        self.wait = wait


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How to repeat, in seconds. ``total`` bounds the bot's own trying and waiting, not what a server asks for."""

    attempts: int = 4
    first: float = 0.2
    longest: float = 3.0
    total: float = 20.0
    patience: float = 60.0  # the longest wait a server may ask for

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number (from 1)."""
        return min(self.longest, self.first * 2.0 ** (attempt - 1))


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Clocks and sleep, all of them replaceable. ``stop`` set ends any wait with :class:`CancelledError`."""

    sleep: Callable[[float], None] | None = None
    now: Callable[[], float] = time.time  # Unix time, for x-ratelimit-reset
    monotonic: Callable[[], float] = time.monotonic
    stop: Event | None = None
    policy: Policy = field(default_factory=Policy)

    def pause(self, seconds: float) -> None:
        """Wait. Raises CancelledError as soon as ``stop`` is set."""
        if self.sleep is not None:
            self._check()
            self.sleep(seconds)
        elif self.stop is not None:
            self.stop.wait(seconds)
        else:
            time.sleep(seconds)
        self._check()

    def _check(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise CancelledError("The run was asked to stop while it waited to repeat a request.")


def repeat(attempt: Callable[[], T], waiting: Waiting, *, after_loss: Callable[[], T | None] | None = None) -> T:
    """Call ``attempt`` until it succeeds or must not be repeated.

    ``after_loss`` is for a request that is not safe to repeat: it looks whether the server acted although the reply was
    lost, and returns the result it found or None. It is asked before anything is sent again, and once more before
    giving up. What it raises is final.

    Raises:
        SlipwayError: the last attempt's error, or CancelledError.
    """
    policy = waiting.policy
    started = waiting.monotonic()
    asked = 0.0
    for number in range(1, policy.attempts + 1):
        try:
            return attempt()
        except Failed as failed:
            pause = failed.wait if failed.wait is not None else policy.backoff(number)
            spent = waiting.monotonic() - started - asked + (pause if failed.wait is None else 0.0)
            final = not failed.transient or number == policy.attempts or pause > policy.patience or spent > policy.total
            if not final:
                waiting.pause(pause)
                asked += failed.wait or 0.0
            if failed.lost and after_loss is not None:
                found = after_loss()
                if found is not None:
                    return found
            if final:
                raise failed.error from failed.__cause__
    raise AssertionError("unreachable: the last attempt returns or raises")  # pragma: no cover


def asked_wait(headers: Mapping[str, str], *, limited: bool, now: float) -> float | None:
    """Seconds that a reply asks to wait, None if it asks for nothing. Header names in lower case.

    ``limited`` says that the reply is a rate limit (429, or 403 that speaks of one). ``retry-after`` is read in its
    form in seconds, which is the one GitHub sends.
    """
    after = _number(headers.get("retry-after"))
    if after is not None:
        return max(0.0, after)
    if not limited:
        return None
    reset = _number(headers.get("x-ratelimit-reset"))
    if _number(headers.get("x-ratelimit-remaining")) == 0 and reset is not None:
        return max(0.0, reset - now) + 1.0  # the second named is the last one of the window
    return SECONDARY_LIMIT_WAIT


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
