"""Events of pull requests and of the clock: payloads, run records, and what the steps of such a run are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.github import GitHub, Repository, Run

EXAMPLES = Path(__file__).parents[4] / "../shared/data/webhooks"


@pytest.fixture
def number(repo: Repository) -> int:
    repo.commit("feature", {"a": "1"})
    return repo.open_pull_request(head="feature")


@pytest.fixture
def forked(server: GitHub, repo: Repository) -> int:
    fork = repo.fork("eve")
    fork.commit("evil", {"b": "1"}, author="eve")
    return repo.open_pull_request(head="eve:evil", author="eve")


@pytest.fixture
def given(server: GitHub, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the environment of a run's steps."""

    def environ(repo: Repository, run: Run, payload: Mapping[str, Any]) -> dict[str, str]:
        path = tmp_path / str(run.id) / "event.json"
        found = server.environ(repo, run, event_name=run.event, payload=payload, event_path=path, token="t")
        assert json.loads(path.read_text()) == payload
        return found

    return environ


def _missing(example: Any, found: Any, path: str = "") -> list[str]:
    if not (isinstance(example, dict) and isinstance(found, dict)):
        return []
    gaps = [f"{path}.{key}" for key in example if key not in found]
    return gaps + [
        gap for key in example if key in found for gap in _missing(example[key], found[key], f"{path}.{key}")
    ]


def test_a_payload_has_what_the_published_example_has(repo: Repository, number: int) -> None:
    example = EXAMPLES / "pull_request/closed.with-organization.payload.json"
    if not example.exists():
        pytest.skip("the published webhook examples are not here")
    repo.close(number)
    found = repo.pull_request_payload(number, "closed")
    expected = {"custom_properties", "stargazers", "master_branch", "description", "installation"}
    gaps = _missing(json.loads(example.read_text(encoding="utf-8")), found)
    assert [gap for gap in gaps if gap.rpartition(".")[2] not in expected] == []


def test_a_pull_request_that_was_closed(repo: Repository, number: int) -> None:
    repo.close(number, actor="lee")
    payload = repo.pull_request_payload(number, "closed", actor="lee")
    pull = payload["pull_request"]
    assert (payload["action"], payload["number"], payload["sender"]["login"]) == ("closed", number, "lee")
    assert (pull["state"], pull["merged"], pull["merged_at"]) == ("closed", False, None)
    assert (pull["head"]["ref"], pull["base"]["ref"]) == ("feature", "main")
    assert "before" not in payload


def test_a_pull_request_that_was_merged(repo: Repository, number: int) -> None:
    sha = repo.merge(number, actor="lee")
    pull = repo.pull_request_payload(number, "closed", actor="lee")["pull_request"]
    assert (pull["state"], pull["merged"], pull["merge_commit_sha"]) == ("closed", True, sha)
    assert pull["merged_by"]["login"] == "lee"


@pytest.mark.parametrize("fork", [False, True])
def test_a_push_to_a_pull_request(server: GitHub, repo: Repository, number: int, forked: int, fork: bool) -> None:
    source, branch, thread = (
        (server.repositories["eve/shop"], "evil", forked) if fork else (repo, "feature", number)
    )  # fmt: skip
    before = source.branches()[branch]
    after = source.commit(branch, {"c": "2"}, author="dana")
    payload = repo.pull_request_payload(thread, "synchronize")
    assert (payload["action"], payload["before"], payload["after"]) == ("synchronize", before, after)
    assert payload["pull_request"]["head"]["sha"] == after
    assert payload["pull_request"]["head"]["repo"]["full_name"] == source.full_name


