"""The git database: refs as locks, objects, trees."""

from __future__ import annotations

import base64
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import github as pygithub
import pytest
import requests

from bot.sandbox.github.gitobjects import ZEROS

LOCK = "refs/slipway/locks/staging"


def test_a_lock_is_a_ref_at_a_tag_object_and_its_creation_is_won_once(remote: Any, repo: Any) -> None:
    sha = repo.resolve("main")
    tag = remote.create_git_tag("lock", '{"run": 1}', sha, "commit")
    remote.create_git_ref(LOCK, tag.sha)

    with pytest.raises(pygithub.GithubException) as refused:
        remote.create_git_ref(LOCK, tag.sha)

    assert (refused.value.status, refused.value.data["message"]) == (422, "Reference already exists")
    assert repo.refs("refs/slipway/") == {LOCK: tag.sha}
    assert [ref.object.type for ref in remote.get_git_matching_refs("slipway/locks/")] == ["tag"]
    assert remote.get_git_tag(tag.sha).message == '{"run": 1}'
    real = subprocess.run(
        ["git", f"--git-dir={repo.git.path}", "cat-file", "-p", LOCK], capture_output=True, check=True
    )
    assert real.stdout.endswith(b'\n\n{"run": 1}')


def test_of_many_claims_at_once_one_wins(repo: Any) -> None:
    body = {"ref": LOCK, "sha": repo.resolve("main")}
    url, headers = f"{repo.api}/git/refs", {"Authorization": "Bearer t-bot"}

    def claim(_: int) -> int:
        return requests.post(url, json=body, headers=headers, timeout=10).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(claim, range(8))) == [201] + [422] * 7


