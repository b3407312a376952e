"""How making a preview ended, written everywhere it is told: comment, deployment, reaction, summary, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from bot.app.context import Context
from bot.app.preview_case import Case, Course
from bot.app.preview_reporting import PreviewReporter
from bot.app.upkeep import close_records
from bot.core.cleanup import Why
from bot.core.facts import Deployment
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.preview_report import PreviewReport
from bot.core.previews import until_said
from bot.core.words import short
from bot.errors import SlipwayError

_OVER: Mapping[Why, str] = {
    "closed": "The pull request was closed before its preview was finished.",
    "destroyed": "Somebody took it away before it was finished.",
    "expired": "Its time was over before it was finished.",
}
_DECISIONS: Mapping[str, Decision] = {
    "up": Decision.DONE,
    "over": Decision.DONE,
    "cancelled": Decision.CANCELLED,
    "failed": Decision.FAILED,
}
_STATES: Mapping[str, str] = {"up": "success", "over": "inactive", "cancelled": "error", "failed": "failure"}


def give_up(context: Context, deployment: Deployment, error: SlipwayError) -> None:
    """Close the record of a preview that a fault of the world kept from being made."""
    with suppress(SlipwayError):
        context.final.set_status(deployment.id, "error", description=error.message)


def superseded(context: Context, case: Case, reporter: PreviewReporter, deployment: Deployment) -> Outcome:
    """End where a newer commit is the head: its own push, or command, makes the preview and owns the comment."""
    reporter.close()
    message = f"A newer commit than {short(case.sha)} is the head now: no preview was made of this one."
    with suppress(SlipwayError):
        context.final.set_status(deployment.id, "inactive", description=message)
    if case.request.trigger == "comment":
        next_ = f"`/preview create {case.environment.name}`"
        refusal = Refusal(reason=Reason.HEAD_MOVED, sentence=message, next=next_)
        return context.refuse(case.request, (refusal,), sha=case.sha)
    return Outcome(
        decision=Decision.IGNORED, reason=Reason.HEAD_MOVED, environment=case.environment.name, message=message
    )


def finish(context: Context, case: Case, reporter: PreviewReporter, deployment: Deployment, course: Course) -> Outcome:
    """Write the end everywhere. The comment comes first: a record that is closed is not looked at again."""
    reporter.update(**_ending(case, course))
    report = reporter.report
    comment_id = 0
    try:
        comment_id = reporter.write_last()
    except SlipwayError as error:
        course.untold.append(f"The last comment could not be written: {error.message}")
    try:
        _close(context, deployment, report)
    except SlipwayError as error:
        course.untold.append(f"The deployment's last status could not be written: {error.message}")
    context.react("rocket" if report.state == "up" else "confused")
    course.untold += _close_older(context, case, course, deployment, comment_id)
    context.note(course.untold)
    return Outcome(
        decision=_DECISIONS[report.state],
        reason=report.reason,
        environment=report.environment,
        environments=(report.environment,),
        sha=report.sha,
        deployment_id=deployment.id,
        url=report.url if report.state == "up" else "",
        comment_id=comment_id,
        exit_code=0 if report.state in {"up", "over"} else 1,
        message=context.clean(" ".join([_told(report), *course.untold])),
    )


def _close_older(context: Context, case: Case, course: Course, deployment: Deployment, comment_id: int) -> list[str]:
    """Close the records before this one where it takes their place, or is over like them."""
    older = [one for one in case.records if one.deployment.id != deployment.id]
    if course.well:
        return close_records(context, older, "replaced", but=comment_id)
    return close_records(context, older, course.over, but=comment_id, again=False) if course.over else []


def _ending(case: Case, course: Course) -> dict[str, object]:
    """Return what the report says at the end."""
    name, ended = case.environment.name, course.ended
    artifact = course.known.artifact
    again = f"/preview create {name}"
    ending: dict[str, object] = {"digest": artifact.digest if artifact else "", "sentence": "", "state": "failed"}
    if course.well:
        then = (f"/preview extend {name}", f"/preview destroy {name}")
        ending |= {"state": "up", "reason": Reason.PREVIEW_UP, "until": case.until, "next": then}
    elif course.over:
        ending |= {"state": "over", "reason": Reason.PREVIEW_REMOVED, "sentence": _OVER[course.over]}
    elif course.refusal is not None:
        refusal = course.refusal
        following = tuple(filter(None, (refusal.next, again)))
        ending |= {"reason": refusal.reason, "sentence": refusal.sentence, "next": following}
    elif ended is not None and ended.cancelled:
        sentence = "The workflow run was stopped."
        ending |= {"state": "cancelled", "reason": Reason.CANCELLED, "sentence": sentence, "next": (again,)}
    elif ended is not None and ended.failed is not None:
        detail = ended.failed.detail
        sentence = detail if not detail or detail.endswith((".", "!", "?")) else f"{detail}."
        ending |= {"reason": ended.reason, "sentence": sentence, "next": (f"after a fix: {again}",)}
    return ending


def _close(context: Context, deployment: Deployment, report: PreviewReport) -> None:
    up = report.state == "up"
    context.final.set_status(
        deployment.id,
        _STATES[report.state],
        description=until_said(report.until) if up else _told(report),
        environment_url=report.url if up else "",
        log_url=context.settings.run.url,
    )


def _told(report: PreviewReport) -> str:
    """Return how it ended on one line, for the annotation, the deployment's status and the outputs."""
    ends = {
        "up": "is up.",
        "over": f"was taken away. {report.sentence}",
        "cancelled": "was cancelled.",
        "failed": f"failed: {report.sentence}",
    }
    return f"The preview of {short(report.sha)} beside {report.environment} {ends.get(report.state, '')}"
