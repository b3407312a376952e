import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.github import mapping
from bot.github.mapping import Misshapen

SHA = "a" * 40


@pytest.mark.parametrize(
    ("answer", "role"),
    [
        ({"permission": "admin", "role_name": "admin"}, "admin"),
        ({"permission": "write", "role_name": "maintain"}, "maintain"),
        ({"permission": "write", "role_name": "write"}, "write"),
        ({"permission": "read", "role_name": "triage"}, "triage"),
        ({"permission": "read", "role_name": "read"}, "read"),
        ({"permission": "none", "role_name": "none"}, "none"),
        ({"permission": "write", "role_name": "Release Captain"}, "write"),
        ({"permission": "write"}, "write"),
        ({"permission": "emperor", "role_name": "emperor"}, "none"),
    ],
)
def test_permission(answer: Any, role: Any) -> None:
    assert mapping.permission(answer) == role


@pytest.mark.parametrize("answer", [{}, {"permission": None}, [], None, "admin"])
def test_a_permission_that_cannot_be_read_is_none_of_them(answer: Any) -> None:
    with pytest.raises(Misshapen, match="permission"):
        mapping.permission(answer)


def test_pull_request(make_pull: Callable[..., dict[str, Any]]) -> None:
    pull = mapping.pull_request(make_pull())
    assert (pull.number, pull.title, pull.author, pull.state) == (7, "Add stock", "dana", "open")
    assert (pull.head_sha, pull.head_ref, pull.head_repository) == ("a" * 40, "stock", "acme/shop")
    assert (pull.base_ref, pull.base_repository) == ("main", "acme/shop")
    assert (pull.mergeable, pull.merged, pull.merge_sha, pull.from_fork) == (True, False, "", False)


def test_the_merge_commit_counts_once_merged(make_pull: Callable[..., dict[str, Any]]) -> None:
    assert mapping.pull_request(make_pull(state="closed", merged=True)).merge_sha == "c" * 40


def test_a_deleted_fork_and_a_deleted_user_are_null(make_pull: Callable[..., dict[str, Any]]) -> None:
    head = {"sha": SHA, "ref": "stock", "repo": None, "user": None, "label": None}
    pull = mapping.pull_request(make_pull(head=head, user=None, mergeable=None))
    assert (pull.head_repository, pull.author, pull.mergeable, pull.from_fork) == ("", "ghost", None, True)


@pytest.mark.parametrize(
    "over",
    [
        {"head": None},
        {"head": {"sha": "abc", "ref": "x"}},
        {"head": {"sha": None, "ref": "x"}},
        {"state": "limbo"},
        {"merged": None},
        {"number": "7"},
        {"number": True},
        {"base": {"ref": "main", "repo": None}},
    ],
)
def test_a_pull_request_without_its_evidence_is_refused(make_pull: Callable[..., dict[str, Any]], over: Any) -> None:
    with pytest.raises(Misshapen):
        mapping.pull_request(make_pull(**over))


@pytest.mark.parametrize(
    ("data", "subject", "author"),
    [
        (
            {"commit": {"message": "One\n\nmore", "author": {"name": "Dana"}}, "author": {"login": "dana"}},
            "One",
            "dana",
        ),
        ({"commit": {"message": "One", "author": {"name": "Dana"}}, "author": None}, "One", "Dana"),
        ({"commit": {"message": "", "author": None}, "author": None}, "", ""),
    ],
)
def test_commit(data: Any, subject: Any, author: Any) -> None:
    commit = mapping.commit({"sha": SHA.upper(), **data})
    assert (commit.sha, commit.subject, commit.author) == (SHA, subject, author)


def file(content: bytes, **over: Any) -> Any:
    return {"type": "file", "encoding": "base64", "content": base64.encodebytes(content).decode()} | over


def test_file_text() -> None:
    assert mapping.file_text(file("größer\r\n".encode())) == "größer\r\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "folder"),
        (file(b"x", type="submodule"), "no file"),
        (file(b"", encoding="none"), "too big"),
        (file(b"\xff\xfe"), "UTF-8"),
        (file(b"x") | {"content": "a"}, "UTF-8"),
        ({}, "type"),
        ("x", "type"),
    ],
)
def test_what_is_no_text_file(answer: Any, why: Any) -> None:
    with pytest.raises(Misshapen, match=why):
        mapping.file_text(answer)


def run(**over: Any) -> Any:
    return {"id": 1, "name": "ci", "status": "completed", "conclusion": "success", "app": {"id": 15368}} | over


