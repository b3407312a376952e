"""``/verify``: the checks of what serves, as after a release."""

from __future__ import annotations

from bot.app.asking import answered, elsewhere, environment_of, go_on
from bot.app.context import Context, Request
from bot.app.facts import resolved_at
from bot.core.checks import Check, CheckResult
from bot.core.config import Config
from bot.core.outcome import Outcome, Reason
from bot.core.partial import unlike
from bot.core.plan import RunJob
from bot.core.questions import Wanted, settled, wanted
from bot.core.record import Entry, entries, serving_sha
from bot.core.serving import Serving
from bot.core.target import Broken, Done, Known, ReleaseId, Target
from bot.core.titles import place
from bot.core.words import listed, short
from bot.engine.verification import Expected, Verifier
from bot.report.questions import Verified, verify_comment


def verify(context: Context, config: Config, request: Request) -> Outcome:
    """Run the environment's checks of what serves now, and show what was found beside what was expected."""
    if elsewhere(context):
        return go_on(request)
    past = entries(context.deployments(request.command.environment).result())
    newest = next((entry for entry in past if entry.succeeded), None)
    environment = environment_of(context, config, request.command.environment)
    target = context.connect(environment.spec)
    serving = target.serving()
    sha = newest.record.sha if newest is not None else serving_sha(serving)
    goal = wanted(past, serving, sha)
    if sha:  # the checks expect it where they name one
        environment = resolved_at(context, config, request, sha)
    checks, left = settled(unlike(environment.live_checks if serving.exists else (), goal.others))
    report = Verified(
        environment=request.command.environment,
        sha=sha,
        checks=_run(context, request, target, serving, checks, goal),
        notes=(*_notes(past, newest, goal), *_left_out(left)),
        now=context.clock.now(),
    )
    context.say(request, verify_comment(report, marker=context.marker(request, sha)))
    return answered(context, request, Reason.VERIFIED if report.well else Reason.NOT_AS_EXPECTED, well=report.well)


def _run(
    context: Context, request: Request, target: Target, serving: Serving, checks: tuple[Check, ...], goal: Wanted
) -> tuple[CheckResult, ...]:
    split = target.traits.traffic_split
    verifier = Verifier(
        target,
        context.clock,
        context.probe,
        expected=lambda name: Expected(
            digest=goal.digests.get(name, ""), revision=goal.revisions.get(name, "") if split else ""
        ),
        run_job=_never,
        halted=lambda: False,
    )
    release = ReleaseId(
        deployment_id=0, environment=request.command.environment, sha=goal.sha, actor=request.actor, tag=""
    )
    return verifier.run("live", checks, Known(release=release, before=serving))


def _never(step: RunJob) -> Done | Broken:
    raise AssertionError(f"{step.id}: a question runs no job")


def _notes(past: tuple[Entry, ...], newest: Entry | None, goal: Wanted) -> tuple[str, ...]:
    """Say what a reader has to know to judge the findings."""
    notes = []
    if newest is None:
        notes.append("No release is recorded that went well, so the image that serves is taken for the right one.")
    elif not goal.revisions:
        notes.append(f"Nothing of the newest release that went well, `{short(goal.sha)}`, serves any more.")
    if goal.others:
        notes.append(f"The newest release left {listed(map(place, goal.others))} as before.")
    if past and not past[0].finished:
        notes.append(f"A release of `{short(past[0].record.sha)}` is under way, or was interrupted.")
    return tuple(notes)


def _left_out(names: tuple[str, ...]) -> tuple[str, ...]:
    return (f"Left out, because a job may change something: {listed(names)}.",) if names else ()
