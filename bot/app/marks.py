"""``/lock``, ``/unlock``, ``/freeze``, ``/unfreeze``: what people put on environments, and what of it still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.app.authorisation import all_may
from bot.app.context import Context, Request
from bot.core import marks
from bot.core.config import Config
from bot.core.facts import Held, Lock, LockRecord, MarkKind
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.registry import EVERY
from bot.core.resolve import roles
from bot.errors import NotFoundError
from bot.report.marks import Change, marks_comment

LOCK_FOR = 4 * 3600.0  # seconds


def in_force(context: Context, held: Held, now: datetime) -> Held:
    """Return what of an environment's marks still holds: neither one whose time is over nor a closed pull request's."""
    claim, freeze = held.claim, held.freeze
    if marks.over(claim, now) or (claim is not None and _closed(context, claim)):
        claim = None
    return replace(held, claim=claim, freeze=None if marks.over(freeze, now) else freeze)


def _closed(context: Context, claim: Lock) -> bool:
    number = claim.record.pull_request if claim.record is not None else None
    if not number:
        return False
    try:
        return context.pull_request(number).result().state != "open"
    except NotFoundError:
        return True


# -- commands -------------------------------------------------------------------------------------------------------
def lock(context: Context, config: Config, request: Request) -> Outcome:
    """Keep environments for the pull request where this is said, or for whoever says it on an issue."""
    seconds = marks.lasting("lock", request.command.flags.get("for", ""), LOCK_FOR)
    if isinstance(seconds, Refusal):
        return context.refuse(request, (seconds,))

    def check(name: str, held: Held) -> Refusal | None:
        theirs = held.claim is not None and not _ours(request, held.claim)
        return marks.claimed(name, held.claim) if theirs and held.claim is not None else None

    return _put(context, config, request, _Kind("claim", seconds, Reason.LOCK_SET, marks.claimed), check)


def freeze(context: Context, config: Config, request: Request) -> Outcome:
    """Let nothing be released to environments."""
    seconds = marks.lasting("freeze", request.command.flags.get("for", ""), 0.0)
    if isinstance(seconds, Refusal):
        return context.refuse(request, (seconds,))
    return _put(context, config, request, _Kind("freeze", seconds, Reason.FROZEN_NOW, marks.frozen))


def unlock(context: Context, config: Config, request: Request) -> Outcome:
    """Take claims and holds off environments; somebody else's claim by force, which is for those who may freeze."""
    names = _names(config, request)
    found = _held(context, names)
    force = "force" in request.command.flags
    for name in names:
        claim = found[name].claim
        if claim is None or _ours(request, claim) or (force and _may(context, config, request, name, "freeze")):
            continue
        return context.refuse(request, (marks.claimed(name, claim),))
    return _lift(context, request, names, ("claim", "hold"), Reason.UNLOCKED)


def unfreeze(context: Context, config: Config, request: Request) -> Outcome:
    """Let environments be released to again."""
    return _lift(context, request, _names(config, request), ("freeze",), Reason.UNFROZEN)


@dataclass(frozen=True)
class _Kind:
    """A kind of mark to put: for how many seconds (0: without end), and how that it is there is said to others."""

    kind: MarkKind
    seconds: float
    reason: Reason
    refuse: Callable[[str, Lock], Refusal]


# -- carrying out ---------------------------------------------------------------------------------------------------
def _put(
    context: Context,
    config: Config,
    request: Request,
    what: _Kind,
    check: Callable[[str, Held], Refusal | None] = lambda _name, _held: None,
) -> Outcome:
    """Put a mark on every environment, or on none where one of them may not have it. One that is there is renewed."""
    names = _names(config, request)
    found = _held(context, names)
    refusals = tuple(filter(None, (check(name, found[name]) for name in names)))
    if refusals:
        return context.refuse(request, refusals)
    stored, sha = context.held(*names).result(), _sha(context, request)
    changes: list[Change] = []
    for name in names:
        record = _record(context, request, name, sha, what.seconds)
        mark = _replace(context, what.kind, getattr(stored[name], what.kind), record)
        if mark is None:  # somebody else was faster
            _take_back(context, what.kind, changes, stored)
            other = getattr(context.github.held((name,))[name], what.kind)
            return context.refuse(request, (what.refuse(name, other or Lock(environment=name, oid="", record=None)),))
        changes.append(Change(environment=name, kind=what.kind, put=mark))
    return _told(context, request, tuple(changes), what.reason)


