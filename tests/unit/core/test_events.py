from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import (
    CommentEvent,
    DispatchEvent,
    PullRequestEvent,
    PushEvent,
    ScheduleEvent,
    parse_event,
)
from bot.errors import EventError

WEBHOOKS = Path(__file__).parents[3].parent / "shared/data/webhooks"
SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
REPOSITORY = {"full_name": "acme/shop", "default_branch": "main"}


def comment(**over: Any) -> dict[str, Any]:
    said = {
        "id": 7,
        "html_url": "https://github.com/acme/shop/pull/3#issuecomment-7",
        "body": "/deploy staging",
        "user": {"login": "dana", "id": 5, "type": "User"},
        "created_at": "2026-01-02T03:04:05Z",
    }
    return {
        "action": "created",
        "comment": {**said, **over},
        "issue": {"number": 3, "pull_request": {"url": "x"}},
        "repository": REPOSITORY,
        "sender": {"login": "someone-else"},
    }


def push(**over: Any) -> dict[str, Any]:
    return {"ref": "refs/heads/main", "after": SHA, "repository": REPOSITORY, "sender": {"login": "dana"}, **over}


def pull_request(action: Any, **over: Any) -> dict[str, Any]:
    return {
        "action": action,
        "pull_request": {"number": 3, "head": {"sha": SHA, "repo": {"id": 1}}, **over},
        "repository": {**REPOSITORY, "id": 1},
        "sender": {"login": "dana", "type": "User"},
    }


def test_a_comment_on_a_pull_request() -> None:
    assert parse_event("issue_comment", comment()) == CommentEvent(
        repository="acme/shop",
        default_branch="main",
        comment_id=7,
        comment_url="https://github.com/acme/shop/pull/3#issuecomment-7",
        body="/deploy staging",
        author="dana",
        author_id=5,
        author_is_bot=False,
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        number=3,
        is_pull_request=True,
    )


def test_the_body_is_kept_out_of_logs() -> None:
    assert "/deploy" not in repr(parse_event("issue_comment", comment()))


@pytest.mark.parametrize(("issue", "expected"), [({"number": 3}, False), ({"number": 3, "pull_request": None}, False)])
def test_a_comment_on_an_issue(issue: dict[str, Any], expected: bool) -> None:
    event = parse_event("issue_comment", comment() | {"issue": issue})
    assert isinstance(event, CommentEvent)
    assert event.is_pull_request is expected


def test_a_bots_comment_says_so() -> None:
    event = parse_event("issue_comment", comment(user={"login": "b[bot]", "id": 9, "type": "Bot"}))
    assert isinstance(event, CommentEvent)
    assert event.author_is_bot


def test_a_push_to_the_default_branch() -> None:
    event = parse_event("push", push())
    assert event == PushEvent(repository="acme/shop", default_branch="main", sha=SHA, actor="dana")


def test_a_push_by_a_merge_queue_says_so() -> None:
    sender = {"login": "github-merge-queue[bot]", "id": 9, "type": "Bot"}
    event = parse_event("push", push() | {"sender": sender})
    assert isinstance(event, PushEvent)
    assert event.actor_is_bot


