"""Whether a pull request may have a preview."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.commands import Command
from bot.core.outcome import Reason, Refusal
from bot.core.policy import Facts
from bot.core.preview_policy import GATES, asked_ttl, judge

SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
CREATE = Command(verb="preview", action="create", environment="staging")
NAMED = Command(verb="preview", action="create", environment="staging", sha=SHA[:7])
LATE = datetime(2026, 1, 2, 10, 0, 6, tzinfo=UTC)


@pytest.fixture
def make(make_facts: Callable[..., Facts], make_environment: Callable[..., Any]) -> Callable[..., Facts]:
    """Make the facts of a command to make a preview; ``previews`` and ``top`` are of the configuration."""

    def make(previews: str = "{}", top: str = "", **over: Any) -> Facts:
        staging = f"previews: {previews}" if previews else ""
        environment = make_environment(staging=staging, top=top)
        return make_facts(**{"command": CREATE, "environment": environment, **over})

    return make


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, []),
        ({"previews": ""}, [Reason.NO_PREVIEW]),
        ({"top": "gates: {preflight: [x]}"}, [Reason.UNSUPPORTED_SETTING]),
        # it is there to be looked at before it is good
        ({"pull_draft": True}, []),
        ({"pull_mergeable": False}, []),
        ({"checks": (), "required": ("ci",)}, []),
        # but it is of this repository, and of an open pull request
        ({"pull_state": "closed"}, [Reason.PULL_REQUEST_CLOSED]),
        ({"pull_state": "closed", "pull_merged": True, "pull_merge_sha": SHA}, [Reason.PULL_REQUEST_CLOSED]),
        ({"pull_base_ref": "release"}, [Reason.WRONG_BASE]),
        ({"pull_head_repository": "eve/shop"}, [Reason.FORK]),
        ({"pull_head_repository": ""}, [Reason.FORK]),
        ({"top": "gates: {allow_forks: true}", "pull_head_repository": "eve/shop", "command": NAMED}, [Reason.FORK]),
        # and the commit is the one meant
        ({"head_pushed_at": LATE}, [Reason.HEAD_MOVED]),
        ({"head_pushed_at": None}, [Reason.PUSH_UNKNOWN]),
        ({"head_pushed_at": None, "command": NAMED}, []),
        ({"command": NAMED, "pull_head_sha": "b" * 40}, [Reason.HEAD_MOVED]),
        ({"head_pushed_at": None, "trigger": "pull_request"}, []),
        ({"pull_state": "closed", "pull_base_ref": "x"}, [Reason.PULL_REQUEST_CLOSED, Reason.WRONG_BASE]),
    ],
)
def test_gates(make: Callable[..., Facts], over: dict[str, Any], expected: list[Reason]) -> None:
    refusals = judge(make(**over))
    assert [refusal.reason for refusal in refusals] == expected
    assert all(refusal.gate in {gate.__name__ for gate in GATES} and refusal.next for refusal in refusals)


def test_a_head_that_is_not_known_to_be_meant_is_named_by_what_to_type(make: Callable[..., Facts]) -> None:
    for over in ({"head_pushed_at": LATE}, {"head_pushed_at": None}):
        [refusal] = judge(make(**over))
        assert "`/preview create staging @4f9a1c2`" in refusal.next


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0.0), ("3d", 259_200.0), ("90m", 5400.0), ("7d", 604_800.0), ("60s", 60.0)]
)
def test_a_time_to_live(text: str, expected: float) -> None:
    assert asked_ttl("extend", text) == expected


@pytest.mark.parametrize("text", ["8d", "1s", "0", "soon", "-3d", "nan", "1e9"])
def test_a_time_that_is_none(text: str) -> None:
    refusal = asked_ttl("create", text)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.BAD_ARGUMENTS
    assert text in refusal.sentence
    assert refusal.next == "`/preview create --ttl=3d`"


def test_what_goes_now_has_no_time() -> None:
    refusal = asked_ttl("destroy", "3d")
    assert isinstance(refusal, Refusal)
    assert "destroy" in refusal.sentence
