"""Independent reads, at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Gatherer:
    """A pool for reads: each is asked for early, and its answer or error is taken where it is needed."""

    def __init__(self, threads: int = 16) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="read")

    def ask(self, read: Callable[..., T], *args: Any) -> Future[T]:
        """Start a read."""
        return self._pool.submit(read, *args)

    def close(self) -> None:
        """Let the threads go; reads that nobody waits for end by their own timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def known(value: T) -> Future[T]:
    """Return an answer that needs no asking."""
    future: Future[T] = Future()
    future.set_result(value)
    return future
