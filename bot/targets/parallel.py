"""Independent calls at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def together(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Make a call for each item at once, in threads; the first failure is raised after all have ended."""
    wanted = list(items)
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        return list(pool.map(call, wanted))
