"""A plan is data: steps in a graph, each of which can be observed in the world.

Step ids are stable within a plan and name the step in the record, the comment and the logs. ``needs`` are ids of steps
that must be done first; steps whose needs are done run in parallel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Literal, TypeAlias

from bot.core.checks import Check
from bot.core.config import Canary, Watch
from bot.core.serving import Artifact, Serving


@dataclass(frozen=True, kw_only=True)
class Build:
    """Have an artifact of the release's sha: found, or else built from its source. ``timeout`` is in seconds.

    ``promoted`` is the artifact to take instead, of the environment ``promoted_from``: then nothing is built.
    """

    id: str = "build"
    timeout: float = 1200.0
    needs: tuple[str, ...] = ()
    promoted: Artifact | None = None
    promoted_from: str = ""


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """Run a configured job once on the release's artifact and await it. ``timeout`` is in seconds.

    ``keeps``: a failure leaves the release in place (it serves and is verified, and the job may have changed what the
    former release needs).
    """

    id: str
    job: str
    timeout: float
    needs: tuple[str, ...] = ()
    keeps: bool = False


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Have the release's revision of a service ready, beside what serves and without traffic where the target can.

    On a target without a traffic split (Heroku) the revision serves as soon as it is rolled out. ``timeout``: seconds.
    """

    id: str
    service: str
    timeout: float
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Judge the release: ``candidate`` at its own URL before traffic, ``live`` at what users see."""

    id: str
    phase: Literal["candidate", "live"]
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Send ``percent`` of the traffic of all ``services`` to the release's revisions. ``timeout``: seconds.

    ``since``: the percents that earlier shifts gave them (0 where it is left out). Anything else found there is
    somebody else's doing.
    """

    id: str
    services: tuple[str, ...]
    percent: int
    timeout: float
    since: Mapping[str, int] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Compare the release's revision of a service with what serves beside it, while it has ``percent`` of the traffic.

    It is the ``stage``-th of ``stages`` (from 0), and ``judged`` services have stages: what may be spent on false
    alarms is shared out among all of them.
    """

    id: str
    service: str
    percent: int
    strategy: Canary
    stage: int
    stages: int
    judged: int = 1
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WatchLog:
    """Compare the error log of what serves now with that of the version before, for some time after the release."""

    id: str
    services: tuple[str, ...]
    watch: Watch
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Bring the services back to a recorded serving state: ``/rollback``, and the way back of a failed release."""

    id: str
    to: Serving
    timeout: float
    needs: tuple[str, ...] = ()


Applied: TypeAlias = Build | RunJob | Rollout | Shift | Restore
"""Steps that bring the world to something: a target observes and applies them."""

Step: TypeAlias = Applied | Verify | Analysis | WatchLog
"""All steps. The others only look, and are the engine's own."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one release. ``undo`` is whether a failure brings back the recorded serving state.

    Raises ValueError for steps that could never all be done: what runs them would stop halfway and see no failure.
    """

    steps: tuple[Step, ...]
    undo: bool = True

    def __post_init__(self) -> None:
        waits = {step.id: step.needs for step in self.steps}
        if len(waits) < len(self.steps):
            raise ValueError(f"two steps have the same id: {', '.join(step.id for step in self.steps)}")
        try:
            tuple(TopologicalSorter(waits).static_order())
        except CycleError as error:
            raise ValueError(f"steps wait for each other: {', '.join(error.args[1])}") from None
        unknown = sorted({need for needs in waits.values() for need in needs} - waits.keys())
        if unknown:
            raise ValueError(f"steps wait for what is not in the plan: {', '.join(unknown)}")
