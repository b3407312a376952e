"""A target that follows a script, and a clock whose time passes only where somebody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.canary import Observed
from bot.core.changes import Preview
from bot.core.plan import Applied
from bot.core.questions import Finding, LogLine, LogQuery
from bot.core.serving import Artifact, ServiceState, Serving, TrafficShare
from bot.core.target import (
    Absent,
    Diagnosis,
    Done,
    Exposure,
    Known,
    Observation,
    Phase,
    ReleaseId,
    Running,
    Target,
    Traits,
)
from bot.engine.clock import Clock


class FakeClock:
    """Waiting advances the time at once. ``stop_at`` asks the run to stop when that time is reached."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.waits: list[float] = []
        self.stop_at = float("inf")

    def now(self) -> float:
        with self._lock:
            return self._now

    def wait(self, seconds: float) -> bool:
        if not self._stopped.is_set():
            self.sleep(seconds)
        return self._stopped.is_set()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.waits.append(seconds)
            if self._now >= self.stop_at:
                self._stopped.set()

    @property
    def stopping(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()


Reply = Observation | Exception


@dataclass
class ScriptedTarget:
    """Each look at a step takes the next of ``seen[step]``, the last one again and again.

    Without a script a step is absent until it is applied, then runs for one look, then is done. ``replies`` are what
    applying gives, one after the other, then ``Running``.
    """

    traits: Traits = field(
        default_factory=lambda: Traits(kind="cloud_run", separate_build=True, traffic_split=True, jobs=True)
    )
    seen: dict[str, list[Reply]] = field(default_factory=dict)
    replies: dict[str, list[Running | Done | Exception]] = field(default_factory=dict)
    live: list[Serving | Exception] = field(default_factory=lambda: [Serving()])
    hooks: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    diagnoses: dict[str, Diagnosis | Exception] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    known: list[tuple[str, str, Known]] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)
    exposures: dict[str, Exposure] = field(default_factory=dict)
    cancelling: Exception | None = None
    tokens: list[tuple[str, str]] = field(default_factory=list)
    requests: list[Mapping[str, Observed] | Exception] = field(default_factory=lambda: [{}])
    lines: dict[str, list[int]] = field(default_factory=dict)
    asked: list[tuple[float, float]] = field(default_factory=list)
    _mutex: Any = field(default_factory=threading.RLock)

    def _call(self, verb: str, name: str, known: Known | None = None) -> None:
        with self._mutex:
            self.calls.append((verb, name))
            if known is not None:
                self.known.append((verb, name, known))
        hook = self.hooks.get((verb, name))
        if hook is not None:
            hook()

    def count(self, verb: str, name: str) -> int:
        return self.calls.count((verb, name))

    @property
    def upkeep(self) -> None:
        return None

    def traffic(self, service: str, since: float, until: float) -> Mapping[str, Observed]:
        self._call("traffic", service)
        self.asked.append((since, until))
        with self._mutex:
            seen = self.requests.pop(0) if len(self.requests) > 1 else self.requests[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    def error_lines(self, service: str, revisions: Collection[str], since: float, until: float) -> int:
        self._call("error_lines", f"{service} {','.join(revisions)}")
        self.asked.append((since, until))
        with self._mutex:
            lines = self.lines.get(",".join(revisions), [0])
            return lines.pop(0) if len(lines) > 1 else lines[0]

    def log_link(self, query: LogQuery) -> str:
        raise AssertionError("a running plan shows no log")

    def log_lines(self, query: LogQuery) -> tuple[LogLine, ...]:
        raise AssertionError("a running plan shows no log")

    def examine(self) -> tuple[Finding, ...]:
        raise AssertionError("a running plan is not examined")

    def preview(self, jobs: Collection[str], known: Known) -> Preview:
        raise AssertionError("a running plan is not previewed")

    def newest_secrets(self, *, pinned: bool) -> Mapping[str, str]:
        self._call("newest_secrets", str(pinned))
        return {}

    @property
    def registry(self) -> None:
        raise AssertionError("a running plan asks for no images")

    def serving(self) -> Serving:
        self._call("serving", "")
        with self._mutex:
            now = self.live.pop(0) if len(self.live) > 1 else self.live[0]
        if isinstance(now, Exception):
            raise now
        return now

    def observe(self, step: Applied, known: Known) -> Observation:
        self._call("observe", step.id, known)
        with self._mutex:
            script = self.seen.get(step.id)
            if script is None:
                applied, looks = self.count("apply", step.id), self.count("observe", step.id)
                if not applied:
                    return Absent()
                artifact = Artifact(digest="sha256:1", reference="r@sha256:1") if step.id == "build" else None
                return Running(detail="under way") if looks == 2 else Done(artifact=artifact)
            reply = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def apply(self, step: Applied, known: Known) -> Running | Done:
        self._call("apply", step.id, known)
        with self._mutex:
            replies = self.replies.get(step.id)
            reply = replies.pop(0) if replies else Running(handle=f"op-{step.id}")
        if isinstance(reply, Exception):
            raise reply
        return reply

    def cancel(self, step: Applied, known: Known) -> None:
        self._call("cancel", step.id, known)
        if self.cancelling is not None:
            raise self.cancelling

    def diagnose(self, step: Applied, known: Known) -> Diagnosis:
        self._call("diagnose", step.id)
        found = self.diagnoses.get(step.id, Diagnosis())
        if isinstance(found, Exception):
            raise found
        return found

    def endpoint(self, service: str, phase: Phase, known: Known) -> str:
        self._call("endpoint", f"{service} {phase}")
        return self.endpoints.get(service, f"https://{service}-{phase}.test")

    def authorization(self, service: str, url: str) -> Mapping[str, str]:
        self.tokens.append((service, url))
        return {"Authorization": "Bearer t"}

    def exposure(self, service: str) -> Exposure:
        return self.exposures[service]


@pytest.fixture
def clock() -> FakeClock:
    made = FakeClock()
    _: Clock = made
    return made


@pytest.fixture
def target() -> ScriptedTarget:
    made = ScriptedTarget()
    _: Target = made
    return made


@pytest.fixture
def make_state() -> Callable[..., ServiceState]:
    """Make the state of a service of which one revision has the traffic."""

    def make(service: str, revision: str, digest: str = "sha256:1", percent: int = 100) -> ServiceState:
        return ServiceState(
            service=service, traffic=(TrafficShare(revision=revision, percent=percent),), digests={revision: digest}
        )

    return make


@pytest.fixture
def known(make_state: Callable[..., ServiceState]) -> Known:
    before = Serving(services=(make_state("web", "web-1", "sha256:0"), make_state("worker", "worker-1", "sha256:0")))
    release = ReleaseId(deployment_id=12, environment="staging", sha="a" * 40, actor="dana", tag="pr-7")
    return Known(release=release, before=before)
