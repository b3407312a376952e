"""Releases and rollbacks: gather the facts, decide, take the lock, write the record, run the plan, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.app import approving, endings, images, overriding, patience, previewing, queueing, records, sources, thread
from bot.app.context import Context, Request
from bot.app.decision import Case, decide
from bot.app.facts import gather, overtaken, resolve_sha, resolved_at
from bot.app.interruption import abandon, let_go, tell_of_the_dead
from bot.app.reporting import Reporter, release_report
from bot.app.upkeep import after_release
from bot.core.commands import spelled
from bot.core.config import Canary, Config
from bot.core.facts import Comparison, Deployment, Lock, LockRecord, QueueEntry
from bot.core.notices import moment_of, notice_of
from bot.core.outcome import Decision, Outcome, Reason, Refusal, ReleaseReport, StepResult
from bot.core.overrides import misused
from bot.core.plan import Plan, Restore
from bot.core.policy import Facts, judge, locked
from bot.core.ports import DEEP_HISTORY, HISTORY
from bot.core.record import Entry, by_command, entries
from bot.core.resolve import Environment
from bot.core.rollback import verified
from bot.core.serving import Serving
from bot.core.target import Known, ReleaseId, Target
from bot.core.words import short
from bot.engine.execution import Ended, Execution
from bot.engine.gathering import known as given
from bot.engine.locking import acquire
from bot.engine.persistence import insist
from bot.errors import SlipwayError

if TYPE_CHECKING:
    from bot.core.stages import Rate


def release(context: Context, config: Config, request: Request) -> Outcome:
    """Carry out ``/deploy``, ``/promote`` or ``/rollback``, and return how it ended.

    Raises:
        SlipwayError: a fault of the world before anything was changed; afterwards faults are outcomes.
    """
    wrong = misused(request.command)
    if wrong is not None:
        return context.refuse(request, (wrong,))
    waited = queueing.turn(context, request)
    left = queueing.leave(context, request, waited)
    try:
        if waited is not None and waited.dropped:
            return context.refuse(request, (queueing.refusal(request, waited),), sha=waited.sha)
        return _gated(context, config, request, waited, left)
    finally:
        wait([left])


def _gated(
    context: Context,
    config: Config,
    request: Request,
    waited: QueueEntry | None,
    left: Future[tuple[Refusal, ...]],
) -> Outcome:
    """Ask the gates, and go on as far as this job may. ``waited``: its wait in line, ``left``: whether that is over."""
    pull = context.pull_request(request.number).result() if request.number else None
    if request.command.verb == "deploy" and request.trigger == "comment" and pull is None:
        return context.refuse(request, (NOT_A_PULL_REQUEST,))
    sha = resolve_sha(context, config, request, pull)
    if isinstance(sha, Refusal):
        return context.refuse(request, (sha,))
    facts, target = gather(context, config, request, pull, sha, turn=waited)
    facts, refusals = patience.for_checks(context, request, facts, judge(facts))
    history = entries(context.deployments(request.command.environment).result())
    done = by_command(history, request.id)
    if done is not None and done.succeeded:
        let_go(context, facts)
        return _already_done(request, done)
    if refusals:
        return context.refuse(request, refusals, sha="" if request.command.verb == "rollback" else sha)

    def environment_at(other: str) -> Environment:
        return resolved_at(context, config, request, other)

    if context.settings.phase == "command":
        if not request.command.dry_run:
            queueing.join(context, request, facts)
        return ready(request, "" if request.command.verb == "rollback" else sha)
    if request.command.dry_run:
        case = _decide(context, facts, request, target.result(), _deeper(context, request, history), environment_at)
        return context.refuse(request, (case,)) if isinstance(case, Refusal) else previewing.show(context, case)
    outcome = _holding(context, facts, request, target, history, environment_at, left=left)
    _notify(context, facts.environment, outcome)
    return outcome


def _notify(context: Context, environment: Environment, outcome: Outcome) -> None:
    """Tell of a release that has ended, where that is wanted. What cannot be told is said in the summary."""
    moment = moment_of(outcome)
    if moment is not None and moment in environment.notify:
        context.note(context.notify(notice_of(outcome, moment, link=context.settings.run.url)))


NOT_A_PULL_REQUEST = Refusal(
    reason=Reason.NOT_A_PULL_REQUEST,
    sentence="This is an issue: there is no branch to deploy here.",
    next="Comment on a pull request.",
)


def ready(request: Request, sha: str) -> Outcome:
    """Return that the release job may go on."""
    name = request.command.environment
    return Outcome(decision=Decision.RELEASE, reason=Reason.READY, environment=name, environments=(name,), sha=sha)


def _already_done(request: Request, done: Entry) -> Outcome:
    return Outcome(
        decision=Decision.ANSWERED,
        reason=Reason.ALREADY_DONE,
        environment=request.command.environment,
        sha=done.record.sha,
        deployment_id=done.deployment.id,
        comment_id=done.record.comment_id,
        message="This very command has been carried out already.",
    )


# -- carrying out -------------------------------------------------------------------------------------------
def _holding(
    context: Context,
    facts: Facts,
    request: Request,
    target: Future[Target],
    history: tuple[Entry, ...],
    environment_at: Callable[[str], Environment],
    *,
    left: Future[tuple[Refusal, ...]],
) -> Outcome:
    """Take the environment's lock, and release under it: what serves is asked while nobody else may change it.

    The comment comes after the lock, which names its thread: of a run that dies, it can be found by that.
    """
    reporter = Reporter(context, request, started=context.clock.now())
    lock = _take_lock(context, facts, request)
    if isinstance(lock, Refusal):
        return context.refuse(request, (lock,), sha=facts.sha)
    earlier = by_command(history, request.id)
    if earlier is not None and not earlier.finished:
        context.adopt_comment(request, earlier.record.comment_id)
    comment = context.gatherer.ask(reporter.begin, _opening(context, facts, request, reporter.started))
    tidied = context.gatherer.ask(tell_of_the_dead, context, facts, request, comment)
    again = context.gatherer.ask(overtaken, context, facts)
    try:
        connected = target.result()
        history = _deeper(context, request, history)
        case = _decide(context, facts, request, connected, history, environment_at)
        if isinstance(case, Refusal):
            return _refused(context, request, (case,), reporter, comment)
        changed = left.result() or again.result() or previewing.changed(context, case)
        if changed:
            return _refused(context, request, changed, reporter, comment, sha=case.sha)
        return _recorded(context, case, reporter, comment)
    finally:
        wait([comment])
        wait([tidied])
        reporter.close()
        with suppress(SlipwayError):  # the next command reaps it: this run will be over
            insist(lambda: context.final.release_lock(lock), context.clock)


def _decide(
    context: Context,
    facts: Facts,
    request: Request,
    target: Target,
    history: tuple[Entry, ...],
    environment_at: Callable[[str], Environment],
) -> Case | Refusal:
    """Ask what serves, and what traffic there is where that matters, and decide."""
    rates = context.gatherer.ask(_rates, context, facts, target)
    serving = target.serving()
    return decide(facts, request, target, serving, history, environment_at=environment_at, rates=rates.result())


def _rates(context: Context, facts: Facts, target: Target) -> Mapping[str, Rate] | None:
    """Ask for the traffic of the services with stages, all at once; None if there are none."""
    stages = any(isinstance(unit.strategy, Canary) for region in facts.environment.regions for unit in region.units)
    if facts.command.verb == "rollback" or not stages:
        return None
    from bot.core.stages import RATE_WINDOW, Rate, staged  # noqa: PLC0415 - see decision.py

    until = context.clock.now()
    asked = {
        name: context.gatherer.ask(target.traffic, name, until - RATE_WINDOW, until)
        for name in staged(facts.environment)
    }
    rates: dict[str, Rate] = {}
    for name, future in asked.items():
        seen = future.result().values()
        requests, errors = sum(one.requests for one in seen), sum(one.errors for one in seen)
        rates[name] = Rate(requests=requests / RATE_WINDOW, errors=errors / requests if requests else 0.0)
    return rates


def _deeper(context: Context, request: Request, history: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Read the record again where what was read may not do.

    A release may have ended between being read and our having the lock; then it is no interrupted one. And a release
    that somebody names may be an old one.
    """
    named = bool(request.command.flags.get("to"))
    if not named and (not history or history[0].finished):
        return history
    return entries(context.github.deployments(request.command.environment, DEEP_HISTORY if named else HISTORY))


