"""Check runs, suites and statuses, and what branches require of them."""

from __future__ import annotations

from typing import Any

import github as pygithub
import pytest


@pytest.fixture
def sha(repo: Any) -> str:
    return str(repo.commit("feature", {"a": "1"}))


def test_only_the_latest_run_of_a_name_counts_unless_all_are_asked(remote: Any, repo: Any, sha: str) -> None:
    repo.check_run(sha, name="ci", conclusion="failure")
    repo.check_run(sha, name="ci", conclusion="success")
    repo.check_run(sha, name="ci", app="other-ci", conclusion="failure")
    repo.check_run(sha, name="slow", status="queued")
    commit = remote.get_commit(sha)
    found = [(run.name, run.app.slug, run.status, run.conclusion) for run in commit.get_check_runs()]
    assert found == [
        ("slow", "github-actions", "queued", None),
        ("ci", "other-ci", "completed", "failure"),
        ("ci", "github-actions", "completed", "success"),
    ]
    assert commit.get_check_runs(filter="all").totalCount == 4
    assert commit.get_check_runs(check_name="ci").totalCount == 2
    assert [run.name for run in commit.get_check_runs(status="queued")] == ["slow"]


def test_check_runs_name_the_real_id_of_actions_and_come_in_pages(call: Any, repo: Any, sha: str) -> None:
    for number in range(3):
        repo.check_run(sha, name=f"ci-{number}", conclusion="success")
    answer = call("GET", "/repos/acme/shop/commits/feature/check-runs?per_page=2&app_id=15368")
    assert (answer.json()["total_count"], len(answer.json()["check_runs"])) == (3, 2)
    assert "page=2" in answer.links["next"]["url"]


@pytest.mark.parametrize(
    ("conclusions", "status", "conclusion"),
    [
        (["success", "skipped"], "completed", "success"),
        (["success", "failure"], "completed", "failure"),
        (["success", None], "in_progress", None),
    ],
)
def test_suites_roll_up_an_apps_runs(
    remote: Any, repo: Any, sha: str, conclusions: list[str | None], status: str, conclusion: str | None
) -> None:
    for number, one in enumerate(conclusions):
        repo.check_run(sha, name=f"ci-{number}", conclusion=one)
    [suite] = remote.get_commit(sha).get_check_suites()
    assert (suite.status, suite.conclusion, suite.head_branch, suite.app.slug) == (
        status,
        conclusion,
        "feature",
        "github-actions",
    )


def test_a_check_run_says_which_pull_requests_it_is_for(remote: Any, repo: Any, sha: str) -> None:
    number = repo.open_pull_request(head="feature")
    run = repo.check_run(sha)
    assert [pull.number for pull in remote.get_check_run(run.id).pull_requests] == [number]


def test_an_app_makes_and_ends_its_check_run(remote: Any, call: Any, server: Any, repo: Any, sha: str) -> None:
    run = remote.create_check_run("slipway", sha, external_id="x1", output={"title": "T", "summary": "S"})
    assert (run.status, run.app.slug, run.output.title) == ("queued", "github-actions", "T")
    run.edit(status="in_progress")
    run.edit(conclusion="success", output={"title": "Done", "summary": "S"})
    assert (run.status, run.conclusion, run.output.title) == ("completed", "success", "Done")
    path = f"/repos/acme/shop/check-runs/{run.id}"
    for body in ({"conclusion": "great"}, {"status": "gone"}, {"status": "completed"}):
        assert call("PATCH", path, body).status_code == 422
    server.add_token("t-dana", login="dana", permissions=None)
    assert call("PATCH", path, {"status": "queued"}, token="t-dana").status_code == 403
    assert (
        call("POST", "/repos/acme/shop/check-runs", {"name": "x", "head_sha": sha}, token="t-dana").status_code == 403
    )
    unknown = call("POST", "/repos/acme/shop/check-runs", {"name": "x", "head_sha": "1" * 40})
    assert unknown.json()["message"] == f"No commit found for SHA: {'1' * 40}"
    assert (
        call("POST", "/repos/acme/shop/check-runs", {"name": "x", "head_sha": sha, "status": "gone"}).status_code == 422
    )
    assert len(repo.state.check_runs) == 1