@pytest.mark.parametrize(
    ("over", "state", "word"),
    [
        ({}, "success", "success"),
        ({"conclusion": "neutral"}, "success", "neutral"),
        ({"conclusion": "skipped"}, "success", "skipped"),
        *[
            ({"status": word, "conclusion": None}, "pending", word)
            for word in ("queued", "in_progress", "waiting", "requested", "pending")
        ],
        *[
            ({"conclusion": word}, "failure", word)
            for word in ("failure", "cancelled", "timed_out", "action_required", "stale", "startup_failure", "novel")
        ],
        ({"conclusion": None}, "failure", ""),
        ({"status": "novel"}, "failure", "novel"),
        # A conclusion that does not belong to a finished run does not pass.
        ({"status": "in_progress", "conclusion": "success"}, "pending", "in_progress"),
    ],
)
def test_check_run_states(over: Any, state: Any, word: Any) -> None:
    (check,) = mapping.check_states([run(**over)], [])
    assert (check.state, check.conclusion) == (state, word)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("success", "success"),
        ("pending", "pending"),
        ("expected", "pending"),
        ("failure", "failure"),
        ("error", "failure"),
        ("novel", "failure"),
    ],
)
def test_context_states(word: Any, state: Any) -> None:
    context = {"context": "cov", "state": word, "updated_at": "2026-01-01T00:00:00Z", "target_url": None}
    (check,) = mapping.check_states([], [context])
    assert (check.name, check.state, check.conclusion, check.url) == ("cov", state, word, "")


def test_the_newest_of_each_app_and_name_counts() -> None:
    runs = [
        run(id=3, conclusion="success"),
        run(id=2, conclusion="failure"),
        run(id=9, name="lint", conclusion="failure"),
        run(id=4, app={"id": 2}, conclusion="failure"),
        run(id=5, app=None, conclusion="success", html_url="https://x.example/5"),
    ]
    states = mapping.check_states(runs, [])
    assert [(check.name, check.state, check.url) for check in states] == [
        ("ci", "failure", ""),
        ("ci", "success", ""),
        ("ci", "success", "https://x.example/5"),
        ("lint", "failure", ""),
    ]


def test_the_newest_of_each_context_counts() -> None:
    contexts = [
        {"context": "cov", "state": "failure", "updated_at": "2026-01-01T00:00:00Z"},
        {"context": "cov", "state": "success", "updated_at": "2026-01-01T00:00:05Z"},
        {"context": "cov", "state": "error", "updated_at": "2026-01-01T00:00:01Z"},
    ]
    assert [check.state for check in mapping.check_states([], contexts)] == ["success"]


@pytest.mark.parametrize("broken", [{"id": None}, {"name": None}, {"status": None}, {"app": {"id": "x"}}])
def test_a_check_that_cannot_be_read_passes_no_gate(broken: Any) -> None:
    with pytest.raises(Misshapen):
        mapping.check_states([run(**broken)], [])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"id": "1"}, {"id": "1"}),
        ('{"id": "1"}', {"id": "1"}),
        (json.dumps('{"id": "1"}'), {"id": "1"}),
        (json.dumps(json.dumps('{"id": "1"}')), {"id": "1"}),
        ("", {}),
        (None, {}),
        ("[1]", {}),
        ([1], {}),
        ("{", {}),
    ],
)
def test_payloads_are_unwrapped(value: Any, read: Any) -> None:
    assert mapping.payload(value) == read


def test_required_checks_come_from_rules_and_protection() -> None:
    rules = [
        {"type": "deletion"},
        {
            "type": "required_status_checks",
            "parameters": {"required_status_checks": [{"context": "ci"}, {"context": "e2e"}]},
        },
    ]
    branch = {"protected": True, "protection": {"required_status_checks": {"contexts": ["lint", "ci"]}}}
    assert mapping.required_checks(rules, branch) == ("ci", "e2e", "lint")
    assert mapping.required_checks(rules, {"protected": False, "protection": branch["protection"]}) == ("ci", "e2e")
    assert mapping.required_checks([], {"protected": True, "protection": None}) == ()


@pytest.mark.parametrize(
    ("rules", "branch"),
    [
        ({}, {"protected": False}),
        ([{}], {"protected": False}),
        ([], {}),
        ([{"type": "required_status_checks", "parameters": {}}], {"protected": False}),
    ],
)
def test_required_checks_that_cannot_be_read_raise(rules: Any, branch: Any) -> None:
    with pytest.raises(Misshapen):
        mapping.required_checks(rules, branch)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_are_utc(given: Any, read: Any) -> None:
    assert mapping.moment({"at": given}, "at") == read


@pytest.mark.parametrize("given", ["yesterday", "", None, 5])
def test_what_is_no_time(given: Any) -> None:
    with pytest.raises(Misshapen):
        mapping.moment({"at": given}, "at")
