"""Each command and each gate is told in a story of the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bot.sandbox.scenarios
from bot.core.policy import PROMOTION_GATES, RELEASE_GATES, ROLLBACK_GATES
from bot.core.registry import REGISTRY
from bot.sandbox.scenarios import SCENARIOS

FOLDER = Path(bot.sandbox.scenarios.__file__).parent
SAID = set(
    re.findall(r'["\'\n](?:\\n)?/([a-z]+)\b', "\n".join(path.read_text("utf-8") for path in FOLDER.glob("*.py")))
)
# The story in which a gate says no, and with which reason.
GATES = {
    "still_wanted": ("queue-replaced", "replaced"),
    "supported": ("not-acted-on", "unsupported_setting"),
    "known_services": ("one-service-unknown", "unknown_service"),
    "pull_request_state": ("closed", "pull_request_closed"),
    "base": ("wrong-base", "wrong_base"),
    "fork": ("fork-refused", "fork"),
    "own_branch": ("commit-of-a-fork", "fork"),
    "named_sha": ("sha-required", "sha_required"),
    "sha_binding": ("head-moved", "head_moved"),
    "newest_push": ("push-overtaken", "superseded"),
    "required_checks": ("red-ci", "checks_failed"),
    "reviewed": ("unreviewed", "reviews_missing"),
    "up_to_date": ("behind-main", "behind_base"),
    "promotion": ("promote-unverified", "promotion_unverified"),
    "soaked": ("promote-soaking", "promotion_soaking"),
    "approvals": ("approve-rejected", "rejected"),
    "run_reviewed": ("approve-on-github", "run_unreviewed"),
    "in_window": ("outside-window", "outside_window"),
    "not_frozen": ("freeze", "frozen"),
    "not_claimed": ("lock", "claimed"),
    "not_on_hold": ("rollback-holds-pushes", "on_hold"),
    "lock_free": ("locked", "locked"),
}


@pytest.mark.parametrize("verb", REGISTRY)
def test_a_command_is_said_in_a_story(verb: str) -> None:
    assert verb in SAID


def test_every_gate_has_its_story() -> None:
    assert set(GATES) == {gate.__name__ for gate in (*RELEASE_GATES, *PROMOTION_GATES, *ROLLBACK_GATES)}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_says_no_in_a_story(gate: str) -> None:
    name, reason = GATES[gate]
    ends = [one.expected for one in SCENARIOS[name].expectations if isinstance(one.expected, list)]
    assert any(end[:2] == ["refused", reason] for end in ends)
