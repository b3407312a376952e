from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.core.events import CommentEvent, DispatchEvent, PushEvent
from bot.errors import EventError, SettingsError
from bot.settings import MAX_EVENT, Settings, signing_keys

ENVIRON = {
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_EVENT_NAME": "issue_comment",
    "GITHUB_EVENT_PATH": "/tmp/event.json",
    "GITHUB_RUN_ID": "71",
    "GITHUB_TOKEN": "ghs_abc",
}


def settings(**over: str) -> Settings:
    return Settings.from_environ({**ENVIRON, **over})


def test_what_is_not_said_has_a_default() -> None:
    made = settings()
    assert (made.repository, made.run.id, made.run.attempt) == ("acme/shop", 71, 1)
    assert made.run.url == "https://github.com/acme/shop/actions/runs/71"
    assert (made.api_url, made.graphql_url) == ("https://api.github.com", "https://api.github.com/graphql")
    assert (made.phase, made.config_path, made.log_level) == ("all", ".github/slipway.yml", "info")
    assert (made.variables, made.allowed_bots) == ({}, frozenset())


@pytest.mark.parametrize(("said", "seconds"), [("", 20), (" 30 ", 30), ("1", 1), ("120", 120)])
def test_a_call_takes_as_long_as_is_said(said: str, seconds: int) -> None:
    assert settings(SLIPWAY_CALL_TIMEOUT=said).call_timeout == seconds


@pytest.mark.parametrize("said", ["0", "121", "-1", "1.5", "nan", "inf", "1e1", "20s", "²", "9" * 400])
def test_a_call_takes_neither_no_time_nor_for_ever(said: str) -> None:
    with pytest.raises(SettingsError, match=r"SLIPWAY_CALL_TIMEOUT should be whole seconds from 1 to 120"):
        settings(SLIPWAY_CALL_TIMEOUT=said)


def test_what_is_said_is_taken() -> None:
    made = settings(
        GITHUB_RUN_ATTEMPT="3",
        GITHUB_API_URL="http://127.0.0.1:8001/",
        GITHUB_GRAPHQL_URL="http://localhost:8001/graphql",
        GITHUB_SERVER_URL="https://git.acme.test",
        GITHUB_ACTOR="dana",
        GITHUB_TRIGGERING_ACTOR="max",
        SLIPWAY_CONFIG_PATH="deploy.yml",
        SLIPWAY_PHASE="release",
        SLIPWAY_ENVIRONMENT="staging",
        SLIPWAY_SHA=" @4F9A1C2 ",
        SLIPWAY_COMMAND=" /Deploy ",
        SLIPWAY_SERVICES=" web, worker ",
        SLIPWAY_VARS='{"REGION": "europe-west1", "N": 3}',
        SLIPWAY_ALLOWED_BOTS="41, 42",
        SLIPWAY_REACTION_ID="9",
    )
    assert made.run.attempt == 3
    assert made.run.url == "https://git.acme.test/acme/shop/actions/runs/71"
    assert (made.api_url, made.graphql_url) == ("http://127.0.0.1:8001", "http://localhost:8001/graphql")
    assert (made.actor, made.config_path, made.phase, made.environment) == ("max", "deploy.yml", "release", "staging")
    assert (made.pinned_sha, made.command, made.reaction_id) == ("4f9a1c2", "deploy", 9)
    assert made.services == ("web", "worker")
    assert made.variables == {"REGION": "europe-west1", "N": "3"}
    assert made.allowed_bots == {41, 42}


@pytest.mark.parametrize("name", sorted(ENVIRON))
def test_what_is_required_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is not set") as raised:
        settings(**{name: ""})
    assert "GitHub Actions" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", "acme"),
        ("GITHUB_REPOSITORY", "acme/shop/x"),
        ("GITHUB_REPOSITORY", "/shop"),
        ("GITHUB_RUN_ID", "x"),
        ("GITHUB_RUN_ID", "-1"),
        ("GITHUB_RUN_ID", "١"),
        ("GITHUB_RUN_ID", "9" * 5000),
        ("GITHUB_RUN_ATTEMPT", "1.5"),
        ("GITHUB_API_URL", "http://api.github.com"),
        ("GITHUB_API_URL", "http://127.0.0.1.evil.test"),
        ("GITHUB_API_URL", "http://127.0.0.1@evil.test"),
        ("GITHUB_API_URL", "ftp://127.0.0.1"),
        ("GITHUB_API_URL", "https://"),
        ("GITHUB_API_URL", "http://[::1"),
        ("GITHUB_GRAPHQL_URL", "graphql"),
        ("GITHUB_SERVER_URL", "javascript:alert(1)"),
        ("SLIPWAY_SHA", "abc"),
        ("SLIPWAY_SHA", "main"),
        ("SLIPWAY_SHA", "a" * 41),
        ("SLIPWAY_REACTION_ID", "nine"),
        ("SLIPWAY_REACTION_ID", "0x9"),
        ("SLIPWAY_ALLOWED_BOTS", "dependabot"),
        ("SLIPWAY_ALLOWED_BOTS", "9" * 5000),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} should ") as raised:
        settings(**{name: value})
    assert len(raised.value.message) < 200


@pytest.mark.parametrize("value", ["deploy", "ALL", "command "])
def test_a_phase_is_one_of_four(value: str) -> None:
    with pytest.raises(SettingsError, match="input `phase`"):
        settings(SLIPWAY_PHASE=value)


