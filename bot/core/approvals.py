"""Second-person approval: whose word counts for a commit in an environment, and until when.

What is written down is only where to look: an approval counts if the comment that gave it still says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.binding import pushed_before
from bot.core.commands import Command, parse_comment
from bot.core.facts import Approval, PullRequest, Remark
from bot.core.marks import LONGEST
from bot.core.outcome import Reason, Refusal
from bot.core.words import short

GATE = "approvals"


@dataclass(frozen=True, kw_only=True)
class Voices:
    """Who has said what of a commit, by login. ``discounted``: whose approval does not count, and why.

    ``readable`` is False where the record is there and cannot be read.
    """

    approved: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    discounted: tuple[tuple[str, str], ...] = ()
    readable: bool = True


def until(one: Approval, seconds: float) -> datetime:
    """Return when it is over. A rejection stands for its commit as long as any mark may."""
    return one.since + timedelta(seconds=seconds if one.verdict == "approve" else LONGEST)


def in_force(entries: Iterable[Approval], *, now: datetime, seconds: float) -> tuple[Approval, ...]:
    """Return what is not over."""
    return tuple(one for one in entries if until(one, seconds) > now)


def added(
    entries: Iterable[Approval], new: Approval, *, now: datetime, seconds: float
) -> tuple[Approval, ...] | Approval:
    """Return what is written down with one more, and without what is over.

    A person's newer word on a commit replaces the older. Where the newer one is there already, that is returned: a run
    that is started again brings nothing back.
    """
    kept = in_force(entries, now=now, seconds=seconds)
    same = [one for one in kept if _key(one) == _key(new)]
    newer = next((one for one in same if one.since > new.since), None)
    return newer if newer is not None else (*(one for one in kept if one not in same), new)


def _key(one: Approval) -> tuple[str, str]:
    return one.actor.lower(), one.sha


def proved(
    one: Approval, said: Remark | None, environment: str, pull: PullRequest | None, pushed_at: datetime | None
) -> bool:
    """Whether an approval's comment still gives it: its author's own words, never edited, about this commit.

    Whoever may push can write refs, so what is written down proves nothing. ``pull`` is the pull request where it was
    said, ``pushed_at`` when its head was pushed: they matter where the comment names no commit.
    """
    if said is None or said.edited or said.author.lower() != one.actor.lower() or said.created_at != one.since:
        return False
    commands = [item for item in parse_comment(said.body) if isinstance(item, Command)]
    meant = [item for item in commands if item.verb == "approve" and item.environment == environment]
    return any(_means(item, one, pull, pushed_at) for item in meant)


def _means(command: Command, one: Approval, pull: PullRequest | None, pushed_at: datetime | None) -> bool:
    if command.sha:
        return one.sha.startswith(command.sha)
    if pull is None or pull.merged or pull.from_fork or pull.head_sha != one.sha:
        return False
    problem = pushed_before(command, command.environment, one.sha, pushed_at=pushed_at, commented_at=one.since)
    return problem is None


def weigh(
    entries: Sequence[Approval],
    *,
    requesters: Collection[str],
    authors: Collection[str],
    proofs: Collection[Approval],
    entitled: Collection[str],
) -> Voices:
    """Say whose word counts, of what is in force for a commit. A rejection always does.

    Neither whoever asks for the release approves it, nor whose pull request brings it: a second person has to look.
    """
    own = {
        **{login.lower(): "has opened the pull request" for login in authors},
        **{login.lower(): "asks for the release" for login in requesters},
    }
    approved: list[str] = []
    discounted: list[tuple[str, str]] = []
    for one in entries:
        if one.verdict == "reject":
            continue
        why = own.get(one.actor.lower(), "")
        if not why and one.actor not in entitled:
            why = "may not approve"
        if not why and one not in proofs:
            why = "has no comment any more that says so"
        if why:
            discounted.append((one.actor, why))
        elif one.actor.lower() not in map(str.lower, approved):
            approved.append(one.actor)
    rejected = tuple(one.actor for one in entries if one.verdict == "reject")
    return Voices(approved=tuple(approved), rejected=rejected, discounted=tuple(discounted))


def wanting(
    voices: Voices, wanted: int, *, environment: str, sha: str, who: Sequence[str], again: str
) -> Refusal | None:
    """Return why a commit may not be released yet, None if enough others have approved it.

    ``who`` are the rules of who may approve, ``again`` is the command to say then.
    """
    said, place = f"`{short(sha)}`", f"`{environment}`"
    approve = f"`/approve {environment} @{short(sha)}`"
    if not voices.readable:
        return unreadable(environment, sha)
    if voices.rejected:
        names = ", ".join(voices.rejected)
        return Refusal(
            reason=Reason.REJECTED,
            sentence=f"{said} was rejected for {place} by {names}.",
            next=f"Mend it and push, or have it taken back by {names}: {approve}",
        )
    if len(voices.approved) >= wanted:
        return None
    by = f" (by {', '.join(voices.approved)})" if voices.approved else ""
    but = "".join(f"; {login}'s does not count: {login} {why}" for login, why in voices.discounted)
    return Refusal(
        reason=Reason.APPROVAL_MISSING,
        sentence=f"{said} has {len(voices.approved)} of {wanted} approvals for {place}{by}{but}.",
        next=f"Somebody else who may ({rules(who)}) says {approve}, then {again}",
    )


def unreadable(environment: str, sha: str) -> Refusal:
    """Return the refusal for a record that is there and cannot be read."""
    return Refusal(
        reason=Reason.APPROVAL_MISSING,
        sentence=f"The approvals for `{environment}` cannot be read.",
        next=f"See who wrote `refs/slipway/approvals/{environment}`, delete it, and have it approved anew: "
        f"`/approve {environment} @{short(sha)}`",
    )


def rules(who: Sequence[str]) -> str:
    """Return who may, as a part of a sentence."""
    return " or ".join(f"`{rule.removeprefix('@')}`" for rule in who)
