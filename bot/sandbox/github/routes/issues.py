"""Issues: listing and opening them.

As "REST API endpoints for issues" (docs.github.com) has it: a token opens one with "Issues" write, and lists them with
"Issues" or "Pull requests" read; every pull request is an issue there, told by ``pull_request``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bot.sandbox.github import shapes_threads
from bot.sandbox.github.context import Context, invalid
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

TITLE = 256  # characters


def register(github: GitHub) -> None:
    """Declare the operations."""
    root = "/repos/{owner}/{repo}/issues"
    github.operation("GET", root, list_issues, "issues:read", "pull_requests:read")
    github.operation("POST", root, create_issue, "issues:write")


def list_issues(ctx: Context) -> Response:
    """List issues and pull requests, newest first unless told; ``since`` is of their last change."""
    state, since = ctx.request.arg("state") or "open", ctx.request.arg("since")
    found = [one for one in ctx.repo.state.issues.values() if state in {one.state, "all"}]
    if since:
        try:
            start = datetime.fromisoformat(since).timestamp()
        except ValueError:
            raise WireError(422, "Validation Failed", errors=["since is not a valid date-time"]) from None
        found = [one for one in found if one.updated_at >= start]
    by_change = ctx.request.arg("sort") == "updated"
    found.sort(
        key=lambda one: (one.updated_at if by_change else one.created_at, one.number),
        reverse=ctx.request.arg("direction") != "asc",
    )
    return ctx.page(found, lambda one: shapes_threads.issue(ctx.repo, one))


def create_issue(ctx: Context) -> Response:
    """Open an issue."""
    title, body = ctx.field("title", str), ctx.field("body", str, default="")
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    if len(title) > TITLE:
        raise invalid("Issue", "title", "custom", f"title is too long (maximum is {TITLE} characters)")
    number = ctx.repo.open_issue(title, body=body, author=ctx.viewer.login)
    shape = shapes_threads.issue(ctx.repo, ctx.repo.state.issues[number])
    return answer(shape, 201, Location=shape["url"])
