"""`/status` on a pull request: every gate that says no for each environment, and that looking changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.facts import CheckState, Comparison, Lock, LockRecord
from bot.core.outcome import Decision, Reason
from bot.errors import UpstreamError

CONFIG = ".github/slipway.yml", "main"
PLAIN = "production: {target: gcp, permissions: {deploy: admin}}"
HEADING = "#### From here, now"


def change(world: Any, before: str, after: str) -> None:
    assert before in world.github.files[CONFIG]
    world.github.files[CONFIG] = world.github.files[CONFIG].replace(before, after)


def section(world: Any, body: str = "/status", **over: Any) -> dict[str, str]:
    """Ask, and return what is said of each environment."""
    kept = len(world.github.kept)
    outcome = world.say(body, **over)
    assert (outcome.decision, outcome.reason) == (Decision.ANSWERED, Reason.STATUS_SHOWN)
    assert world.mutations() == []
    assert len(world.github.kept) == kept
    assert world.github.locks == {} or not world.log.named("take_lock")
    said = world.github.bodies[outcome.comment_id][-1].partition(HEADING)[2].partition("<details>")[0].strip()
    items = [f"- {item}".strip() for item in said.split("\n- ")] if said else []
    return {item.partition("**")[2].partition("**")[0]: item.replace("- - ", "- ") for item in items}


def test_a_head_that_could_be_released(world: Any) -> None:
    world.released(6)
    world.pull(7)
    world.log.calls.clear()
    said = section(world, number=7)
    assert said["staging"] == "- ✅ **staging**: `/deploy staging` (`0000007`) · brings 2 commits"


def test_every_gate_that_says_no_is_named_at_once_with_what_to_do(world: Any) -> None:
    world.pull(7, draft=True)
    world.github.check_states[world.github.pulls[7].head_sha] = (CheckState(name="ci", state="failure"),)
    world.github.marks["freeze"]["staging"] = Lock(
        environment="staging",
        oid="f" * 40,
        record=LockRecord(
            environment="staging", run_id=5, run_attempt=1, actor="ada", pull_request=None, sha="", reason="demo",
            since=datetime(2026, 3, 2, 11, 0, tzinfo=UTC), sticky=True,
        ),
    )  # fmt: skip
    said = section(world, "/status staging", number=7)
    assert set(said) == {"staging"}
    lines = said["staging"].split("\n")
    assert lines[0].startswith("- 🚫 **staging**: `/deploy staging` (`0000007`) would be refused")
    assert len(lines) == 4
    for words in ("This pull request is a draft.", "Required checks failed", "is frozen"):
        assert sum(words in line for line in lines) == 1
    assert all(line.startswith("  - ") and "**Next:** " in line for line in lines[1:])


def test_who_may_not_is_told_so_with_the_rest(world: Any) -> None:
    world.pull(7)
    said = section(world, number=7, author="dana")
    assert "would be refused" in said["production"]
    assert "dana has not got it" in said["production"]
    assert "✅" in section(world, number=7, author="ada")["production"]


def test_it_is_asked_as_if_it_were_said_now(world: Any) -> None:
    """The head was pushed after `/status` was written and before it is answered: that binds no command to it."""
    pull = world.pull(7)
    world.github.pushes[pull.head_ref, pull.head_sha] = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=12)
    assert "✅" in section(world, number=7, created_at=datetime(2026, 3, 2, 11, 59, 30, tzinfo=UTC))["staging"]
    del world.github.pushes[pull.head_ref, pull.head_sha]
    assert "no record" in section(world, number=7)["staging"]


def test_how_far_it_is_from_what_was_released_last(world: Any) -> None:
    world.released(7)
    world.log.calls.clear()
    assert "brings nothing new" in section(world, number=7)["staging"]
    world.pull(8)
    world.github.comparison = Comparison(ahead_by=1, behind_by=3)
    assert "brings 1 commit and takes back 3 commits" in section(world, number=8)["staging"]


def test_what_is_promoted_is_what_the_other_environment_serves(world: Any) -> None:
    change(world, PLAIN, PLAIN.replace("{target", "{promote_from: {environment: staging, soak: 1h}, target"))
    world.pull(9)
    nothing = section(world, number=9, author="ada")["production"]
    assert "`/promote production` would be refused" in nothing
    assert "`staging`" in nothing
    world.released(7)
    world.log.calls.clear()
    soaking = section(world, number=9, author="ada")["production"]
    assert "`/promote production` (`0000007`) would be refused" in soaking
    world.clock.sleep(3700)
    assert (
        "✅ **production**: `/promote production` (`0000007`)" in section(world, number=9, author="ada")["production"]
    )


def test_approvals_are_counted(world: Any) -> None:
    change(world, "staging: {target: gcp,", "staging: {gates: {approvals: 1, required_checks: [ci]}, target: gcp,")
    pull = world.pull(7)
    assert "has 0 of 1 approvals" in section(world, number=7)["staging"]
    world.say(f"/approve staging @{pull.head_sha[:7]}", author="ada", comment_id=600)
    world.log.calls.clear()
    said = section(world, number=7, author="max", comment_id=601)["staging"]
    assert "✅" in said
    assert "approved by ada (1 of 1)" in said


def test_whoever_may_only_read_is_not_told(world: Any) -> None:
    world.pull(7)
    assert section(world, number=7, author="rita") == {}
    assert not world.log.named("checks")


@pytest.mark.parametrize("over", [{"number": 3, "is_pull_request": False}])
def test_on_an_issue_nothing_could_be_released(world: Any, over: dict[str, Any]) -> None:
    world.say("/status", **over)
    assert HEADING not in world.github.thread(3)[-1]


def test_the_clouds_are_not_asked_for_it(world: Any) -> None:
    world.pull(7)
    section(world, number=7, phase="command")
    assert not world.log.named("connect")


def test_a_held_environment_refuses_unless_releases_wait_in_line(world: Any) -> None:
    world.pull(7)
    record = LockRecord(
        environment="staging", run_id=77, run_attempt=1, actor="max", pull_request=3, sha="a" * 40,
        since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
    )  # fmt: skip
    world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record)
    world.github.alive.add((77, 1))
    assert "is held by max" in section(world, number=7)["staging"]
    assert "is held by" not in section(world, number=7, phase="command")["staging"]


@pytest.mark.parametrize("call", ["pull_request", "checks", "pushed_at"])
def test_what_cannot_be_found_out_is_said_and_the_rest_is_answered(world: Any, call: str) -> None:
    world.released(6)
    world.pull(7)
    world.log.calls.clear()
    world.log.fail(call, error=UpstreamError("GitHub is ill.", service="GitHub", operation=call))
    said = section(world, "/status staging", number=7)["staging"]
    assert "could not be found out: GitHub is ill." in said
    assert "`0000006`" in world.shown


def test_the_distance_is_only_nice_to_know(world: Any) -> None:
    world.released(6)
    world.pull(7)
    world.log.calls.clear()
    world.log.fail("compare", error=UpstreamError("GitHub is ill.", service="GitHub", operation="compare"))
    assert section(world, "/status staging", number=7)["staging"] == "- ✅ **staging**: `/deploy staging` (`0000007`)"


def test_a_merged_pull_request(world: Any) -> None:
    world.pull(7)
    world.github.pulls[7] = replace(world.github.pulls[7], merged=True, state="closed", merge_sha="c" * 40)
    assert "✅ **staging**: `/deploy staging` (`ccccccc`)" in section(world, number=7)["staging"]


def test_what_the_environment_before_has_more(world: Any, make_target: Any) -> None:
    change(world, PLAIN, PLAIN.replace("{target", "{promote_from: {environment: staging}, target"))
    world.elsewhere["production"] = make_target("production.test")
    world.released(6)
    world.clock.sleep(2)
    assert world.say("/promote production", author="ada").decision is Decision.RELEASED
    world.released(7)
    world.clock.sleep(2)
    world.log.calls.clear()
    world.say("/status", number=3, is_pull_request=False)
    assert "- **production**: `staging` has 2 commits more" in world.github.thread(3)[-1]
    world.say("/promote production", author="ada")
    world.say("/status", number=3, is_pull_request=False)
    assert "commits more" not in world.github.thread(3)[-1]