@pytest.mark.parametrize(
    ("states", "combined"),
    [([], "pending"), (["success"], "success"), (["success", "pending"], "pending"), (["error", "pending"], "failure")],
)
def test_statuses_combine(remote: Any, repo: Any, sha: str, states: list[str], combined: str) -> None:
    for number, state in enumerate(states):
        repo.commit_status(sha, context=f"ci/{number}", state=state)
    found = remote.get_commit(sha).get_combined_status()
    assert (found.state, found.total_count) == (combined, len(states))


def test_a_later_status_replaces_an_earlier_of_its_context(remote: Any, repo: Any, sha: str) -> None:
    commit = remote.get_commit(sha)
    commit.create_status("pending", "https://ci.example.org/1", "Running", "ci/x")
    commit.create_status("success", context="ci/x")
    assert [status.state for status in commit.get_statuses()] == ["success", "pending"]
    assert commit.get_combined_status().state == "success"
    assert commit.get_combined_status().total_count == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("SHA", {"state": "great"}, 422),
        ("SHA", {"state": "success", "description": "x" * 141}, 422),
        ("SHA", {"state": "success", "description": "x" * 140}, 201),
        ("1" * 40, {"state": "success"}, 422),
        ("feature", {"state": "success"}, 404),
    ],
)
def test_statuses_that_are_refused(call: Any, sha: str, path: str, body: Any, status: int) -> None:
    assert call("POST", f"/repos/acme/shop/statuses/{path.replace('SHA', sha)}", body).status_code == status


# -- requirements -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "rules", "classic"), [("classic", 0, True), ("ruleset", 2, False), ("both", 2, True)])
def test_a_requirement_shows_where_it_was_made(
    call: Any, server: Any, repo: Any, kind: str, rules: int, classic: bool
) -> None:
    server.add_token("t-admin", login="acme", permissions={"administration": "read"})
    repo.protect("main", required_checks=["ci"], required_reviews=1, kind=kind)
    found = call("GET", "/repos/acme/shop/rules/branches/main").json()
    assert len(found) == rules
    if rules:
        assert found[0]["parameters"]["required_status_checks"] == [{"context": "ci"}]
    path = "/repos/acme/shop/branches/main/protection"
    answer = call("GET", path, token="t-admin")
    assert answer.status_code == (200 if classic else 404)
    checks = call("GET", f"{path}/required_status_checks", token="t-admin")
    assert (checks.json()["contexts"] if classic else checks.json()["message"]) == (
        ["ci"] if classic else "Branch not protected"
    )


def test_any_reader_sees_required_contexts_on_the_branch_but_not_its_protection(
    remote: Any, call: Any, repo: Any
) -> None:
    repo.protect("main", required_checks=["ci"], kind="classic")
    assert remote.get_branch("main").raw_data["protection"]["required_status_checks"]["contexts"] == ["ci"]
    refused = call("GET", "/repos/acme/shop/branches/main/protection/required_status_checks")
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")


def test_a_branch_without_required_checks(call: Any, server: Any, repo: Any) -> None:
    server.add_token("t-admin", login="acme", permissions=None)
    repo.protect("main", required_reviews=1)
    path = "/repos/acme/shop/branches/main/protection"
    assert "required_status_checks" not in call("GET", path, token="t-admin").json()
    assert call("GET", f"{path}/required_status_checks", token="t-admin").status_code == 404
    assert (
        call("GET", "/repos/acme/shop/branches/none/protection", token="t-admin").json()["message"]
        == "Branch not found"
    )


def test_unknown_refs(remote: Any) -> None:
    with pytest.raises(pygithub.GithubException) as unknown:
        remote._requester.requestJsonAndCheck("GET", "/repos/acme/shop/commits/nothing/check-runs")
    assert unknown.value.status == 422
