"""People, teams, what they may do, and the rate limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.sandbox.github import shapes
from bot.sandbox.github.context import Context, not_found
from bot.sandbox.github.model import ROLES
from bot.sandbox.github.routes import history
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.server import GitHub

# `permission` is the older, coarser word: "maintain" is "write" in it and "triage" is "read" (REST documentation).
_LEGACY = {"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none"}
_GRANTS = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
_SCARCE = (
    "search", "code_search", "source_import", "integration_manifest", "actions_runner_registration", "scim",
    "dependency_snapshots", "dependency_sbom", "code_scanning_autofix", "copilot_usage_records",
)  # fmt: skip


def register(github: GitHub) -> None:
    """Declare the operations, and at the end those whose paths would swallow others'."""
    permission = "/repos/{owner}/{repo}/collaborators/{username}/permission"
    github.operation("GET", permission, get_permission, "metadata:read")
    github.operation("GET", "/repos/{owner}/{repo}", get_repository, "metadata:read")
    github.operation("GET", "/user", get_viewer, "metadata:read")
    github.operation("GET", "/users/{username}", get_user, "metadata:read")
    membership = "/orgs/{org}/teams/{team_slug}/memberships/{username}"
    github.operation("GET", membership, get_membership, "members:read")
    github.operation("GET", "/rate_limit", get_rate_limit)
    history.register_last(github)


def _exists(ctx: Context, login: str) -> bool:
    try:
        ctx.github.user(login)
    except KeyError:
        return False
    return True


def get_permission(ctx: Context) -> Response:
    """Tell what someone may do; everyone reads a public repository. An unknown login is 404."""
    login = ctx.param("username")
    repo = ctx.repo
    if not _exists(ctx, login):
        raise WireError(404, f"{login} is not a user")
    role = repo.role(login)
    rank = ROLES.index(role) if role in ROLES else -1
    grants = {name: ROLES.index(least) <= rank for name, least in _GRANTS.items()}
    user: dict[str, Any] = {**shapes.user(ctx.github, login), "permissions": grants, "role_name": role}
    return answer({"permission": _LEGACY[role], "user": user, "role_name": role})


def get_repository(ctx: Context) -> Response:
    """Get the repository (REST, ``repos/get``): ``private`` is among its fields."""
    return answer(shapes.repository(ctx.repo))


def get_viewer(ctx: Context) -> Response:
    """Get the token's own account. An installation's token has none."""
    if ctx.github.user(ctx.viewer.login).type == "Bot":
        raise WireError(403, "Resource not accessible by integration")
    return answer(shapes.full_user(ctx.github, ctx.viewer.login))


def get_user(ctx: Context) -> Response:
    """Get an account."""
    if not _exists(ctx, ctx.param("username")):
        raise not_found()
    return answer(shapes.full_user(ctx.github, ctx.param("username")))


def get_membership(ctx: Context) -> Response:
    """Get someone's membership of a team; 404 for strangers, and for teams the token can't see."""
    organization, team, login = (ctx.param(name) for name in ("org", "team_slug", "username"))
    role = ctx.github.teams.get((organization.lower(), team.lower()), {}).get(login.lower())
    if role is None:
        raise not_found()
    url = f"{ctx.github.url}{ctx.request.raw_path}"
    return answer({"url": url, "role": role, "state": "active"})


def get_rate_limit(ctx: Context) -> Response:
    """Tell what is left of the rate limit; asking does not count."""
    ctx.viewer.used = max(0, ctx.viewer.used - 1)
    limit, used = ctx.github.rate_limit, ctx.viewer.used
    core = {"limit": limit, "used": used, "remaining": max(0, limit - used), "reset": ctx.github.rate_reset()}
    scarce = {"limit": 30, "used": 0, "remaining": 30, "reset": ctx.github.rate_reset()}
    return answer({"resources": {"core": core, "graphql": core, **dict.fromkeys(_SCARCE, scarce)}, "rate": core})
