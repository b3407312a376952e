"""Webhook payloads, and the environment a workflow run gives its steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.sandbox.github import shapes, shapes_threads
from bot.sandbox.github.gitobjects import EMPTY_TREE, ZEROS

if TYPE_CHECKING:
    from bot.sandbox.github.model import Comment, Run
    from bot.sandbox.github.repository import Repository


def _envelope(repo: Repository, sender: str) -> dict[str, Any]:
    repo.github.add_user(sender)
    shape: dict[str, Any] = {"repository": shapes.repository(repo), "sender": shapes.user(repo.github, sender)}
    if repo.github.user(repo.owner).type == "Organization":
        api = f"{repo.github.url}/orgs/{repo.owner}"
        shape["organization"] = {
            "login": repo.owner,
            "id": repo.github.user(repo.owner).id,
            "node_id": shapes.node_id("O", repo.github.user(repo.owner).id),
            "url": api,
            "repos_url": f"{api}/repos",
            "events_url": f"{api}/events",
            "hooks_url": f"{api}/hooks",
            "issues_url": f"{api}/issues",
            "members_url": f"{api}/members{{/member}}",
            "public_members_url": f"{api}/public_members{{/member}}",
            "avatar_url": shapes.user(repo.github, repo.owner)["avatar_url"],
            "description": "",
        }
    return shape


def issue_comment(repo: Repository, comment: Comment, action: str = "created") -> dict[str, Any]:
    """Return the payload of an ``issue_comment`` event."""
    return {
        "action": action,
        "issue": shapes_threads.issue(repo, repo.state.issues[comment.number]),
        "comment": shapes_threads.comment(repo, comment),
        **_envelope(repo, comment.author),
    }


def push(repo: Repository, branch: str, actor: str) -> dict[str, Any]:
    """Return the payload of a ``push`` event: the last recorded push of a branch."""
    ref = f"refs/heads/{branch}"
    pushes = [one for one in repo.state.activity if one.ref == ref]
    head = repo.git.commit(ref)
    after = head.sha if head else ZEROS
    before = pushes[-1].before if pushes else ZEROS
    shas = repo.git.between(before, after) if head and before != ZEROS else [after] if head else []
    commits = [_pushed_commit(repo, sha) for sha in shas]
    envelope = _envelope(repo, actor)
    # Pushes alone name the owner in this older way.
    envelope["repository"]["owner"] |= {"name": repo.owner, "email": None}
    if "organization" in envelope:
        envelope["repository"]["organization"] = repo.owner
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "created": before == ZEROS,
        "deleted": head is None,
        "forced": bool(pushes) and pushes[-1].activity_type == "force_push",
        "base_ref": None,
        "compare": f"{repo.html}/compare/{before[:12]}...{after[:12]}",
        "commits": commits,
        "head_commit": _pushed_commit(repo, after) if head else None,
        "pusher": {"name": actor, "email": repo.github.add_user(actor).email},
        **envelope,
    }


def _pushed_commit(repo: Repository, sha: str) -> dict[str, Any]:
    found = repo.git.commit(sha)
    assert found is not None
    changes = repo.git.changes(found.parents[0] if found.parents else EMPTY_TREE, sha)
    who = {}
    for role, person in (("author", found.author), ("committer", found.committer)):
        account = repo.github.user_of(person.email)
        who[role] = {"name": person.name, "email": person.email, **({"username": account.login} if account else {})}
    return {
        **shapes.commit_summary(found),
        **who,
        "distinct": True,
        "url": f"{repo.html}/commit/{sha}",
        "added": [change.path for change in changes if change.status == "added"],
        "removed": [change.path for change in changes if change.status == "removed"],
        "modified": [change.path for change in changes if change.status not in {"added", "removed"}],
    }


def workflow_dispatch(repo: Repository, inputs: Mapping[str, str], actor: str, ref: str) -> dict[str, Any]:
    """Return the payload of a ``workflow_dispatch`` event."""
    return {
        "inputs": dict(inputs) or None,
        "ref": ref,
        "workflow": ".github/workflows/slipway.yml",
        **_envelope(repo, actor),
    }


def pull_request(repo: Repository, number: int, action: str, actor: str) -> dict[str, Any]:
    """Return the payload of a ``pull_request`` event. A ``synchronize`` tells which push it is about."""
    issue, pull = repo.pull(number)
    shape = {"action": action, "number": number, "pull_request": shapes_threads.pull(repo, issue)}
    if action == "synchronize":
        source = repo.github.repositories[(pull.head_repository or "").lower()]
        pushes = [one for one in source.state.activity if one.ref == f"refs/heads/{pull.head_ref}"]
        shape |= {"before": pushes[-1].before, "after": pushes[-1].after}
    return {**shape, **_envelope(repo, actor)}


def schedule(repo: Repository, cron: str) -> dict[str, Any]:
    """Return the payload of a ``schedule`` event: ``schedule`` is the line of the workflow that made it run.

    There is no webhook for it. The rest is what github.blog/changelog, 27 September 2022, has added; nobody sent it.
    """
    envelope = _envelope(repo, repo.owner)
    del envelope["sender"]
    return {"schedule": cron, "workflow": ".github/workflows/slipway.yml", **envelope}


def environ(
    repo: Repository, run: Run, *, event_name: str, payload: Mapping[str, Any], event_path: Path, token: str
) -> dict[str, str]:
    """Write the event file and return the variables a runner gives the steps of a job.

    ``GITHUB_TOKEN`` is among them for the action's sake, which maps its input to it.
    """
    github = repo.github
    event_path.parent.mkdir(parents=True, exist_ok=True)
    event_path.write_text(json.dumps(payload), encoding="utf-8")
    folder = event_path.parent
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE")}
    files |= {name: folder / name.lower() for name in ("GITHUB_ENV", "GITHUB_PATH")}
    for path in files.values():
        path.touch()
    temp = folder / "temp"
    temp.mkdir(exist_ok=True)
    workflow_ref = f"{repo.full_name}/{run.path}@{repo.workflow_ref(run)}"
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.url,
        "GITHUB_GRAPHQL_URL": f"{github.url}/graphql",
        "GITHUB_SERVER_URL": github.url,
        "GITHUB_REPOSITORY": repo.full_name,
        "GITHUB_REPOSITORY_ID": str(repo.id),
        "GITHUB_REPOSITORY_OWNER": repo.owner,
        "GITHUB_REPOSITORY_OWNER_ID": str(github.user(repo.owner).id),
        "GITHUB_EVENT_NAME": event_name,
        "GITHUB_EVENT_PATH": str(event_path),
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_NUMBER": str(run.number),
        "GITHUB_RUN_ATTEMPT": str(run.attempt),
        "GITHUB_ACTOR": run.actor,
        "GITHUB_ACTOR_ID": str(github.user(run.actor).id),
        "GITHUB_TRIGGERING_ACTOR": run.actor,
        "GITHUB_SHA": run.sha,
        "GITHUB_REF": run.ref,
        "GITHUB_REF_NAME": re.sub(r"^refs/(heads|tags|pull)/", "", run.ref),
        "GITHUB_REF_TYPE": "tag" if run.ref.startswith("refs/tags/") else "branch",
        "GITHUB_REF_PROTECTED": str(run.ref.removeprefix("refs/heads/") in repo.state.protections).lower(),
        "GITHUB_HEAD_REF": run.head_ref,
        "GITHUB_BASE_REF": run.base_ref,
        "GITHUB_WORKFLOW": run.workflow,
        "GITHUB_WORKFLOW_REF": workflow_ref,
        "GITHUB_WORKFLOW_SHA": run.sha,
        "GITHUB_JOB": run.jobs[0].name,
        "GITHUB_WORKSPACE": str(folder),
        "GITHUB_TOKEN": token,
        **{name: str(path) for name, path in files.items()},
        "RUNNER_TEMP": str(temp),
        "RUNNER_OS": "Linux",
        "RUNNER_ENVIRONMENT": "github-hosted",
        **({} if run.from_fork else _identity(repo, run)),
    }


def _identity(repo: Repository, run: Run) -> dict[str, str]:
    """Return where a run gets its identity token. The address has a query already; callers append ``&audience=``."""
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{repo.github.url}/_actions/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": repo.github.oidc.grant(repo, run),
    }
