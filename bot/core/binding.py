"""Which commit a comment means: the one its author saw, or the one that it names.

A comment's payload carries no sha (branch-deploy#315) and commit dates can be forged, so it is the server's record of
the push that tells: the head must have been pushed before the comment.
"""

from __future__ import annotations

from datetime import datetime

from bot.core.commands import Command, spelled
from bot.core.facts import PullRequest
from bot.core.outcome import Reason, Refusal
from bot.core.words import short


def sha_required(command: Command, environment: str, sha: str, why: str) -> Refusal:
    """Return the refusal of a command that has to say which commit it means. ``sha``: the likely one, or ``""``."""
    named = f"`{spelled(command, environment=environment, sha=short(sha))}`"
    return Refusal(
        reason=Reason.SHA_REQUIRED,
        sentence=f"{why}: the command must say which commit it means.",
        next=named if sha else "Say it with `@` and the sha",
    )


def pushed_before(
    command: Command, environment: str, sha: str, *, pushed_at: datetime | None, commented_at: datetime | None
) -> Refusal | None:
    """Return why a comment cannot have meant a head that it does not name, None if it can.

    Both times are in whole seconds, so the same second is no proof. Naming the sha settles it.
    """
    head = short(sha)
    again = f"Look at `{head}`; if that is what you mean: `{spelled(command, environment=environment, sha=head)}`"
    if pushed_at is None or commented_at is None:
        return Refusal(
            reason=Reason.PUSH_UNKNOWN,
            sentence=f"GitHub has no record of when `{head}` was pushed: it may be newer than the command.",
            next=again,
        )
    if pushed_at >= commented_at:
        return Refusal(
            reason=Reason.HEAD_MOVED,
            sentence=f"The branch moved after the command was written: `{head}` was pushed at "
            f"{pushed_at:%H:%M:%S} UTC, the comment is of {commented_at:%H:%M:%S} UTC.",
            next=again,
        )
    return None


def named_is_head(command: Command, environment: str, pull: PullRequest) -> Refusal | None:
    """Return why a sha that was named is not what a pull request is about, None if it is."""
    current = pull.merge_sha if pull.merged else pull.head_sha
    if current.startswith(command.sha):
        return None
    what = "merge commit" if pull.merged else "head"
    meant = spelled(command, environment=environment, sha=short(current))
    return Refusal(
        reason=Reason.HEAD_MOVED,
        sentence=f"`{short(command.sha)}` is not the {what} of this pull request, which is `{short(current)}`.",
        next=f"Look at it; if that is what you mean: `{meant}`",
    )
