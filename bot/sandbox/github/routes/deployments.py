"""Deployments, their statuses, and environments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bot.sandbox.github import shapes_work
from bot.sandbox.github.context import Context, invalid, not_found
from bot.sandbox.github.gitobjects import RefUpdate
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.model import Deployment
    from bot.sandbox.github.server import GitHub

_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
_DESCRIPTION = 140  # characters: "The maximum description length is 140 characters" (REST documentation)


def register(github: GitHub) -> None:
    """Declare the operations."""
    root, read, write = "/repos/{owner}/{repo}/deployments", "deployments:read", "deployments:write"
    one = f"{root}/{{deployment_id}}"
    github.operation("GET", root, list_deployments, read)
    github.operation("POST", root, create_deployment, write)
    github.operation("GET", one, get_deployment, read)
    github.operation("DELETE", one, delete_deployment, write)
    github.operation("GET", f"{one}/statuses", list_statuses, read)
    github.operation("POST", f"{one}/statuses", create_status, write)
    github.operation("GET", f"{one}/statuses/{{status_id}}", get_status, read)
    places = "/repos/{owner}/{repo}/environments"
    github.operation("GET", places, list_environments, "actions:read")
    github.operation("GET", f"{places}/{{environment_name+}}", get_environment, "actions:read")


def _deployment(ctx: Context) -> Deployment:
    return ctx.find(ctx.repo.state.deployments, "deployment_id")


def list_deployments(ctx: Context) -> Response:
    """List deployments, newest first, by sha, ref, task and environment."""
    found = sorted(ctx.repo.state.deployments.values(), key=lambda one: -one.id)
    for name in ("sha", "ref", "task", "environment"):
        wanted = ctx.request.arg(name)
        # "none" is the documented default of each of these filters: it means no filter.
        if wanted not in {None, "", "none"}:
            found = [one for one in found if getattr(one, name) == wanted]
    return ctx.page(found, lambda one: shapes_work.deployment(ctx.repo, one))


def _refuse_failing_contexts(ctx: Context, ref: str, sha: str) -> None:
    """Refuse with 409 unless the required contexts succeeded: all of the commit's, unless the call names them.

    A skipped or neutral check counts as failing here, as reported of the live API.
    """
    required = ctx.optional("required_contexts", list)
    evidence = dict(reversed(ctx.repo.contexts(sha)))
    names = list(evidence) if required is None else [str(name) for name in required]
    states = [{"context": name, "state": evidence.get(name, "pending")} for name in names]
    if any(one["state"] != "success" for one in states):
        error = {"contexts": states, "resource": "Deployment", "field": "required_contexts", "code": "invalid"}
        raise WireError(409, f"Conflict: Commit status checks failed for {ref}.", errors=[error])


def _auto_merge(ctx: Context, ref: str, sha: str) -> Response | None:
    """Merge the default branch into a branch that lacks it: 202 and no deployment, or 409 on conflict."""
    default = ctx.repo.default_branch
    base, branch = ctx.repo.git.ref(f"refs/heads/{default}"), f"refs/heads/{ref}"
    if base is None or ctx.repo.git.is_ancestor(base, sha):
        return None
    merged = None
    if ctx.repo.git.ref(branch) is not None:
        message = f"Merge {default} into {ref}\n"
        merged = ctx.repo.merge_commit(sha, base, message, ctx.repo.person(ctx.viewer.login))
    if merged is None:
        raise WireError(409, f"Conflict merging {default} into {ref}.")
    ctx.repo.move_refs([RefUpdate(name=branch, after=merged)], actor=ctx.viewer.login)
    return answer({"message": f"Auto-merged {default} into {ref} on deployment."}, 202)


def _payload(ctx: Context) -> Any:
    payload = ctx.body.get("payload")
    if payload is not None and not isinstance(payload, dict | str):
        raise WireError(422, "Invalid request.\n\nFor 'properties/payload', it is not an object or a string.")
    return payload


def create_deployment(ctx: Context) -> Response:
    """Create a deployment, after merging and checking what the call leaves on (``auto_merge`` is on)."""
    ref = ctx.field("ref", str)
    sha = ctx.repo.resolve(ref)
    if sha is None:
        raise WireError(422, f"No ref found for: {ref}")
    payload = _payload(ctx)
    if ctx.field("auto_merge", bool, default=True):
        merged = _auto_merge(ctx, ref, sha)
        if merged is not None:
            return merged
    _refuse_failing_contexts(ctx, ref, sha)
    deployment = ctx.repo.deploy(
        ref, ctx.field("environment", str, default="production"), creator=ctx.viewer.login, payload=payload,
        task=ctx.field("task", str, default="deploy"), description=ctx.optional("description", str),
        transient=ctx.field("transient_environment", bool, default=False),
        production=ctx.optional("production_environment", bool),
    )  # fmt: skip
    # The payload is stored as the wire had it, not as objects the caller could still change.
    deployment.payload = json.loads(json.dumps(deployment.payload))
    return answer(shapes_work.deployment(ctx.repo, deployment), 201)


def get_deployment(ctx: Context) -> Response:
    """Get a deployment."""
    return answer(shapes_work.deployment(ctx.repo, _deployment(ctx)))


def delete_deployment(ctx: Context) -> Response:
    """Delete a deployment: the only one there is, or an inactive one."""
    deployment = _deployment(ctx)
    if len(ctx.repo.state.deployments) > 1 and deployment.state != "inactive":
        text = "We cannot delete an active deployment unless it is the only deployment in a given environment."
        raise WireError(422, text)
    del ctx.repo.state.deployments[deployment.id]
    return Response(status=204)


def list_statuses(ctx: Context) -> Response:
    """List a deployment's statuses, newest first."""
    deployment = _deployment(ctx)
    found = reversed(deployment.statuses)
    return ctx.page(found, lambda one: shapes_work.deployment_status(ctx.repo, deployment, one))


