"""Workflow runs, and their identity tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.github import shapes_work
from bot.sandbox.github.context import Context, not_found
from bot.sandbox.wire import Request, Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.model import Run
    from bot.sandbox.github.server import GitHub


def register(github: GitHub) -> None:
    """Declare the operations."""
    root = "/repos/{owner}/{repo}/actions/runs"
    one = f"{root}/{{run_id}}"
    github.operation("GET", root, list_runs, "actions:read")
    github.operation("GET", one, get_run, "actions:read")
    github.operation("GET", f"{one}/attempts/{{attempt_number}}", get_attempt, "actions:read")
    github.operation("GET", f"{one}/approvals", list_reviews, "actions:read")
    github.operation("POST", f"{one}/cancel", cancel, "actions:write")
    github.operation("POST", f"{one}/force-cancel", force_cancel, "actions:write")
    github.operation("GET", f"{one}/jobs", list_jobs, "actions:read")
    github.open_operation("GET", "/_actions/token", lambda request: identity_token(github, request))
    oidc = github.oidc
    github.open_operation("GET", "/.well-known/openid-configuration", lambda _: answer(oidc.configuration()))
    github.open_operation("GET", "/.well-known/jwks", lambda _: answer(oidc.jwks()))


def _run(ctx: Context) -> Run:
    return ctx.find(ctx.repo.state.runs, "run_id")


def list_runs(ctx: Context) -> Response:
    """List workflow runs, newest first, by event, actor, head, branch and status (which may name a conclusion)."""
    found = sorted(ctx.repo.state.runs.values(), key=lambda run: -run.id)
    for name, attribute in (
        ("event", "event"),
        ("actor", "actor"),
        ("head_sha", "head_sha"),
        ("branch", "head_branch"),
    ):
        if wanted := ctx.request.arg(name):
            found = [run for run in found if getattr(run, attribute) == wanted]
    if status := ctx.request.arg("status"):
        found = [run for run in found if status in {run.status, run.conclusion}]
    return ctx.page(found, lambda run: shapes_work.run(ctx.repo, run), "workflow_runs")


def get_run(ctx: Context) -> Response:
    """Get a workflow run: its latest attempt."""
    return answer(shapes_work.run(ctx.repo, _run(ctx)))


def get_attempt(ctx: Context) -> Response:
    """Get one attempt of a workflow run."""
    run, attempt = _run(ctx), ctx.number("attempt_number")
    if not 1 <= attempt <= run.attempt:
        raise not_found()
    return answer(shapes_work.run(ctx.repo, run, attempt))


def list_reviews(ctx: Context) -> Response:
    """List what reviewers of environments have said of a run: an array, in no pages (REST, review history of a run)."""
    return answer([shapes_work.run_review(ctx.repo, review) for review in _run(ctx).reviews])


def cancel(ctx: Context) -> Response:
    """Ask a run to stop. It ends when its steps have."""
    return _cancel(ctx, force=False)


def force_cancel(ctx: Context) -> Response:
    """End a run whatever its steps do (REST, workflow runs: force-cancel)."""
    return _cancel(ctx, force=True)


def _cancel(ctx: Context, *, force: bool) -> Response:
    run = _run(ctx)
    if run.status == "completed":
        raise WireError(409, "Cannot cancel a workflow run that is completed.")
    run.cancel_requested = True
    if run.stop is not None:
        run.stop(force)
    return answer({}, 202)


def list_jobs(ctx: Context) -> Response:
    """List the jobs of a run's latest attempt."""
    run = _run(ctx)
    return ctx.page(run.jobs, lambda job: shapes_work.job(ctx.repo, run, job), "jobs")


def identity_token(github: GitHub, request: Request) -> Response:
    """Give a run its identity token, for the audience it asks."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = github.oidc.granted(token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise WireError(401, "Unauthorized")
    repo, run = found
    return answer({"value": github.oidc.token(repo, run, request.arg("audience"))})
