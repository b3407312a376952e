"""Independent reads, at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar, cast

T = TypeVar("T")


MANY = 10_000


class Gatherer:
    """Threads for reads: each is asked for early, and its answer or error is taken where it is needed.

    A read may wait for others, so there is a thread for each that is under way: with fewer, those that wait could hold
    all of them. How many calls are made at a time is bounded where they are made.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=MANY, thread_name_prefix="read")
        self._asked: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def ask(self, read: Callable[..., T], *args: Any) -> Future[T]:
        """Start a read."""
        return self._pool.submit(read, *args)

    def once(self, read: Callable[..., T], *args: Hashable) -> Future[T]:
        """Start a read that has not been asked for yet; later askers get the same answer."""
        key = (getattr(read, "__name__", repr(read)), *args)
        with self._lock:
            if key not in self._asked:
                self._asked[key] = self.ask(read, *args)
            return cast("Future[T]", self._asked[key])

    def give(self, answer: Callable[[], T], read: Callable[..., T], *args: Hashable) -> None:
        """Let a read that has not been asked for yet be answered by something else than itself."""
        key = (getattr(read, "__name__", repr(read)), *args)
        with self._lock:
            if key not in self._asked:
                self._asked[key] = self.ask(answer)

    def close(self) -> None:
        """Let the threads go; reads that nobody waits for end by their own timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def known(value: T) -> Future[T]:
    """Return an answer that needs no asking."""
    future: Future[T] = Future()
    future.set_result(value)
    return future
