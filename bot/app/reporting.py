"""Turns a running release into its report, and keeps comment, summary and outputs in step with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal

from bot.app.context import Context, Request
from bot.core.facts import Comparison
from bot.core.outcome import Decision, Outcome, Reason, ReleaseReport, ServiceLine, StepResult
from bot.core.plan import Plan, Restore
from bot.core.planning import title
from bot.core.record import Entry, usual_seconds
from bot.core.resolve import Environment
from bot.core.serving import ServiceState, Serving
from bot.core.words import short
from bot.engine.execution import Ended, kind_of
from bot.engine.live_comment import LiveComment
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
    )


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

    def learn(self, *, deployment_id: int, comparison: Future[Comparison | None]) -> None:
        """Take what is known only after the comment was made."""
        with self._lock:
            assert self._report is not None
            self._report = replace(self._report, deployment_id=deployment_id)
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
        return release_comment(self._current(), marker=self._context.marker(self._request, self._current().sha))

    def _current(self) -> ReleaseReport:
        with self._lock:
            assert self._report is not None
            report = replace(self._report, now=self._context.clock.now())
        compared = self._comparison
        report = replace(report, comparison=compared.result()) if compared is not None and compared.done() else report
        return self._context.masker.mask_all(report)  # before it is rendered: a secret cut in two is none any more

    def _edit(self, body: str) -> None:
        self._context.say(self._request, body, rest=False)  # the summary has every log in full

    def end(self, ended: Ended, serving: Serving | None, environment: Environment, *, behind_by: int) -> ReleaseReport:
        """Return the last report."""
        if self._comparison is not None:
            self._comparison.exception()  # wait for it: the end is not hurried
        report = self._current()
        jobs = tuple(f"job `{job}` (what it changed in the database stays)" for job in ended.jobs)
        report = replace(
            report,
            state=_state(ended),
            steps=ended.results,
            reason=_reason(ended, report.verb),
            digest=ended.known.artifact.digest if ended.known.artifact else "",
            services=_services(report.services, ended, serving),
            url=_url(environment, serving),
            restored=ended.restored,
            restore_detail=ended.restore_detail,
            exposed_seconds=ended.exposed_seconds,
            not_undone=jobs if ended.failed is not None or ended.cancelled else (),
            behind_by=behind_by,
            next=_next(ended, report),
        )
        return self._context.masker.mask_all(replace(report, sentence=_sentence(report, ended)))

    def write_last(self, report: ReleaseReport) -> int:
        """Write the last comment and the summary; returns the comment's id."""
        context, request = self._context, self._request
        context.summary.append(context.clean(job_summary(report)))
        body = release_comment(report, marker=context.marker(request, report.sha))
        if self._live is not None:
            self._live.finish(body)
        comment = context.comment_of(request)
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
            message=self._context.clean(" ".join([report.sentence, *untold])),
        )
        return replace(outcome, result=self._context.masker.mask_all(result_json(report, outcome)))


def _state(ended: Ended) -> Literal["released", "failed", "cancelled"]:
    if ended.cancelled:
        return "cancelled"
    return "released" if ended.failed is None else "failed"


def _reason(ended: Ended, verb: str) -> Reason:
    if ended.cancelled or ended.failed is not None:
        return ended.reason
    return Reason.ROLLED_BACK if verb == "rollback" else Reason.RELEASED


def _sentence(report: ReleaseReport, ended: Ended) -> str:
    where = f"{short(report.sha)} on {report.environment}"
    if report.state == "released":
        return f"{where} is live and verified." if report.verb == "deploy" else f"{where} serves again, verified."
    if ended.restored and not ended.known.before.exists:
        ending = "nothing served before"
    else:
        ending = {None: "nothing that serves was changed", True: "what served before is back"}.get(
            ended.restored, "RESTORING FAILED, look at once"
        )
    what = "was cancelled" if ended.failed is None else f"failed at “{ended.failed.title}”: {ended.failed.detail}"
    return f"{where} {what} — {ending}."


def _services(lines: tuple[ServiceLine, ...], ended: Ended, serving: Serving | None) -> tuple[ServiceLine, ...]:
    """Set what serves now beside what served before and what was tried."""
    released = ended.failed is None and not ended.cancelled
    goal = next((step.to for step in _restores(ended)), None)
    found = []
    for line in lines:
        state = serving.service(line.service) if serving is not None else None
        tried = ended.known.handles.get(f"rollout-{line.service}", "")
        if goal is not None:
            tried = goal.service(line.service).revision
        tried = tried.rsplit("/", 1)[-1]
        now = state.revision if state and (released or line.before) else ""  # else it is left in place, out of reach
        wanted = tried if released else line.before
        if state and _same_code(ended, goal if released else ended.known.before, state):
            wanted = now
        share = next((share.percent for share in state.traffic if share.revision == now), 0) if state else 0
        found.append(
            replace(
                line,
                tried=tried,
                now=now,
                now_percent=share,
                url=state.url if state else "",
                healthy=_healthy(ended, now, wanted, share),
            )
        )
    return tuple(found)


def _same_code(ended: Ended, wanted: Serving | None, state: ServiceState) -> bool:
    """Whether a service runs again what it was brought back to, be it under a new name.

    A Heroku app that goes back to v4 serves v6, with the slug of v4.
    """
    brought_back = ended.restored is True or bool(_restores(ended))
    return brought_back and wanted is not None and state.digest == wanted.service(state.service).digest != ""


def _healthy(ended: Ended, now: str, wanted: str, share: int) -> bool:
    if not wanted:  # it did not exist before: after a failure it is left in place, out of reach
        return ended.restored is not False
    return now == wanted and share == 100


def _restores(ended: Ended) -> tuple[Restore, ...]:
    return tuple(step for step in ended.plan.steps if isinstance(step, Restore))


def _url(environment: Environment, serving: Serving | None) -> str:
    if environment.url:
        return environment.url
    return next((state.url for state in serving.services if state.url), "") if serving else ""


def _next(ended: Ended, report: ReleaseReport) -> tuple[str, ...]:
    name = report.environment
    if ended.failed is None and not ended.cancelled:
        back = report.verb == "deploy" and ended.known.before.exists
        return (f"/rollback {name}", "/status") if back else ("/status",)
    if report.verb == "rollback" or ended.restored is False:
        return (f"/rollback {name}", "/status")
    return (f"/deploy {name}", "/status")