def _opening(context: Context, facts: Facts, request: Request, started: float) -> ReleaseReport:
    """Return the report of a release that waits for its lock."""
    return release_report(
        request,
        environment=facts.environment.name,
        sha=facts.sha,
        previous_sha="",
        plan=Plan(steps=()),
        before=Serving(),
        history=(),
        settings=context.settings,
        started=started,
    )


def _refused(
    context: Context,
    request: Request,
    refusals: tuple[Refusal, ...],
    reporter: Reporter,
    comment: Future[int],
    *,
    sha: str = "",
) -> Outcome:
    """Say in the comment that was just made why it goes no further."""
    wait([comment])
    reporter.close()
    return context.refuse(request, refusals, sha=sha)


def _take_lock(context: Context, facts: Facts, request: Request) -> Lock | Refusal:
    name, run = facts.environment.name, context.settings.run
    record = LockRecord(
        environment=name,
        run_id=run.id,
        run_attempt=run.attempt,
        actor=request.actor,
        pull_request=request.issue or None,
        sha=facts.sha,
        since=datetime.fromtimestamp(context.clock.now(), UTC),
        reason=request.command.flags.get("reason", ""),
    )
    ours, held = acquire(context.github, record, seen=facts.lock, seen_alive=facts.lock_alive, clock=context.clock)
    return ours or locked(name, held or Lock(environment=name, oid="", record=None))


