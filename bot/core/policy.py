"""May this release start? A list of named gates, each a pure function of the facts.

A gate returns the refusal or None. Every gate is asked, so that a refusal lists everything there is to do. Evidence
that is missing, unreadable or unfinished is a refusal. Authorization is apart and comes before any answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bot.core import approvals as votes
from bot.core import freezes, marks, paths, queueing, windows
from bot.core import promotion as promotions
from bot.core.approvals import Voices
from bot.core.binding import named_is_head, pushed_before, sha_required
from bot.core.commands import Command, spelled
from bot.core.facts import CheckState, Comparison, Lock, PullRequest, QueueEntry, Reviews
from bot.core.outcome import Reason, Refusal
from bot.core.overrides import overridden
from bot.core.partial import services_named
from bot.core.record import Entry
from bot.core.registry import REGISTRY
from bot.core.resolve import Environment
from bot.core.serving import Artifact
from bot.core.words import listed, short

Trigger = Literal["comment", "push", "dispatch", "pull_request", "schedule"]
_SHOWN = 3  # of what may be hundreds
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known when a release is decided on. None is what was not asked because it does not apply.

    ``sha`` is the full sha that would be released. ``head_pushed_at`` is when the head was pushed, by the server's
    clock; None when there is no record of it. ``required`` are the names that must be green; ``lock_alive`` is whether
    the lock's owner still runs. ``hold``, ``claim`` and ``freeze`` are those in force. ``actor`` is who said the
    command, ``thread`` the pull request where he did (0: on none). ``source`` is the record of the environment that the
    image is taken from (None: it could not be read), ``promoted`` that image, or why it is not known (None: not asked).
    ``now`` is the time. ``reviews`` are those of the pull request that brings the sha (None: there is none), ``lacks``
    compares it with the default branch (None: not asked). ``stray``: the sha was typed and is on no
    branch that is known; ``newer``: what was released since, which holds it. ``voices``: who has approved it (None: not
    asked). ``run_reviews``: who has approved the run in its GitHub environment, but those who ask (None: not asked).
    ``turn`` is what is written down of its wait in line (None: nothing); ``queues``: this is where it is let
    through, and whoever holds the environment is waited for in line.
    """

    trigger: Trigger
    command: Command
    environment: Environment
    sha: str
    default_branch: str
    pull_request: PullRequest | None = None
    commented_at: datetime | None = None
    head_pushed_at: datetime | None = None
    checks: tuple[CheckState, ...] = ()
    required: tuple[str, ...] = ()
    actor: str = ""
    thread: int = 0
    lock: Lock | None = None
    lock_alive: bool = True
    hold: Lock | None = None
    claim: Lock | None = None
    freeze: Lock | None = None
    source: tuple[Entry, ...] | None = ()
    promoted: Artifact | Refusal | None = None
    now: datetime = _NEVER
    reviews: Reviews | None = None
    lacks: Comparison | None = None
    stray: bool = False
    newer: str = ""
    voices: Voices | None = None
    run_reviews: tuple[str, ...] | None = None
    turn: QueueEntry | None = None
    queues: bool = False


Gate = Callable[[Facts], Refusal | None]


def still_wanted(facts: Facts) -> Refusal | None:
    """While it waited in line it was not replaced, nor taken out, nor was that too long."""
    name = facts.environment.name
    limit = facts.environment.gates.queue_time
    return queueing.unwanted(facts.turn, name, spelled(facts.command, environment=name), now=facts.now, limit=limit)


def supported(facts: Facts) -> Refusal | None:
    """Everything that the configuration asks of this release is acted on."""
    settings = facts.environment.not_yet
    if not settings or facts.command.verb == "rollback":
        return None
    return Refusal(
        reason=Reason.UNSUPPORTED_SETTING,
        sentence=f"The configuration asks for what this version does not do yet: {listed(settings)}.",
        next="Take them out of `.github/slipway.yml`, or do that part by hand and release without them declared.",
    )


def known_services(facts: Facts) -> Refusal | None:
    """Every service that the command names is one of the environment's."""
    command, environment = facts.command, facts.environment
    found = services_named(
        command.services, (*environment.services, *environment.left), environment.name, verb=command.verb
    )
    return found if isinstance(found, Refusal) else None


