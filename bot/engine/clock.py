"""Time, and waiting that can be interrupted: every wait of the engine goes through here."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from bot.errors import CancelledError


class Clock(Protocol):
    """The time, and the wish to stop."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait; return True at once when the run is asked to stop."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait whatever is asked: for the way back only."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether the run has been asked to stop."""
        ...


class RealClock:
    """The machine's clock. :meth:`stop` is what a signal handler calls."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def wait(self, seconds: float) -> bool:
        """Wait, or return True at once when asked to stop."""
        return self.stopped.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Wait whatever is asked."""
        time.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Wait inside a step. Raises CancelledError as soon as the run is asked to stop."""
        if self.stopped.wait(seconds):
            raise CancelledError("The run was asked to stop.")

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self.stopped.is_set()

    def stop(self) -> None:
        """Ask the run to stop: it restores what served before and ends."""
        self.stopped.set()


class Unstoppable:
    """A clock for the way back, which nothing may interrupt: it passes on the time and no wish to stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._clock.now()

    def wait(self, seconds: float) -> bool:
        """Wait whatever is asked."""
        self._clock.sleep(seconds)
        return False

    def sleep(self, seconds: float) -> None:
        """Wait whatever is asked."""
        self._clock.sleep(seconds)

    @property
    def stopping(self) -> bool:
        """Never."""
        return False
