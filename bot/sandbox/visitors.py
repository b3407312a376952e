"""Visitors of an address: a steady load for stories, and what each of them saw."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What one visitor saw.

    ``started`` is by ``time.time()``, ``seconds`` until the whole answer was there. ``status`` is 0 when nobody
    answered, ``revision`` empty when no header told which one did.
    """

    started: float
    seconds: float
    status: int
    revision: str = ""


class Visitors:
    """Sends ``per_second`` requests a second to ``url`` and ``path`` from :meth:`start` to :meth:`stop`.

    Requests are due at even times; one that is due while all ``threads`` wait for answers is sent late, and none is
    left out. ``header`` is the one in which an answer names its revision. Use as a context manager, or start and stop.
    """

    def __init__(
        self,
        url: str,
        *,
        per_second: float,
        path: str = "/",
        threads: int = 4,
        headers: Mapping[str, str] | None = None,
        header: str = "X-Revision",
        timeout: float = 10.0,
    ) -> None:
        self.url, self.path, self.per_second = url, path, per_second
        self.headers, self.header, self.timeout = dict(headers or {}), header, timeout
        self._visits: list[Visit] = []
        self._new = threading.Condition()
        self._stopped = threading.Event()
        self._next = 0
        self._began = 0.0
        self._threads = [threading.Thread(target=self._visit, name="visitor", daemon=True) for _ in range(threads)]

    def start(self) -> Self:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> list[Visit]:
        """Cease, wait for the answers that are due, and return all visits by the time of their end."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(self.timeout + 5)
        return self.seen

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- looking --------------------------------------------------------------------------------------------
    @property
    def seen(self) -> list[Visit]:
        """A copy of the visits so far."""
        with self._new:
            return list(self._visits)

    def wait_for(self, count: int, timeout: float = 60.0) -> bool:
        """Wait until so many visits are over; False when ``timeout`` (seconds) is over first."""
        with self._new:
            return self._new.wait_for(lambda: len(self._visits) >= count, timeout)

    def statuses(self) -> Counter[int]:
        """Count the visits by status."""
        return Counter(visit.status for visit in self.seen)

    # -- visiting -------------------------------------------------------------------------------------------
    def _visit(self) -> None:
        while True:
            with self._new:
                due = self._began + self._next / self.per_second
                self._next += 1
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            visit = self._ask()
            with self._new:
                self._visits.append(visit)
                self._new.notify_all()

    def _ask(self) -> Visit:
        split = urlsplit(self.url)
        started, begun = time.time(), time.monotonic()
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=self.timeout)
        status, revision = 0, ""
        try:
            connection.request("GET", split.path + self.path, headers=self.headers)
            reply = connection.getresponse()
            reply.read()
            status, revision = reply.status, reply.getheader(self.header) or ""
        except (OSError, http.client.HTTPException):
            status = 0  # nobody, or half an answer
        finally:
            connection.close()
        return Visit(started=started, seconds=time.monotonic() - begun, status=status, revision=revision)
