"""Turns a running release into its report, and keeps comment, summary and outputs in step with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from bot.app import endings
from bot.app.context import Context, Request
from bot.core.facts import Comparison
from bot.core.images import Provenance
from bot.core.outcome import Decision, Outcome, ReleaseReport, ServiceLine, StepResult
from bot.core.plan import Build, Plan
from bot.core.record import Entry, usual_seconds
from bot.core.resolve import Environment
from bot.core.serving import Serving
from bot.core.titles import title
from bot.engine.execution import Ended
from bot.engine.live_comment import LiveComment
from bot.engine.progress import kind_of
from bot.report.comment import release_comment
from bot.report.summary import job_summary, result_json
from bot.settings import Settings


def release_report(
    request: Request,
    *,
    environment: str,
    sha: str,
    previous_sha: str,
    plan: Plan,
    before: Serving,
    history: tuple[Entry, ...],
    settings: Settings,
    started: float,
    notes: tuple[str, ...] = (),
    overridden: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> ReleaseReport:
    """Return the report of a release that is about to begin."""
    return ReleaseReport(
        verb="rollback" if request.command.verb == "rollback" else "deploy",
        environment=environment,
        sha=sha,
        previous_sha=previous_sha,
        actor=request.actor,
        state="running",
        now=started,
        started=started,
        steps=tuple(StepResult(id=step.id, kind=kind_of(step), title=title(step)) for step in plan.steps),
        services=tuple(ServiceLine(service=state.service, before=state.revision) for state in before.services),
        repository_url=f"{settings.server_url}/{settings.repository}",
        run_url=settings.run.url,
        usual_seconds=usual_seconds(history),
        promoted_from=next((step.promoted_from for step in plan.steps if isinstance(step, Build)), ""),
        notes=notes,
        overridden=overridden,
        only=only,
    )


def signed(context: Context, request: Request, report: ReleaseReport) -> str:
    """Return the signed block of a report's comment; ``""`` without a key: what nobody signed invites trust.

    The report is masked already. What is not would be found when the comment is written, and the block be left out.
    """
    settings = context.settings
    if not settings.signing_key:
        return ""
    from bot.report.block import Origin, release_facts, seal  # noqa: PLC0415 - only where there is a key

    origin = Origin(
        repository=settings.repository,
        thread=request.issue,
        command_id=request.id,
        run_id=settings.run.id,
        run_attempt=settings.run.attempt,
    )
    return seal(release_facts(report, origin), settings.signing_key)


class Reporter:
    """Follows one release. :meth:`changed` may be called from any thread."""

    def __init__(self, context: Context, request: Request, *, started: float) -> None:
        self.started = started
        self._context, self._request = context, request
        self._lock = threading.Lock()
        self._report: ReleaseReport | None = None
        self._comparison: Future[Comparison | None] | None = None
        self._live: LiveComment | None = None

    def begin(self, report: ReleaseReport) -> int:
        """Make the comment, and follow changes from now on; returns the comment's id (0: nowhere to comment)."""
        self._report = report
        comment = self._context.say(self._request, self._render(), rest=False) if self._request.issue else None
        if comment is not None:
            self._live = LiveComment(self._edit, self._render)
            self._live.start()
        return comment.id if comment else 0

    def update(self, report: ReleaseReport) -> None:
        """Take the report of what was decided meanwhile."""
        with self._lock:
            self._report = report
        if self._live is not None:
            self._live.changed()

    def learn(
        self,
        *,
        deployment_id: int,
        comparison: Future[Comparison | None],
        sources: Mapping[str, str],
        issue_url: str = "",
        untold: str = "",
    ) -> None:
        """Take what is known only after the comment was made. ``untold``: why there is no issue."""
        with self._lock:
            assert self._report is not None
            said = (*self._report.overridden, untold) if untold else self._report.overridden
            self._report = replace(
                self._report, deployment_id=deployment_id, sources=sources, overridden=said, issue_url=issue_url
            )
            self._comparison = comparison

    def changed(self, steps: tuple[StepResult, ...]) -> None:
        """Take the steps as they stand."""
        with self._lock:
            assert self._report is not None
            before = {step.id: step.state for step in self._report.steps}
            self._report = replace(self._report, steps=steps)
        for step in steps:
            if step.state != before.get(step.id, "waiting"):
                self._context.log("step", step=step.id, state=step.state, detail=step.detail, link=step.link)
        if self._live is not None:
            self._live.changed()

    def _render(self) -> str:
        return self._body(self._current())

    def _body(self, report: ReleaseReport) -> str:
        block = signed(self._context, self._request, report)
        return release_comment(report, marker=self._context.marker(self._request, report.sha), block=block)

    def _current(self) -> ReleaseReport:
        with self._lock:
            assert self._report is not None
            report = replace(self._report, now=self._context.clock.now())
        compared = self._comparison
        report = replace(report, comparison=compared.result()) if compared is not None and compared.done() else report
        return self._context.masker.mask_all(report)  # before it is rendered: a secret cut in two is none any more

    def _edit(self, body: str) -> None:
        self._context.say(self._request, body, rest=False)  # the summary has every log in full

    def end(
        self,
        ended: Ended,
        serving: Serving | None,
        environment: Environment,
        *,
        behind_by: int,
        way_back: bool,
        provenance: Provenance | None = None,
    ) -> ReleaseReport:
        """Return the last report. ``way_back``: whether a rollback could bring back what served before."""
        if self._comparison is not None:
            self._comparison.exception()  # wait for it: the end is not hurried
        report, typed = self._current(), self._request.trigger == "comment"
        report = replace(
            report,
            state=endings.state(ended),
            steps=ended.results,
            reason=endings.reason(ended, report.verb),
            digest=ended.known.artifact.digest if ended.known.artifact else "",
            services=endings.services(report.services, ended, serving, left=environment.left),
            url=endings.url(environment, serving),
            restored=ended.restored,
            restore_detail=ended.restore_detail,
            exposed_seconds=ended.exposed_seconds,
            took_back=endings.took_back(ended),
            not_undone=endings.not_undone(ended, report, environment),
            warnings=endings.warnings(ended),
            on_hold=report.verb == "rollback" and ended.failed is None and not ended.cancelled,
            behind_by=behind_by,
            provenance=provenance,
            next=endings.following(ended, report, self._request.command, way_back=way_back, typed=typed),
        )
        return self._context.masker.mask_all(replace(report, sentence=endings.cause(ended)))

    def write_last(self, report: ReleaseReport) -> int:
        """Write the last comment and the summary; returns the comment's id."""
        self._context.summary.append(self._context.clean(job_summary(report)))
        if self._live is not None:
            self._live.finish(self._body(report))
        comment = self._context.comment_of(self._request)
        return comment.id if comment else 0

    def close(self) -> None:
        """Stop following, however it ended."""
        if self._live is not None:
            self._live.stop()

    def outcome(
        self,
        report: ReleaseReport,
        *,
        decision: Decision,
        deployment_id: int,
        comment_id: int,
        untold: Sequence[str] = (),
    ) -> Outcome:
        """Return the outcome of a release that has ended. ``untold``: what could not be written on GitHub."""
        outcome = Outcome(
            decision=decision,
            reason=report.reason,
            environment=report.environment,
            environments=(report.environment,),
            sha=report.sha,
            deployment_id=deployment_id,
            url=report.url,
            comment_id=comment_id,
            exit_code=0 if decision is Decision.RELEASED else 1,
            message=self._context.clean(" ".join([endings.told(report), *untold])),
        )
        return replace(outcome, result=self._context.masker.mask_all(result_json(report, outcome)))