def pull_request_state(facts: Facts) -> Refusal | None:
    """Open, or merged; not closed, not a draft, no conflicts."""
    pull = facts.pull_request
    if pull is None or pull.merged:
        return None
    if pull.state == "closed":
        return Refusal(
            reason=Reason.PULL_REQUEST_CLOSED,
            sentence="This pull request is closed and was not merged.",
            next="Reopen it, or release from an open one.",
        )
    if pull.draft and not facts.environment.gates.allow_drafts:
        return Refusal(
            reason=Reason.PULL_REQUEST_DRAFT,
            sentence="This pull request is a draft.",
            next="Mark it as ready for review.",
        )
    if pull.mergeable is False:
        return Refusal(
            reason=Reason.PULL_REQUEST_CONFLICTS,
            sentence=f"This pull request conflicts with `{pull.base_ref}`.",
            next=f"Merge `{pull.base_ref}` into it, or rebase.",
        )
    return None


def base(facts: Facts) -> Refusal | None:
    """A pull request goes into the default branch, whose rules and configuration apply."""
    pull = facts.pull_request
    if pull is None or pull.base_ref == facts.default_branch:
        return None
    return Refusal(
        reason=Reason.WRONG_BASE,
        sentence=f"This pull request goes into `{pull.base_ref}`, not into `{facts.default_branch}`.",
        next=f"Change its base to `{facts.default_branch}`.",
    )


def fork(facts: Facts) -> Refusal | None:
    """A fork's code is released only where that is allowed, and then only with the sha named."""
    pull = facts.pull_request
    if pull is None or pull.merged or not pull.from_fork:
        return None
    if not facts.environment.gates.allow_forks:
        return Refusal(
            reason=Reason.FORK,
            sentence="The head of this pull request is in a fork.",
            next="Push the branch to this repository, or set `gates.allow_forks`.",
        )
    return None if facts.command.sha else _sha_required(facts, "The head of this pull request is in a fork")


def own_branch(facts: Facts) -> Refusal | None:
    """A commit that was typed in a workflow's form is on a branch: GitHub finds those of forks here as well."""
    if not facts.stray or facts.environment.gates.allow_forks:
        return None
    return Refusal(
        reason=Reason.FORK,
        sentence=f"`{short(facts.sha)}` is neither on `{facts.default_branch}` nor on the branch that the workflow "
        "runs on: it may be a fork's.",
        next="Run the workflow on the branch that holds it, or comment on its pull request.",
    )


def newest_push(facts: Facts) -> Refusal | None:
    """A push does not take back what was released since: a run of it that is late, or started again, is over."""
    if not facts.newer:
        return None
    return Refusal(
        reason=Reason.SUPERSEDED,
        sentence=f"`{short(facts.newer)}` has been released to `{facts.environment.name}` since, and it holds "
        f"`{short(facts.sha)}`.",
        next=f"Nothing; to go back on purpose: `/rollback {facts.environment.name}`",
    )


def named_sha(facts: Facts) -> Refusal | None:
    """Where the configuration asks for it, the command names the sha."""
    if facts.trigger != "comment" or not facts.environment.gates.require_sha or facts.command.sha:
        return None
    return _sha_required(facts, f"`{facts.environment.name}` wants the sha named")


def _sha_required(facts: Facts, why: str) -> Refusal:
    return sha_required(facts.command, facts.environment.name, facts.sha, why)


def sha_binding(facts: Facts) -> Refusal | None:
    """The command means the commit its author saw, or the one that it names."""
    pull = facts.pull_request
    if facts.trigger != "comment" or pull is None:
        return None
    if facts.command.sha:
        return named_is_head(facts.command, facts.environment.name, pull)
    if pull.merged or pull.from_fork:  # the merge commit does not move; a fork has its own gate
        return None
    return pushed_before(
        facts.command,
        facts.environment.name,
        facts.sha,
        pushed_at=facts.head_pushed_at,
        commented_at=facts.commented_at,
    )


