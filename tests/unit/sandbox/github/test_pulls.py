"""Pull requests, reviews, issues, and the commits behind them."""

from __future__ import annotations

from typing import Any

import github as pygithub
import pytest

from bot.sandbox.github.git import GitError


def test_a_pull_request_follows_its_branch(remote: Any, repo: Any) -> None:
    repo.commit("feature", {"a.txt": "1\n"})
    number = repo.open_pull_request(head="feature", title="Add a", body="Because.", author="dana", draft=True)
    sha = repo.commit("feature", {"b.txt": "1\n2\n"})
    pull = remote.get_pull(number)
    assert (pull.head.sha, pull.head.ref, pull.head.label, pull.base.ref) == (sha, "feature", "acme:feature", "main")
    assert (pull.title, pull.body, pull.user.login, pull.draft, pull.state) == (
        "Add a",
        "Because.",
        "dana",
        True,
        "open",
    )
    assert (pull.commits, pull.changed_files, pull.additions) == (2, 2, 3)
    assert [commit.sha for commit in pull.get_commits()][-1] == sha
    assert [file.filename for file in pull.get_files()] == ["a.txt", "b.txt"]
    assert repo.refs("refs/pull/")[f"refs/pull/{number}/head"] == sha


def test_mergeability(remote: Any, repo: Any) -> None:
    sha = repo.commit("feature", {"README.md": "mine\n"})
    number = repo.open_pull_request(head="feature")

    def state() -> tuple[bool | None, str]:
        pull = remote.get_pull(number)
        return pull.mergeable, pull.mergeable_state

    repo.pending_mergeability = 1
    assert state() == (None, "unknown")
    assert state() == (True, "clean")
    repo.check_run(sha, name="lint", conclusion="failure")
    assert state() == (True, "unstable")
    repo.protect("main", required_checks=["ci"], strict=True, required_reviews=1)
    assert state() == (True, "blocked")
    repo.check_run(sha, name="ci", conclusion="success")
    repo.add_collaborator("erin", "maintain")
    repo.review(number, author="erin")
    assert state() == (True, "unstable")
    repo.commit("main", {"other": "1"})
    assert state() == (True, "behind")
    repo.commit("main", {"README.md": "theirs\n"})
    assert state() == (False, "dirty")
    with pytest.raises(GitError, match="does not merge cleanly"):
        repo.merge(number)


def test_a_draft_says_so(remote: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    number = repo.open_pull_request(head="feature", draft=True)
    assert remote.get_pull(number).mergeable_state == "draft"


def test_the_test_merge_is_a_ref_and_the_merge_a_push(remote: Any, repo: Any, call: Any) -> None:
    head = repo.commit("feature", {"a": "1"})
    number = repo.open_pull_request(head="feature")
    merge_sha = remote.get_pull(number).merge_commit_sha
    assert repo.refs("refs/pull/")[f"refs/pull/{number}/merge"] == merge_sha
    sha = repo.merge(number, actor="dana")
    pull = remote.get_pull(number)
    assert (pull.merged, pull.state, pull.merge_commit_sha, pull.merged_by.login) == (True, "closed", sha, "dana")
    assert [parent.sha for parent in remote.get_commit(sha).parents][1] == head
    assert repo.state.activity[-1].activity_type == "pr_merge"
    for one in (head, sha):
        assert [found.number for found in remote.get_commit(one).get_pulls()] == [number]
    reopened = call("PATCH", f"/repos/acme/shop/pulls/{number}", {"state": "open"})
    assert reopened.status_code == 422


def test_a_pull_request_from_a_fork(remote: Any, repo: Any) -> None:
    fork = repo.fork("eve")
    fork.commit("idea", {"idea": "1"}, author="eve")
    number = repo.open_pull_request(head="eve:idea", author="eve")
    sha = fork.commit("idea", {"idea": "2"}, author="eve")
    pull = remote.get_pull(number)
    assert (pull.head.sha, pull.head.label, pull.head.repo.full_name) == (sha, "eve:idea", "eve/shop")
    assert pull.head.repo.fork
    assert remote.get_commit(sha).sha == sha  # reachable here through refs/pull/N/head


@pytest.mark.usefixtures("unjudged")  # the description has no null heads; real answers do
def test_a_fork_that_is_gone_leaves_a_null_head(call: Any, server: Any, repo: Any) -> None:
    repo.fork("eve").commit("idea", {"idea": "1"})
    number = repo.open_pull_request(head="eve:idea")
    server.delete_repository("eve/shop")
    head = call("GET", f"/repos/acme/shop/pulls/{number}").json()["head"]
    assert (head["repo"], head["user"], head["label"]) == (None, None, None)
    assert len(head["sha"]) == 40


def test_deleting_the_branch_closes_its_pull_request(remote: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    number = repo.open_pull_request(head="feature")
    repo.delete_branch("feature")
    assert remote.get_pull(number).state == "closed"


def test_lists(remote: Any, repo: Any) -> None:
    for name in ("one", "two", "three"):
        repo.commit(name, {name: "1"})
        repo.open_pull_request(head=name)
    repo.close(1)
    assert [pull.number for pull in remote.get_pulls()] == [3, 2]
    assert [pull.number for pull in remote.get_pulls(state="all", direction="asc")] == [1, 2, 3]
    assert [pull.number for pull in remote.get_pulls(head="acme:two")] == [2]
    assert list(remote.get_pulls(base="nothing")) == []


def test_reviews(remote: Any, repo: Any) -> None:
    sha = repo.commit("feature", {"a": "1"})
    number = repo.open_pull_request(head="feature")
    repo.review(number, author="dana", state="APPROVED", body="Good")
    repo.review(number, author="erin", state="CHANGES_REQUESTED", sha=repo.resolve("main"))
    found = [(review.user.login, review.state, review.commit_id) for review in remote.get_pull(number).get_reviews()]
    assert found == [("dana", "APPROVED", sha), ("erin", "CHANGES_REQUESTED", repo.resolve("main"))]
    assert remote.get_pull(number).get_review_requests()[0].totalCount == 0


def test_a_pull_request_can_be_opened_and_changed_over_the_wire(remote: Any, repo: Any) -> None:
    repo.commit("feature", {"a": "1"})
    pull = remote.create_pull(base="main", head="feature", title="Title", body="Body", draft=True)
    assert pull.user.login == "github-actions[bot]"
    pull.edit(title="Other", state="closed")
    assert (remote.get_pull(pull.number).title, remote.get_pull(pull.number).state) == ("Other", "closed")
    with pytest.raises(pygithub.GithubException) as refused:
        remote.create_pull(base="main", head="nothing", title="Title")
    assert refused.value.data["errors"][0] == {"resource": "PullRequest", "code": "invalid", "field": "head"}


def test_issues(remote: Any, repo: Any, call: Any) -> None:
    issue = remote.create_issue("Rollback failed", "See the run.", labels=["incident"])
    assert remote.get_issue(issue.number).labels[0].name == "incident"
    issue.edit(state="closed")
    assert issue.closed_by.login == "github-actions[bot]"
    assert list(remote.get_issues()) == []
    issue.edit(state="open")
    assert [one.number for one in remote.get_issues()] == [issue.number]
    assert call("GET", f"/repos/acme/shop/pulls/{issue.number}").status_code == 404
    assert call("GET", "/repos/acme/shop/issues/99").status_code == 404
    assert call("GET", "/repos/acme/shop/issues/x").status_code == 404
    assert call("PATCH", "/repos/acme/shop/issues/1", {"state": "gone"}).status_code == 422
