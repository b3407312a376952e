"""The line in front of an environment: to join it when a release is let through, and to leave it at one's turn.

Only in the form with two jobs: the job that lets through is done in seconds, and the other one waits for its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from bot.app.context import Context, Request
from bot.core import queueing
from bot.core.commands import spelled
from bot.core.facts import Held, LockRecord, Queue, QueueEntry
from bot.core.outcome import Refusal
from bot.core.policy import Facts
from bot.engine.gathering import known as given
from bot.errors import ConflictError, SlipwayError
from bot.report.answers import refusal_comment
from bot.report.comment import marker
from bot.report.queueing import Place, queued_comment

TRIES = 5  # at writing it down, where others do so at the same time


# -- where it is let through ------------------------------------------------------------------------------------------
def join(context: Context, request: Request, facts: Facts) -> None:
    """Put a release into the line, in the place of an older one of its thread. Where others are before it, say so.

    Raises:
        SlipwayError: it could not be written down. The release is not let through then.
    """
    name = facts.environment.name
    there = context.held(name).result()[name].queue
    running = facts.lock.record if facts.lock is not None and facts.lock_alive else None
    if running is not None and running.expires is not None:  # a preview's, for a moment
        running = None
    others = [one for one in queueing.waiting(there.entries or ()) if one.id != request.id]
    living = alive(context, others)
    before = [one for one in living if not _runs(one, running)]
    older = queueing.replaced(before, thread=request.issue, command_id=request.id, services=request.command.services)
    ahead = [one for one in before if one not in older]
    new = _entry(context, request, facts, ahead=len(ahead) + (running is not None))
    if new.ahead:
        place = Place(
            environment=name, waits=new, running=running, ahead=tuple(ahead), limit=facts.environment.gates.queue_time
        )
        context.say(request, queued_comment(place, marker=context.marker(request, facts.sha)))
    said = context.comment_of(request)
    new = replace(new, comment_id=said.id if said is not None else 0)
    ids = {one.id for one in older}
    gone = {one.id for one in others if one not in living}
    _change(
        context, name, there, request.actor,
        lambda entries: queueing.joined(entries, new, now=_now(context), older=ids, gone=gone),
    )  # fmt: skip
    for one in older:
        tell(context, name, replace(one, dropped="replaced", dropped_by=request.actor))


def alive(context: Context, entries: Iterable[QueueEntry]) -> list[QueueEntry]:
    """Return what waits in a run that lives (1 call for each run, all at once)."""
    asked = [(one, context.ask(context.github.run_alive, one.run_id, one.run_attempt)) for one in entries]
    return [one for one, lives in asked if lives.result()]


def _runs(entry: QueueEntry, running: LockRecord | None) -> bool:
    """Whether an entry is what holds the environment: it has just not left the line yet."""
    return running is not None and running.run_id == entry.run_id


def _entry(context: Context, request: Request, facts: Facts, *, ahead: int) -> QueueEntry:
    run = context.settings.run
    return QueueEntry(
        id=request.id,
        verb=request.command.verb,
        run_id=run.id,
        run_attempt=run.attempt,
        actor=request.actor,
        thread=request.issue,
        sha=facts.sha,
        since=_now(context),
        ahead=ahead,
        services=request.command.services,
    )


# -- at its turn ------------------------------------------------------------------------------------------------------
def turn(context: Context, request: Request) -> QueueEntry | None:
    """Return what is written down of a release's wait, and go on with the comment that told of it."""
    if context.settings.phase != "release":
        return None
    name = request.command.environment
    entry = queueing.found(context.held(name).result()[name].queue.entries or (), request.id)
    if entry is not None:
        context.adopt_comment(request, entry.comment_id)
    return entry


def leave(context: Context, request: Request, entry: QueueEntry | None) -> Future[tuple[Refusal, ...]]:
    """Take a release out of the line, whatever becomes of it now; refused if somebody has dropped it until then."""
    if entry is None:
        return given(())
    return context.gatherer.ask(_leave, context, request)


def _leave(context: Context, request: Request) -> tuple[Refusal, ...]:
    name = request.command.environment
    there = context.held(name).result()[name].queue
    try:
        before = _change(
            context, name, there, request.actor,
            lambda entries: queueing.left(entries, request.id, context.settings.run.id),
        )  # fmt: skip
    except SlipwayError:  # it is forgotten once its run is over
        return ()
    entry = queueing.found(before, request.id)
    return () if entry is None or not entry.dropped else (refusal(request, entry),)


def refusal(request: Request, entry: QueueEntry) -> Refusal:
    """Return why a release that was dropped does not start."""
    name = request.command.environment
    return queueing.dropped_refusal(entry, name, spelled(request.command, environment=name))


# -- taken out --------------------------------------------------------------------------------------------------------
def line(held: Held) -> tuple[QueueEntry, ...]:
    """Return what is written down as waiting in line; not what holds the environment."""
    running = held.lock.record if held.lock is not None else None
    return tuple(one for one in queueing.waiting(held.queue.entries or ()) if not _runs(one, running))


def waiting_here(context: Context, request: Request, held: Held) -> tuple[QueueEntry, ...]:
    """Return what waits in line and was said on the same thread."""
    return tuple(alive(context, [one for one in line(held) if one.thread == request.issue]))


def drop(context: Context, request: Request, held: Held, entries: Iterable[QueueEntry]) -> tuple[QueueEntry, ...]:
    """Take releases out of the line; returns those that were still in it. Their own comments say so."""
    name, ids = request.command.environment, {one.id for one in entries}
    before = _change(
        context, name, held.queue, request.actor,
        lambda there: queueing.dropped(there, ids, "cancelled", request.actor),
    )  # fmt: skip
    gone = tuple(one for one in queueing.waiting(before) if one.id in ids)
    for one in gone:
        tell(context, name, replace(one, dropped="cancelled", dropped_by=request.actor))
    return gone


def tell(context: Context, name: str, entry: QueueEntry) -> None:
    """Make the comment of a release that was dropped true. Where there is none, its job says it at its turn."""
    if not entry.comment_id:
        return
    again = " ".join([f"/{entry.verb}", name, *entry.services])
    body = refusal_comment(
        (queueing.dropped_refusal(entry, name, again),),
        marker=marker(entry.id, environment=name, sha=entry.sha),
        command=again,
        environment=name,
        sha=entry.sha,
    )
    with suppress(SlipwayError):
        context.final.edit_comment(entry.comment_id, context.clean(body))


def _change(
    context: Context,
    name: str,
    there: Queue,
    actor: str,
    change: Callable[[tuple[QueueEntry, ...]], tuple[QueueEntry, ...]],
) -> tuple[QueueEntry, ...]:
    """Change what is written down, however many do so at once; returns what was there. One that is damaged is lost.

    Raises:
        ConflictError: others were faster each time.
    """
    for _ in range(TRIES):
        before = there.entries or ()
        after = change(before)
        if after == before and there.entries is not None:
            return before
        if context.github.put_queue(name, there, after, actor):
            return before
        there = context.github.held((name,))[name].queue
    raise ConflictError(
        f"The line for {name} was changed by others {TRIES} times while it was written down.",
        service="GitHub",
        operation="queue",
        hint="Say it again.",
    )


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.clock.now(), UTC)