def required_checks(facts: Facts) -> Refusal | None:
    """Every required check is green on the very sha. One that has not reported is not green."""
    by_name: dict[str, list[CheckState]] = {}
    for check in facts.checks:
        by_name.setdefault(check.name, []).append(check)
    again = f"`{spelled(facts.command, environment=facts.environment.name)}`"
    red = [name for name in facts.required if any(check.state == "failure" for check in by_name.get(name, []))]
    if red:
        return Refusal(
            reason=Reason.CHECKS_FAILED,
            sentence=f"Required checks failed on `{short(facts.sha)}`: {listed(red)}.",
            next=f"Mend or re-run them, then {again}",
        )
    missing = [name for name in facts.required if name not in by_name]
    if missing:
        return Refusal(
            reason=Reason.CHECKS_MISSING,
            sentence=f"Required checks have not reported on `{short(facts.sha)}`: {listed(missing)}.",
            next=f"Wait for them (or correct their names in `gates.required_checks`), then {again}",
        )
    waiting = [name for name in facts.required if any(check.state == "pending" for check in by_name[name])]
    if waiting:
        return Refusal(
            reason=Reason.CHECKS_PENDING,
            sentence=f"Required checks are still running on `{short(facts.sha)}`: {listed(waiting)}.",
            next=f"Wait for them, then {again}",
        )
    return None


def reviewed(facts: Facts) -> Refusal | None:
    """Enough people other than its author have approved the very head, and nobody asks for changes."""
    wanted, found = facts.environment.gates.reviews, facts.reviews
    if not wanted:
        return None
    again = f"`{spelled(facts.command, environment=facts.environment.name)}`"
    if found is None or found.more:
        return Refusal(
            reason=Reason.REVIEWS_MISSING,
            sentence=f"Which reviews `{short(facts.sha)}` has had cannot be told: "
            f"{'there are too many' if found else 'no pull request brought it'}.",
            next=f"Release it from a pull request: {again}",
        )
    others = [one for one in found.opinions if one.author.lower() != found.author.lower()]
    against = [one.author for one in others if one.state == "CHANGES_REQUESTED"]
    if against:
        return Refusal(
            reason=Reason.CHANGES_REQUESTED,
            sentence=f"Changes were asked for by {listed(against)}.",
            next=f"Settle that in their review, then {again}",
        )
    approved = [one for one in others if one.state == "APPROVED"]
    valid = [one for one in approved if one.sha == found.head_sha]
    if len(valid) >= wanted:
        return None
    old = ", ".join(f"{one.author}'s is of `{short(one.sha)}`" for one in approved if one not in valid)
    older = f" ({old})" if old else ""
    return Refusal(
        reason=Reason.REVIEWS_MISSING,
        sentence=f"`{short(found.head_sha)}` has {len(valid)} of {wanted} approving reviews{older}.",
        next=f"Have it approved in a review by somebody other than {found.author}, then {again}",
    )


def up_to_date(facts: Facts) -> Refusal | None:
    """Where it is asked for, a pull request has all of the default branch in it, or all that changes some paths."""
    pull, wanted, main = facts.pull_request, facts.environment.gates.up_to_date, facts.default_branch
    if not wanted or pull is None or pull.merged:
        return None
    lacks = _lacks(facts.lacks, () if isinstance(wanted, bool) else wanted, main)
    if not lacks:
        return None
    return Refusal(
        reason=Reason.BEHIND_BASE,
        sentence=f"`{short(facts.sha)}` {lacks}.",
        next=f"Merge `{main}` into it, wait for its checks, then "
        f"`{spelled(facts.command, environment=facts.environment.name, sha='')}`",
    )


def _lacks(found: Comparison | None, patterns: tuple[str, ...], main: str) -> str:
    """Return what a head lacks that it must have, ``""``: nothing. Without patterns, that is all there is."""
    if found is None:
        return f"cannot be compared with `{main}`"
    if not found.ahead_by:
        return ""
    what = f"lacks {found.ahead_by} commit{'s' if found.ahead_by != 1 else ''} of `{main}`"
    if not patterns:
        return what
    if found.touched is None:
        return f"{what}, with more changes than can be looked through"
    touched = paths.chosen(found.touched, patterns)
    return f"{what}, with changes to {_few(touched)}" if touched else ""


