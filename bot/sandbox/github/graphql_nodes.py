"""The objects of the GraphQL API: a field is a value, or a function called when a query asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.sandbox.github import shapes
from bot.sandbox.github.checks import PASSING
from bot.sandbox.github.gitobjects import SHA, Object, Person, parse_commit, parse_tag
from bot.sandbox.github.graphql_base import Node, QueryError, actor, connection, need
from bot.sandbox.github.model import Protection, iso, iso_or_none

if TYPE_CHECKING:
    from bot.sandbox.github import model
    from bot.sandbox.github.repository import Repository

TEXT = 512_000  # bytes of a blob that `text` gives
_MERGEABLE = {None: "UNKNOWN", True: "MERGEABLE", False: "CONFLICTING"}


def _git_actor(repo: Repository, person: Person) -> Node:
    account = repo.github.user_of(person.email)
    user = actor(repo.github, account.login) if account else None
    return {"name": person.name, "email": person.email, "date": iso(person.time), "user": user}


def git_object(repo: Repository, found: Object | None) -> Node | None:
    """Return a git object as its own type."""
    if found is None:
        return None
    node: Node = {
        "__typename": found.type.title(),
        "id": f"{found.type.upper()}_{found.sha}",
        "oid": found.sha,
        "abbreviatedOid": found.sha[:7],
        "commitUrl": f"{repo.html}/commit/{found.sha}",
        "repository": lambda _: repository(repo),
    }
    match found.type:
        case "blob":
            return node | _blob(found)
        case "tag":
            tag = parse_tag(found)
            target = repo.git.object(tag.target)
            return node | {
                "name": tag.name,
                "message": tag.message,
                "tagger": _git_actor(repo, tag.tagger),
                "target": lambda _: git_object(repo, target),
            }
        case "commit":
            return node | _commit(repo, found)
        case _:
            return node


def _blob(found: Object) -> Node:
    binary = b"\0" in found.data[:8000]  # git's own measure of what is binary
    return {
        "byteSize": len(found.data),
        "isBinary": binary,
        "isTruncated": len(found.data) > TEXT,
        "text": None if binary else found.data[:TEXT].decode(errors="replace"),
    }


def _commit(repo: Repository, found: Object) -> Node:
    commit = parse_commit(found)
    return {
        "message": commit.message.rstrip("\n"),
        "messageHeadline": commit.message.partition("\n")[0],
        "author": _git_actor(repo, commit.author),
        "committer": _git_actor(repo, commit.committer),
        "authoredDate": iso(commit.author.time),
        "committedDate": iso(commit.committer.time),
        "pushedDate": None,  # no longer supported since 2023 (the schema's own deprecation)
        "url": f"{repo.html}/commit/{commit.sha}",
        "tree": lambda _: git_object(repo, repo.git.object(commit.tree)),
        "parents": lambda _, **page: connection(
            commit.parents, lambda sha: git_object(repo, repo.git.object(sha)), page, "parents"
        ),
        "statusCheckRollup": lambda info: rollup(info, repo, commit.sha),
    }


def ref(repo: Repository, name: str) -> Node | None:
    """Return a ref by its full name, or None."""
    sha = repo.git.ref(name)
    if sha is None:
        return None
    prefix = next((word for word in ("refs/heads/", "refs/tags/") if name.startswith(word)), "refs/")
    return {
        "id": f"REF_{repo.id}_{name}",
        "name": name.removeprefix(prefix),
        "prefix": prefix,
        "repository": lambda _: repository(repo),
        "target": lambda _: git_object(repo, repo.git.object(sha)),
    }


# -- evidence ---------------------------------------------------------------------------------------------------
def rollup(info: Any, repo: Repository, sha: str) -> Node | None:
    """Return what all check runs and statuses of a commit say together; None when there is none."""
    need(info, "checks:read", "statuses:read")
    runs, statuses = repo.latest_check_runs(sha), repo.latest_statuses(sha)
    if not runs and not statuses:
        return None
    contexts: list[model.CheckRun | model.CommitStatus] = [*runs, *statuses]

    def page(_: Any, **arguments: Any) -> Node:
        counts = {"checkRunCount": len(runs), "statusContextCount": len(statuses)}
        return counts | connection(contexts, lambda one: _context(repo, one), arguments, "contexts")

    return {
        "id": f"SCR_{sha}",
        "state": _rollup_state(repo.contexts(sha)),
        "commit": lambda _: git_object(repo, repo.git.object(sha)),
        "contexts": page,
    }


def _rollup_state(contexts: Sequence[tuple[str, str]]) -> str:
    states = {state for _, state in contexts}
    if "error" in states:
        return "ERROR"
    if states - PASSING - {"pending"}:
        return "FAILURE"
    return "PENDING" if "pending" in states else "SUCCESS"


def _required(repo: Repository, name: str) -> Callable[..., bool]:
    def is_required(_: Any, **arguments: Any) -> bool:
        number = arguments.get("pullRequestNumber")
        issue = repo.state.issues.get(number or 0)
        if issue is None or issue.pull is None:
            raise QueryError("UNPROCESSABLE", "Either pullRequestId or pullRequestNumber must be provided")
        return name in repo.state.protections.get(issue.pull.base_ref, Protection()).required_checks

    return is_required


def _context(repo: Repository, found: model.CheckRun | model.CommitStatus) -> Node:
    from bot.sandbox.github.model import CheckRun  # noqa: PLC0415  # the module is a type only elsewhere

    if not isinstance(found, CheckRun):
        return {
            "__typename": "StatusContext",
            "id": shapes.node_id("SC", found.id),
            "context": found.context,
            "state": found.state.upper(),
            "description": found.description,
            "targetUrl": found.target_url,
            "createdAt": iso(found.created_at),
            "creator": actor(repo.github, found.creator),
            "isRequired": _required(repo, found.context),
        }
    app = shapes.app(repo.github, found.app)
    conclusion = found.conclusion.upper() if found.conclusion else None
    return {
        "__typename": "CheckRun",
        "id": shapes.node_id("CR", found.id),
        "databaseId": found.id,
        "name": found.name,
        "status": found.status.upper(),
        "conclusion": conclusion,
        "startedAt": iso(found.started_at),
        "completedAt": iso_or_none(found.completed_at),
        "detailsUrl": found.details_url or f"{repo.html}/runs/{found.id}",
        "externalId": found.external_id,
        "url": f"{repo.html}/runs/{found.id}",
        **{name: found.output.get(name) for name in ("title", "summary", "text")},
        "isRequired": _required(repo, found.name),
        "checkSuite": {
            "id": shapes.node_id("CS", found.suite),
            "databaseId": found.suite,
            "status": found.status.upper(),
            "conclusion": conclusion,
            "app": {"id": app["node_id"], "databaseId": app["id"], "name": app["name"], "slug": app["slug"]},
        },
    }


# -- deployments ------------------------------------------------------------------------------------------------
def deployment(repo: Repository, found: model.Deployment) -> Node:
    """Return a deployment; its payload is JSON text here."""
    state = {"success": "ACTIVE"}.get(found.state, found.state.upper())
    if state == "INACTIVE" and found.transient:
        state = "DESTROYED"  # "When you set a transient deployment to inactive, [it] will be shown as destroyed"
    return {
        "__typename": "Deployment",
        "id": shapes.node_id("DE", found.id),
        "databaseId": found.id,
        "commitOid": found.sha,
        "commit": lambda _: git_object(repo, repo.git.object(found.sha)),
        "createdAt": iso(found.created_at),
        "updatedAt": iso(found.updated_at),
        "creator": actor(repo.github, found.creator),
        "description": found.description,
        "environment": found.environment,
        "latestEnvironment": found.environment,
        "originalEnvironment": found.original_environment,
        "payload": json.dumps(found.payload),
        "ref": lambda _: ref(repo, f"refs/heads/{found.ref}"),
        "repository": lambda _: repository(repo),
        "state": state,
        "task": found.task,
        "latestStatus": lambda _: _status(repo, found, found.statuses[-1]) if found.statuses else None,
        "statuses": lambda _, **page: connection(
            reversed(found.statuses), lambda one: _status(repo, found, one), page, "statuses"
        ),
    }


def _status(repo: Repository, owner: model.Deployment, found: model.DeploymentStatus) -> Node:
    return {
        "id": shapes.node_id("DES", found.id),
        "state": found.state.upper(),
        "createdAt": iso(found.created_at),
        "updatedAt": iso(found.created_at),
        "creator": actor(repo.github, found.creator),
        "deployment": lambda _: deployment(repo, owner),
        "description": found.description,
        "environment": found.environment,
        "environmentUrl": found.environment_url or None,
        "logUrl": found.log_url or None,
    }


# -- threads ----------------------------------------------------------------------------------------------------
def comment(repo: Repository, found: model.Comment) -> Node:
    """Return a comment of a thread."""
    thread = repo.state.issues[found.number]
    page = "pull" if thread.pull else "issues"
    return {
        "__typename": "IssueComment",
        "id": shapes.node_id("IC", found.id),
        "databaseId": found.id,
        "fullDatabaseId": str(found.id),
        "author": actor(repo.github, found.author),
        "authorAssociation": repo.association(found.author),
        "body": found.body,
        "createdAt": iso(found.created_at),
        "updatedAt": iso(found.updated_at),
        "lastEditedAt": iso(found.updated_at) if found.edits else None,
        "isMinimized": found.minimized is not None,
        "minimizedReason": found.minimized,
        "pullRequest": lambda _: pull_request(repo, thread) if thread.pull else None,
        "repository": lambda _: repository(repo),
        "url": f"{repo.html}/{page}/{found.number}#issuecomment-{found.id}",
        "viewerDidAuthor": lambda info: info.context.viewer.login == found.author,
    }


def issue(repo: Repository, found: model.Issue) -> Node:
    """Return an issue that is no pull request."""
    return {
        "__typename": "Issue",
        "id": shapes.node_id("I", found.id),
        "number": found.number,
        "title": found.title,
        "body": found.body,
        "author": actor(repo.github, found.author),
        "url": f"{repo.html}/issues/{found.number}",
        "closed": found.state == "closed",
        "createdAt": iso(found.created_at),
        "updatedAt": iso(found.updated_at),
        "comments": lambda _, **page: connection(
            repo.thread(found.number), lambda one: comment(repo, one), page, "comments"
        ),
    }


def pull_request(repo: Repository, issue: model.Issue) -> Node:
    """Return a pull request."""
    pull = issue.pull
    assert pull is not None
    source = repo.github.repositories.get((pull.head_repository or "").lower())
    merged = pull.merged_at is not None
    changes = repo.pull_changes

    def merge_state(_: Any) -> str:
        state = repo.mergeability(issue)[1]
        return "BLOCKED" if state == "draft" else state.upper()  # DRAFT is gone from live answers

    return {
        "__typename": "PullRequest",
        "id": shapes.node_id("PR", pull.id),
        "databaseId": pull.id,
        "fullDatabaseId": str(pull.id),
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "author": actor(repo.github, issue.author),
        "url": f"{repo.html}/pull/{issue.number}",
        "state": "MERGED" if merged else issue.state.upper(),
        "closed": issue.state == "closed",
        "merged": merged,
        "mergedAt": iso_or_none(pull.merged_at),
        "createdAt": iso(issue.created_at),
        "updatedAt": iso(issue.updated_at),
        "isDraft": pull.draft,
        "isCrossRepository": source is not repo,
        "headRefName": pull.head_ref,
        "headRefOid": pull.head_sha,
        "headRef": lambda _: ref(source, f"refs/heads/{pull.head_ref}") if source else None,
        "headRepository": lambda _: repository(source) if source else None,
        "baseRefName": pull.base_ref,
        "baseRefOid": pull.base_sha,
        "mergeable": lambda _: _MERGEABLE[repo.mergeability(issue)[0]],
        "mergeStateStatus": merge_state,
        "mergeCommit": lambda _: git_object(repo, repo.git.object(pull.merge_sha or "")) if merged else None,
        "reviewDecision": lambda _: repo.review_decision(issue),
        "statusCheckRollup": lambda info: rollup(info, repo, pull.head_sha),
        "additions": lambda _: sum(change.additions for change in changes(issue)),
        "deletions": lambda _: sum(change.deletions for change in changes(issue)),
        "changedFiles": lambda _: len(changes(issue)),
        "comments": lambda _, **page: connection(
            repo.thread(issue.number), lambda one: comment(repo, one), page, "comments"
        ),
        "commits": lambda _, **page: connection(
            repo.pull_commits(issue), lambda sha: _pull_commit(repo, issue, sha), page, "commits"
        ),
        "latestOpinionatedReviews": lambda _, **asked: _opinions(repo, issue, **asked),
        "reviews": lambda _, **page: connection(pull.reviews, lambda one: _review(repo, issue, one), page, "reviews"),
    }


def _pull_commit(repo: Repository, issue: model.Issue, sha: str) -> Node:
    url = f"{repo.html}/pull/{issue.number}/commits/{sha}"
    return {"id": f"PURC_{issue.id}_{sha}", "url": url, "commit": git_object(repo, repo.git.object(sha))}


def _opinions(repo: Repository, issue: model.Issue, *, writersOnly: bool = False, **page: Any) -> Node:  # noqa: N803
    """Return the last review of each person that is an opinion (GraphQL, PullRequest.latestOpinionatedReviews)."""
    assert issue.pull is not None
    latest = {
        one.author: one for one in issue.pull.reviews if one.state in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}
    }
    writers = {"write", "maintain", "admin"}
    chosen = [one for one in latest.values() if not writersOnly or repo.role(one.author) in writers]
    return connection(chosen, lambda one: _review(repo, issue, one), page, "latestOpinionatedReviews")


def _review(repo: Repository, issue: model.Issue, found: model.Review) -> Node:
    return {
        "id": shapes.node_id("PRR", found.id),
        "author": actor(repo.github, found.author),
        "body": found.body,
        "commit": lambda _: git_object(repo, repo.git.object(found.sha)),
        "state": found.state,
        "submittedAt": iso(found.submitted_at),
        "url": f"{repo.html}/pull/{issue.number}#pullrequestreview-{found.id}",
    }


# -- repositories -----------------------------------------------------------------------------------------------
def repository(repo: Repository) -> Node:
    """Return a repository."""
    return {
        "__typename": "Repository",
        "id": shapes.node_id("R", repo.id),
        "databaseId": repo.id,
        "name": repo.name,
        "nameWithOwner": repo.full_name,
        "isFork": repo.parent is not None,
        "isPrivate": repo.private,
        "url": repo.html,
        "defaultBranchRef": lambda _: ref(repo, f"refs/heads/{repo.default_branch}"),
        "viewerPermission": lambda info: _viewer_permission(info, repo),
        "deployments": lambda info, **page: _deployments(info, repo, page),
        "environment": lambda _, name: _environment(repo, name),
        "issueOrPullRequest": lambda info, number: _issue_or_pull(info, repo, number),
        "object": lambda info, **which: _object(info, repo, which),
        "pullRequest": lambda info, number: _pull(info, repo, number),
        "ref": lambda info, **which: _ref(info, repo, which["qualifiedName"]),
        "refs": lambda info, **page: _refs(info, repo, page),
    }


def _viewer_permission(info: Any, repo: Repository) -> str | None:
    role = repo.role(info.context.viewer.login).upper()
    return None if role == "NONE" else role


def _deployments(info: Any, repo: Repository, page: Mapping[str, Any]) -> Node:
    need(info, "deployments:read")
    wanted = page.get("environments")
    found = [one for one in repo.state.deployments.values() if not wanted or one.environment in wanted]
    newest_first = page["orderBy"]["direction"] == "DESC"
    found.sort(key=lambda one: one.id, reverse=newest_first)
    return connection(found, lambda one: deployment(repo, one), page, "deployments")


def _environment(repo: Repository, name: str) -> Node | None:
    found = repo.state.environments.get(name)
    return {"id": shapes.node_id("EN", found.id), "databaseId": found.id, "name": name} if found else None


def _object(info: Any, repo: Repository, which: Mapping[str, Any]) -> Node | None:
    need(info, "contents:read")
    oid, expression = which.get("oid"), which.get("expression") or ""
    if oid is not None:
        return git_object(repo, repo.git.object(oid if SHA.fullmatch(oid) else ""))
    name, colon, path = expression.partition(":")
    sha = repo.resolve(name)
    if sha is None:
        return None
    return git_object(repo, repo.git.object(f"{sha}:{path}" if colon else sha))


def _pull(info: Any, repo: Repository, number: int) -> Node:
    need(info, "pull_requests:read")
    issue = repo.state.issues.get(number)
    if issue is None or issue.pull is None:
        raise QueryError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
    return pull_request(repo, issue)


def _issue_or_pull(info: Any, repo: Repository, number: int) -> Node:
    found = repo.state.issues.get(number)
    if found is None:
        raise QueryError("NOT_FOUND", f"Could not resolve to an issue or pull request with the number of {number}.")
    if found.pull is not None:
        return _pull(info, repo, number)
    need(info, "issues:read", "pull_requests:read")
    return issue(repo, found)


def _ref(info: Any, repo: Repository, name: str) -> Node | None:
    need(info, "contents:read")
    names = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
    return next((found for one in names if (found := ref(repo, one))), None)


def _refs(info: Any, repo: Repository, page: Mapping[str, Any]) -> Node:
    need(info, "contents:read")
    prefix, wanted = page["refPrefix"], page.get("query") or ""
    names: list[str] = [name for name in repo.refs(prefix) if wanted in name.removeprefix(prefix)]
    if page.get("direction") == "DESC":
        names.reverse()
    return connection(names, lambda name: ref(repo, name), page, "refs")
