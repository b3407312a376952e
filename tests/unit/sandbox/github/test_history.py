"""Commits, comparisons, files, archives, and the record of pushes."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import github as pygithub
import pytest

from bot.sandbox.github.model import iso


def test_a_commit_is_found_by_sha_short_sha_branch_and_tag(remote: Any, repo: Any) -> None:
    sha = repo.commit("feature/x", {"a.txt": "1\n2\n", "README.md": None}, message="Do it", author="dana")
    repo.tag("v1", sha)
    for ref in (sha, sha[:8], "feature/x", "v1", "heads/feature/x", "refs/tags/v1"):
        assert remote.get_commit(ref).sha == sha
    commit = remote.get_commit(sha)
    assert (commit.author.login, commit.commit.message) == ("dana", "Do it")
    assert {(file.filename, file.status, file.additions) for file in commit.files} == {
        ("a.txt", "added", 2),
        ("README.md", "removed", 0),
    }
    assert (commit.stats.additions, commit.stats.deletions) == (2, 1)
    with pytest.raises(pygithub.GithubException) as unknown:
        remote.get_commit("nothing")
    assert (unknown.value.status, unknown.value.data["message"]) == (422, "No commit found for SHA: nothing")


def test_the_bare_sha_comes_for_the_media_type_that_asks_it(call: Any, repo: Any) -> None:
    answer = call("GET", "/repos/acme/shop/commits/main", headers={"Accept": "application/vnd.github.sha"})
    assert answer.text == repo.resolve("main")


def test_commits_are_listed_newest_first_in_pages(remote: Any, repo: Any) -> None:
    shas = [repo.commit("main", {"n": str(number)}) for number in range(5)]
    listed = [commit.sha for commit in remote.get_commits()]
    assert listed[:5] == shas[::-1]
    assert [commit.sha for commit in remote.get_commits(path="src")] == listed[-1:]
    with pytest.raises(pygithub.UnknownObjectException):
        list(remote.get_commits(sha="nothing"))


@pytest.mark.parametrize(
    ("base", "head", "status", "ahead", "behind"),
    [
        ("main", "main", "identical", 0, 0),
        ("main", "feature", "diverged", 2, 1),
        ("start", "feature", "ahead", 2, 0),
        ("feature", "start", "behind", 0, 2),
    ],
)
def test_compare(remote: Any, repo: Any, base: str, head: str, status: str, ahead: int, behind: int) -> None:
    repo.tag("start", "main")
    repo.commit("feature", {"f": "1\n"})
    repo.commit("feature", {"src/app.py": None, "src/shop.py": "print('shop')\n"}, message="Rename")
    repo.commit("main", {"m": "1\n"})
    found = remote.compare(base, head)
    assert (found.status, found.ahead_by, found.behind_by) == (status, ahead, behind)
    assert len(list(found.commits)) == ahead
    if ahead:
        renamed = next(file for file in found.files if file.status == "renamed")
        assert (renamed.previous_filename, renamed.filename) == ("src/app.py", "src/shop.py")
        assert next(file for file in found.files if file.filename == "f").patch == "@@ -0,0 +1 @@\n+1"


def test_what_can_not_be_compared_is_not_found(call: Any, repo: Any) -> None:
    empty = repo.git.write_tree([], None)
    who = repo.person("dana")
    orphan = repo.git.write_commit(tree=empty, parents=(), author=who, committer=who, message="m")
    for path in ("main...nothing", "main", "nobody:main...main", f"main...{orphan}"):
        assert call("GET", f"/repos/acme/shop/compare/{path}").status_code == 404


def test_compare_reaches_into_a_fork(remote: Any, repo: Any) -> None:
    fork = repo.fork("eve")
    sha = fork.commit("idea", {"idea": "1"}, author="eve")
    found = remote.compare("main", "eve:idea")
    assert [commit.sha for commit in found.commits] == [sha]


def test_branches_and_tags(remote: Any, repo: Any) -> None:
    sha = repo.commit("feature/x", {"a": "1"})
    annotated = remote.create_git_tag("v2", "Two", sha, "commit")
    remote.create_git_ref("refs/tags/v2", annotated.sha)
    repo.protect("main", required_checks=["ci"])
    assert {branch.name: branch.protected for branch in remote.get_branches()} == {"main": True, "feature/x": False}
    branch = remote.get_branch("feature/x")
    assert (branch.commit.sha, branch.protected) == (sha, False)
    assert [(tag.name, tag.commit.sha) for tag in remote.get_tags()] == [("v2", sha)]
    with pytest.raises(pygithub.UnknownObjectException, match="Branch not found"):
        remote.get_branch("nothing")


def test_protected_branches_are_listed_apart(call: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    repo.protect("main", required_checks=["ci"])
    names = [branch["name"] for branch in call("GET", "/repos/acme/shop/branches?protected=true").json()]
    assert names == ["main"]


def test_a_file_comes_in_base64_or_raw_at_any_ref(remote: Any, call: Any, repo: Any) -> None:
    old = repo.resolve("main")
    repo.commit("main", {"src/app.py": "print('new')\n"})
    assert remote.get_contents("src/app.py").decoded_content == b"print('new')\n"
    assert remote.get_contents("src/app.py", ref=old).decoded_content == b"print('shop')\n"
    assert [file.path for file in remote.get_contents("src")] == ["src/app.py"]
    assert {file.path for file in remote.get_contents("")} == {"README.md", "src"}
    raw = call(
        "GET", f"/repos/acme/shop/contents/src/app.py?ref={old}", headers={"Accept": "application/vnd.github.raw+json"}
    )
    assert (raw.content, raw.headers["Content-Type"]) == (
        b"print('shop')\n",
        "application/vnd.github.raw+json; charset=utf-8",
    )


def test_a_file_over_one_megabyte_has_no_content(call: Any, repo: Any) -> None:
    repo.commit("main", {"big": "x" * (1 << 20) + "y"})
    found = call("GET", "/repos/acme/shop/contents/big").json()
    assert (found["content"], found["encoding"], found["size"]) == ("", "none", (1 << 20) + 1)


@pytest.mark.parametrize("path", ["nothing", "src/nothing", "nothing/app.py", "README.md?ref=nothing"])
def test_missing_files(call: Any, repo: Any, path: str) -> None:
    assert call("GET", f"/repos/acme/shop/contents/{path}").status_code == 404


def test_a_tarball_is_redirected_to_and_has_one_top_folder(remote: Any, call: Any, repo: Any) -> None:
    sha = repo.commit("feature", {"a.txt": "1"})
    link = remote.get_archive_link("tarball", sha)
    assert "/_codeload/acme/shop/legacy.tar.gz/" in link
    answer = call("GET", link.removeprefix(repo.github.url), token=None)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = archive.getnames()
    top = f"acme-shop-{sha[:7]}"
    assert set(names) == {top, f"{top}/README.md", f"{top}/a.txt", f"{top}/src", f"{top}/src/app.py"}
    assert answer.headers["Content-Disposition"] == f"attachment; filename={top}.tar.gz"


def test_a_private_archive_needs_the_link_that_was_given(server: Any, call: Any) -> None:
    server.create_repository("acme/secret", private=True)
    answer = call("GET", "/repos/acme/secret/tarball", allow_redirects=False)
    assert answer.status_code == 302
    path = answer.headers["Location"].removeprefix(server.url)
    assert call("GET", path.partition("?")[0], token=None).status_code == 404
    assert call("GET", path, token=None).status_code == 200
    assert call("GET", "/repos/acme/secret/tarball/nothing").status_code == 404
    assert call("GET", path.replace("/main?", "/nothing?"), token=None).status_code == 404


# -- pushes -----------------------------------------------------------------------------------------------------
def test_a_push_is_dated_by_the_server_whatever_the_commit_says(call: Any, repo: Any, clock: Any) -> None:
    clock.forward(100)
    sha = repo.commit("feature", {"a": "1"}, author="dana", time=1_000_000_000)
    found = call("GET", "/repos/acme/shop/activity?ref=feature").json()
    assert [(one["after"], one["activity_type"], one["timestamp"], one["actor"]["login"]) for one in found] == [
        (sha, "branch_creation", iso(clock.now), "dana")
    ]
    assert (
        call("GET", f"/repos/acme/shop/commits/{sha}").json()["commit"]["committer"]["date"] == "2001-09-09T01:46:40Z"
    )


def test_pushes_are_filtered(call: Any, repo: Any, clock: Any) -> None:
    repo.commit("feature", {"a": "1"}, author="dana")
    clock.forward(2 * 86400)
    repo.commit("feature", {"a": "2"}, author="eve")
    repo.force_push("feature", "main", actor="eve")
    repo.delete_branch("feature")

    def kinds(query: str) -> list[str]:
        return [one["activity_type"] for one in call("GET", f"/repos/acme/shop/activity?{query}").json()]

    assert kinds("ref=refs/heads/feature") == ["branch_deletion", "force_push", "push", "branch_creation"]
    assert kinds("ref=feature&direction=asc")[0] == "branch_creation"
    assert kinds("ref=feature&actor=eve") == ["force_push", "push"]
    assert kinds("ref=feature&activity_type=push") == ["push"]
    assert kinds("ref=feature&time_period=day") == ["branch_deletion", "force_push", "push"]
    assert call("GET", "/repos/acme/shop/activity?time_period=decade").status_code == 422


def test_pushes_come_in_pages_by_cursor(call: Any, repo: Any) -> None:
    shas = [repo.commit("main", {"n": str(number)}) for number in range(4)]
    first = call("GET", "/repos/acme/shop/activity?per_page=2&ref=main")
    assert [one["after"] for one in first.json()] == shas[:1:-1]
    assert "prev" not in first.links
    second = call("GET", first.links["next"]["url"].removeprefix(repo.github.url))
    assert [one["after"] for one in second.json()] == shas[1::-1]
    back = call("GET", second.links["prev"]["url"].removeprefix(repo.github.url))
    assert back.json() == first.json()
    last = call("GET", second.links["next"]["url"].removeprefix(repo.github.url))
    assert "next" not in last.links
    assert len(last.json()) == 1