def _few(names: tuple[str, ...]) -> str:
    """Return names, or the first of very many."""
    if len(names) <= _SHOWN + 1:
        return listed(names)
    return f"{', '.join(f'`{name}`' for name in names[:_SHOWN])} and {len(names) - _SHOWN} more"


def in_window(facts: Facts) -> Refusal | None:
    """It is a time at which the environment may be released to."""
    wanted = facts.environment.gates.windows
    if windows.is_open(wanted, facts.now):
        return None
    opening = windows.next_opening(wanted, facts.now)
    return Refusal(
        reason=Reason.OUTSIDE_WINDOW,
        sentence=f"`{facts.environment.name}` is released to at {listed(wanted)}, and it is {facts.now:%a %H:%M} UTC.",
        next=f"Come back at {opening:%a %Y-%m-%d %H:%M} UTC" if opening else "Add a window that opens",
    )


def promotion(facts: Facts) -> Refusal | None:
    """Where an image is promoted, the sha has been verified on the environment it comes from."""
    rule = facts.environment.promotion
    if rule is None:
        return None
    again = spelled(facts.command, environment=facts.environment.name)
    refusal = promotions.judge(rule, facts.source, facts.sha, again=again)
    if refusal is None and facts.command.verb == "promote" and facts.trigger == "comment" and not facts.command.sha:
        named = spelled(facts.command, environment=facts.environment.name, sha=short(facts.sha))
        refusal = promotions.unseen(rule, facts.source or (), facts.sha, facts.commented_at, named=named)
    if refusal is None and isinstance(facts.promoted, Refusal):
        refusal = facts.promoted
    return refusal


def soaked(facts: Facts) -> Refusal | None:
    """What is promoted has stayed for long enough on the environment it comes from."""
    rule = facts.environment.promotion
    if rule is None:
        return None
    again = spelled(facts.command, environment=facts.environment.name)
    return promotions.soaking(rule, facts.source, facts.sha, again=again, now=facts.now)


def approvals(facts: Facts) -> Refusal | None:
    """Enough people other than who asks for it, and whose pull request it is, have approved the very sha for here."""
    wanted = facts.environment.gates.approvals
    if not wanted:
        return None
    return votes.wanting(
        facts.voices or Voices(readable=False),
        wanted,
        environment=facts.environment.name,
        sha=facts.sha,
        who=facts.environment.roles["approve"],
        again=f"`{spelled(facts.command, environment=facts.environment.name)}`",
    )


def run_reviewed(facts: Facts) -> Refusal | None:
    """Where it is asked for, a reviewer of the GitHub environment has approved the run. He does so before its job."""
    wanted = facts.environment.reviewers
    if not wanted or facts.run_reviews is None or facts.run_reviews:
        return None
    return Refusal(
        reason=Reason.RUN_UNREVIEWED,
        sentence=f"Nobody but who asks for it has approved this run in the GitHub environment `{wanted}`.",
        next=f"Give `{wanted}` required reviewers, and let the releasing job run in it (docs/how-to/approve.md).",
    )


def lock_free(facts: Facts) -> Refusal | None:
    """Nobody else holds the environment. A lock whose owner is gone is reaped, one for a moment is waited for.

    Where a release is let through to wait in line, so is everybody's.
    """
    record = facts.lock.record if facts.lock is not None else None
    waited_for = not facts.lock_alive or facts.queues or (record is not None and record.expires is not None)
    if facts.lock is None or (record is not None and waited_for):
        return None
    return locked(facts.environment.name, facts.lock)


def locked(environment: str, lock: Lock) -> Refusal:
    """Return the refusal that names who holds an environment."""
    if lock.record is None:
        sentence = f"`{environment}` is locked, and the lock's record cannot be read."
        then = f"See who made `refs/slipway/locks/{environment}`, and delete it if nothing runs."
    else:
        record = lock.record
        pull = f" for #{record.pull_request}" if record.pull_request else ""
        sentence = (
            f"`{environment}` is held by {record.actor}{pull} since {record.since:%H:%M:%S} UTC "
            f"(run {record.run_id}, `{short(record.sha)}`)."
        )
        then = "Wait until that release has ended, or cancel its run: that brings back what served before it."
    return Refusal(reason=Reason.LOCKED, sentence=sentence, next=then)


