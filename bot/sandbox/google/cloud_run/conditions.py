"""Conditions, times and operations of run.v2 resources."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.google import rfc3339

Json = dict[str, Any]

PENDING = "CONDITION_PENDING"
RECONCILING = "CONDITION_RECONCILING"
FAILED = "CONDITION_FAILED"
SUCCEEDED = "CONDITION_SUCCEEDED"
# google.rpc.Code, as the operation's error carries it.
NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, INTERNAL, CANCELLED = 5, 7, 9, 13, 1


@dataclass(kw_only=True, eq=False)
class RunError(Exception):
    """Something Cloud Run tells through conditions and the operation's error instead of an HTTP error.

    ``code`` is a google.rpc.Code; ``reasons`` holds ``reason``, ``revisionReason`` or ``executionReason`` by the enums
    of Condition in run.v2.
    """

    code: int
    message: str
    reasons: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def condition(kind: str, state: str, now: float, *, message: str = "", **reasons: str) -> Json:
    """Return one Condition; ``now`` is in seconds since the epoch."""
    shown: Json = {"type": kind, "state": state, "lastTransitionTime": rfc3339(now), **reasons}
    return {**shown, "message": message} if message else shown


def new_etag() -> str:
    """Return a fresh fingerprint, quoted as Cloud Run's are."""
    return f'"{uuid.uuid4().hex[:20]}"'


@dataclass(kw_only=True)
class Operation:
    """A long-running operation (google.longrunning.Operation). ``metadata`` is asked anew at each look."""

    name: str
    kind: str  # the @type's last part, for example "Service"
    metadata: Callable[[], Json]
    response: Json | None = None
    error: RunError | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    def succeed(self, response: Json) -> None:
        """End well; the response is kept as it is now."""
        self.response = copy.deepcopy(response)
        self.finished.set()

    def fail(self, error: RunError) -> None:
        """End badly."""
        self.error = error
        self.finished.set()

    def resource(self) -> Json:
        """The Operation as the API returns it."""
        typed = f"type.googleapis.com/google.cloud.run.v2.{self.kind}"
        shown: Json = {"name": self.name, "metadata": {"@type": typed, **self.metadata()}}
        if self.finished.is_set():
            shown["done"] = True
            if self.error:
                shown["error"] = {"code": self.error.code, "message": self.error.message}
            else:
                shown["response"] = {"@type": typed, **(self.response or {})}
        return shown


class Operations:
    """Runs reconciliations in threads and remembers what became of them.

    Knob: ``seconds``, how long an operation takes at least. With 0 it ends as soon as its work is done, which the
    first poll after that sees; an answer to the call that started it never says ``done``.
    """

    def __init__(self, *, project: str, region: str) -> None:
        self.prefix = f"projects/{project}/locations/{region}/operations"
        self.seconds = 0.0
        self.stopped = threading.Event()
        self._all: dict[str, Operation] = {}
        self._lock = threading.Lock()

    def create(self, kind: str, metadata: Callable[[], Json]) -> Operation:
        """Register an operation that its caller will end."""
        operation = Operation(name=f"{self.prefix}/{uuid.uuid4()}", kind=kind, metadata=metadata)
        with self._lock:
            self._all[operation.name] = operation
        return operation

    def start(self, kind: str, metadata: Callable[[], Json], work: Callable[[], Json]) -> Json:
        """Do ``work`` in a thread; return the operation as it is at its start, which is not done."""
        operation = self.create(kind, metadata)
        first = operation.resource()

        def run() -> None:
            self.stopped.wait(self.seconds)  # first: a resource is ``reconciling`` as long as its operation runs
            failure: RunError | None = None
            response: Json = {}
            try:
                response = work()
            except RunError as error:
                failure = error
            if failure:
                operation.fail(failure)
            else:
                operation.succeed(response)

        threading.Thread(target=run, name=operation.name, daemon=True).start()
        return first

    def done(self, kind: str, resource: Json) -> Json:
        """Return an operation that is over already (``validateOnly``)."""
        operation = Operation(name=f"{self.prefix}/{uuid.uuid4()}", kind=kind, metadata=lambda: resource)
        operation.succeed(resource)
        return operation.resource()

    def find(self, name: str) -> Operation | None:
        """Return an operation by its full name."""
        with self._lock:
            return self._all.get(name)

    def remove(self, name: str) -> None:
        """Forget an operation."""
        with self._lock:
            self._all.pop(name, None)

    def all(self) -> list[Operation]:
        """Every operation, newest first."""
        with self._lock:
            return list(reversed(self._all.values()))
