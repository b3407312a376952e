"""Deployments, environments and workflow runs."""

from __future__ import annotations

from typing import Any

import github as pygithub
import pytest


def states(repo: Any) -> list[str]:
    return [deployment.state for deployment in repo.deployments()]


def test_a_deployment_keeps_its_payload_and_tells_its_statuses(remote: Any, repo: Any, clock: Any) -> None:
    sha = repo.commit("feature", {"a": "1"})
    deployment = remote.create_deployment(
        "feature",
        auto_merge=False,
        required_contexts=[],
        environment="staging",
        payload={"sha": sha, "plan": [1]},
        description="D",
    )
    clock.forward(5)
    deployment.create_status("in_progress", target_url="https://ci.example.org/1", description="Rolling")
    deployment.create_status("success", environment_url="https://shop.example.org")
    found = remote.get_deployment(deployment.id)
    assert (found.sha, found.ref, found.payload, found.task) == (sha, "feature", {"sha": sha, "plan": [1]}, "deploy")
    assert (found.environment, found.production_environment, found.transient_environment) == ("staging", False, False)
    assert found.creator.login == "github-actions[bot]"
    assert [status.state for status in found.get_statuses()] == ["success", "in_progress"]
    newest = found.get_statuses()[0]
    assert found.get_status(newest.id).environment_url == "https://shop.example.org"
    assert found.get_statuses()[1].log_url == found.get_statuses()[1].target_url == "https://ci.example.org/1"
    assert found.updated_at > found.created_at
    assert [environment.name for environment in remote.get_environments()] == ["staging"]


def test_deployments_are_listed_newest_first_and_filtered(remote: Any, repo: Any) -> None:
    main, feature = repo.resolve("main"), repo.commit("feature", {"a": "1"})
    repo.deploy("main", "staging")
    repo.deploy("feature", "staging", task="deploy:migrate")
    repo.deploy("feature", "production")
    assert [one.environment for one in remote.get_deployments()] == ["production", "staging", "staging"]
    assert [one.sha for one in remote.get_deployments(environment="staging")] == [feature, main]
    assert [one.sha for one in remote.get_deployments(sha=main)] == [main]
    assert [one.ref for one in remote.get_deployments(ref="main")] == ["main"]
    assert [one.task for one in remote.get_deployments(task="deploy:migrate")] == ["deploy:migrate"]


def test_success_makes_earlier_successes_of_the_environment_inactive(remote: Any, repo: Any) -> None:
    repo.deploy("main", "staging", state="success")
    repo.deploy("main", "staging", state="failure")
    repo.deploy("main", "staging", transient=True, state="success")
    repo.deploy("main", "qa", state="success")
    repo.deploy("main", "production", state="success")
    last = remote.create_deployment("main", environment="staging", required_contexts=[])
    last.create_status("success")
    assert states(repo) == ["inactive", "failure", "success", "success", "success", "success"]
    again = remote.create_deployment("main", environment="production", required_contexts=[])
    again.create_status("success")
    assert states(repo)[4] == "success"  # production environments stay


def test_auto_inactive_can_be_left_off(remote: Any, repo: Any) -> None:
    repo.deploy("main", "staging", state="success")
    last = remote.create_deployment("main", environment="staging", required_contexts=[])
    last.create_status("success", auto_inactive=False)
    assert states(repo) == ["success", "success"]


@pytest.mark.parametrize(
    ("required", "evidence", "status"),
    [
        (None, {}, 201),
        (None, {"ci": "success"}, 201),
        (None, {"ci": "success", "lint": "failure"}, 409),
        (None, {"ci": None}, 409),
        ([], {"ci": "failure"}, 201),
        (["ci"], {"ci": "success", "lint": "failure"}, 201),
        (["ci"], {"lint": "success"}, 409),
        (["ci"], {"ci": "skipped"}, 409),
    ],
)
def test_required_contexts(call: Any, repo: Any, required: Any, evidence: dict[str, str | None], status: int) -> None:
    for name, conclusion in evidence.items():
        repo.check_run(repo.resolve("main"), name=name, conclusion=conclusion)
    body = {"ref": "main", **({"required_contexts": required} if required is not None else {})}
    answer = call("POST", "/repos/acme/shop/deployments", body)
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["message"] == "Conflict: Commit status checks failed for main."
        assert answer.json()["errors"][0]["field"] == "required_contexts"
        assert repo.deployments() == []