def not_claimed(facts: Facts) -> Refusal | None:
    """The environment is not kept for another pull request, or by somebody else. A rollback is never kept out."""
    claim = facts.claim
    if claim is None:
        return None
    if claim.record is not None and marks.belongs(claim.record, actor=facts.actor, thread=facts.thread):
        return None
    return marks.claimed(facts.environment.name, claim)


def not_frozen(facts: Facts) -> Refusal | None:
    """The environment is not frozen: neither by somebody, nor by the configuration for this time."""
    if facts.freeze is not None:
        return marks.frozen(facts.environment.name, facts.freeze)
    found = freezes.in_force(facts.environment.gates.freezes, facts.now)
    if found is None:
        return None
    why = f" ({found.reason})" if found.reason else ""
    return Refusal(
        reason=Reason.FROZEN,
        sentence=f"By its configuration `{facts.environment.name}` is frozen until "
        f"{found.ends:%Y-%m-%d %H:%M} UTC{why}. Rollbacks are still possible.",
        next=f"Come back at {found.ends:%a %Y-%m-%d %H:%M} UTC",
    )


def not_on_hold(facts: Facts) -> Refusal | None:
    """No automatic release while somebody has put them on hold. People may release all the same."""
    if facts.trigger != "push" or facts.hold is None:
        return None
    name, record = facts.environment.name, facts.hold.record
    by = f" by {record.actor} since {record.since:%Y-%m-%d %H:%M} UTC" if record else ""
    why = f": {record.reason}" if record and record.reason else ""
    return Refusal(
        reason=Reason.ON_HOLD,
        sentence=f"Automatic releases of `{name}` are on hold{by}{why}.",
        next=f"`/deploy {name}` releases by hand, `/unlock {name}` lets pushes release again",
    )


RELEASE_GATES: tuple[Gate, ...] = (
    still_wanted,
    supported,
    known_services,
    pull_request_state,
    base,
    fork,
    own_branch,
    named_sha,
    sha_binding,
    newest_push,
    required_checks,
    reviewed,
    up_to_date,
    promotion,
    soaked,
    approvals,
    run_reviewed,
    in_window,
    not_frozen,
    not_claimed,
    not_on_hold,
    lock_free,
)
# What is promoted is what was verified elsewhere: nothing about the pull request that it is said on matters to it.
PROMOTION_GATES: tuple[Gate, ...] = (
    still_wanted,
    supported,
    named_sha,
    required_checks,
    reviewed,
    promotion,
    soaked,
    approvals,
    run_reviewed,
    in_window,
    not_frozen,
    not_claimed,
    lock_free,
)
# A rollback brings back what was verified here before: nothing about the pull request's sha matters to it.
ROLLBACK_GATES: tuple[Gate, ...] = (still_wanted, lock_free)


def judge(facts: Facts) -> tuple[Refusal, ...]:
    """Ask every gate that applies and was not overridden; empty means go."""
    skipped = overridden(facts.command)
    return tuple(refusal for refusal in _refusals(facts) if refusal.gate not in skipped)


def bypassed(facts: Facts) -> tuple[Refusal, ...]:
    """Return what the gates that were overridden would have said."""
    skipped = overridden(facts.command)
    return tuple(refusal for refusal in _refusals(facts) if refusal.gate in skipped)


def _refusals(facts: Facts) -> tuple[Refusal, ...]:
    gates = {"rollback": ROLLBACK_GATES, "promote": PROMOTION_GATES}.get(facts.command.verb, RELEASE_GATES)
    assert facts.command.verb in REGISTRY
    refusals = [(gate, gate(facts)) for gate in gates]
    return tuple(
        Refusal(reason=refusal.reason, sentence=refusal.sentence, next=refusal.next, gate=gate.__name__)
        for gate, refusal in refusals
        if refusal is not None
    )