def test_a_dispatch() -> None:
    payload = {"ref": "refs/heads/x", "repository": REPOSITORY, "sender": {"login": "dana"}, "inputs": None}
    assert parse_event("workflow_dispatch", payload, sha=SHA) == DispatchEvent(
        repository="acme/shop", default_branch="main", ref="refs/heads/x", actor="dana", sha=SHA
    )


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("issue_comment", comment() | {"action": "edited"}),
        ("issue_comment", comment() | {"action": "deleted"}),
        ("issue_comment", {}),
        ("push", push(ref="refs/heads/feature")),
        ("push", push(ref="refs/tags/main")),
        ("push", push(deleted=True, after="0" * 40)),
        ("pull_request", pull_request("opened")),
        ("pull_request_target", pull_request("labeled")),
        ("pull_request_target", pull_request("closed", head={"sha": SHA, "repo": {"id": 2}})),  # a fork
        ("pull_request_target", pull_request("synchronize", head={"sha": SHA, "repo": None})),  # one that is gone
        ("", {}),
    ],
)
def test_what_is_no_concern_of_ours(name: str, payload: Any) -> None:
    assert parse_event(name, payload) is None


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("push", [], "payload of push is not a JSON object"),
        ("push", None, "payload of push is not a JSON object"),
        ("push", {}, "no repository.default_branch"),
        ("push", push(after=None), "after is not a str"),
        ("push", push(after="main"), "after is not a sha"),
        ("push", push(sender={}), "no sender.login"),
        ("push", push(repository="acme/shop"), "no repository.default_branch"),
        ("workflow_dispatch", {"repository": REPOSITORY}, "no ref"),
        ("workflow_dispatch", {"repository": REPOSITORY, "ref": "x"}, "no sender.login"),
        ("issue_comment", comment(body=None), "comment.body is not a str"),
        ("issue_comment", comment(id="7"), "comment.id is not a int"),
        ("issue_comment", comment(id=True), "comment.id is not a int"),
        ("issue_comment", comment(user=None), "no comment.user.login"),
        ("issue_comment", comment(created_at="today"), "comment.created_at is not a time: 'today'"),
        ("issue_comment", comment(created_at="2026-01-02T03:04:05"), "comment.created_at has no time zone"),
        ("issue_comment", comment() | {"issue": None}, "no issue.number"),
        ("issue_comment", comment() | {"comment": []}, "no comment.created_at"),
        ("pull_request", {"action": "closed"}, "no pull_request.head"),
        ("pull_request", pull_request("closed", number="3"), "pull_request.number is not a int"),
        (
            "pull_request",
            pull_request("closed", head={"sha": "main", "repo": {"id": 1}}),
            "pull_request.head.sha is not a sha",
        ),
        ("pull_request", pull_request("closed") | {"sender": None}, "no sender.login"),
    ],
)
def test_a_malformed_event_is_named_by_its_field(name: str, payload: Any, says: str) -> None:
    with pytest.raises(EventError, match=says.replace("(", "\\(")):
        parse_event(name, payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["comment", "issue", "repository", "user", "action", "ref", "id"]), inner)
    ),
    max_leaves=10,
)


@given(st.sampled_from(["issue_comment", "push", "workflow_dispatch", "pull_request_target", "x"]), JSON)
def test_any_json_is_an_event_or_an_error_that_says_so(name: str, payload: Any) -> None:
    if isinstance(payload, dict) and name in {"issue_comment", "pull_request_target"}:
        payload = {**payload, "action": "created" if name == "issue_comment" else payload.get("action", "closed")}
    try:
        assert parse_event(name, payload) is None
    except EventError as error:
        told = error.message
        assert told.startswith("The ")


@pytest.mark.parametrize("name", ["pull_request", "pull_request_target"])
@pytest.mark.parametrize("action", ["closed", "synchronize"])
def test_what_happens_to_a_pull_request(name: str, action: Any) -> None:
    assert parse_event(name, pull_request(action)) == PullRequestEvent(
        repository="acme/shop", default_branch="main", action=action, number=3, head_sha=SHA, actor="dana"
    )
    by_an_app = parse_event(name, pull_request(action) | {"sender": {"login": "queue[bot]", "type": "Bot"}})
    assert isinstance(by_an_app, PullRequestEvent)
    assert by_an_app.actor_is_bot


@pytest.mark.parametrize("payload", [{}, {"schedule": "17 * * * *", "repository": {"default_branch": "other"}}])
def test_a_schedule_is_known_by_the_runner(payload: Any) -> None:
    event = parse_event("schedule", payload, repository="acme/shop", ref="refs/heads/release/1")
    assert event == ScheduleEvent(repository="acme/shop", default_branch="release/1")


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason="the published webhook examples are not on this machine")
@pytest.mark.parametrize("folder", ["issue_comment", "push", "workflow_dispatch", "pull_request"])
def test_the_published_examples_are_read(folder: str) -> None:
    for path in sorted((WEBHOOKS / folder).glob("*.json")):
        payload = json.loads(path.read_text("utf-8"))
        event = parse_event(folder, payload)
        match folder:
            case "issue_comment":
                assert (event is not None) == (payload["action"] == "created"), path.name
            case "push":
                assert (event is not None) == (payload["ref"] == "refs/heads/master"), path.name
            case "pull_request":
                assert (event is not None) == (payload["action"] in {"closed", "synchronize"}), path.name
            case _:
                assert isinstance(event, DispatchEvent)
        if isinstance(event, CommentEvent):
            assert not event.is_pull_request
            grafted = payload | {"issue": payload["issue"] | {"pull_request": {}}}
            on_pull = parse_event(folder, grafted)
            assert isinstance(on_pull, CommentEvent)
            assert on_pull.is_pull_request
