"""A preview that is decided on, how far it has come, and its record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from bot.app.context import Context, Request
from bot.app.preview_reporting import TITLES
from bot.core.cleanup import Why
from bot.core.facts import Deployment, PullRequest
from bot.core.outcome import Refusal
from bot.core.plan import Plan
from bot.core.preview_report import PreviewReport
from bot.core.previews import Kept, PreviewRecord, Previews, place_of, plans, said, tag_of
from bot.core.resolve import Environment
from bot.core.serving import Serving
from bot.core.target import Known, ReleaseId
from bot.engine.execution import Ended
from bot.engine.progress import Progress
from bot.errors import SlipwayError


@dataclass(frozen=True, kw_only=True)
class Case:
    """A preview that is decided on. ``until``: when it ends, seconds since the epoch. ``records``: newest first."""

    request: Request
    environment: Environment
    previews: Previews
    pull: PullRequest
    sha: str
    until: float
    records: tuple[Kept, ...]

    @property
    def number(self) -> int:
        """The pull request."""
        return self.pull.number

    @property
    def tag(self) -> str:
        """The tag of its preview."""
        return tag_of(self.number)

    @property
    def plans(self) -> tuple[Plan, Plan, Plan]:
        """What is done before the environment is held, meanwhile, and afterwards."""
        return plans(
            self.previews,
            build_timeout=self.environment.build_timeout,
            rollout_timeout=self.environment.rollout_timeout,
        )

    @property
    def resumed(self) -> Kept | None:
        """The record of this very command, which an earlier attempt of the run left open."""
        newest = self.records[0] if self.records else None
        return newest if newest and newest.record.id == self.request.id and not newest.finished else None

    @property
    def former(self) -> Kept | None:
        """The preview that is up already."""
        return next((one for one in self.records if one.state == "success"), None)

    def identity(self, deployment_id: int) -> ReleaseId:
        """Return what everything that is made for it is named and labelled with."""
        return ReleaseId(
            deployment_id=deployment_id,
            environment=self.environment.name,
            sha=self.sha,
            actor=self.request.actor,
            tag=self.tag,
            preview=self.number,
            until=said(self.until),
        )


@dataclass(kw_only=True)
class Course:
    """How far a preview has come.

    ``over``: why it is over before it was finished. ``superseded``: a newer commit is the head. ``tagged``: where its
    tag led before, by service; None before it was moved. ``untold``: what could not be put right, or be written.
    """

    known: Known
    ended: Ended | None = None
    refusal: Refusal | None = None
    over: Why | None = None
    superseded: bool = False
    tagged: dict[str, str] | None = None
    untold: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing has gone wrong so far."""
        ended = self.ended
        fine = ended is None or (ended.failed is None and not ended.cancelled)
        return fine and self.refusal is None and self.over is None and not self.superseded


def opening(context: Context, case: Case) -> PreviewReport:
    """Return the report of a preview that is about to be made."""
    steps = [step for plan in case.plans for step in plan.steps]
    results = Progress(steps, Known(release=case.identity(0), before=Serving()), lambda _: None).results
    return PreviewReport(
        environment=case.environment.name,
        number=case.number,
        sha=case.sha,
        actor=case.request.actor,
        state="running",
        now=context.clock.now(),
        started=context.clock.now(),
        steps=tuple(replace(result, title=TITLES.get(result.id, result.title)) for result in results),
        differs=case.previews.differs,
        on_push=case.previews.on_push,
        former_sha=case.former.record.sha if case.former is not None else "",
        run_url=context.settings.run.url,
    )


def write_record(context: Context, case: Case, comment_id: int) -> Deployment:
    """Write the record before anything is made; one that was left open is gone on with."""
    if case.resumed is not None:
        return case.resumed.deployment
    run = context.settings.run
    record = PreviewRecord(
        id=case.request.id,
        number=case.number,
        environment=case.environment.name,
        sha=case.sha,
        actor=case.request.actor,
        run_id=run.id,
        run_attempt=run.attempt,
        until=case.until,
        comment_id=comment_id,
    )
    made = context.github.create_deployment(
        sha=case.sha,
        environment=place_of(case.environment.name, case.number),
        payload=record.to_payload(),
        description=f"Preview by {case.request.actor}",
        production=False,
        transient=True,
    )
    with suppress(SlipwayError):  # the preview does not hang on it
        context.github.set_status(made.id, "in_progress", description="Being made", log_url=run.url)
    return made
