"""Commits, comparisons, branches, tags, and the record of pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import shapes, shapes_threads, shapes_work
from bot.sandbox.github.context import Context, linked, not_found
from bot.sandbox.github.gitobjects import EMPTY_TREE, FileChange
from bot.sandbox.github.routes.protection import branch_protection
from bot.sandbox.wire import Response, WireError, answer

if TYPE_CHECKING:
    from bot.sandbox.github.gitobjects import Commit
    from bot.sandbox.github.model import Activity, Issue
    from bot.sandbox.github.repository import Repository
    from bot.sandbox.github.server import GitHub

_PERIODS = {"day": 1, "week": 7, "month": 30, "quarter": 90, "year": 365}  # days
_STATUSES = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
FILES = 300  # "up to 300 changed files" (REST documentation, "Compare two commits")


def register(github: GitHub) -> None:
    """Declare the operations. Longer paths come first: a ref may hold slashes."""
    root, read = "/repos/{owner}/{repo}", "contents:read"
    github.operation("GET", f"{root}/commits/{{commit_sha}}/pulls", commit_pulls, "pull_requests:read", read)
    github.operation("GET", f"{root}/commits", list_commits, read)
    github.operation("GET", f"{root}/compare/{{basehead+}}", compare, read)
    github.operation("GET", f"{root}/branches", list_branches, read)
    github.operation("GET", f"{root}/tags", list_tags, read)
    github.operation("GET", f"{root}/activity", list_activity, read)


def register_last(github: GitHub) -> None:
    """Declare what would swallow longer paths of other parts."""
    root, read = "/repos/{owner}/{repo}", "contents:read"
    github.operation("GET", f"{root}/commits/{{ref+}}", get_commit, read)
    github.operation("GET", f"{root}/branches/{{branch+}}", get_branch, read)


def _commit(repo: Repository, sha: str) -> Commit:
    found = repo.git.commit(sha)
    assert found is not None
    return found


def with_files(repo: Repository, sha: str) -> dict[str, Any]:
    """Return a commit with its files and line counts, against its first parent."""
    found = _commit(repo, sha)
    changes = repo.git.changes(found.parents[0] if found.parents else EMPTY_TREE, sha)
    additions, deletions = sum(one.additions for one in changes), sum(one.deletions for one in changes)
    return {
        **shapes.commit(repo, found),
        "stats": {"total": additions + deletions, "additions": additions, "deletions": deletions},
        "files": [shapes.file_change(repo, change, sha) for change in changes[:FILES]],
    }


def get_commit(ctx: Context) -> Response:
    """Get a commit by sha, branch or tag; the bare sha for the media type that asks for it."""
    sha = ctx.commit()
    if "vnd.github.sha" in ctx.request.headers.get("accept", "") or ".sha" in ctx.request.headers.get("accept", ""):
        return Response(body=sha.encode(), headers={"Content-Type": "application/vnd.github.sha; charset=utf-8"})
    return answer(with_files(ctx.repo, sha))


def list_commits(ctx: Context) -> Response:
    """List the commits a ref reaches, newest first."""
    ref = ctx.request.arg("sha") or ctx.repo.default_branch
    sha = ctx.repo.resolve(ref)
    if sha is None:
        raise not_found()
    options = [f"--{name}={value}" for name in ("since", "until") if (value := ctx.request.arg(name))]
    if author := ctx.request.arg("author"):
        options.append(f"--author={author}")
    path = ctx.request.arg("path")
    shas = ctx.repo.git.text("rev-list", *options, sha, "--", *([path] if path else [])).split()
    return ctx.page(shas, lambda one: shapes.commit(ctx.repo, _commit(ctx.repo, one)))


def commit_pulls(ctx: Context) -> Response:
    """List the pull requests a commit is part of, or was merged by."""
    sha = ctx.commit("commit_sha")

    def holds(issue: Issue) -> bool:
        return issue.pull is not None and (issue.pull.merge_sha == sha or sha in ctx.repo.pull_commits(issue))

    found = [issue for issue in ctx.repo.state.issues.values() if holds(issue)]
    return ctx.page(found, lambda issue: shapes_threads.pull_simple(ctx.repo, issue))


def _side(ctx: Context, name: str) -> str:
    owner, _, branch = name.rpartition(":")
    repo = ctx.github.repositories.get(f"{owner.split(':')[0]}/{ctx.repo.name}".lower()) if owner else ctx.repo
    sha = repo.resolve(branch) if repo else None
    if sha is None or repo is None:
        raise not_found()
    if repo is not ctx.repo and ctx.repo.git.commit(sha) is None:
        ctx.repo.git.run("fetch", "--quiet", "--no-write-fetch-head", str(repo.git.path), sha)
    return sha


def compare(ctx: Context) -> Response:
    """Compare two commits, from their merge base; sides may name a fork as ``owner:branch``."""
    left, dots, right = ctx.param("basehead").partition("...")
    if not dots:
        raise not_found()
    git, base, head = ctx.repo.git, _side(ctx, left), _side(ctx, right)
    merge_base = git.merge_base(base, head)
    if merge_base is None:
        raise WireError(404, f"No common ancestor between {left} and {right}.")
    ahead, behind = git.between(base, head), git.between(head, base)
    part, links = ctx.window(len(ahead))
    changes: list[FileChange] = git.changes(merge_base, head) if part.start == 0 else []
    html = f"{ctx.repo.html}/compare"
    return linked(
        {
            "url": f"{ctx.repo.api}/compare/{quote(left)}...{quote(right)}",
            "html_url": f"{html}/{quote(left)}...{quote(right)}",
            "permalink_url": f"{html}/{ctx.repo.owner}:{base[:7]}...{ctx.repo.owner}:{head[:7]}",
            "diff_url": f"{html}/{quote(left)}...{quote(right)}.diff",
            "patch_url": f"{html}/{quote(left)}...{quote(right)}.patch",
            "base_commit": shapes.commit(ctx.repo, _commit(ctx.repo, base)),
            "merge_base_commit": shapes.commit(ctx.repo, _commit(ctx.repo, merge_base)),
            "status": _STATUSES[bool(ahead), bool(behind)],
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [shapes.commit(ctx.repo, _commit(ctx.repo, sha)) for sha in ahead[part]],
            "files": [shapes.file_change(ctx.repo, change, head) for change in changes[:FILES]],
        },
        links,
    )


def list_branches(ctx: Context) -> Response:
    """List branches."""
    protections = ctx.repo.state.protections

    def shape(item: tuple[str, str]) -> dict[str, Any]:
        name, sha = item
        commit = {"sha": sha, "url": f"{ctx.repo.api}/commits/{sha}"}
        return {"name": name, "commit": commit, "protected": name in protections}

    items = list(ctx.repo.branches().items())
    if wanted := ctx.request.arg("protected"):
        items = [item for item in items if (item[0] in protections) == (wanted == "true")]
    return ctx.page(items, shape)


def get_branch(ctx: Context) -> Response:
    """Get a branch with its head and, in short, its protection."""
    name = ctx.param("branch")
    sha = ctx.repo.git.ref(f"refs/heads/{name}")
    if sha is None:
        raise WireError(404, "Branch not found")
    url = f"{ctx.repo.api}/branches/{quote(name)}"
    return answer(
        {
            "name": name,
            "commit": shapes.commit(ctx.repo, _commit(ctx.repo, sha)),
            "_links": {"self": url, "html": f"{ctx.repo.html}/tree/{quote(name)}"},
            "protected": name in ctx.repo.state.protections,
            "protection": branch_protection(ctx.repo, name),
            "protection_url": f"{url}/protection",
        }
    )


def list_tags(ctx: Context) -> Response:
    """List tags, with the commits they peel to."""
    found = []
    for ref in ctx.repo.git.refs("refs/tags/"):
        commit = ctx.repo.git.commit(ref)
        if commit is not None:
            found.append((ref.removeprefix("refs/tags/"), commit.sha))

    def shape(item: tuple[str, str]) -> dict[str, Any]:
        name, sha = item
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{ctx.repo.api}/commits/{sha}"},
            "zipball_url": f"{ctx.repo.api}/zipball/refs/tags/{quote(name)}",
            "tarball_url": f"{ctx.repo.api}/tarball/refs/tags/{quote(name)}",
            "node_id": f"REF_{ctx.repo.id}_{name}",
        }

    return ctx.page(reversed(found), shape)


# -- the record of pushes ---------------------------------------------------------------------------------------
def _wanted_activity(ctx: Context) -> list[Activity]:
    found = sorted(ctx.repo.state.activity, key=lambda one: one.id, reverse=ctx.request.arg("direction") != "asc")
    if ref := ctx.request.arg("ref"):
        # "formatted either as refs/heads/BRANCH_NAME or BRANCH_NAME" (REST documentation)
        found = [one for one in found if one.ref in {ref, f"refs/heads/{ref}"}]
    if actor := ctx.request.arg("actor"):
        found = [one for one in found if one.actor.lower() == actor.lower()]
    if kind := ctx.request.arg("activity_type"):
        found = [one for one in found if one.activity_type == kind]
    if period := ctx.request.arg("time_period"):
        if period not in _PERIODS:
            raise WireError(422, "Validation Failed", errors=[f"time_period must be one of {', '.join(_PERIODS)}"])
        since = ctx.github.now() - _PERIODS[period] * 86400
        found = [one for one in found if one.timestamp >= since]
    return found


def list_activity(ctx: Context) -> Response:
    """List recorded pushes, newest first, in pages by cursor: ``after`` and ``before``, never ``page``."""
    found = _wanted_activity(ctx)
    size = max(1, min(100, int(ctx.request.arg("per_page") or 30)))
    places = {str(one.id): place for place, one in enumerate(found)}
    start = 0
    if after := ctx.request.arg("after"):
        start = places.get(after, len(found) - 1) + 1
    elif before := ctx.request.arg("before"):
        start = max(0, places.get(before, 0) - size)
    part = found[start : start + size]
    relations: dict[str, dict[str, str | None]] = {}
    if start + size < len(found):
        relations["next"] = {"after": str(part[-1].id), "before": None}
    if start > 0 and part:
        relations["prev"] = {"before": str(part[0].id), "after": None}
    return linked([shapes_work.activity(ctx.repo, one) for one in part], ctx.link(relations))
