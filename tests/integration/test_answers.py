"""`/help` and `/status`: what they show, and that they change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Lock, LockRecord
from bot.core.outcome import Decision, Reason
from bot.core.serving import ServiceState, TrafficShare
from bot.errors import AuthError, ConfigError


def answered(world: Any, outcome: Any, reason: Reason) -> None:
    assert (outcome.decision, outcome.reason, outcome.exit_code) == (Decision.ANSWERED, reason, 0)
    assert world.mutations() == []
    assert world.github.kept == [] or world.log.named("create_deployment") == []
    assert world.github.reactions[-1] == "rocket"
    assert outcome.comment_id in world.github.bodies


@pytest.mark.parametrize(("author", "denied"), [("rita", True), ("ada", False)])
def test_help_shows_what_one_may(world: Any, author: str, denied: bool) -> None:
    answered(world, world.say("/help", author=author), Reason.HELP_SHOWN)
    assert ("You may not run `deploy`" in world.shown) == denied


@pytest.mark.parametrize(("text", "word"), [("/help deploy", "The command `deploy`"), ("/help x", "Commands you can")])
def test_help_of_one_command(world: Any, text: str, word: str) -> None:
    answered(world, world.say(text), Reason.HELP_SHOWN)
    assert word in world.shown


def test_help_can_be_asked_for_where_there_is_nothing_to_deploy(world: Any) -> None:
    outcome = world.say("/help", number=3, is_pull_request=False)
    assert outcome.reason is Reason.HELP_SHOWN
    assert len(world.github.thread(3)) == 1


def test_status_of_what_was_never_released(world: Any) -> None:
    answered(world, world.say("/status"), Reason.STATUS_SHOWN)
    assert "nothing yet" in world.shown
    assert "production" in world.shown


def test_status_of_one_environment(world: Any) -> None:
    world.released(7)
    answered(world, world.say("/status staging"), Reason.STATUS_SHOWN)
    assert "`0000007`" in world.shown
    assert "✅ 2/2 services" in world.shown
    assert "PR 7" in world.shown
    assert "production" not in world.shown


def test_status_shows_what_serves_and_not_what_was_released_last(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.say("/rollback staging", author="max")
    world.log.calls.clear()
    answered(world, world.say("/status staging", number=3, is_pull_request=False), Reason.STATUS_SHOWN)
    said = world.github.thread(3)[-1]
    assert "`0000006`" in said
    assert "`0000007`" not in said


def test_status_shows_a_split(world: Any) -> None:
    world.released(7)
    web = world.target.live["web"]
    shares = (TrafficShare(revision=web.revision, percent=60), TrafficShare(revision="other", percent=40))
    world.target.live["web"] = replace(web, traffic=shares)
    world.say("/status staging")
    assert "1/2 services" in world.shown


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (AuthError("There are no credentials here."), "There are no credentials here"),
        (ConfigError("Bad.", problems=("targets.gcp.project: no value",)), "targets.gcp.project"),
        (ConfigError("Bad in general."), "Bad in general"),
    ],
)
def test_status_from_the_record_where_the_target_cannot_be_asked(world: Any, error: Exception, word: str) -> None:
    world.released(7)
    world.log.fail("connect", error=error)
    answered(world, world.say("/status staging"), Reason.STATUS_SHOWN)
    assert "`0000007`" in world.shown
    assert "from the record" in world.shown
    assert word in world.shown


def test_status_in_the_job_without_rights_does_not_ask_the_target(world: Any) -> None:
    world.released(7)
    answered(world, world.say("/status staging", phase="command"), Reason.STATUS_SHOWN)
    assert not world.log.named("connect")
    assert "from the record" in world.shown
    assert "`/verify staging` asks what serves" in world.shown


def test_status_for_a_mere_reader_uses_no_right_to_the_cloud(world: Any) -> None:
    """On a public repository everybody is one."""
    world.released(7)
    answered(world, world.say("/status staging", author="rita"), Reason.STATUS_SHOWN)
    assert not world.log.named("connect")
    assert "`0000007`" in world.shown
    assert "only those who may do more than read" in world.shown


@pytest.mark.parametrize(("readable", "word"), [(True, "max, since 11:59:00 UTC"), (False, "held, unreadable")])
def test_status_shows_who_holds_an_environment(world: Any, readable: bool, word: str) -> None:
    record = LockRecord(
        environment="staging", run_id=77, run_attempt=1, actor="max", pull_request=3, sha="a" * 40,
        since=datetime(2026, 3, 2, 11, 59, tzinfo=UTC),
    )  # fmt: skip
    world.github.locks["staging"] = Lock(environment="staging", oid="f" * 40, record=record if readable else None)
    world.say("/status")
    assert word in world.shown


def test_status_links_where_users_find_it(world: Any) -> None:
    key = ".github/slipway.yml", "main"
    world.github.files[key] = world.github.files[key].replace("on: push,", "on: push, url: https://shop.example,")
    world.released(7)
    world.say("/status staging")
    assert "https://shop.example" in world.shown


def test_status_names_the_commit_of_each_service_where_there_are_two(world: Any) -> None:
    world.released(5)
    older = world.target.live["worker"]
    world.released(6)
    world.target.live["worker"] = older
    world.say("/status staging")
    assert "| ⚠️ `0000006` (web) · `0000005` (worker) |" in world.shown


def test_status_of_what_was_put_there_by_hand(world: Any) -> None:
    world.target.live["web"] = ServiceState(service="web", traffic=(TrafficShare(revision="by-hand", percent=100),))
    world.say("/status staging")
    assert "not one release" in world.shown


def test_a_dispatched_question_is_answered_in_the_summary(world: Any) -> None:
    outcome = world.handle(world.dispatch(), command="status")
    assert outcome.reason is Reason.STATUS_SHOWN
    assert world.github.bodies == {}
    assert "Environments" in world.summary[0]


def test_a_failure_is_told(world: Any) -> None:
    world.log.fail("deployments")
    with pytest.raises(Exception, match="502"):
        world.say("/status")
    assert "GitHub answered 502." in world.shown
    assert world.github.reactions == ["confused"]


def test_an_answer_that_is_too_long_goes_on_in_the_summary(world: Any) -> None:
    key = ".github/slipway.yml", "main"
    more = "".join(f"  e{number:04d}: {{target: gcp}}\n" for number in range(700))
    world.github.files[key] += more
    world.log.fail("connect", error=AuthError("There are no credentials here. " * 4))
    world.say("/status")
    assert len(world.shown) <= 65_536
    assert len("".join(world.summary)) > 10_000


def test_status_shows_a_hold_and_who_has_put_it(world: Any) -> None:
    world.released(6)
    world.released(7)
    world.say('/rollback staging --reason="slow"', author="max")
    world.say("/status staging")
    assert "max has put automatic releases on hold at" in world.shown
    assert "(slow): `/unlock staging` lets pushes release again" in world.shown


def test_status_shows_secrets_that_are_newer_than_what_serves(world: Any) -> None:
    world.released(6)
    web = world.target.live["web"]
    world.target.live["web"] = replace(web, secrets={"key": "3", "same": "1", "floats": "latest"})
    world.target.secrets = {"projects/p/secrets/key": "5", "same": "1", "floats": "2"}
    world.say("/status staging")
    assert "the secret `key` serves in version 3, the newest is 5" in world.shown
    assert "`same`" not in world.shown
    assert "`floats`" not in world.shown


def test_status_needs_no_sight_of_secrets(world: Any) -> None:
    world.released(6)
    world.log.fail("newest_secrets")
    answered(world, world.say("/status staging"), Reason.STATUS_SHOWN)
