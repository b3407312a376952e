"""Pull requests and issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.github import shapes, shapes_threads
from bot.sandbox.github.context import Context, invalid
from bot.sandbox.github.git import GitError
from bot.sandbox.wire import Response, answer

if TYPE_CHECKING:
    from bot.sandbox.github.model import Issue
    from bot.sandbox.github.server import GitHub


def register(github: GitHub) -> None:
    """Declare the operations."""
    root = "/repos/{owner}/{repo}"
    read, write = "pull_requests:read", "pull_requests:write"
    one = f"{root}/pulls/{{pull_number}}"
    github.operation("GET", f"{root}/pulls", list_pulls, read)
    github.operation("POST", f"{root}/pulls", create_pull, write)
    github.operation("GET", one, get_pull, read)
    github.operation("PATCH", one, update_pull, write)
    github.operation("GET", f"{one}/commits", pull_commits, read)
    github.operation("GET", f"{one}/files", pull_files, read)
    github.operation("GET", f"{one}/reviews", pull_reviews, read)
    github.operation("GET", f"{one}/requested_reviewers", requested_reviewers, read)
    issue, either = f"{root}/issues/{{issue_number}}", ("issues:read", read)
    github.operation("GET", f"{root}/issues", list_issues, *either)
    github.operation("POST", f"{root}/issues", create_issue, "issues:write")
    github.operation("GET", issue, get_issue, *either)
    github.operation("PATCH", issue, update_issue, "issues:write", write)


def _in_state(ctx: Context, issues: list[Issue]) -> list[Issue]:
    state = ctx.request.arg("state", "open")
    found = [issue for issue in issues if state in {"all", issue.state}]
    return sorted(found, key=lambda issue: issue.number, reverse=ctx.request.arg("direction") != "asc")


def list_pulls(ctx: Context) -> Response:
    """List pull requests: by state, ``head`` (owner:branch) and ``base``."""
    found = [issue for issue in _in_state(ctx, list(ctx.repo.state.issues.values())) if issue.pull]
    head, base = ctx.request.arg("head"), ctx.request.arg("base")
    if head:
        found = [one for one in found if one.pull and f"{one.pull.head_owner}:{one.pull.head_ref}" == head]
    if base:
        found = [one for one in found if one.pull and one.pull.base_ref == base]
    return ctx.page(found, lambda issue: shapes_threads.pull_simple(ctx.repo, issue))


def create_pull(ctx: Context) -> Response:
    """Open a pull request."""
    head, base, title = (ctx.field(name, str) for name in ("head", "base", "title"))
    try:
        number = ctx.repo.open_pull_request(
            head=head, base=base, title=title, body=ctx.field("body", str, default=""), author=ctx.viewer.login,
            draft=ctx.field("draft", bool, default=False),
        )  # fmt: skip
    except (GitError, KeyError):
        raise invalid("PullRequest", "head", "invalid") from None
    return answer(shapes_threads.pull(ctx.repo, ctx.repo.state.issues[number]), 201)


def get_pull(ctx: Context) -> Response:
    """Get a pull request; this settles ``mergeable``."""
    return answer(shapes_threads.pull(ctx.repo, ctx.issue("pull_number", pull=True)))


def _update(ctx: Context, issue: Issue) -> None:
    state = ctx.field("state", str, default=issue.state)
    if state not in {"open", "closed"}:
        raise invalid("Issue", "state", "invalid")
    issue.title, issue.body = ctx.field("title", str, default=issue.title), ctx.field("body", str, default=issue.body)
    issue.updated_at = ctx.github.now()
    if state == "closed" and issue.state == "open":
        ctx.repo.close(issue.number, actor=ctx.viewer.login)
    elif state == "open" and issue.state == "closed":
        if issue.pull and issue.pull.merged_at is not None:
            raise invalid("PullRequest", "state", "custom", "state cannot be changed. The pull request is merged.")
        issue.state, issue.closed_at, issue.closed_by = "open", None, None


def update_pull(ctx: Context) -> Response:
    """Change a pull request's title, body or state."""
    issue = ctx.issue("pull_number", pull=True)
    _update(ctx, issue)
    return answer(shapes_threads.pull(ctx.repo, issue))


def pull_commits(ctx: Context) -> Response:
    """List a pull request's commits, oldest first; GitHub stops at 250."""
    shas = ctx.repo.pull_commits(ctx.issue("pull_number", pull=True))[:250]
    commits = (found for sha in shas if (found := ctx.repo.git.commit(sha)))
    return ctx.page(commits, lambda found: shapes.commit(ctx.repo, found))


def pull_files(ctx: Context) -> Response:
    """List the files a pull request changes; GitHub stops at 3000."""
    issue = ctx.issue("pull_number", pull=True)
    assert issue.pull is not None
    head = issue.pull.head_sha
    return ctx.page(ctx.repo.pull_changes(issue)[:3000], lambda one: shapes.file_change(ctx.repo, one, head))


def pull_reviews(ctx: Context) -> Response:
    """List reviews, oldest first."""
    issue = ctx.issue("pull_number", pull=True)
    assert issue.pull is not None
    return ctx.page(issue.pull.reviews, lambda one: shapes_threads.review(ctx.repo, issue.number, one))


def requested_reviewers(ctx: Context) -> Response:
    """List who is asked to review: no one, in this model."""
    ctx.issue("pull_number", pull=True)
    return answer({"users": [], "teams": []})


def list_issues(ctx: Context) -> Response:
    """List issues, newest first unless told; pull requests are among them. ``since`` is of their last change.

    As docs.github.com, "List repository issues", has ``sort``, ``direction`` and ``since``.
    """
    found = [one for one in _in_state(ctx, list(ctx.repo.state.issues.values())) if one.updated_at >= ctx.since()]
    by_change = ctx.request.arg("sort") == "updated"
    found.sort(
        key=lambda one: (one.updated_at if by_change else one.created_at, one.number),
        reverse=ctx.request.arg("direction") != "asc",
    )
    return ctx.page(found, lambda issue: shapes_threads.issue(ctx.repo, issue))


def create_issue(ctx: Context) -> Response:
    """Open an issue."""
    title, body = ctx.field("title", str), ctx.field("body", str, default="")
    number = ctx.repo.open_issue(title, body=body, author=ctx.viewer.login)
    issue = ctx.repo.state.issues[number]
    issue.labels = [str(name) for name in ctx.field("labels", list, default=[])]
    return answer(shapes_threads.issue(ctx.repo, issue), 201, Location=f"{ctx.repo.api}/issues/{number}")


def get_issue(ctx: Context) -> Response:
    """Get an issue or the issue half of a pull request."""
    return answer(shapes_threads.issue(ctx.repo, ctx.issue()))


def update_issue(ctx: Context) -> Response:
    """Change an issue's title, body or state."""
    issue = ctx.issue()
    _update(ctx, issue)
    return answer(shapes_threads.issue(ctx.repo, issue))