def test_a_ref_is_read_by_its_exact_name_only(remote: Any, repo: Any) -> None:
    assert remote.get_git_ref("heads/main").object.sha == repo.resolve("main")
    with pytest.raises(pygithub.UnknownObjectException):
        remote.get_git_ref("heads/mai")
    assert [ref.ref for ref in remote.get_git_matching_refs("heads/mai")] == ["refs/heads/main"]
    assert list(remote.get_git_matching_refs("heads/nothing")) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ref": "main2", "sha": "SHA"}, "main2 is not a valid ref name."),
        ({"ref": "refs/main2", "sha": "SHA"}, "refs/main2 is not a valid ref name."),
        ({"ref": "refs/heads/a..b", "sha": "SHA"}, "refs/heads/a..b is not a valid ref name."),
        ({"ref": "refs/heads/x.", "sha": "SHA"}, "refs/heads/x. is not a valid ref name."),
        ({"ref": "refs/heads/x", "sha": "0" * 40}, "Object does not exist"),
        ({"ref": "refs/heads/x", "sha": "main"}, "Object does not exist"),
        ({"ref": "refs/heads/main/x", "sha": "SHA"}, "Reference update failed"),
        ({"ref": "refs/heads/x"}, 'Invalid request.\n\n"sha" wasn\'t supplied.'),
        ({"ref": 7, "sha": "SHA"}, "Invalid request.\n\nFor 'properties/ref', 7 is not of type string."),
    ],
)
def test_refs_that_can_not_be_created(call: Any, repo: Any, body: dict[str, Any], message: str) -> None:
    body = {key: repo.resolve("main") if value == "SHA" else value for key, value in body.items()}
    answer = call("POST", "/repos/acme/shop/git/refs", body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(message)
    assert answer.json()["status"] == "422"


def test_a_ref_moves_forward_freely_and_elsewhere_by_force(remote: Any, repo: Any) -> None:
    first = repo.resolve("main")
    second = repo.commit("feature", {"a": "1"})
    other = repo.commit("other", {"b": "1"})
    ref = remote.get_git_ref("heads/feature")

    with pytest.raises(pygithub.GithubException, match="Update is not a fast forward"):
        ref.edit(other)
    ref.edit(other, force=True)
    assert repo.branches()["feature"] == other
    ref.edit(first, force=True)
    ref.edit(second)
    assert repo.branches()["feature"] == second
    kinds = [one.activity_type for one in repo.state.activity if one.ref == "refs/heads/feature"]
    assert kinds == ["branch_creation", "force_push", "force_push", "push"]


def test_a_tag_object_replaces_another_only_by_force(call: Any, remote: Any, repo: Any) -> None:
    one, two = (remote.create_git_tag("lock", text, repo.resolve("main"), "commit").sha for text in ("1", "2"))
    remote.create_git_ref(LOCK, one)
    path = "/repos/acme/shop/git/refs/slipway/locks/staging"
    assert call("PATCH", path, {"sha": two}).json()["message"] == "Update is not a fast forward"
    assert call("PATCH", path, {"sha": two, "force": True}).json()["object"]["sha"] == two
    assert call("PATCH", path, {"sha": ZEROS}).json()["message"] == "Object does not exist"


def test_deleting_a_ref_twice_is_refused_the_second_time(call: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    assert call("DELETE", "/repos/acme/shop/git/refs/heads/feature").status_code == 204
    again = call("DELETE", "/repos/acme/shop/git/refs/heads/feature")
    assert (again.status_code, again.json()["message"]) == (422, "Reference does not exist")
    missing = call("PATCH", "/repos/acme/shop/git/refs/heads/feature", {"sha": repo.resolve("main")})
    assert missing.json()["message"] == "Reference does not exist"


def test_a_commit_is_made_of_a_blob_a_tree_and_a_parent(remote: Any, repo: Any) -> None:
    main = repo.resolve("main")
    blob = remote.create_git_blob(base64.b64encode(b"\x00\xff").decode(), "base64")
    elements = [
        pygithub.InputGitTreeElement("bin/data", "100644", "blob", sha=blob.sha),
        pygithub.InputGitTreeElement("note.txt", "100644", "blob", content="hello"),
        pygithub.InputGitTreeElement("README.md", "100644", "blob", sha=None),
    ]
    tree = remote.create_git_tree(elements, remote.get_git_tree("main"))
    author = pygithub.InputGitAuthor("Eve", "eve@example.org", "2020-02-03T04:05:06Z")
    commit = remote.create_git_commit("Make", tree, [remote.get_git_commit(main)], author)

    paths = {entry.path for entry in remote.get_git_tree(commit.sha, recursive=True).tree}
    assert paths == {"bin", "bin/data", "note.txt", "src", "src/app.py"}
    assert remote.get_git_blob(blob.sha).content == "AP8=\n"
    made = remote.get_git_commit(commit.sha)
    assert (made.author.name, made.author.date.isoformat()) == ("Eve", "2020-02-03T04:05:06+00:00")
    assert [parent.sha for parent in made.parents] == [main]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "git/tags/MAIN", None, 404),
        ("GET", "git/commits/main", None, 404),
        ("GET", "git/blobs/" + "1" * 40, None, 404),
        ("GET", "git/trees/nothing", None, 404),
        ("POST", "git/tags", {"tag": "t", "message": "m", "object": "1" * 40, "type": "commit"}, 422),
        ("POST", "git/tags", {"tag": "t", "message": "m", "object": "MAIN", "type": "blob"}, 422),
        ("POST", "git/tags", {"tag": "bad\nname", "message": "m", "object": "MAIN", "type": "commit"}, 422),
        (
            "POST",
            "git/tags",
            {"tag": "t", "message": "m", "object": "MAIN", "type": "commit", "tagger": {"date": "x"}},
            422,
        ),
        ("POST", "git/commits", {"message": "m", "tree": "1" * 40}, 422),
        ("POST", "git/commits", {"message": "m", "tree": "TREE", "parents": ["TREE"]}, 422),
        ("POST", "git/trees", {"tree": [{"path": "a", "mode": "7"}]}, 422),
        ("POST", "git/trees", {"tree": [{"mode": "100644"}]}, 422),
        ("POST", "git/trees", {"tree": [{"path": "a", "mode": "100644", "sha": "1" * 40}]}, 422),
        ("POST", "git/trees", {"tree": [], "base_tree": "1" * 40}, 422),
        ("POST", "git/blobs", {"content": "%%%", "encoding": "base64"}, 422),
    ],
)
def test_objects_that_do_not_exist_or_fit(call: Any, repo: Any, method: str, path: str, body: Any, status: int) -> None:
    known = {"MAIN": repo.resolve("main"), "TREE": repo.git.commit("refs/heads/main").tree}

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        return known.get(value, value) if isinstance(value, str) else value

    path = path.replace("MAIN", known["MAIN"])
    answer = call(method, f"/repos/acme/shop/{path}", body and {key: fill(value) for key, value in body.items()})
    assert answer.status_code == status, answer.text
