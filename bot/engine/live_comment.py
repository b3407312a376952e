"""Keeps one comment true while a release runs: edited in place, not too often, and always at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bot.errors import SlipwayError

# GitHub allows 80 content-making requests a minute (docs: secondary rate limits), for all of a token's work. A release
# that has just begun changes often and is being watched; later it is not.
EARLY_INTERVAL = 2.0  # seconds between edits in the first minute
LATE_INTERVAL = 10.0  # and after it
EARLY = 60.0


def usual_pause(running: float) -> float:
    """Return how long to wait after an edit, ``running`` seconds after the beginning."""
    return EARLY_INTERVAL if running < EARLY else LATE_INTERVAL


class LiveComment:
    """Edits a comment whenever the report changed, in a thread of its own.

    ``edit`` writes a body. A failing edit is tried again with the next change and never fails the release; the last
    one, in :meth:`finish`, raises. ``pause`` gives the seconds between edits.
    """

    def __init__(
        self,
        edit: Callable[[str], None],
        render: Callable[[], str],
        *,
        written: str = "",
        pause: Callable[[float], float] = usual_pause,
    ) -> None:
        self._edit, self._render, self._written, self._pause = edit, render, written, pause
        self._changed, self._closed = threading.Event(), threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="comment", daemon=True)

    def start(self) -> None:
        """Begin to follow changes."""
        self._thread.start()

    def changed(self) -> None:
        """Say that the report has changed."""
        self._changed.set()

    def stop(self) -> None:
        """Stop following; what was not written yet is not."""
        self._closed.set()
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def finish(self, body: str) -> None:
        """Stop following, and write the last body. Raises what the edit raises."""
        self.stop()
        if body != self._written:
            self._edit(body)

    def _run(self) -> None:
        self._closed.wait(EARLY_INTERVAL)  # it was written a moment ago
        while not self._closed.is_set():
            self._changed.wait()
            self._changed.clear()
            if self._closed.is_set():
                return
            body = self._render()
            if body != self._written:
                try:
                    self._edit(body)
                    self._written = body
                except SlipwayError:
                    self._changed.set()
            self._closed.wait(self._pause(time.monotonic() - self._started))
