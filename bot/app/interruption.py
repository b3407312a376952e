"""What a later run does about one that died: its lock, its deployment, and what its comment says."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import suppress

from bot.app.context import Context, Request
from bot.core.facts import CommentRef, Deployment
from bot.core.policy import Facts
from bot.core.record import Entry
from bot.errors import SlipwayError
from bot.report.answers import interrupted_comment
from bot.report.comment import marker, read_marker, under_way


def let_go(context: Context, facts: Facts) -> None:
    """Release the lock that an earlier attempt of this run left when it died right after its release was over."""
    lock, run = facts.lock, context.settings.run
    if lock is not None and lock.record is not None and lock.record.run_id == run.id:
        with suppress(SlipwayError):  # the next command reaps it
            context.final.release_lock(lock)


def abandon(context: Context, deployment: Deployment, why: str) -> None:
    """Close a deployment that nothing was done for. One left open is taken for an interrupted one, to no harm."""
    with suppress(SlipwayError):
        context.final.set_status(deployment.id, "error", description=why)


def tell_of_interruption(context: Context, request: Request, environment: str, entry: Entry) -> None:
    """Make the comment of a run that is gone true: it would say for ever that it is releasing."""
    ours = context.comment_of(request)
    if not entry.record.comment_id or (ours is not None and ours.id == entry.record.comment_id):
        return
    marks = {"id": entry.record.id, "env": environment, "sha": entry.record.sha}
    with suppress(SlipwayError):
        _interrupted(context, request, entry.record.comment_id, marks)


def tell_of_the_dead(context: Context, facts: Facts, request: Request, comment: Future[int]) -> None:
    """Make true what a run that is gone says on the thread that its lock names.

    It may have died before there was a record of its comment, which would say for ever that it is releasing.
    """
    wait([comment])
    record = facts.lock.record if facts.lock is not None else None
    if facts.lock_alive or record is None or not record.pull_request:
        return
    ours = context.comment_of(request)
    with suppress(SlipwayError):
        for said in context.github.comments(record.pull_request, record.since):
            marks = read_marker(said.body)
            same = _by_us(said, ours) and marks.get("env") == facts.environment.name
            if same and (ours is None or said.id != ours.id) and under_way(said.body):
                _interrupted(context, request, said.id, marks)


def _by_us(said: CommentRef, ours: CommentRef | None) -> bool:
    """Whether we wrote a comment. A push or a run by hand has none of its own to compare: an app's name tells then.

    No person's name can hold brackets.
    """
    return said.author == ours.author if ours is not None and ours.author else said.author.endswith("[bot]")


def _interrupted(context: Context, request: Request, comment_id: int, marks: Mapping[str, str]) -> None:
    """Say in the comment with these marks that its run is gone, and where it goes on."""
    ours, environment, sha = context.comment_of(request), marks.get("env", ""), marks.get("sha", "")
    body = interrupted_comment(
        sha=sha,
        environment=environment,
        taken_over_by=request.actor,
        url=ours.url if ours else context.settings.run.url,
        marker=marker(marks.get("id", ""), environment=environment, sha=sha),
    )
    context.final.edit_comment(comment_id, body)
