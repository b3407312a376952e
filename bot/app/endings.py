"""How a plan ended, in the report's terms: verdict, cause, what serves now, what to type next. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from bot.core.changes import migrations
from bot.core.commands import Command, spelled
from bot.core.outcome import Reason, ReleaseReport, ServiceLine
from bot.core.plan import Restore
from bot.core.resolve import Environment
from bot.core.serving import ServiceState, Serving
from bot.core.spec import CloudRunSpec
from bot.core.words import short
from bot.engine.execution import Ended

# What another try of the same commit may mend; all else wants a change first.
_TRANSIENT = frozenset(
    {Reason.TIMED_OUT, Reason.UPSTREAM_FAILED, Reason.CONFLICT, Reason.SHIFT_FAILED, Reason.INTERNAL_ERROR}
)
# And what it may mend as well as not: something slow or overloaded looks like something broken.
_MAY_BE_TRANSIENT = frozenset({Reason.VERIFICATION_FAILED, Reason.ROLLOUT_FAILED, Reason.CANARY_UNDECIDED})


def state(ended: Ended) -> Literal["released", "failed", "cancelled"]:
    """Return the verdict."""
    if ended.cancelled:
        return "cancelled"
    return "released" if ended.failed is None else "failed"


def reason(ended: Ended, verb: str) -> Reason:
    """Return the reason code."""
    if ended.cancelled or ended.failed is not None:
        return ended.reason
    return Reason.ROLLED_BACK if verb == "rollback" else Reason.RELEASED


def cause(ended: Ended) -> str:
    """Return why it was not released, in a sentence; ``""`` where the verdict says everything."""
    if ended.failed is None:
        return "The workflow run was stopped." if ended.cancelled else ""
    said = ended.failed.detail
    return said if not said or said.endswith((".", "!", "?")) else f"{said}."


def took_back(ended: Ended) -> bool:
    """Whether the way back led behind what the release had found: to what was before an earlier one."""
    found, before = ended.known.found, ended.known.before
    differ = any(found.service(state.service).percents != state.percents for state in before.services)
    return ended.restored is True and found.exists and differ


def not_undone(ended: Ended, report: ReleaseReport, environment: Environment) -> tuple[str, ...]:
    """Return what a way back leaves behind: what jobs have changed, and the migrations that a rollback goes behind."""
    names = migrations(report.comparison.files) if report.comparison is not None else ()
    ran = ", ".join(f"`{name}`" for name in names)
    if report.verb == "rollback":
        return (f"{ran} (the database keeps what {'it' if len(names) == 1 else 'they'} did)",) if names else ()
    if ended.failed is None and not ended.cancelled:
        return ()
    return tuple(f"job `{job}`{f' with {ran}' if ran else ''} ({_stays(environment, job)})" for job in ended.jobs)


def _stays(environment: Environment, job: str) -> str:
    jobs = environment.spec.jobs if isinstance(environment.spec, CloudRunSpec) else ()
    if any(one.key == job and one.config.compatible == "breaking" for one in jobs):
        return "it is `breaking`: the former release may not live with what it changed"
    return "what it changed in the database stays"


def warnings(ended: Ended) -> tuple[str, ...]:
    """Return what the log of what serves has shown, where that is only a suggestion to go back."""
    return tuple(
        f"{step.title}: {check.found}"
        for step in ended.results
        for check in step.checks
        if step.kind == "watch" and step.state == "done" and not check.passed
    )


def told(report: ReleaseReport) -> str:
    """Return how a release ended on one line, for the annotation, the deployment's status and the outputs."""
    only = f" ({', '.join(report.only)} only)" if report.only else ""
    where = f"{short(report.sha)} on {report.environment}{only}"
    if report.state == "released":
        return f"{where} is live and verified." if report.verb == "deploy" else f"{where} serves again, verified."
    failed = next((step for step in report.steps if step.state == "failed"), None)
    if report.state == "cancelled":
        what = "was cancelled"
    else:
        what = f"failed at “{failed.title}”: {report.sentence.removesuffix('.')}" if failed else "failed"
    return f"{where} {what} — {_ending(report)}."


def _ending(report: ReleaseReport) -> str:
    if report.restored is False:
        return "RESTORING FAILED, look at once"
    if not any(line.before for line in report.services):
        return "nothing served before"
    back = report.exposed_seconds or report.took_back
    return "what served before is back" if back else "what served before still serves"


def services(
    lines: tuple[ServiceLine, ...], ended: Ended, serving: Serving | None, *, left: Collection[str] = ()
) -> tuple[ServiceLine, ...]:
    """Set what serves now beside what served before and what was tried. ``left``: what is to be as it was."""
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
        as_before = not released or line.service in left
        wanted = line.before if as_before else tried
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
                healthy=_restored(ended, state, now, wanted, share)
                if as_before
                else _healthy(ended, now, wanted, share),
                asked=serving is not None,
                digest=state.digests.get(now, "") if state else "",
            )
        )
    return tuple(found)


def _restored(ended: Ended, state: ServiceState | None, now: str, wanted: str, share: int) -> bool:
    """Whether a service is well after what did not succeed. What somebody had divided is to be so again."""
    before = ended.known.before.service(state.service).percents if state else {}
    return state.percents == before if state and len(before) > 1 else _healthy(ended, now, wanted, share)


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


def url(environment: Environment, serving: Serving | None) -> str:
    """Return where users find it: as configured, else what the target says."""
    if environment.url:
        return environment.url
    return next((state.url for state in serving.services if state.url), "") if serving else ""


def following(
    ended: Ended, report: ReleaseReport, command: Command, *, way_back: bool, typed: bool = True
) -> tuple[str, ...]:
    """Return what to type next.

    ``way_back``: whether something was verified that a rollback could bring back. ``typed``: whether it was released
    by a comment, for only there it can be retried.
    """
    name = report.environment
    back = (f"/rollback {name}", "/status") if way_back else ("/status",)
    if ended.failed is None and not ended.cancelled:
        return (f"/unlock {name}", "/status") if report.verb == "rollback" else back
    # A plan that was shown is another one by now.
    command = replace(command, flags={flag: value for flag, value in command.flags.items() if flag != "plan"})
    again = spelled(command, environment=name)
    if report.verb == "rollback":
        return (again, "/status")
    if ended.restored is False:
        return back
    plain = set(command.flags) <= {"reason"}  # what is retried has no flags
    retry = f"/retry {name}" if typed and plain and ended.failed is not None else ""
    if ended.failed is None or ended.reason in _TRANSIENT:
        return (retry or again, "/status")
    chance = (f"if it was transient: {retry}",) if retry and ended.reason in _MAY_BE_TRANSIENT else ()
    return (f"after a fix: {spelled(command, environment=name, sha='')}", *chance, "/status")
