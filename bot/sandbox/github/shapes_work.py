"""The JSON of checks, deployments and runs, field by field as GitHub's REST description has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.sandbox.github import shapes
from bot.sandbox.github.model import iso, iso_or_none
from bot.sandbox.github.shapes import node_id

if TYPE_CHECKING:
    from bot.sandbox.github import model
    from bot.sandbox.github.repository import Repository


def pull_references(repo: Repository, sha: str) -> list[dict[str, Any]]:
    """Return the open pull requests whose head is a commit, as check runs and runs carry them."""
    found = []
    for one in repo.state.issues.values():
        if one.pull and one.state == "open" and one.pull.head_sha == sha and one.pull.head_repository:
            sides = (
                ("head", one.pull.head_ref, one.pull.head_sha, one.pull.head_repository),
                ("base", one.pull.base_ref, one.pull.base_sha, repo.full_name),
            )
            shape: dict[str, Any] = {
                "id": one.pull.id,
                "number": one.number,
                "url": f"{repo.api}/pulls/{one.number}",
            }
            for side, ref, commit, name in sides:
                source = repo.github.repositories[name.lower()]
                where = {"id": source.id, "url": source.api, "name": source.name}
                shape[side] = {"ref": ref, "sha": commit, "repo": where}
            found.append(shape)
    return found


def check_run(repo: Repository, found: model.CheckRun) -> dict[str, Any]:
    """Return a check run."""
    url = f"{repo.api}/check-runs/{found.id}"
    output = {"title": None, "summary": None, "text": None, **found.output}
    output.pop("annotations", None)
    return {
        "id": found.id,
        "name": found.name,
        "node_id": node_id("CR", found.id),
        "head_sha": found.sha,
        "external_id": found.external_id,
        "url": url,
        "html_url": f"{repo.html}/runs/{found.id}",
        "details_url": found.details_url or f"{repo.html}/runs/{found.id}",
        "status": found.status,
        "conclusion": found.conclusion,
        "started_at": iso(found.started_at),
        "completed_at": iso_or_none(found.completed_at),
        "output": {
            **output,
            "annotations_count": len(found.output.get("annotations", ())),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": found.suite},
        "app": shapes.app(repo.github, found.app),
        "pull_requests": pull_references(repo, found.sha),
    }


def check_suite(repo: Repository, sha: str, app: str) -> dict[str, Any]:
    """Return a check suite: the runs of one app on one commit, rolled up."""
    runs = [one for one in repo.latest_check_runs(sha) if one.app == app]
    number = repo.state.suites[sha, app]
    unfinished = [one.status for one in runs if one.status != "completed"]
    conclusions = [one.conclusion for one in runs]
    worst = ("failure", "timed_out", "cancelled", "action_required", "success", "neutral", "skipped")
    conclusion = None if unfinished else next((word for word in worst if word in conclusions), None)
    head = repo.git.commit(sha)
    assert head is not None
    url = f"{repo.api}/check-suites/{number}"
    return {
        "id": number,
        "node_id": node_id("CS", number),
        "head_branch": next((name for name, tip in repo.branches().items() if tip == sha), None),
        "head_sha": sha,
        "status": ("in_progress" if "in_progress" in unfinished else "queued") if unfinished else "completed",
        "conclusion": conclusion,
        "url": url,
        "before": head.parents[0] if head.parents else None,
        "after": sha,
        "pull_requests": pull_references(repo, sha),
        "app": shapes.app(repo.github, app),
        "repository": shapes.repository(repo),
        "created_at": iso(min((one.started_at for one in runs), default=0)),
        "updated_at": iso(max((one.completed_at or one.started_at for one in runs), default=0)),
        "head_commit": shapes.commit_summary(head),
        "latest_check_runs_count": len(runs),
        "check_runs_url": f"{url}/check-runs",
        "rerequestable": True,
        "runs_rerequestable": True,
    }


def commit_status(repo: Repository, found: model.CommitStatus) -> dict[str, Any]:
    """Return a commit status."""
    creator = shapes.user(repo.github, found.creator)
    return {
        "url": f"{repo.api}/statuses/{found.sha}",
        "avatar_url": creator["avatar_url"],
        "id": found.id,
        "node_id": node_id("SC", found.id),
        "state": found.state,
        "description": found.description,
        "target_url": found.target_url,
        "context": found.context,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.created_at),
        "creator": creator,
    }


def deployment(repo: Repository, found: model.Deployment) -> dict[str, Any]:
    """Return a deployment."""
    url = f"{repo.api}/deployments/{found.id}"
    return {
        "url": url,
        "id": found.id,
        "node_id": node_id("DE", found.id),
        "task": found.task,
        "original_environment": found.original_environment,
        "environment": found.environment,
        "description": found.description,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": repo.api,
        "creator": shapes.user(repo.github, found.creator),
        "sha": found.sha,
        "ref": found.ref,
        "payload": found.payload,
        "transient_environment": found.transient,
        "production_environment": found.production,
        "performed_via_github_app": None,
    }


def deployment_status(repo: Repository, owner: model.Deployment, found: model.DeploymentStatus) -> dict[str, Any]:
    """Return a status of a deployment. ``target_url`` repeats ``log_url``."""
    url = f"{repo.api}/deployments/{owner.id}"
    return {
        "url": f"{url}/statuses/{found.id}",
        "id": found.id,
        "node_id": node_id("DES", found.id),
        "state": found.state,
        "creator": shapes.user(repo.github, found.creator),
        "description": found.description,
        "environment": found.environment,
        "target_url": found.log_url,
        "log_url": found.log_url,
        "environment_url": found.environment_url,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.created_at),
        "deployment_url": url,
        "repository_url": repo.api,
        "performed_via_github_app": None,
    }


def environment(repo: Repository, found: model.Environment) -> dict[str, Any]:
    """Return an environment with its protection rules."""
    rules: list[dict[str, Any]] = []
    if found.reviewers:
        who = [{"type": "User", "reviewer": shapes.user(repo.github, login)} for login in found.reviewers]
        rules.append(
            {
                "id": found.id + 1,
                "node_id": node_id("GA", found.id + 1),
                "type": "required_reviewers",
                "prevent_self_review": False,
                "reviewers": who,
            }
        )
    return {
        "id": found.id,
        "node_id": node_id("EN", found.id),
        "name": found.name,
        "url": f"{repo.api}/environments/{quote(found.name, safe='')}",
        "html_url": f"{repo.html}/deployments/activity_log?environments_filter={quote(found.name)}",
        "created_at": iso(found.created_at),
        "updated_at": iso(found.created_at),
        "can_admins_bypass": True,
        "protection_rules": rules,
        "deployment_branch_policy": None,
    }


def run_review(repo: Repository, found: model.RunReview) -> dict[str, Any]:
    """Return an entry of a run's review history (REST, schema ``environment-approvals``)."""
    there = environment(repo, repo.environment(found.environment))
    names = ("id", "node_id", "name", "url", "html_url", "created_at", "updated_at")
    return {
        "state": found.state,
        "comment": found.comment,
        "environments": [{name: there[name] for name in names}],
        "user": shapes.user(repo.github, found.login),
    }


