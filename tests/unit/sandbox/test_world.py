"""The whole world: events make the runs that GitHub would make of them, and every hand is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.world import FORKS_TOKEN, TOKEN, World, token_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(root=tmp_path, runtime=InstantRuntime()) as made:
        yield made
        assert made.unknown() == []


@pytest.mark.parametrize(
    ("event", "fork", "ref", "token"),
    [
        ("pull_request", False, "refs/pull/1/merge", TOKEN),
        ("pull_request", True, "refs/pull/1/merge", FORKS_TOKEN),
        ("pull_request_target", True, "refs/heads/main", TOKEN),
    ],
)
def test_an_event_of_a_pull_request_makes_its_run(world: World, event: str, fork: bool, ref: str, token: str) -> None:
    source = world.repository.fork("eve") if fork else world.repository
    sha = source.commit("change", {"NOTES.md": "x"}, author="dana", base="main")
    number = world.repository.open_pull_request(head="eve:change" if fork else "change")
    payload = world.repository.pull_request_payload(number, "labeled")  # nothing that the bot is for
    ran = world.act(event, payload)
    assert (ran.exit_code, ran.outputs.get("ours")) == (0, "false")
    assert (ran.run.event, ran.run.ref, ran.run.head_sha, ran.run.head_ref) == (event, ref, sha, "change")
    assert token_of(ran.run) == token


def test_a_forks_token_only_reads(world: World) -> None:
    permissions = world.github.tokens[FORKS_TOKEN].permissions
    assert permissions is not None
    assert set(permissions.values()) == {"read"}


def test_the_clock_makes_a_run_on_the_default_branch(world: World) -> None:
    ran = world.act("schedule", world.repository.schedule_payload(), actor="lee")
    assert (ran.run.event, ran.run.ref, ran.run.actor) == ("schedule", "refs/heads/main", "lee")


def test_sams_hands_are_on_the_services(world: World) -> None:
    assert world.console.email == "sam@example.com"
    assert world.console.cloud is world.cloud
    assert {"monitoring", "containeranalysis"} <= set(world.services)
