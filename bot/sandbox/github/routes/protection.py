"""What branches ask for: rulesets, and the older branch protection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github.context import Context
from bot.sandbox.github.model import Protection
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub


def register(github: GitHub) -> None:
    """Declare the operations. Rules are open to readers; protection asks for administration."""
    root = "/repos/{owner}/{repo}"
    github.operation("GET", f"{root}/rules/branches/{{branch+}}", branch_rules, "metadata:read")
    path = f"{root}/branches/{{branch+}}/protection"
    github.operation("GET", f"{path}/required_status_checks", get_required_checks, "administration:read")
    github.operation("GET", path, get_protection, "administration:read")


def branch_rules(ctx: Context) -> Response:
    """List the active rules of rulesets that apply to a branch; a branch need not exist."""
    rule = ctx.repo.state.protections.get(ctx.param("branch"))
    found: list[dict[str, Any]] = []
    if rule is not None and rule.kind != "classic":
        source = {
            "ruleset_source_type": "Repository",
            "ruleset_source": ctx.repo.full_name,
            "ruleset_id": ctx.repo.id + 1,
        }
        if rule.required_checks:
            parameters = {
                "strict_required_status_checks_policy": rule.strict,
                "do_not_enforce_on_create": False,
                "required_status_checks": [{"context": name} for name in rule.required_checks],
            }
            found.append({"type": "required_status_checks", "parameters": parameters, **source})
        if rule.required_reviews:
            asked = {
                "required_approving_review_count": rule.required_reviews,
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_review_thread_resolution": False,
            }
            found.append({"type": "pull_request", "parameters": asked, **source})
    return ctx.page(found, lambda one: one)


def _classic(repo: Repository, branch: str) -> Protection | None:
    rule = repo.state.protections.get(branch)
    return None if rule is None or rule.kind == "ruleset" else rule


def _required_checks(repo: Repository, branch: str, rule: Protection) -> dict[str, Any]:
    url = f"{repo.api}/branches/{quote(branch)}/protection/required_status_checks"
    return {
        "url": url,
        "strict": rule.strict,
        "contexts": list(rule.required_checks),
        "checks": [{"context": name, "app_id": None} for name in rule.required_checks],
        "contexts_url": f"{url}/contexts",
    }


def branch_protection(repo: Repository, branch: str) -> dict[str, Any]:
    """Return the protection that any reader sees on a branch."""
    rule = _classic(repo, branch)
    if rule is None:
        nothing = {"enforcement_level": "off", "contexts": [], "checks": []}
        return {"enabled": False, "required_status_checks": nothing}
    checks = {"contexts": list(rule.required_checks), "enforcement_level": "non_admins"}
    checks["checks"] = _required_checks(repo, branch, rule)["checks"]
    return {"enabled": True, "required_status_checks": checks}


def _protected(ctx: Context) -> Protection:
    branch = ctx.param("branch")
    if ctx.repo.git.ref(f"refs/heads/{branch}") is None:
        raise WireError(404, "Branch not found")
    rule = _classic(ctx.repo, branch)
    if rule is None:
        raise WireError(404, "Branch not protected")
    return rule


def get_protection(ctx: Context) -> Response:
    """Get a branch's protection."""
    rule, branch = _protected(ctx), ctx.param("branch")
    url = f"{ctx.repo.api}/branches/{quote(branch)}/protection"
    shape: dict[str, Any] = {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": False},
        "allow_force_pushes": {"enabled": False},
        "allow_deletions": {"enabled": False},
    }
    if rule.required_checks:
        shape["required_status_checks"] = _required_checks(ctx.repo, branch, rule)
    if rule.required_reviews:
        shape["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": False,
            "require_code_owner_reviews": False,
            "required_approving_review_count": rule.required_reviews,
        }
    return answer(shape)


def get_required_checks(ctx: Context) -> Response:
    """Get the checks a protected branch requires."""
    rule = _protected(ctx)
    if not rule.required_checks:
        raise WireError(404, "Required status checks not enabled")
    return answer(_required_checks(ctx.repo, ctx.param("branch"), rule))
