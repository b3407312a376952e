"""A preview as people are told of it. Values only: :mod:`bot.report.previews` renders them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.core.outcome import Reason, StepResult


@dataclass(frozen=True, kw_only=True)
class PreviewLine:
    """A service of a preview. ``revision`` and ``url`` are ``""`` while there are none."""

    service: str
    revision: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class PreviewReport:
    """A preview as it stands. Times are seconds since the epoch; ``until``: when it ends (0: not yet known).

    ``former_sha``: what the preview showed before, and shows again after a renewal that failed. ``differs``: names of
    what differs from the environment's own settings. ``on_push``: a push renews it.
    """

    environment: str
    number: int
    sha: str
    actor: str
    state: Literal["running", "up", "failed", "cancelled", "over"]
    now: float
    started: float
    steps: tuple[StepResult, ...] = ()
    services: tuple[PreviewLine, ...] = ()
    until: float = 0.0
    former_sha: str = ""
    differs: tuple[str, ...] = ()
    on_push: bool = False
    run_url: str = ""
    deployment_id: int = 0
    digest: str = ""
    reason: Reason = Reason.READY
    sentence: str = ""
    next: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where to look at it first."""
        return next((line.url for line in self.services if line.url), "")


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep did in one environment.

    ``previews`` are those taken away, with why; ``marks`` are locks and freezes that had ended; ``problems`` are
    sentences.
    """

    environment: str
    previews: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    revisions: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    left: int = 0  # revisions for the next run
    problems: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do and nothing to tell."""
        return not (self.previews or self.tags or self.revisions or self.marks or self.left or self.problems)
