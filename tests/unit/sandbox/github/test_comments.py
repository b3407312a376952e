"""Comments, reactions, and what the events about them carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import github as pygithub
import pytest

from bot.sandbox.github.model import iso

EXAMPLES = Path(__file__).parents[4] / "../shared/data/webhooks"


@pytest.fixture
def number(repo: Any) -> int:
    repo.commit("feature", {"a": "1"})
    return int(repo.open_pull_request(head="feature"))


def test_a_comment_is_made_edited_and_deleted_and_keeps_its_history(
    remote: Any, repo: Any, number: int, clock: Any
) -> None:
    comment = remote.get_pull(number).create_issue_comment("first")
    clock.forward(10)
    comment.edit("second")
    [stored] = repo.thread(number)
    assert (stored.body, [edit.body for edit in stored.edits], stored.author) == (
        "second",
        ["first"],
        "github-actions[bot]",
    )
    assert stored.updated_at - stored.created_at == 10
    assert comment.user.type == "Bot"
    comment.delete()
    assert repo.thread(number) == []
    with pytest.raises(pygithub.UnknownObjectException):
        comment.edit("third")


def test_comments_come_in_pages(call: Any, remote: Any, repo: Any, number: int) -> None:
    for place in range(5):
        repo.comment(number, f"comment {place}", author="dana")
    answer = call("GET", f"/repos/acme/shop/issues/{number}/comments?per_page=2&page=2")
    assert [one["body"] for one in answer.json()] == ["comment 2", "comment 3"]
    assert {name: link["url"].partition("?")[2] for name, link in answer.links.items()} == {
        "prev": "per_page=2&page=1",
        "first": "per_page=2&page=1",
        "next": "per_page=2&page=3",
        "last": "per_page=2&page=3",
    }
    assert len(list(remote.get_issue(number).get_comments())) == 5
    assert call("GET", f"/repos/acme/shop/issues/{number}/comments?page=9&per_page=x").json() == []


def test_comments_since_a_time(call: Any, repo: Any, number: int, clock: Any) -> None:
    repo.comment(number, "old")
    clock.forward(60)
    repo.comment(number, "new")
    path = f"/repos/acme/shop/issues/{number}/comments?since="
    assert [one["body"] for one in call("GET", path + iso(clock.now)).json()] == ["new"]
    assert call("GET", path + "yesterday").status_code == 422


@pytest.mark.parametrize(
    ("body", "status"), [("x" * 65536, 201), ("ü" * 65536, 201), ("x" * 65537, 422), (" \n", 422), ("", 422)]
)
def test_the_length_of_a_comment_is_limited_in_characters(call: Any, number: int, body: str, status: int) -> None:
    answer = call("POST", f"/repos/acme/shop/issues/{number}/comments", {"body": body})
    assert answer.status_code == status
    if len(body) > 65536:
        assert answer.json()["errors"][0]["message"] == "Body is too long (maximum is 65536 characters)"


def test_reactions(call: Any, remote: Any, repo: Any, number: int) -> None:
    payload = repo.comment(number, "/deploy staging")
    comment = remote.get_issue(number).get_comment(payload["comment"]["id"])
    path = f"/repos/acme/shop/issues/comments/{comment.id}/reactions"
    assert call("POST", path, {"content": "eyes"}).status_code == 201
    assert call("POST", path, {"content": "eyes"}).status_code == 200
    assert call("POST", path, {"content": "tada"}).status_code == 422
    rocket = comment.create_reaction("rocket")
    assert [one.content for one in comment.get_reactions()] == ["eyes", "rocket"]
    assert [one["content"] for one in call("GET", path + "?content=rocket").json()] == ["rocket"]
    comment.delete_reaction(rocket.id)
    assert call("DELETE", f"{path}/{rocket.id}").status_code == 404
    assert call("GET", path.removesuffix("/reactions")).json()["reactions"]["eyes"] == 1
    assert [one.content for one in repo.thread(number)[0].reactions] == ["eyes"]


def _missing(example: Any, found: Any, path: str = "") -> list[str]:
    """Keys of a published example that our payload lacks, where both have an object."""
    if not (isinstance(example, dict) and isinstance(found, dict)):
        return []
    gaps = [f"{path}.{key}" for key in example if key not in found]
    return gaps + [
        gap for key in example if key in found for gap in _missing(example[key], found[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize(
    ("example", "make"),
    [
        ("issue_comment/created.with-organization.payload.json", lambda repo, number: repo.comment(number, "/help")),
        ("push/1.payload.json", lambda repo, number: repo.push_payload(branch="feature")),
        ("workflow_dispatch/payload.json", lambda repo, number: repo.dispatch_payload(inputs={"name": "x"})),
    ],
)
def test_payloads_have_what_the_published_examples_have(repo: Any, number: int, example: str, make: Any) -> None:
    if not EXAMPLES.exists():
        pytest.skip("the published webhook examples are not here")
    wanted = json.loads((EXAMPLES / example).read_text(encoding="utf-8"))
    expected_gaps = {"custom_properties", "stargazers", "master_branch", "description", "installation"}
    gaps = [gap for gap in _missing(wanted, make(repo, number)) if gap.rpartition(".")[2] not in expected_gaps]
    assert gaps == []


def test_a_comment_on_a_pull_request_says_so(repo: Any, number: int) -> None:
    payload = repo.comment(number, "/deploy staging", author="dana")
    assert payload["issue"]["pull_request"]["url"] == f"{repo.api}/pulls/{number}"
    assert (payload["action"], payload["comment"]["body"], payload["sender"]["login"]) == (
        "created",
        "/deploy staging",
        "dana",
    )
    assert payload["comment"]["author_association"] == "COLLABORATOR"
    plain = repo.comment(repo.open_issue("A question"), "hello", author="acme")
    assert "pull_request" not in plain["issue"]
    assert plain["comment"]["author_association"] == "OWNER"
    assert repo.comment(number, "hi", author="stranger")["comment"]["author_association"] == "NONE"


def test_a_push_lists_its_commits(repo: Any) -> None:
    before = repo.resolve("main")
    after = repo.commit("main", {"a": "1", "src/app.py": "new", "README.md": None}, author="dana")
    payload = repo.push_payload(branch="main", actor="dana")
    assert (payload["before"], payload["after"], payload["ref"]) == (before, after, "refs/heads/main")
    [commit] = payload["commits"]
    assert (commit["added"], commit["modified"], commit["removed"]) == (["a"], ["src/app.py"], ["README.md"])
    assert commit["author"]["username"] == "dana"
    repo.commit("old", {"a": "1"})
    repo.force_push("old", before)
    assert repo.push_payload(branch="old")["forced"]
    repo.delete_branch("old")
    gone = repo.push_payload(branch="old")
    assert (gone["deleted"], gone["head_commit"], gone["commits"]) == (True, None, [])


def test_a_users_repository_has_no_organization_in_its_events(server: Any) -> None:
    server.add_user("dana")
    repo = server.create_repository("dana/toy")
    assert "organization" not in repo.dispatch_payload()
