"""A build as its machine and its API share it: the resource, the wish to cancel it, how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.sandbox.google.storage import Storage
from bot.sandbox.images import ImageStore

Json = dict[str, Any]


class Ended(Exception):  # noqa: N818 - an outcome
    """A build that ended otherwise than well. ``failure`` is a FailureInfo.FailureType."""

    def __init__(self, status: str, detail: str, failure: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.failure = status, detail, failure


@dataclass(kw_only=True)
class Record:
    """One build: its resource in JSON, and the wish to cancel it."""

    resource: Json
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)
    deadline: float = float("inf")  # by time.monotonic()

    def stopped(self) -> bool:
        """Whether work must cease."""
        return self.cancel.is_set() or time.monotonic() > self.deadline

    def check(self) -> None:
        """Raise Ended when the build was cancelled or its time is over."""
        if self.cancel.is_set():
            raise Ended("CANCELLED", "")
        if time.monotonic() > self.deadline:
            raise Ended("TIMEOUT", "the build ran out of time")


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a build machine is connected to.

    ``repositories`` maps a name or URL to a bare git folder; ``attest`` records provenance, or raises WireError.
    """

    root: Path
    images: ImageStore
    storage: Storage
    sink: Callable[[Json], None]
    clock: Callable[[], float]
    repositories: Mapping[str, Path]
    attest: Callable[[Json], None]
