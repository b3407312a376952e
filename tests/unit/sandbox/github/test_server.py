"""Credentials, permissions, errors, headers, faults, accounts, and the world around a run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from bot.sandbox.github import GitHub
from bot.sandbox.wire import Fault


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Requires authentication"),
        ({"Authorization": "Bearer wrong"}, "Bad credentials"),
        ({"Authorization": "Basic t-bot"}, "Bad credentials"),
    ],
)
def test_credentials(call: Any, repo: Any, headers: dict[str, str], message: str) -> None:
    answer = call("GET", "/repos/acme/shop", token=None, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"message": message, "documentation_url": "https://docs.github.com/rest", "status": "401"}
    assert call("GET", "/repos/acme/shop", token=None, headers={"Authorization": "token t-bot"}).status_code == 200


@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        ({"contents": "write"}, 403),
        ({"issues": "read"}, 403),
        ({"issues": "write"}, 201),
        ({"pull_requests": "write"}, 201),
        (None, 201),
    ],
)
def test_permissions(call: Any, server: Any, repo: Any, permissions: Any, status: int) -> None:
    server.add_token("t-some", permissions=permissions)
    repo.open_issue("A question")
    answer = call("POST", "/repos/acme/shop/issues/1/comments", {"body": "x"}, token="t-some")
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["message"] == "Resource not accessible by integration"


def test_every_answer_has_the_headers_of_the_api(call: Any, repo: Any) -> None:
    answer = call("GET", "/repos/acme/shop")
    assert answer.headers["X-GitHub-Api-Version-Selected"] == "2022-11-28"
    assert answer.headers["X-RateLimit-Remaining"] == "4999"
    assert answer.headers["X-GitHub-Request-Id"] != call("GET", "/repos/acme/shop").headers["X-GitHub-Request-Id"]


def test_the_rate_limit_runs_out_and_asking_for_it_is_free(call: Any, server: Any, repo: Any) -> None:
    server.rate_limit = 2
    call("GET", "/repos/acme/shop")
    left = call("GET", "/rate_limit").json()
    assert left["rate"]["remaining"] == left["resources"]["core"]["remaining"] == 1
    call("GET", "/repos/acme/shop")
    refused = call("GET", "/repos/acme/shop")
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
    assert refused.json()["message"].startswith("API rate limit exceeded")


def test_an_unknown_route_is_an_error_and_is_kept(call: Any, server: Any) -> None:
    assert call("GET", "/repos/acme/shop/nothing").status_code == 404
    assert server.unknown == ["GET /repos/acme/shop/nothing"]


@pytest.mark.parametrize(
    ("data", "message"), [(b"{", "Problems parsing JSON"), (b"[]", "Body should be a JSON object")]
)
def test_bodies_that_are_not_objects(call: Any, repo: Any, data: bytes, message: str) -> None:
    answer = call("POST", "/repos/acme/shop/issues", data=data)
    assert (answer.status_code, answer.json()["message"]) == (400, message)


def test_a_lost_reply_leaves_the_comment_behind(call: Any, server: Any, repo: Any) -> None:
    number = repo.open_issue("A question")
    server.fail(Fault(route="POST .*/comments", kind="lose_reply"))
    with pytest.raises(requests.ConnectionError):
        call("POST", f"/repos/acme/shop/issues/{number}/comments", {"body": "once"})
    assert [comment.body for comment in repo.thread(number)] == ["once"]


@pytest.mark.parametrize("path", ["/repos/acme/none", "/repos/acme/none/pulls", "/users/nobody"])
def test_what_is_not_there(call: Any, repo: Any, path: str) -> None:
    assert call("GET", path).json()["message"] == "Not Found"


# -- accounts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "permission"),
    [("admin", "admin"), ("maintain", "write"), ("write", "write"), ("triage", "read"), ("read", "read")],
)
def test_a_role_in_new_and_old_words(call: Any, remote: Any, repo: Any, role: str, permission: str) -> None:
    repo.add_collaborator("erin", role)
    found = call("GET", "/repos/acme/shop/collaborators/erin/permission").json()
    assert (found["role_name"], found["permission"]) == (role, permission)
    assert found["user"]["permissions"]["push"] == (permission in {"write", "admin"})
    assert remote.get_collaborator_permission("erin") == permission


def test_everyone_reads_a_public_repository_and_a_private_one_is_closed(call: Any, server: Any, repo: Any) -> None:
    server.add_user("stranger")
    server.create_repository("acme/secret", private=True)

    def permission(name: str, login: str) -> Any:
        return call("GET", f"/repos/acme/{name}/collaborators/{login}/permission").json().get("permission")

    assert (permission("shop", "stranger"), permission("secret", "stranger")) == ("read", "none")
    assert (permission("shop", "acme"), permission("secret", "acme")) == ("admin", "admin")
    repo.remove_collaborator("dana")
    assert permission("shop", "dana") == "read"
    missing = call("GET", "/repos/acme/shop/collaborators/nobody/permission")
    assert (missing.status_code, missing.json()["message"]) == (404, "nobody is not a user")


def test_a_warm_server_answers_the_same(server: Any, call: Any) -> None:
    server.warm_up()
    assert call("POST", "/graphql", {"query": "{ rateLimit { limit } }"}).json() == {
        "data": {"rateLimit": {"limit": 5000}}
    }


def test_a_runs_token_has_no_account_of_its_own(call: Any, client: Any, server: Any) -> None:
    refused = call("GET", "/user")
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    server.add_token("t-dana", login="dana", permissions=None)
    assert call("GET", "/user", token="t-dana").json()["login"] == "dana"
    assert client.get_user("dana").type == "User"
    assert client.get_user("github-actions[bot]").type == "Bot"


def test_teams_need_a_token_that_may_read_them(call: Any, server: Any, repo: Any) -> None:
    server.add_team("acme", "releasers", ["dana"])
    path = "/orgs/acme/teams/releasers/memberships/"
    assert call("GET", path + "dana").status_code == 403
    server.add_token("t-org", permissions={"members": "read"})
    assert call("GET", path + "dana", token="t-org").json()["state"] == "active"
    assert call("GET", path + "eve", token="t-org").status_code == 404


# -- repositories and runs --------------------------------------------------------------------------------------
def test_a_history_is_imported_whole(server: GitHub, tmp_path: Path, call: Any) -> None:
    source = tmp_path / "source"
    run = ["git", "-c", "user.name=Eve", "-c", "user.email=eve@example.org", "-C", str(source)]
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(source)], check=True)
    for text in ("one", "two"):
        (source / "file").write_text(text, encoding="utf-8")
        subprocess.run([*run, "add", "file"], check=True)
        subprocess.run([*run, "commit", "-q", "-m", text], check=True)
    repo = server.import_repository("acme/old", source)
    assert repo.default_branch == "trunk"
    commits = call("GET", "/repos/acme/old/commits").json()
    assert [commit["commit"]["message"] for commit in commits] == ["two", "one"]
    assert (commits[0]["author"], commits[0]["commit"]["author"]["name"]) == (None, "Eve")
    sha = repo.commit("trunk", {"file": "three"})
    assert call("GET", "/repos/acme/old/git/ref/heads/trunk").json()["object"]["sha"] == sha


def test_a_runner_gives_its_steps_the_event_and_the_addresses(server: GitHub, repo: Any, tmp_path: Path) -> None:
    repo.open_issue("A question")
    payload = repo.comment(1, "/help", author="dana")
    run = repo.start_run(event="issue_comment", actor="dana")
    path = tmp_path / "run" / "event.json"
    environ = server.environ(repo, run, event_name="issue_comment", payload=payload, event_path=path, token="t-bot")
    assert json.loads(path.read_text(encoding="utf-8")) == payload
    expected = {
        "GITHUB_API_URL": server.url, "GITHUB_GRAPHQL_URL": f"{server.url}/graphql", "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_EVENT_NAME": "issue_comment", "GITHUB_EVENT_PATH": str(path), "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "dana", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main",
        "GITHUB_SHA": repo.resolve("main"), "GITHUB_TOKEN": "t-bot", "GITHUB_ACTIONS": "true",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"):
        assert Path(environ[name]).parent == path.parent
        assert Path(environ[name]).read_text(encoding="utf-8") == ""
    assert Path(environ["RUNNER_TEMP"]).is_dir()


@pytest.mark.parametrize(
    ("environment", "subject"),
    [("staging", "repo:acme/shop:environment:staging"), (None, "repo:acme/shop:ref:refs/heads/main")],
)
def test_a_run_gets_an_identity_token_that_verifies(
    server: GitHub, repo: Any, tmp_path: Path, clock: Any, environment: str | None, subject: str
) -> None:
    run = repo.start_run(actor="dana", environment=environment)
    environ = server.environ(repo, run, event_name="push", payload={}, event_path=tmp_path / "e.json", token="t")
    url, token = environ["ACTIONS_ID_TOKEN_REQUEST_URL"], environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    headers = {"Authorization": f"bearer {token}"}

    answer = requests.get(f"{url}&audience=//iam.example.org/p", headers=headers, timeout=10).json()

    configuration = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10).json()
    assert configuration["issuer"] == server.url
    keys = jwt.PyJWKSet.from_dict(requests.get(configuration["jwks_uri"], timeout=10).json())
    header = jwt.get_unverified_header(answer["value"])
    times: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}  # the server's clock is not ours
    claims = jwt.decode(
        answer["value"], keys[header["kid"]], algorithms=["RS256"], audience="//iam.example.org/p",
        issuer=server.url, options=times,
    )  # fmt: skip
    assert claims["sub"] == subject
    assert claims.get("environment") == environment
    assert (claims["repository"], claims["actor"], claims["run_id"], claims["run_attempt"]) == (
        "acme/shop", "dana", str(run.id), "1",
    )  # fmt: skip
    assert (claims["repository_id"], claims["ref"], claims["sha"]) == (str(repo.id), "refs/heads/main", run.sha)
    assert (claims["iat"], claims["exp"]) == (int(clock.now), int(clock.now) + 300)

    default = requests.get(url, headers=headers, timeout=10).json()["value"]
    assert jwt.decode(default, options={"verify_signature": False})["aud"] == f"{server.url}/acme"
    assert requests.get(url, headers={"Authorization": "bearer wrong"}, timeout=10).status_code == 401
    assert requests.get(url, timeout=10).status_code == 401
    repo.finish_run(run)
    assert requests.get(url, headers=headers, timeout=10).status_code == 401


def test_a_runs_token_sees_no_other_private_repository(server: GitHub, repo: Any) -> None:
    server.create_repository("acme/extras", private=True)
    server.create_repository("acme/site")
    server.add_token("t-run", repositories=["Acme/Shop"])
    server.add_token("t-all", login="dana", permissions={"contents": "read"})
    query = 'query { repository(owner: "acme", name: "extras") { name } }'

    def get(token: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{server.url}/repos/{path}", headers=headers, timeout=10).status_code

    def asked(token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{server.url}/graphql", json={"query": query}, headers=headers, timeout=10).json()

    assert [get("t-run", path) for path in ("acme/shop", "acme/site", "acme/extras")] == [200, 200, 404]
    assert [get("t-run", f"acme/{name}/commits?per_page=1") for name in ("site", "extras")] == [200, 404]
    assert get("t-all", "acme/extras") == 200
    assert asked("t-run")["errors"][0]["type"] == "NOT_FOUND"
    assert asked("t-all")["data"] == {"repository": {"name": "extras"}}