def _recorded(context: Context, case: Case, reporter: Reporter, comment: Future[int]) -> Outcome:
    """Write the record, read the head once more, and run the plan."""
    comparison, pins, others = _compare(context, case), _pins(context, case), sources.resolve(context, case)
    head = context.gatherer.ask(_head_moved, context, case)
    comment_id = comment.result()
    reporter.update(_decided(context, case, reporter.started))
    resolved, shas = pins.result(), others.result()
    deployment = case.resumed.deployment if case.resumed else records.record(context, case, comment_id, resolved, shas)
    try:
        moved = head.result()
    except SlipwayError:
        abandon(context, deployment, "The head could not be read again. Nothing was changed.")
        raise
    if moved is not None:
        abandon(context, deployment, "The branch moved before anything was changed.")
        return _refused(context, case.request, (moved,), reporter, comment, sha=case.sha)
    issue_url, untold = overriding.report(context, case, deployment)
    opened = context.gatherer.ask(records.announce, context, case, deployment)
    reporter.learn(deployment_id=deployment.id, comparison=comparison, sources=shas, issue_url=issue_url, untold=untold)
    known = Known(
        release=ReleaseId(
            deployment_id=deployment.id,
            environment=case.environment.name,
            sha=case.sha,
            actor=case.request.actor,
            tag=_tag(case),
        ),
        before=case.before,
        found=case.found,
        goal=next((step.to for step in case.plan.steps if isinstance(step, Restore)), Serving()),
        pins=resolved,
        sources=shas,
    )
    execution = Execution(
        case.plan,
        case.target,
        known,
        probe=context.probe,
        clock=context.clock,
        on_change=lambda steps: _changed(context, case, reporter, steps),
        touched=case.touched,
    )
    ended = execution.run()
    wait([opened])  # so that the last status comes last
    outcome = _finish(context, case, reporter, deployment, ended)
    if outcome.decision is Decision.RELEASED:
        after_release(context, case.environment, case.target)
        if case.environment.gates.approvals:
            approving.tidy(context, case.environment.name, case.environment.gates, case.request.actor)
    return outcome


def _tag(case: Case) -> str:
    """Return the candidate's tag. Where there are previews, those have the pull requests' names."""
    number = case.request.number if case.environment.previews is None else 0
    return f"pr-{number}" if number else f"sha-{short(case.sha)}"


def _decided(context: Context, case: Case, started: float) -> ReleaseReport:
    return release_report(
        case.request,
        environment=case.environment.name,
        sha=case.sha,
        previous_sha=case.previous_sha,
        plan=case.plan,
        before=case.before,
        history=case.history,
        settings=context.settings,
        started=started,
        notes=case.notes,
        overridden=overriding.sentences(context, case.request, case.bypassed),
        only=records.services_of(case),
    )


def _changed(context: Context, case: Case, reporter: Reporter, steps: tuple[StepResult, ...]) -> None:
    """Follow the steps. When the last one begins, ask how far the branch has moved on: the end then need not wait."""
    reporter.changed(steps)
    if steps[-1].started or steps[-1].state != "waiting":
        _ask_behind(context, case)


def _pins(context: Context, case: Case) -> Future[Mapping[str, str]]:
    """Resolve the secrets that are pinned, once: a release that goes on uses what it has recorded."""
    if case.resumed is not None:
        return given(case.resumed.record.pins)
    if case.request.command.verb == "rollback":
        return given({})
    return context.gatherer.ask(lambda: case.target.newest_secrets(pinned=True))


def _compare(context: Context, case: Case) -> Future[Comparison | None]:
    if not case.previous_sha or case.previous_sha == case.sha:
        return given(None)
    return context.gatherer.ask(previewing.compare, context, case)


def _head_moved(context: Context, case: Case) -> Refusal | None:
    """Read the head again, right before the first mutation."""
    request, pull = case.request, case.pull
    if pull is None or pull.merged or request.command.verb != "deploy" or request.trigger != "comment":
        return None
    now = context.github.pull_request(pull.number)
    if now.head_sha == case.sha or now.merged:
        return None
    return Refusal(
        reason=Reason.HEAD_MOVED,
        sentence=f"The branch moved from `{short(case.sha)}` to `{short(now.head_sha)}` while the gates were asked.",
        next="Look at it; if that is what you mean: "
        f"`{spelled(request.command, environment=case.environment.name, sha=short(now.head_sha))}`",
    )


def _finish(context: Context, case: Case, reporter: Reporter, deployment: Deployment, ended: Ended) -> Outcome:
    """Write the end everywhere: deployment status, comment, reaction, summary."""
    # What the last check of a release that went well has seen is what serves now; else it is asked again.
    asked = ended.failed is not None or ended.cancelled or not ended.seen
    serving = _serving_now(context, case) if asked else ended.seen
    attested, behind = images.provenance(context, case, ended), _ask_behind(context, case)
    report = reporter.end(
        ended,
        serving,
        case.environment,
        behind_by=behind.result(),
        way_back=verified(case.history, case.before) is not None,
        provenance=attested.result(),
    )
    kept = images.keep(context, case, ended)
    held = report.state == "released" and report.verb == "rollback"
    hold = context.gatherer.ask(records.put_on_hold, context, case) if held else given(None)
    state = {"released": "success", "cancelled": "error"}.get(report.state, "failure")
    sign = context.gatherer.ask(context.react, "rocket" if report.state == "released" else "confused")
    tidied = context.gatherer.ask(thread.tidy, context, case.request, report, case.environment.mention_after)
    comment_id, untold = _write_last(context, reporter, report, deployment, state, hold)
    wait([sign])  # before the lock is released
    context.note([*untold, *kept.result(), *thread.tidied(tidied)])
    decisions = {"released": Decision.RELEASED, "cancelled": Decision.CANCELLED}
    return reporter.outcome(
        report,
        decision=decisions.get(report.state, Decision.FAILED),
        deployment_id=deployment.id,
        comment_id=comment_id,
        untold=untold,
    )


def _write_last(
    context: Context, reporter: Reporter, report: ReleaseReport, deployment: Deployment, state: str, hold: Future[None]
) -> tuple[int, list[str]]:
    """Write the last comment, then the last status; returns the comment's id and what could not be written.

    In this order: a deployment that is closed is not looked at again, so its comment and its hold have to be final by
    then, even if the run dies in between. A release that is live stays one, though GitHub may not be told; so it is
    said in the summary.
    """
    untold: list[str] = []
    comment_id = 0
    try:
        comment_id = reporter.write_last(report)
    except SlipwayError as error:
        untold.append(f"The last comment could not be written: {error.message}")
    finally:
        if hold.exception() is not None:
            untold.append("Automatic releases could not be put on hold: the next push may release again.")
        try:
            records.close(context, deployment, state, endings.told(report), report.url)
        except SlipwayError as error:
            untold.append(f"The deployment's last status could not be written: {error.message}")
    return comment_id, untold


def _serving_now(context: Context, case: Case) -> Serving | None:
    """Ask what serves at the end; None when that cannot be said."""
    try:
        return insist(case.target.serving, context.clock)
    except Exception:  # noqa: BLE001 - whatever it is, how the release ended must still be told
        return None


def _behind(context: Context, number: int, sha: str) -> int:
    """Return by how many commits the branch has moved on meanwhile."""
    try:
        head = context.github.pull_request(number).head_sha
        return context.github.compare(sha, head).ahead_by if head != sha else 0
    except SlipwayError:
        return 0


def _ask_behind(context: Context, case: Case) -> Future[int]:
    if case.pull is None or case.pull.merged or case.request.command.verb != "deploy":
        return given(0)
    return context.ask(_behind, context, case.pull.number, case.sha)