def activity(repo: Repository, found: model.Activity) -> dict[str, Any]:
    """Return a recorded push."""
    return {
        "id": found.id,
        "node_id": node_id("PSH", found.id),
        "before": found.before,
        "after": found.after,
        "ref": found.ref,
        "timestamp": iso(found.timestamp),
        "activity_type": found.activity_type,
        "actor": shapes.user(repo.github, found.actor),
    }


def run(repo: Repository, found: model.Run, attempt: int | None = None) -> dict[str, Any]:
    """Return a workflow run, or one of its earlier attempts."""
    number = attempt or found.attempt
    past = number in found.earlier
    url = f"{repo.api}/actions/runs/{found.id}"
    head = repo.git.commit(found.head_sha)
    assert head is not None
    workflow = f"{repo.api}/actions/workflows/{repo.id}"
    return {
        "id": found.id,
        "name": found.workflow,
        "node_id": node_id("WFR", found.id),
        "check_suite_id": found.id + 1,
        "check_suite_node_id": node_id("CS", found.id + 1),
        "head_branch": found.head_branch,
        "head_sha": found.head_sha,
        "path": found.path,
        "display_title": found.workflow,
        "run_number": found.number,
        "run_attempt": number,
        "event": found.event,
        "status": "completed" if past else found.status,
        "conclusion": found.earlier[number] if past else found.conclusion,
        "workflow_id": repo.id,
        "url": url,
        "html_url": f"{repo.html}/actions/runs/{found.id}",
        # Those that are open and not of a fork: what the description calls "Pull requests that are open".
        "pull_requests": [] if found.head_repository or not found.pull_sha else pull_references(repo, found.pull_sha),
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "run_started_at": iso(found.created_at),
        "actor": shapes.user(repo.github, found.actor),
        "triggering_actor": shapes.user(repo.github, found.actor),
        "referenced_workflows": [],
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "check_suite_url": f"{repo.api}/check-suites/{found.id + 1}",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "previous_attempt_url": f"{url}/attempts/{number - 1}" if number > 1 else None,
        "workflow_url": workflow,
        "head_commit": shapes.commit_summary(head),
        "repository": shapes.repository(repo),
        "head_repository": shapes.repository(repo.github.repositories.get(found.head_repository.lower(), repo)),
    }


def job(repo: Repository, owner: model.Run, found: model.Job) -> dict[str, Any]:
    """Return a job of a workflow run."""
    url = f"{repo.api}/actions/jobs/{found.id}"
    return {
        "id": found.id,
        "run_id": owner.id,
        "run_url": f"{repo.api}/actions/runs/{owner.id}",
        "run_attempt": owner.attempt,
        "node_id": node_id("CR", found.id),
        "head_sha": owner.head_sha,
        "url": url,
        "html_url": f"{repo.html}/actions/runs/{owner.id}/job/{found.id}",
        "status": found.status,
        "conclusion": found.conclusion,
        "created_at": iso(found.started_at),
        "started_at": iso(found.started_at),
        "completed_at": iso_or_none(found.completed_at),
        "name": found.name,
        "steps": [],
        "check_run_url": f"{repo.api}/check-runs/{found.id}",
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "sandbox",
        "runner_group_id": 0,
        "runner_group_name": "GitHub Actions",
        "workflow_name": owner.workflow,
        "head_branch": owner.head_branch,
    }
