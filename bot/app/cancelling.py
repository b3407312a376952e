"""``/cancel``: asks GitHub to stop the run that releases. That run brings back what served, and says so itself.

A release that still waits in line is taken out of it instead.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bot.app import queueing
from bot.app.authorisation import all_may, people
from bot.app.context import Context, Request
from bot.core.config import Config
from bot.core.facts import Held, Lock, LockRecord, QueueEntry
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.permissions import forbidden
from bot.core.resolve import roles
from bot.core.words import short
from bot.report.cancelling import cancel_comment
from bot.report.queueing import dequeued_comment


def cancel(context: Context, config: Config, request: Request) -> Outcome:
    """Stop the release that holds an environment: gently, and by force when it was asked to stop before."""
    name = request.command.environment
    held = context.held(name).result()[name]
    running = held.lock.record if held.lock is not None else None
    waiting = queueing.waiting_here(context, request, held)
    if waiting:
        return _dequeue(context, config, request, held, waiting)
    if held.lock is None or running is None or running.expires is not None:  # a preview's moment is over by itself
        return context.refuse(request, (_nothing(name, held.lock),))
    refusal = _authorised(context, config, request, running.actor)
    if refusal is not None:
        return context.refuse(request, (refusal,))
    asked_before = _note(context, request, name, running, held.cancel)
    if not context.github.cancel_run(running.run_id, force=asked_before):
        return context.refuse(request, (_over(name, running),))
    context.say(
        request,
        cancel_comment(
            name,
            running,
            run_url=_run_url(context, running),
            forced=asked_before,
            marker=context.marker(request, running.sha),
        ),
    )
    return context.ended(request, Decision.DONE, Reason.CANCEL_SENT, sha=running.sha)


def _dequeue(
    context: Context, config: Config, request: Request, held: Held, waiting: tuple[QueueEntry, ...]
) -> Outcome:
    """Take what waits in line, and was said here, out of it. What runs is not meant while something waits."""
    name = request.command.environment
    for one in waiting:
        refusal = _authorised(context, config, request, one.actor)
        if refusal is not None:
            return context.refuse(request, (refusal,))
    gone = queueing.drop(context, request, held, waiting)
    if not gone:
        return context.refuse(request, (_started(name),))
    running = held.lock.record if held.lock is not None else None
    context.say(request, dequeued_comment(name, gone, running=running, marker=context.marker(request, gone[0].sha)))
    return context.ended(request, Decision.DONE, Reason.DEQUEUED, sha=gone[0].sha)


def _authorised(context: Context, config: Config, request: Request, starter: str) -> Refusal | None:
    """Whoever started it may, and those who may cancel anybody's."""
    if all(login.lower() == starter.lower() for login in people(context, request)):
        return None
    rules = roles(config, request.command.environment)["cancel"]
    if all_may(context, request, rules):
        return None
    refusal = forbidden(request.actor, request.command, rules)
    return Refusal(
        reason=refusal.reason,
        gate=refusal.gate,
        sentence=f"{refusal.sentence} {starter} started it, and may cancel it.",
        next=refusal.next,
    )


def _note(context: Context, request: Request, name: str, running: LockRecord, noted: Lock | None) -> bool:
    """Write down that a run was asked to stop. Returns whether it had been before."""
    record = noted.record if noted is not None else None
    if record is not None and (record.run_id, record.run_attempt) == (running.run_id, running.run_attempt):
        return True
    if noted is not None:  # that of a release before
        context.github.lift_mark("cancel", noted)
    context.github.put_mark(
        "cancel",
        LockRecord(
            environment=name,
            run_id=running.run_id,
            run_attempt=running.run_attempt,
            actor=request.actor,
            pull_request=request.number or None,
            sha=running.sha,
            since=datetime.fromtimestamp(context.clock.now(), UTC),
        ),
    )
    return False


def _nothing(name: str, lock: Lock | None) -> Refusal:
    if lock is not None and lock.record is None:
        return Refusal(
            reason=Reason.NOTHING_TO_CANCEL,
            sentence=f"`{name}` is held, and the lock's record cannot be read: it does not say which run to stop.",
            next=f"See who made `refs/slipway/locks/{name}`, and stop the run on its page",
        )
    return Refusal(
        reason=Reason.NOTHING_TO_CANCEL,
        sentence=f"No release of `{name}` runs.",
        next=f"`/status {name}` shows what serves",
    )


def _started(name: str) -> Refusal:
    return Refusal(
        reason=Reason.NOTHING_TO_CANCEL,
        sentence=f"What waited for `{name}` has just begun.",
        next=f"To stop it: `/cancel {name}`",
    )


def _over(name: str, running: LockRecord) -> Refusal:
    return Refusal(
        reason=Reason.NOTHING_TO_CANCEL,
        sentence=f"The release of `{short(running.sha)}` to `{name}` has ended meanwhile.",
        next=f"`/status {name}` shows what serves",
    )


def _run_url(context: Context, running: LockRecord) -> str:
    settings = context.settings
    return f"{settings.server_url}/{settings.repository}/actions/runs/{running.run_id}"