def test_auto_merge_brings_the_default_branch_in_and_makes_no_deployment(call: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    repo.commit("main", {"m": "1"})
    body = {"ref": "feature", "required_contexts": []}
    answer = call("POST", "/repos/acme/shop/deployments", body)
    assert (answer.status_code, answer.json()["message"]) == (202, "Auto-merged main into feature on deployment.")
    assert repo.deployments() == []
    assert repo.git.is_ancestor(repo.resolve("main"), repo.resolve("feature"))
    assert call("POST", "/repos/acme/shop/deployments", body).status_code == 201


def test_auto_merge_conflicts(call: Any, repo: Any) -> None:
    sha = repo.commit("feature", {"README.md": "mine"})
    repo.commit("main", {"README.md": "theirs"})
    for ref in ("feature", sha):
        answer = call("POST", "/repos/acme/shop/deployments", {"ref": ref, "required_contexts": []})
        assert (answer.status_code, answer.json()["message"]) == (409, f"Conflict merging main into {ref}.")
    off = call("POST", "/repos/acme/shop/deployments", {"ref": sha, "auto_merge": False, "required_contexts": []})
    assert off.status_code == 201


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ref": "nothing"}, "No ref found for: nothing"),
        ({}, 'Invalid request.\n\n"ref" wasn\'t supplied.'),
        (
            {"ref": "main", "payload": [1]},
            "Invalid request.\n\nFor 'properties/payload', it is not an object or a string.",
        ),
        (
            {"ref": "main", "auto_merge": "no"},
            "Invalid request.\n\nFor 'properties/auto_merge', 'no' is not of type boolean.",
        ),
    ],
)
def test_deployments_that_are_refused(call: Any, repo: Any, body: Any, message: str) -> None:
    answer = call("POST", "/repos/acme/shop/deployments", body)
    assert (answer.status_code, answer.json()["message"]) == (422, message)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "great"}, 422),
        ({"state": "failure", "description": "x" * 141}, 422),
        ({"state": "failure", "description": "x" * 140}, 201),
    ],
)
def test_statuses_that_are_refused(call: Any, repo: Any, body: Any, status: int) -> None:
    number = repo.deploy("main").id
    assert call("POST", f"/repos/acme/shop/deployments/{number}/statuses", body).status_code == status


def test_only_an_inactive_or_sole_deployment_can_be_deleted(call: Any, remote: Any, repo: Any) -> None:
    first, second = repo.deploy("main", state="success"), repo.deploy("main", state="inactive")
    assert call("DELETE", f"/repos/acme/shop/deployments/{first.id}").status_code == 422
    for deployment in (second, first):
        assert call("DELETE", f"/repos/acme/shop/deployments/{deployment.id}").status_code == 204
    with pytest.raises(pygithub.UnknownObjectException):
        remote.get_deployment(first.id)


def test_environments(remote: Any, call: Any, repo: Any) -> None:
    repo.environment("production", reviewers=("dana",))
    repo.environment("preview/12")
    found = remote.get_environment("production")
    assert found.protection_rules[0].reviewers[0].reviewer.login == "dana"
    assert call("GET", "/repos/acme/shop/environments/preview%2F12").json()["name"] == "preview/12"
    assert call("GET", "/repos/acme/shop/environments/nothing").status_code == 404
    number = repo.deploy("main").id
    assert call("GET", f"/repos/acme/shop/deployments/{number}/statuses/1").status_code == 404


# -- runs -------------------------------------------------------------------------------------------------------
def test_a_run_lives_through_its_attempts(remote: Any, call: Any, repo: Any) -> None:
    run = repo.start_run(event="issue_comment", actor="dana")
    found = remote.get_workflow_run(run.id)
    assert (found.status, found.conclusion, found.event, found.actor.login) == (
        "in_progress",
        None,
        "issue_comment",
        "dana",
    )
    assert (found.head_branch, found.head_sha, found.run_attempt) == ("main", repo.resolve("main"), 1)
    assert [job.status for job in found.jobs()] == ["in_progress"]
    assert found.cancel()
    assert run.cancel_requested
    repo.finish_run(run, "cancelled")
    refused = call("POST", f"/repos/acme/shop/actions/runs/{run.id}/cancel")
    assert (refused.status_code, refused.json()["message"]) == (409, "Cannot cancel a workflow run that is completed.")
    repo.rerun(run)
    path = f"/repos/acme/shop/actions/runs/{run.id}"
    first, second = (call("GET", f"{path}/attempts/{attempt}").json() for attempt in (1, 2))
    assert (first["status"], first["conclusion"]) == ("completed", "cancelled")
    assert (second["status"], second["run_attempt"]) == ("in_progress", 2)
    assert call("GET", path).json()["run_attempt"] == 2
    assert call("GET", f"{path}/attempts/3").status_code == 404


def test_runs_are_listed_by_status_and_event(remote: Any, repo: Any) -> None:
    done = repo.start_run(event="push")
    repo.finish_run(done, "failure")
    live = repo.start_run(event="issue_comment")
    assert [run.id for run in remote.get_workflow_runs()] == [live.id, done.id]
    assert [run.id for run in remote.get_workflow_runs(status="failure")] == [done.id]
    assert [run.id for run in remote.get_workflow_runs(event="issue_comment")] == [live.id]
