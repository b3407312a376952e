"""The JSON of issues, pull requests, comments and reviews, field by field as GitHub's REST description has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import shapes
from bot.sandbox.github.model import CONTENTS, iso, iso_or_none
from bot.sandbox.github.shapes import node_id

if TYPE_CHECKING:
    from bot.sandbox.github import model
    from bot.sandbox.github.repository import Repository


def _reactions(url: str, reactions: list[model.Reaction]) -> dict[str, Any]:
    counts: dict[str, int] = {content: sum(one.content == content for one in reactions) for content in CONTENTS}
    return {"url": url, "total_count": len(reactions), **counts}


def reaction(repo: Repository, found: model.Reaction) -> dict[str, Any]:
    """Return a reaction."""
    return {
        "id": found.id,
        "node_id": node_id("REA", found.id),
        "user": shapes.user(repo.github, found.author),
        "content": found.content,
        "created_at": iso(found.created_at),
    }


def comment(repo: Repository, found: model.Comment) -> dict[str, Any]:
    """Return a comment of a thread."""
    url = f"{repo.api}/issues/comments/{found.id}"
    page = "pull" if repo.state.issues[found.number].pull else "issues"
    return {
        "url": url,
        "html_url": f"{repo.html}/{page}/{found.number}#issuecomment-{found.id}",
        "issue_url": f"{repo.api}/issues/{found.number}",
        "id": found.id,
        "node_id": node_id("IC", found.id),
        "user": shapes.user(repo.github, found.author),
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "author_association": repo.association(found.author),
        "body": found.body,
        "reactions": _reactions(f"{url}/reactions", found.reactions),
        "performed_via_github_app": None,
    }


def issue(repo: Repository, found: model.Issue) -> dict[str, Any]:
    """Return an issue; a pull request has ``pull_request`` on it."""
    url = f"{repo.api}/issues/{found.number}"
    html = f"{repo.html}/{'pull' if found.pull else 'issues'}/{found.number}"
    shape: dict[str, Any] = {
        "url": url,
        "repository_url": repo.api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": html,
        "id": found.id,
        "node_id": node_id("PR" if found.pull else "I", found.id),
        "number": found.number,
        "title": found.title,
        "user": shapes.user(repo.github, found.author),
        "labels": [label(repo, name) for name in found.labels],
        "state": found.state,
        "state_reason": "completed" if found.state == "closed" and not found.pull else None,
        "locked": False,
        "active_lock_reason": None,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": sum(one.number == found.number for one in repo.state.comments.values()),
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "closed_at": iso_or_none(found.closed_at),
        "closed_by": shapes.user(repo.github, found.closed_by) if found.closed_by else None,
        "author_association": repo.association(found.author),
        "body": found.body,
        "reactions": _reactions(f"{url}/reactions", []),
        "performed_via_github_app": None,
    }
    if found.pull:
        shape["draft"] = found.pull.draft
        shape["pull_request"] = {
            "url": f"{repo.api}/pulls/{found.number}",
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "merged_at": iso_or_none(found.pull.merged_at),
        }
    return shape


def label(repo: Repository, name: str) -> dict[str, Any]:
    """Return a label."""
    number = sum(name.encode())
    return {
        "id": number,
        "node_id": node_id("LA", number),
        "url": f"{repo.api}/labels/{quote(name)}",
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
    }


def _side(repo: Repository, *, owner: str, ref: str, sha: str, source: Repository | None) -> dict[str, Any]:
    # Pull requests whose repository is gone have repo, user and label null, although the description denies it.
    return {
        "label": f"{owner}:{ref}" if source else None,
        "ref": ref,
        "sha": sha,
        "user": shapes.user(repo.github, owner) if source else None,
        "repo": shapes.repository(source) if source else None,
    }


def pull_simple(repo: Repository, found: model.Issue) -> dict[str, Any]:
    """Return a pull request as lists have it."""
    pull = found.pull
    assert pull is not None
    url, html = f"{repo.api}/pulls/{found.number}", f"{repo.html}/pull/{found.number}"
    links = {
        "self": url,
        "html": html,
        "issue": f"{repo.api}/issues/{found.number}",
        "comments": f"{repo.api}/issues/{found.number}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{repo.api}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{repo.api}/statuses/{pull.head_sha}",
    }
    source = repo.github.repositories.get((pull.head_repository or "").lower())
    return {
        "url": url,
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        **{f"{name}_url": link for name, link in links.items() if name not in {"self", "html"}},
        "number": found.number,
        "state": found.state,
        "locked": False,
        "active_lock_reason": None,
        "title": found.title,
        "user": shapes.user(repo.github, found.author),
        "body": found.body,
        "labels": [label(repo, name) for name in found.labels],
        "milestone": None,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "closed_at": iso_or_none(found.closed_at),
        "merged_at": iso_or_none(pull.merged_at),
        "merge_commit_sha": pull.merge_sha,
        "draft": pull.draft,
        "head": _side(repo, owner=pull.head_owner, ref=pull.head_ref, sha=pull.head_sha, source=source),
        "base": _side(repo, owner=repo.owner, ref=pull.base_ref, sha=pull.base_sha, source=repo),
        "_links": {name: {"href": link} for name, link in links.items()},
        "author_association": repo.association(found.author),
        "auto_merge": None,
    }


def pull(repo: Repository, found: model.Issue) -> dict[str, Any]:
    """Return a pull request in full; this is what settles whether it can be merged."""
    half = found.pull
    assert half is not None
    mergeable, state = repo.mergeability(found)
    changes = repo.pull_changes(found)
    return {
        **pull_simple(repo, found),
        "merged": half.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": state,
        "merged_by": shapes.user(repo.github, half.merged_by) if half.merged_by else None,
        "comments": sum(one.number == found.number for one in repo.state.comments.values()),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": len(repo.pull_commits(found)),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
    }


def review(repo: Repository, number: int, found: model.Review) -> dict[str, Any]:
    """Return a review of a pull request."""
    html = f"{repo.html}/pull/{number}#pullrequestreview-{found.id}"
    url = f"{repo.api}/pulls/{number}"
    return {
        "id": found.id,
        "node_id": node_id("PRR", found.id),
        "user": shapes.user(repo.github, found.author),
        "body": found.body,
        "state": found.state,
        "html_url": html,
        "pull_request_url": url,
        "_links": {"html": {"href": html}, "pull_request": {"href": url}},
        "submitted_at": iso(found.submitted_at),
        "commit_id": found.sha,
        "author_association": repo.association(found.author),
    }
