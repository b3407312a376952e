"""``/approve`` and ``/reject``: a second person's word on a commit, and whose word counts when it is released."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from bot.app.authorisation import may, people
from bot.app.context import Context, Request
from bot.core import approvals
from bot.core.approvals import Voices
from bot.core.binding import named_is_head, pushed_before, sha_required
from bot.core.config import Config, Gates
from bot.core.facts import Approval, Approvals, PullRequest, Remark
from bot.core.outcome import Decision, Outcome, Reason, Refusal
from bot.core.policy import Facts
from bot.core.resolve import roles
from bot.core.words import short
from bot.errors import ConflictError, NotFoundError, SlipwayError
from bot.report.approvals import Standing, approval_comment

TRIES = 5  # at writing it down, where others speak at the same time


# -- whose word counts ------------------------------------------------------------------------------------------------
def heard(context: Context, facts: Facts, there: Approvals) -> Voices | None:
    """Return who has approved what would be released; None where nobody is asked. ``there``: what is written down."""
    if not facts.environment.gates.approvals or facts.command.verb == "rollback":
        return None
    again = context.settings.started_again_by
    return _voices(
        context,
        facts.environment.name,
        there,
        gates=facts.environment.gates,
        rules=facts.environment.roles["approve"],
        sha=facts.sha,
        requesters=tuple(filter(None, (facts.actor, again))),
        authors=_authors(context, facts.pull_request, facts.sha),
    )


def _voices(
    context: Context,
    name: str,
    there: Approvals,
    *,
    gates: Gates,
    rules: tuple[str, ...],
    sha: str,
    requesters: Sequence[str],
    authors: Sequence[str],
) -> Voices:
    if there.entries is None:
        return Voices(readable=False)
    kept = approvals.in_force(there.entries, now=_now(context), seconds=gates.approval_time)
    kept = tuple(one for one in kept if one.sha == sha)
    given = tuple(one for one in kept if one.verdict == "approve")
    said = context.github.remarks(tuple(one.comment for one in given)) if given else {}
    logins = {one.actor for one in given}
    return approvals.weigh(
        kept,
        requesters=requesters,
        authors=authors,
        proofs=tuple(one for one in given if _proved(context, name, one, said.get(one.comment))),
        entitled={login for login in logins if may(context, login, context.permission(login).result(), rules)},
    )


def _proved(context: Context, name: str, one: Approval, said: Remark | None) -> bool:
    """Whether the comment of an approval still gives it. Where it names no commit, the branch must not have moved."""
    pull, pushed = None, None
    if said is not None and said.pull_request:
        pull = context.pull_request(said.pull_request).result()
        if pull.head_sha == one.sha and not pull.from_fork:
            pushed = context.ask(context.github.pushed_at, pull.head_ref, one.sha).result()
    return approvals.proved(one, said, name, pull, pushed)


def _authors(context: Context, pull: PullRequest | None, sha: str) -> tuple[str, ...]:
    """Return who opened the pull requests that bring a commit, or by which it came."""
    if pull is not None:
        return (pull.author,)
    numbers = context.ask(context.github.pull_requests_of, sha).result()
    return tuple(context.pull_request(number).result().author for number in numbers)


# -- commands ---------------------------------------------------------------------------------------------------------
def approve(context: Context, config: Config, request: Request) -> Outcome:
    """Write down that somebody approves a commit for an environment."""
    return _speak(context, config, request)


def reject(context: Context, config: Config, request: Request) -> Outcome:
    """Write down that somebody rejects a commit for an environment, in the place of his approval."""
    return _speak(context, config, request)


def _speak(context: Context, config: Config, request: Request) -> Outcome:
    name = request.command.environment
    gates = config.environments[name].gates or config.gates
    pull = context.pull_request(request.number).result() if request.number else None
    sha: str | Refusal = _out_of_place(context, request, gates) or _meant(context, config, request, pull)
    if isinstance(sha, Refusal):
        return context.refuse(request, (sha,))
    authors = _authors(context, pull if pull is not None and _is_of(pull, sha) else None, sha)
    own = _own(context, request, authors, sha)
    if own is not None:
        return context.refuse(request, (own,))
    new = _entry(request, sha)
    kept = _written(context, request, new, gates)
    if isinstance(kept, Refusal):
        return context.refuse(request, (kept,))
    voices = _voices(
        context,
        name,
        Approvals(entries=kept),
        gates=gates,
        rules=roles(config, name)["approve"],
        sha=sha,
        requesters=(),
        authors=authors,
    )
    return _told(context, config, request, new, voices, gates)


def _out_of_place(context: Context, request: Request, gates: Gates) -> Refusal | None:
    """Refuse what is no comment (its time would be whoever's who starts the run again), or too late, or for nothing."""
    name, verb = request.command.environment, request.command.verb
    if not gates.approvals:
        return Refusal(
            reason=Reason.NO_APPROVALS,
            sentence=f"`{name}` wants no approvals.",
            next=f"`/deploy {name}`, or set `gates.approvals` in `.github/slipway.yml` on the default branch",
        )
    if request.trigger != "comment" or request.commented_at is None:
        return Refusal(
            reason=Reason.BAD_ARGUMENTS,
            sentence=f"`{verb}` is said in a comment: what proves it later is that comment.",
            next=f"Comment `/{verb} {name} @<sha>`",
        )
    over = request.commented_at.timestamp() + gates.approval_time
    if verb == "approve" and over <= context.clock.now():
        return Refusal(
            reason=Reason.APPROVAL_MISSING,
            sentence=f"This approval is of {request.commented_at:%Y-%m-%d %H:%M} UTC, and its time is over.",
            next=f"Say it anew: `/approve {name}`",
        )
    return None


def _meant(context: Context, config: Config, request: Request, pull: PullRequest | None) -> str | Refusal:
    """Return the commit that is approved or rejected: the one that is named, or the head as its author saw it.

    A rejection is on the safe side: it may mean a head that was pushed meanwhile.
    """
    command, name = request.command, request.command.environment
    if command.sha:
        return _named(context, config, request, pull)
    if pull is None:
        return sha_required(command, name, "", "This is no pull request")
    if command.verb == "reject":
        return pull.merge_sha if pull.merged else pull.head_sha
    if pull.merged:
        return sha_required(command, name, pull.merge_sha, "This pull request is merged")
    if pull.from_fork:
        return sha_required(command, name, pull.head_sha, "The head of this pull request is in a fork")
    pushed = context.ask(context.github.pushed_at, pull.head_ref, pull.head_sha).result()
    problem = pushed_before(command, name, pull.head_sha, pushed_at=pushed, commented_at=request.commented_at)
    return problem or pull.head_sha


def _named(context: Context, config: Config, request: Request, pull: PullRequest | None) -> str | Refusal:
    """Return the commit that a sha names: on a pull request its own, but where something else is promoted."""
    command, name = request.command, request.command.environment
    if pull is not None:
        wrong = named_is_head(command, name, pull)
        if wrong is None:
            return pull.merge_sha if pull.merged else pull.head_sha
        if pull.state == "open" and config.environments[name].promote_from is None:
            return wrong
    try:
        return context.github.commit(command.sha).sha
    except NotFoundError:
        return Refusal(
            reason=Reason.SHA_UNKNOWN,
            sentence=f"There is no commit `{short(command.sha)}` in this repository.",
            next="Give a sha of it, 7 to 40 hex digits.",
        )


def _is_of(pull: PullRequest, sha: str) -> bool:
    return sha in {pull.head_sha, pull.merge_sha}


def _own(context: Context, request: Request, authors: Sequence[str], sha: str) -> Refusal | None:
    """Refuse the approval of whoever opened the pull request: he has looked at it already."""
    known = {login.lower() for login in authors}
    mine = next((login for login in people(context, request) if login.lower() in known), None)
    if request.command.verb != "approve" or mine is None:
        return None
    return Refusal(
        reason=Reason.OWN_WORK,
        sentence=f"`{short(sha)}` comes by {mine}'s own pull request.",
        next="Have it approved by somebody else",
    )


def _entry(request: Request, sha: str) -> Approval:
    assert request.commented_at is not None
    return Approval(
        verdict="approve" if request.command.verb == "approve" else "reject",
        actor=request.actor,
        sha=sha,
        since=request.commented_at,
        comment=request.source_node,
    )


def _written(context: Context, request: Request, new: Approval, gates: Gates) -> tuple[Approval, ...] | Refusal:
    """Write it down beside what others have said, however many speak at once."""
    name = request.command.environment
    for _ in range(TRIES):
        there = context.github.held((name,))[name].approvals
        if there.entries is None:
            return approvals.unreadable(name, new.sha)
        kept = approvals.added(there.entries, new, now=_now(context), seconds=gates.approval_time)
        if isinstance(kept, Approval):
            return _overtaken(name, kept)
        if context.github.put_approvals(name, there, kept, request.actor):
            return kept
    raise ConflictError(
        f"The approvals of {name} were changed by others {TRIES} times while this one was written.",
        service="GitHub",
        operation="approve",
        hint="Say it again.",
    )


def _overtaken(name: str, newer: Approval) -> Refusal:
    did = "approved" if newer.verdict == "approve" else "rejected"
    return Refusal(
        reason=Reason.BAD_ARGUMENTS,
        sentence=f"{newer.actor} has {did} `{short(newer.sha)}` for `{name}` since, at {newer.since:%H:%M:%S} UTC.",
        next="Say it in a new comment",
    )


def _told(context: Context, config: Config, request: Request, new: Approval, voices: Voices, gates: Gates) -> Outcome:
    name = request.command.environment
    verb = "promote" if config.environments[name].promote_from is not None else "deploy"
    standing = Standing(
        environment=name,
        said=new,
        until=approvals.until(new, gates.approval_time),
        voices=voices,
        wanted=gates.approvals,
        who=roles(config, name)["approve"],
        release=f"/{verb} {name} @{short(new.sha)}",
    )
    context.say(request, approval_comment(standing, marker=context.marker(request, new.sha)))
    reason = Reason.APPROVED if new.verdict == "approve" else Reason.REJECTED_NOW
    return context.ended(request, Decision.DONE, reason, sha=new.sha)


# -- tidying ----------------------------------------------------------------------------------------------------------
def tidy(context: Context, name: str, gates: Gates, actor: str) -> None:
    """Take away what is over, and the ref with the last of it. Nothing is worth failing for."""
    with suppress(SlipwayError):
        there = context.github.held((name,))[name].approvals
        kept = approvals.in_force(there.entries or (), now=_now(context), seconds=gates.approval_time)
        if there.entries and kept != there.entries:
            context.github.put_approvals(name, there, kept, actor)


def with_voices(context: Context, facts: Facts, there: Approvals) -> Facts:
    """Return the facts with who has approved."""
    return replace(facts, voices=heard(context, facts, there))


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.clock.now(), UTC)