def _replace(context: Context, kind: MarkKind, there: Lock | None, record: LockRecord) -> Lock | None:
    """Put a mark in the place of the one that was found. None if there is another by now."""
    if there is None:
        return context.github.put_mark(kind, record)
    return context.github.move_mark(kind, there, record)


def _take_back(context: Context, kind: MarkKind, changes: Sequence[Change], stored: Mapping[str, Held]) -> None:
    """Put the marks back as they were found: on all environments or on none."""
    for change in changes:
        before: Lock | None = getattr(stored[change.environment], kind)
        if change.put is not None and before is not None and before.record is not None:
            context.github.move_mark(kind, change.put, before.record)
        elif change.put is not None:
            context.github.lift_mark(kind, change.put)


def _lift(
    context: Context, request: Request, names: tuple[str, ...], kinds: tuple[MarkKind, ...], reason: Reason
) -> Outcome:
    stored = context.held(*names).result()
    changes = []
    for name in names:
        there = [(kind, getattr(stored[name], kind)) for kind in kinds]
        gone = [(kind, mark) for kind, mark in there if mark is not None]
        for kind, mark in gone:
            stays = None
            if not context.github.lift_mark(kind, mark):  # another by now, or gone already
                stays = getattr(context.github.held((name,))[name], kind)
            changes.append(Change(environment=name, kind=kind, lifted=mark, stays=stays))
        if not gone:
            changes.append(Change(environment=name, kind=kinds[0]))
    return _told(context, request, tuple(changes), reason)


def _told(context: Context, request: Request, changes: tuple[Change, ...], reason: Reason) -> Outcome:
    context.say(request, marks_comment(changes, marker=context.marker(request)))
    return context.ended(request, Decision.DONE, reason)


def _names(config: Config, request: Request) -> tuple[str, ...]:
    name = request.command.environment
    return tuple(config.environments) if name == EVERY else (name,)


def _held(context: Context, names: tuple[str, ...]) -> dict[str, Held]:
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    stored = context.held(*names).result()
    return {name: in_force(context, stored[name], now) for name in names}


def _ours(request: Request, claim: Lock) -> bool:
    """Whether a claim may be lifted without force: on the pull request that it is for, or by whoever made it."""
    record = claim.record
    if record is None:
        return False
    return record.actor.lower() == request.actor.lower() or bool(
        record.pull_request and record.pull_request == request.number
    )


def _may(context: Context, config: Config, request: Request, name: str, verb: str) -> bool:
    return all_may(context, request, roles(config, name)[verb])


def _sha(context: Context, request: Request) -> str:
    """Return a commit for the tag object to point at; the mark says nothing about it."""
    if request.number:
        return context.pull_request(request.number).result().head_sha
    return context.github.commit(request.sha or context.default_branch).sha


def _record(context: Context, request: Request, name: str, sha: str, seconds: float) -> LockRecord:
    now, run = datetime.fromtimestamp(context.clock.now(), UTC), context.settings.run
    return LockRecord(
        environment=name,
        run_id=run.id,
        run_attempt=run.attempt,
        actor=request.actor,
        pull_request=request.number or None,
        sha=sha,
        since=now,
        reason=request.command.flags.get("reason", ""),
        expires=now + timedelta(seconds=seconds) if seconds else None,
        sticky=True,
    )
