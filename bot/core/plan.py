"""A plan is data: steps in a graph, each of which can be observed in the world.

Step ids are stable within a plan and name the step in the record, the comment and the logs. ``needs`` are ids of steps
that must be done first; steps whose needs are done run in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.core.checks import Check
from bot.core.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Build:
    """Have an artifact of the release's sha: found, or else built from its source. ``timeout`` is in seconds."""

    id: str = "build"
    timeout: float = 1200.0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """Run a configured job once on the release's artifact and await it. ``timeout`` is in seconds."""

    id: str
    job: str
    timeout: float
    needs: tuple[str, ...] = ()


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
    """Send ``percent`` of the traffic of all ``services`` to the release's revisions. ``timeout``: seconds."""

    id: str
    services: tuple[str, ...]
    percent: int
    timeout: float
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Bring the services back to a recorded serving state: ``/rollback``, and the way back of a failed release."""

    id: str
    to: Serving
    timeout: float
    needs: tuple[str, ...] = ()


Step: TypeAlias = Build | RunJob | Rollout | Verify | Shift | Restore


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one release. ``undo`` is whether a failure brings back the recorded serving state."""

    steps: tuple[Step, ...]
    undo: bool = True
