"""Check runs, check suites and commit statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.sandbox.github import shapes, shapes_work
from bot.sandbox.github.context import Context, invalid, linked, not_found
from bot.sandbox.github.gitobjects import SHA
from bot.sandbox.github.model import CheckRun
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

_CONCLUSIONS = {"success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"}
_STATUSES = {"queued", "in_progress", "completed", "waiting", "requested", "pending"}
_STATES = {"error", "failure", "pending", "success"}
_DESCRIPTION = 140  # characters


def register(github: GitHub) -> None:
    """Declare the operations."""
    root = "/repos/{owner}/{repo}"
    on, one = f"{root}/commits/{{ref+}}", f"{root}/check-runs/{{check_run_id}}"
    github.operation("GET", f"{on}/check-runs", list_check_runs, "checks:read")
    github.operation("GET", f"{on}/check-suites", list_check_suites, "checks:read")
    github.operation("GET", f"{on}/statuses", list_statuses, "statuses:read")
    github.operation("GET", f"{on}/status", combined_status, "statuses:read")
    # The older address of the list, which PyGithub's Commit.get_statuses still reads.
    github.operation("GET", f"{root}/statuses/{{ref+}}", list_statuses, "statuses:read")
    github.operation("POST", f"{root}/statuses/{{sha}}", create_status, "statuses:write")
    github.operation("POST", f"{root}/check-runs", create_check_run, "checks:write")
    github.operation("GET", one, get_check_run, "checks:read")
    github.operation("PATCH", one, update_check_run, "checks:write")


def list_check_runs(ctx: Context) -> Response:
    """List a commit's check runs: the latest of each name unless ``filter=all``, newest first."""
    sha = ctx.commit()
    found = ctx.repo.latest_check_runs(sha)
    if ctx.request.arg("filter", "latest") == "all":
        everything = [run for run in ctx.repo.state.check_runs.values() if run.sha == sha]
        found = sorted(everything, key=lambda run: -run.id)
    name, status, app = (ctx.request.arg(key) for key in ("check_name", "status", "app_id"))
    found = [run for run in found if name in {None, run.name} and status in {None, run.status}]
    found = [run for run in found if app in {None, str(shapes.app(ctx.github, run.app)["id"])}]
    return ctx.page(found, lambda run: shapes_work.check_run(ctx.repo, run), "check_runs")


def list_check_suites(ctx: Context) -> Response:
    """List a commit's check suites, one for each app."""
    sha = ctx.commit()
    apps = [app for commit, app in ctx.repo.state.suites if commit == sha]
    return ctx.page(apps, lambda app: shapes_work.check_suite(ctx.repo, sha, app), "check_suites")


def _apply(ctx: Context, run: CheckRun) -> None:
    run.name = ctx.field("name", str, default=run.name)
    run.external_id = ctx.field("external_id", str, default=run.external_id)
    run.details_url = ctx.field("details_url", str, default=run.details_url or "") or None
    run.output |= ctx.field("output", dict, default={})
    conclusion, status = ctx.optional("conclusion", str), ctx.optional("status", str)
    if conclusion is not None and conclusion not in _CONCLUSIONS:
        raise invalid("CheckRun", "conclusion", "invalid")
    if status is not None and status not in _STATUSES:
        raise invalid("CheckRun", "status", "invalid")
    if status == "completed" and conclusion is None:
        raise WireError(422, "Invalid request.\n\nMissing conclusion for a completed check run.")
    if conclusion is not None:
        # "Providing conclusion will automatically set the status parameter to completed" (REST documentation)
        run.status, run.conclusion, run.completed_at = "completed", conclusion, ctx.github.now()
    elif status is not None:
        run.status, run.conclusion, run.completed_at = status, None, None


def _slug(ctx: Context) -> str:
    return ctx.viewer.login.removesuffix("[bot]")


def create_check_run(ctx: Context) -> Response:
    """Create a check run; only an app may."""
    if ctx.github.user(ctx.viewer.login).type != "Bot":
        raise WireError(403, "You must authenticate via a GitHub App.")
    sha = ctx.field("head_sha", str)
    if SHA.fullmatch(sha) is None or ctx.repo.git.commit(sha) is None:
        raise WireError(422, f"No commit found for SHA: {sha}")
    run = ctx.repo.check_run(sha, name=ctx.field("name", str), status="queued", app=_slug(ctx))
    try:
        _apply(ctx, run)
    except WireError:
        del ctx.repo.state.check_runs[run.id]
        raise
    return answer(shapes_work.check_run(ctx.repo, run), 201)


def get_check_run(ctx: Context) -> Response:
    """Get a check run."""
    return answer(shapes_work.check_run(ctx.repo, ctx.find(ctx.repo.state.check_runs, "check_run_id")))


def update_check_run(ctx: Context) -> Response:
    """Change a check run; only the app that made it may."""
    run = ctx.find(ctx.repo.state.check_runs, "check_run_id")
    if run.app != _slug(ctx):
        raise WireError(403, "Invalid app_id `" + _slug(ctx) + "` - check run can only be modified by its app.")
    _apply(ctx, run)
    return answer(shapes_work.check_run(ctx.repo, run))


def list_statuses(ctx: Context) -> Response:
    """List a commit's statuses, newest first, all of them."""
    sha = ctx.commit()
    found = [status for status in reversed(ctx.repo.state.statuses) if status.sha == sha]
    return ctx.page(found, lambda status: shapes_work.commit_status(ctx.repo, status))


def combined_status(ctx: Context) -> Response:
    """Roll a commit's statuses up: failure if any failed, pending if any is or none exists, else success."""
    sha = ctx.commit()
    latest = ctx.repo.latest_statuses(sha)
    states = {status.state for status in latest}
    state = "pending" if "pending" in states or not states else "success"
    state = "failure" if states & {"failure", "error"} else state
    part, links = ctx.window(len(latest))
    shaped: list[dict[str, Any]] = [shapes_work.commit_status(ctx.repo, status) for status in latest[part]]
    url = f"{ctx.repo.api}/commits/{sha}"
    return linked(
        {
            "state": state,
            "statuses": [{key: value for key, value in one.items() if key != "creator"} for one in shaped],
            "sha": sha,
            "total_count": len(latest),
            "repository": shapes.repository(ctx.repo),
            "commit_url": url,
            "url": f"{url}/status",
        },
        links,
    )


def create_status(ctx: Context) -> Response:
    """Add a commit status."""
    sha = ctx.param("sha")
    if SHA.fullmatch(sha) is None:
        raise not_found()
    if ctx.repo.git.commit(sha) is None:
        raise WireError(422, f"No commit found for SHA: {sha}")
    state, description = ctx.field("state", str), ctx.optional("description", str)
    if state not in _STATES:
        raise invalid("Status", "state", "custom", f"state must be one of {', '.join(sorted(_STATES))}")
    if description is not None and len(description) > _DESCRIPTION:
        raise invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
    status = ctx.repo.commit_status(
        sha, context=ctx.field("context", str, default="default"), state=state, creator=ctx.viewer.login,
        description=description, target_url=ctx.optional("target_url", str),
    )  # fmt: skip
    return answer(shapes_work.commit_status(ctx.repo, status), 201)