def create_status(ctx: Context) -> Response:
    """Add a status to a deployment."""
    deployment, state = _deployment(ctx), ctx.field("state", str)
    if state not in _STATES:
        raise invalid("DeploymentStatus", "state", "custom", f"state must be one of {', '.join(sorted(_STATES))}")
    description = ctx.field("description", str, default="")
    if len(description) > _DESCRIPTION:
        text = "description is too long (maximum is 140 characters)"
        raise invalid("DeploymentStatus", "description", "custom", text)
    # `target_url` is the older name of `log_url`.
    log_url = ctx.field("log_url", str, default="") or ctx.field("target_url", str, default="")
    before = deployment.statuses[-1].environment_url if deployment.statuses else ""
    status = ctx.repo.set_deployment_status(
        deployment, state, creator=ctx.viewer.login, description=description, log_url=log_url,
        auto_inactive=ctx.field("auto_inactive", bool, default=True),
        environment=ctx.optional("environment", str),
        environment_url=ctx.field("environment_url", str, default=before),
    )  # fmt: skip
    return answer(shapes_work.deployment_status(ctx.repo, deployment, status), 201)


def get_status(ctx: Context) -> Response:
    """Get one status of a deployment."""
    deployment, number = _deployment(ctx), ctx.number("status_id")
    for status in deployment.statuses:
        if status.id == number:
            return answer(shapes_work.deployment_status(ctx.repo, deployment, status))
    raise not_found()


def list_environments(ctx: Context) -> Response:
    """List environments."""
    found = ctx.repo.state.environments.values()
    return ctx.page(found, lambda one: shapes_work.environment(ctx.repo, one), "environments")


def get_environment(ctx: Context) -> Response:
    """Get an environment."""
    found = ctx.repo.state.environments.get(ctx.param("environment_name"))
    if found is None:
        raise not_found()
    return answer(shapes_work.environment(ctx.repo, found))
