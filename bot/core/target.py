"""The port to where an application runs. The engine knows a target by this Protocol alone.

Each step is *observed* before it is applied and while it runs; *apply* only starts it. So the engine's one loop
(observe, apply if absent, poll) also finishes a release whose runner died or whose reply was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from bot.core.plan import Applied
from bot.core.serving import Artifact, Serving
from bot.core.upkeep import Upkeep

if TYPE_CHECKING:  # few releases compare versions or are only shown
    from bot.core.canary import Observed
    from bot.core.changes import Preview
    from bot.core.images import Images
    from bot.core.questions import Finding, LogLine, LogQuery

READS_PER_SECOND = 25
"""How often very many things of a target are looked at together at most, so that no quota of an API is used up."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """How targets differ, as far as planning has to know.

    ``separate_build``: an artifact can be built without being released. ``traffic_split``: a candidate runs beside
    what serves. ``jobs``: configured jobs run on the artifact (Heroku has a release phase instead).
    """

    kind: Literal["cloud_run", "heroku"]
    separate_build: bool
    traffic_split: bool
    jobs: bool


@dataclass(frozen=True, kw_only=True)
class ReleaseId:
    """The identity that every applied thing is named or labelled with, so that it is found again.

    ``key`` is the deployment id in base 36: short enough for a revision name. ``tag`` is the traffic tag of candidates.
    ``preview`` is the pull request of a preview (0: it is a release), ``until`` when that ends, as it is written down.
    """

    deployment_id: int
    environment: str
    sha: str
    actor: str
    tag: str
    preview: int = 0
    until: str = ""

    @property
    def key(self) -> str:
        """Return the deployment id in base 36."""
        digits, number = "", self.deployment_id
        while number:
            number, rest = divmod(number, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        return digits or "0"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the release knows so far. Immutable: each finished step gives a new one.

    ``before`` is the state to return to, and what a release is compared with meanwhile; ``found`` is what served when
    this run began (after an interrupted release they differ), ``goal`` what a rollback brings back. ``pins``: the
    versions of secrets that were resolved when it was recorded, by name. ``sources``: the shas of other repositories
    that join its build, likewise.
    """

    release: ReleaseId
    before: Serving
    found: Serving = field(default_factory=Serving)
    goal: Serving = field(default_factory=Serving)
    artifact: Artifact | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    handles: Mapping[str, str] = field(default_factory=dict)  # step id -> provider's name of what was started

    def with_handle(self, step_id: str, handle: str) -> Known:
        """Return a copy that also knows what a step started."""
        return replace(self, handles={**self.handles, step_id: handle})


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Not there: apply it."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Under way. ``handle`` is the provider's name of it, ``detail`` a few words, ``link`` a page to watch.

    ``serves``: users see already what a rollout makes (on a target without a traffic split). ``operations``: the
    provider's names of the changes that were asked for, to look at when they do not end.
    """

    handle: str = ""
    detail: str = ""
    link: str = ""
    serves: bool = False
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Done:
    """There, as wanted. ``artifact`` is set by a build."""

    handle: str = ""
    detail: str = ""
    link: str = ""
    artifact: Artifact | None = None


@dataclass(frozen=True, kw_only=True)
class Broken:
    """There, but failed: applying again would not help. ``detail`` is the provider's own reason in a sentence.

    ``serves`` as in :class:`Running`.
    """

    handle: str = ""
    detail: str = ""
    link: str = ""
    serves: bool = False


Observation: TypeAlias = Absent | Running | Done | Broken


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why a step failed, from the logs. ``error`` is the first error line, ``tail`` the last lines, oldest first."""

    error: str = ""
    tail: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Who can reach a service. ``ingress`` in the provider's short words (``all``, ``internal``, …)."""

    public: bool
    ingress: str


Phase = Literal["candidate", "live", "baseline"]
Source: TypeAlias = Callable[[str], AbstractContextManager[Iterator[bytes]]]
"""Gives the gzipped tarball of a sha as a stream of chunks."""

Others: TypeAlias = Callable[[str], Source]
"""Gives the source of another repository, ``owner/name``."""


class Target(Protocol):
    """A place that an environment runs on. Methods block; they may be called from several threads.

    All raise :class:`bot.errors.UpstreamError` (or a subclass) when the provider fails, :class:`bot.errors.AuthError`
    without usable credentials.
    """

    @property
    def traits(self) -> Traits:
        """What planning has to know."""
        ...

    @property
    def upkeep(self) -> Upkeep | None:
        """What the bot has made here and may take away again; None where it leaves nothing behind."""
        ...

    @property
    def registry(self) -> Images | None:
        """The registry of what it runs; None where there is none to ask."""
        ...

    def serving(self) -> Serving:
        """Ask what every configured service serves now."""
        ...

    def newest_secrets(self, *, pinned: bool) -> Mapping[str, str]:
        """Ask for the newest version of each secret; ``pinned``: of those alone that a release pins.

        Raises ConfigError where that version cannot be used.
        """
        ...

    def observe(self, step: Applied, known: Known) -> Observation:
        """Ask how far a step is. Never changes anything."""
        ...

    def apply(self, step: Applied, known: Known) -> Running | Done:
        """Start a step. Safe to repeat for the same release: what it starts is named after it."""
        ...

    def cancel(self, step: Applied, known: Known) -> None:
        """Stop what a step started, if it can be stopped. Restoring what serves is the engine's business."""
        ...

    def diagnose(self, step: Applied, known: Known) -> Diagnosis:
        """Read why a step failed from the logs. Best effort: an empty diagnosis rather than an error."""
        ...

    def endpoint(self, service: str, phase: Phase, known: Known) -> str:
        """Return the URL to probe, without a trailing slash, ``""`` if the service cannot be reached from here.

        ``baseline`` is what served before the release: an address of its own where it has one, else the service's.
        """
        ...

    def traffic(self, service: str, since: float, until: float) -> Mapping[str, Observed]:
        """Return what requests got between two times (Unix time), by revision. Without a traffic split: ``{}``."""
        ...

    def error_lines(self, service: str, revisions: Collection[str], since: float, until: float) -> int:
        """Count the lines that some revisions logged as errors between two times (Unix time)."""
        ...

    def log_link(self, query: LogQuery) -> str:
        """Return where people read what a query asks for. Reads no line."""
        ...

    def log_lines(self, query: LogQuery) -> tuple[LogLine, ...]:
        """Return the newest of what a query asks for, oldest first. Nothing is masked."""
        ...

    def examine(self) -> tuple[Finding, ...]:
        """Ask for everything that a release needs here, and changes nothing. Never raises for what is amiss."""
        ...

    def preview(self, jobs: Collection[str], known: Known) -> Preview:
        """Say what a release of ``known`` would change: its services, and the jobs that it runs. Changes nothing."""
        ...

    def authorization(self, service: str, url: str) -> Mapping[str, str]:
        """Return the headers that a private service wants (an identity token), ``{}`` for a public one."""
        ...

    def exposure(self, service: str) -> Exposure:
        """Ask who can reach a service."""
        ...
