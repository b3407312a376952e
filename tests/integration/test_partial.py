"""Releases of some services only: what they move, what they leave, and what the commands after them make of it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Decision, Reason


def sha(number: int) -> str:
    return f"{number:07x}" + "0" * 33


def commits(world: Any) -> dict[str, str]:
    """Which commit each service serves."""
    return {name: world.target.revisions[state.revision][1] for name, state in world.target.live.items()}


def part(world: Any, number: int = 7, text: str = "/deploy staging web", **over: Any) -> Any:
    world.pull(number)
    return world.say(text, number=number, **over)


def test_only_what_is_named_is_released(world: Any) -> None:
    world.released(6)
    outcome = part(world)
    assert (outcome.decision, outcome.reason) == (Decision.RELEASED, Reason.RELEASED)
    assert commits(world) == {"web": sha(7), "worker": sha(6)}
    applied = [step for _, step in world.mutations()]
    assert "rollout-web" in applied
    assert "rollout-worker" not in applied
    assert "### 🟢 `0000007` is live on `web` of **staging**" in world.shown
    assert "`worker`, which stays as it is." in world.shown
    assert outcome.message == "0000007 on staging (web only) is live and verified."
    assert outcome.result["release"]["only"] == ["web"]
    assert all(line["healthy"] for line in outcome.result["release"]["services"])
    record = world.github.kept[-1].payload
    assert (record["services"], record["before_sha"]) == (["web"], sha(6))


def test_all_of_them_named_is_a_release_like_any_other(world: Any) -> None:
    world.released(6)
    part(world, text="/deploy staging worker web")
    assert commits(world) == {"web": sha(7), "worker": sha(7)}
    assert "services" not in world.github.kept[-1].payload


def test_a_service_that_is_not_there_is_refused_before_anything(world: Any) -> None:
    world.released(6)
    outcome = part(world, text="/deploy staging wbe", phase="command")
    assert (outcome.decision, outcome.reason) == (Decision.REFUSED, Reason.UNKNOWN_SERVICE)
    assert "`staging` has no service `wbe`; there are `web` and `worker`." in world.shown
    assert "`/deploy staging web`" in world.shown


def test_a_failure_leaves_both_as_they_were(world: Any) -> None:
    world.released(6)
    world.target.sick.add(sha(7))
    outcome = part(world)
    assert outcome.decision is Decision.FAILED
    assert commits(world) == {"web": sha(6), "worker": sha(6)}
    assert "failed" in world.shown
    assert "`web` of **staging**" in world.shown


def test_it_is_taken_back_and_gone_back_to(world: Any) -> None:
    world.released(6)
    part(world)
    assert world.say("/rollback staging", author="max").sha == sha(6)
    assert commits(world) == {"web": sha(6), "worker": sha(6)}
    part(world, 8)
    world.released(9)
    outcome = world.say("/rollback staging", author="max")
    assert (outcome.reason, outcome.sha) == (Reason.ROLLED_BACK, sha(8))
    assert commits(world) == {"web": sha(8), "worker": sha(6)}
    assert "🟢 `web` of **staging** is back on `0000008`" in world.shown
    assert world.github.kept[-1].payload["services"] == ["web"]
    assert world.say("/verify staging").reason is Reason.VERIFIED
    world.say("/history staging")
    assert "rolled back to to" not in world.shown


def test_each_service_is_held_to_its_own_release(world: Any) -> None:
    world.released(6)
    part(world)
    outcome = world.say("/verify staging")
    assert outcome.reason is Reason.VERIFIED
    assert "The newest release left `worker` as before." in world.shown
    world.target.live["worker"] = world.target.live["web"]
    assert world.say("/verify staging").reason is Reason.NOT_AS_EXPECTED


def test_the_status_names_both_commits_and_the_history_what_was_released(world: Any) -> None:
    world.released(6)
    part(world)
    world.say("/status staging")
    assert "| ⚠️ `0000007` (web) · `0000006` (worker) |" in world.shown
    world.say("/history staging")
    assert "released to web only" in world.shown


def test_what_a_whole_release_would_bring_is_told_from_the_last_whole_one(world: Any) -> None:
    world.released(6)
    part(world)
    world.log.calls.clear()
    world.say("/diff staging")
    assert world.log.named("compare") == [(sha(6), sha(7))]


def test_a_retry_is_of_the_same_services(world: Any) -> None:
    world.released(6)
    world.target.sick.add(sha(7))
    part(world)
    world.target.sick.clear()
    assert world.say("/retry staging").reason is Reason.RELEASED
    assert commits(world) == {"web": sha(7), "worker": sha(6)}


def test_it_can_be_dispatched(world: Any) -> None:
    world.released(6)
    outcome = world.handle(world.dispatch(), command="deploy", environment="staging", services=("worker",))
    assert outcome.reason is Reason.RELEASED
    assert commits(world) == {"web": sha(6), "worker": sha(1)}
    outcome = world.handle(world.dispatch(), command="rollback", environment="staging", services=("worker",))
    assert outcome.reason is Reason.BAD_ARGUMENTS


def test_a_dry_run_shows_the_command_and_what_it_changes(world: Any) -> None:
    world.released(6)
    part(world, text="/deploy staging web --dry-run")
    assert "/deploy staging web @0000007 --plan=" in world.shown
    assert "`worker`, which stays as it is." in world.shown
    assert "rollout-worker" not in world.shown
    assert "| worker |" not in world.shown


@pytest.mark.parametrize(
    ("second", "replaced"),
    [("/deploy staging web", True), ("/deploy staging", True), ("/deploy staging worker", False)],
)
def test_a_newer_command_takes_the_place_of_what_it_covers(world: Any, second: str, replaced: bool) -> None:
    world.pull(7)
    world.say("/deploy staging web", phase="command")
    waits = world.github.queues["staging"].entries
    assert [entry.services for entry in waits] == [("web",)]
    world.github.alive |= {(entry.run_id, entry.run_attempt) for entry in waits}
    world.say(second, phase="command")
    assert [bool(entry.dropped) for entry in world.github.queues["staging"].entries] == [replaced, False]