def test_a_run_checks_out_the_test_merge_and_stands_under_the_head(
    remote: Any, repo: Repository, number: int, given: Callable[..., dict[str, str]]
) -> None:
    run = repo.start_run(event="pull_request", actor="dana", pull=number)
    head = repo.branches()["feature"]
    environ = given(repo, run, repo.pull_request_payload(number, "synchronize"))
    expected = {
        "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": f"refs/pull/{number}/merge",
        "GITHUB_REF_NAME": f"{number}/merge", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_PROTECTED": "false",
        "GITHUB_SHA": repo.resolve(f"refs/pull/{number}/merge"), "GITHUB_HEAD_REF": "feature", "GITHUB_BASE_REF": "main",
        "GITHUB_WORKFLOW_REF": f"acme/shop/.github/workflows/slipway.yml@refs/pull/{number}/merge",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected
    assert "ACTIONS_ID_TOKEN_REQUEST_URL" in environ
    assert environ["GITHUB_SHA"] != head
    claims = repo.github.oidc.claims(repo, run, None)
    assert (claims["sub"], claims["head_ref"], claims["base_ref"], claims["event_name"]) == (
        "repo:acme/shop:pull_request", "feature", "main", "pull_request",
    )  # fmt: skip
    seen = remote.get_workflow_run(run.id)
    assert (seen.head_sha, seen.head_branch, seen.event) == (head, "feature", "pull_request")
    assert [pull.number for pull in seen.pull_requests] == [number]
    assert [each.id for each in remote.get_workflow_runs(branch="feature")] == [run.id]
    assert [each.id for each in remote.get_workflow_runs(head_sha=head)] == [run.id]
    assert [each.head_sha for each in seen.jobs()] == [head]


def test_after_a_merge_a_run_is_on_the_branch_that_it_went_into(
    repo: Repository, number: int, given: Callable[..., dict[str, str]]
) -> None:
    sha = repo.merge(number)
    run = repo.start_run(event="pull_request", pull=number)
    environ = given(repo, run, repo.pull_request_payload(number, "closed"))
    assert (environ["GITHUB_REF"], environ["GITHUB_SHA"], environ["GITHUB_HEAD_REF"]) == (
        "refs/heads/main", sha, "feature",
    )  # fmt: skip


def test_a_run_on_a_closed_pull_request_has_its_last_test_merge(remote: Any, repo: Repository, number: int) -> None:
    repo.close(number)
    run = repo.start_run(event="pull_request", pull=number)
    assert run.ref == f"refs/pull/{number}/merge"
    assert remote.get_workflow_run(run.id).pull_requests == []


def test_nothing_runs_on_conflicts(repo: Repository, number: int) -> None:
    repo.commit("main", {"a": "2"})
    with pytest.raises(AssertionError, match="conflicts"):
        repo.start_run(event="pull_request", pull=number)


def test_a_forks_run_has_no_identity(
    remote: Any, repo: Repository, forked: int, given: Callable[..., dict[str, str]]
) -> None:
    payload = repo.pull_request_payload(forked, "closed", actor="eve")
    assert payload["pull_request"]["head"]["repo"]["full_name"] == "eve/shop"
    run = repo.start_run(event="pull_request", actor="eve", pull=forked)
    environ = given(repo, run, payload)
    assert [name for name in environ if name.startswith("ACTIONS_ID_TOKEN")] == []
    seen = remote.get_workflow_run(run.id)
    assert (seen.head_repository.full_name, seen.repository.full_name) == ("eve/shop", "acme/shop")
    assert (seen.head_branch, seen.pull_requests) == ("evil", [])


def test_a_target_run_is_on_the_default_branch_with_all_rights(
    server: GitHub, repo: Repository, given: Callable[..., dict[str, str]]
) -> None:
    repo.commit("release", {"r": "1"})
    repo.fork("eve").commit("evil", {"b": "1"}, author="eve", base="release")
    number = repo.open_pull_request(head="eve:evil", author="eve", base="release")
    run = repo.start_run(event="pull_request_target", actor="eve", pull=number)
    environ = given(repo, run, repo.pull_request_payload(number, "synchronize", actor="eve"))
    expected = {
        "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_REF": "refs/heads/main", "GITHUB_HEAD_REF": "evil",
        "GITHUB_BASE_REF": "release", "GITHUB_SHA": repo.resolve("main"),
        "GITHUB_WORKFLOW_REF": "acme/shop/.github/workflows/slipway.yml@refs/heads/main",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected
    assert "ACTIONS_ID_TOKEN_REQUEST_TOKEN" in environ
    assert repo.github.oidc.claims(repo, run, None)["sub"] == "repo:acme/shop:ref:refs/heads/main"


def test_the_clock_sends_no_person(repo: Repository, given: Callable[..., dict[str, str]]) -> None:
    payload = repo.schedule_payload("30 5 * * 1-5")
    assert payload["schedule"] == "30 5 * * 1-5"
    assert sorted(payload) == ["organization", "repository", "schedule", "workflow"]
    assert payload["repository"]["full_name"] == "acme/shop"
    run = repo.start_run(event="schedule", actor="lee")
    environ = given(repo, run, payload)
    expected = {
        "GITHUB_EVENT_NAME": "schedule", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": repo.resolve("main"),
        "GITHUB_ACTOR": "lee", "GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": "",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected
