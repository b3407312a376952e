"""What a release does on its thread once it is over: older comments are hidden, and whoever asked is told.

Neither is worth failing or waiting for. Two calls at most, and one for a mention; all of them may be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait

from bot.app.context import Context, Request
from bot.core.facts import CommentRef, OwnComment
from bot.core.outcome import ReleaseReport
from bot.errors import SlipwayError
from bot.report.comment import marker
from bot.report.mention import mention_comment, outdated, told, wanted

_PATIENCE = 3.0  # seconds that the end of a release waits for this, after all else is done


def tidy(context: Context, request: Request, report: ReleaseReport, mention_after: float) -> list[str]:
    """Hide what the release makes outdated, and mention whoever asked; returns what could not be done."""
    comment = context.comment_of(request)
    mention = not request.by_bot and wanted(report, after=mention_after)
    if comment is None or (context.clock.stopping and not mention):
        return []
    try:
        thread = context.final.own_comments(request.issue)
    except SlipwayError as error:
        return [f"The thread could not be read, so nothing on it was tidied: {error.message}"]
    untold = _tell(context, request, report, comment, thread) if mention else []
    return untold if context.clock.stopping else [*untold, *_hide(context, report, comment, thread)]


def _tell(
    context: Context, request: Request, report: ReleaseReport, comment: CommentRef, thread: Sequence[OwnComment]
) -> list[str]:
    """Mention whoever asked, unless an earlier attempt of the same release did."""
    if told(thread, report.deployment_id):
        return []
    hidden = marker(request.id, environment=report.environment, sha=report.sha, told=report.deployment_id)
    url = f"{report.repository_url}/issues/{request.issue}#issuecomment-{comment.id}"
    try:
        context.final.comment(request.issue, context.clean(mention_comment(report, url=url, marker=hidden)))
    except SlipwayError as error:
        return [f"{report.actor} could not be told: {error.message}"]
    return []


def _hide(context: Context, report: ReleaseReport, comment: CommentRef, thread: Sequence[OwnComment]) -> list[str]:
    old = outdated(thread, environment=report.environment, newest=comment.id)
    try:
        if old:
            context.final.minimize(old)
    except SlipwayError as error:
        return [f"Older comments could not be hidden: {error.message}"]
    return []


def tidied(task: Future[list[str]]) -> list[str]:
    """Wait a moment for :func:`tidy`, and return what it could not do."""
    wait([task], timeout=_PATIENCE)
    if not task.done():
        return ["GitHub took long to tidy the thread: older comments may still be shown."]
    error = task.exception()
    return task.result() if error is None else [f"The thread was not tidied: {type(error).__name__} in the bot itself."]