@pytest.mark.parametrize("value", ["x", "[]", "3", '"text"', "{", "null", "[" * 100_000])
def test_variables_are_an_object(value: str) -> None:
    with pytest.raises(SettingsError, match="input `vars`") as raised:
        settings(SLIPWAY_VARS=value)
    assert "toJSON(vars)" in raised.value.hint


@pytest.mark.parametrize(("said", "key"), [("", ""), ("k" * 32, "k" * 32), (f" {'k' * 64}\r\n", "k" * 64), (" \n", "")])
def test_a_key_signs_as_it_is(said: str, key: str) -> None:
    assert settings(SLIPWAY_SIGNING_KEY=said).signing_key == key


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("k" * 31, "^SLIPWAY_SIGNING_KEY should be at least 32 characters long"),
        (" " * 20 + "k" * 31, "^SLIPWAY_SIGNING_KEY should be at least 32 characters long"),
        (f"{'a' * 32}\n{'b' * 32}", "^SLIPWAY_SIGNING_KEY should be one line"),
    ],
)
def test_a_key_that_is_none_is_told_and_not_shown(said: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        settings(SLIPWAY_SIGNING_KEY=said)
    assert said.strip()[:8] not in raised.value.message + raised.value.hint


def test_readers_have_several_keys() -> None:
    assert signing_keys({"KEYS": f"\n{'a' * 32}\r\n\n {'b' * 32} "}, "KEYS") == ("a" * 32, "b" * 32)
    assert signing_keys({}, "KEYS") == ()
    with pytest.raises(SettingsError, match="KEYS should be at least 32"):
        signing_keys({"KEYS": f"{'a' * 32}\nb"}, "KEYS")


def test_secrets_are_known_and_not_shown() -> None:
    made = settings(
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="oidc-secret",
        HEROKU_API_KEY="heroku-secret",
        SLIPWAY_SOURCES_TOKEN="ghp_sources",
        SLIPWAY_SIGNING_KEY="k" * 32,
    )
    assert made.secrets == ("ghs_abc", "oidc-secret", "heroku-secret", "ghp_sources", "k" * 32)
    assert not any(secret in repr(made) for secret in made.secrets)


# -- the event ----------------------------------------------------------------------------------------------------
@pytest.fixture
def event_of(tmp_path: Path) -> Callable[..., Any]:
    def read(name: str, payload: Any) -> Any:
        path = tmp_path / "event.json"
        path.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return settings(GITHUB_EVENT_NAME=name, GITHUB_EVENT_PATH=str(path), GITHUB_SHA="c" * 40).event()

    return read


REPOSITORY = {"full_name": "acme/shop", "default_branch": "main"}
COMMENT = {
    "action": "created",
    "repository": REPOSITORY,
    "issue": {"number": 7, "pull_request": {}},
    "comment": {
        "id": 9,
        "html_url": "u",
        "body": "/deploy staging",
        "created_at": "2026-03-02T12:00:00Z",
        "user": {"login": "dana", "id": 1, "type": "User"},
    },
}


def test_events_are_read(event_of: Any) -> None:
    comment = event_of("issue_comment", COMMENT)
    assert isinstance(comment, CommentEvent)
    assert (comment.author, comment.number, comment.is_pull_request, comment.author_is_bot) == ("dana", 7, True, False)
    push = {"ref": "refs/heads/main", "after": "b" * 40, "repository": REPOSITORY, "sender": {"login": "dana"}}
    assert event_of("push", push) == PushEvent(
        repository="acme/shop", default_branch="main", sha="b" * 40, actor="dana"
    )
    dispatch = {"ref": "refs/heads/main", "repository": REPOSITORY, "sender": {"login": "dana"}, "inputs": None}
    assert event_of("workflow_dispatch", dispatch) == DispatchEvent(
        repository="acme/shop", default_branch="main", ref="refs/heads/main", actor="dana", sha="c" * 40
    )


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("issue_comment", {**COMMENT, "action": "edited"}),
        ("issue_comment", {**COMMENT, "action": "deleted"}),
        ("push", {"ref": "refs/heads/other", "repository": REPOSITORY}),
        ("push", {"ref": "refs/heads/main", "repository": REPOSITORY, "deleted": True}),
        ("pull_request", {}),
    ],
)
def test_other_events_are_no_concern(event_of: Any, name: str, payload: Any) -> None:
    assert event_of(name, payload) is None


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"action": "created"}', "has no comment.created_at"),
        ({**COMMENT, "comment": None}, "has no comment"),
        ({**COMMENT, "comment": {**COMMENT["comment"], "body": 3}}, "comment.body is not a str"),  # type: ignore[dict-item]
        ({**COMMENT, "comment": {**COMMENT["comment"], "id": True}}, "comment.id is not a int"),  # type: ignore[dict-item]
        ({**COMMENT, "comment": {**COMMENT["comment"], "created_at": "now"}}, "is not a time"),  # type: ignore[dict-item]
        ({**COMMENT, "comment": {**COMMENT["comment"], "user": None}}, "has no comment.user.login"),  # type: ignore[dict-item]
        ({**COMMENT, "issue": []}, "has no issue.number"),
    ],
)
def test_a_malformed_event_says_where(event_of: Any, payload: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        event_of("issue_comment", payload)


def test_an_event_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(EventError, match=r"absent.json cannot be read: No such file"):
        settings(GITHUB_EVENT_PATH=str(tmp_path / "absent.json")).event()


def test_an_event_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    with path.open("wb") as file:
        file.truncate(MAX_EVENT + 1)  # sparse: it takes no room
    with pytest.raises(EventError, match="is larger than 32 MB"):
        settings(GITHUB_EVENT_PATH=str(path)).event()
