"""Issues: opening them, and listing them with the pull requests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def pull(repo: Any) -> int:
    repo.commit("feature", {"a": "1"})
    return int(repo.open_pull_request(head="feature"))


def test_an_issue_is_opened_by_whose_token_it_is(remote: Any, repo: Any) -> None:
    issue = remote.create_issue(title="Break-glass", body="why")
    stored = repo.state.issues[issue.number]
    assert (stored.title, stored.body, stored.author, stored.pull) == (
        "Break-glass",
        "why",
        "github-actions[bot]",
        None,
    )
    assert issue.html_url.endswith(f"/acme/shop/issues/{issue.number}")


def test_pull_requests_are_issues_too(call: Any, repo: Any, pull: int, clock: Any) -> None:
    clock.forward(10)
    number = repo.open_issue("A question")
    listed = call("GET", "/repos/acme/shop/issues").json()
    assert [(one["number"], "pull_request" in one) for one in listed] == [(number, False), (pull, True)]
    listed = call("GET", "/repos/acme/shop/issues?direction=asc&per_page=1").json()
    assert [one["number"] for one in listed] == [pull]


def test_states_and_times(call: Any, repo: Any, clock: Any) -> None:
    first, second = repo.open_issue("first"), repo.open_issue("second")
    clock.forward(60)
    repo.close(first)
    path = "/repos/acme/shop/issues"
    assert [one["number"] for one in call("GET", path).json()] == [second]
    assert [one["number"] for one in call("GET", f"{path}?state=closed").json()] == [first]
    assert [one["number"] for one in call("GET", f"{path}?state=all&sort=updated").json()] == [first, second]
    changed = repo.state.issues[first].updated_at
    since = call("GET", f"{path}/{first}/comments").status_code  # the thread is there
    assert since == 200
    from bot.sandbox.github.model import iso  # noqa: PLC0415 - a rare one

    assert [one["number"] for one in call("GET", f"{path}?state=all&since={iso(changed)}").json()] == [first]
    assert call("GET", f"{path}?since=soon").status_code == 422
