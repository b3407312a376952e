"""Who may: every command in every environment by every role, as it is told; and what those who may not get to see."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.outcome import Outcome, Reason
from bot.core.registry import REGISTRY

WHO = ("none", "read", "triage", "write", "maintain", "admin", "nina", "otto", "stray")
# nina may only read and is named for production, otto may only read and is in a team that is; stray is named for it
# as well, and has no role here.
ROLES = {"nina": "read", "otto": "read", "stray": "none"}
SETTINGS = 'permissions: {deploy: [maintain, "@nina", "@acme/oncall", "@stray"], approve: [maintain]}'
SAID = {
    "lock": '/lock {} --reason="demo"',
    "freeze": "/freeze {} --reason=fair",
    "preview": "/preview create {}",
    "whoami": "/whoami",
    "doctor": "/doctor",
    "help": "/help",
    "status": "/status",
}
# x: may, a dot: may not. The columns are those of WHO.
STAGING = """
deploy     ...xxx...
promote    ...xxx...
rollback   ...xxx...
retry      ...xxx...
cancel     ...xxx...
approve    .....x...
reject     .....x...
lock       ...xxx...
unlock     ...xxx...
freeze     .....x...
unfreeze   .....x...
preview    ...xxx...
status     .xxxxxxx.
history    .xxxxxxx.
diff       .xxxxxxx.
changelog  .xxxxxxx.
verify     ...xxx...
logs       ...xxx...
doctor     ...xxx...
whoami     .xxxxxxx.
help       .xxxxxxx.
"""
PRODUCTION = """
deploy     ....xxxx.
promote    ....xxxx.
rollback   ....xxxx.
retry      ....xxxx.
cancel     ....xxxx.
approve    ....xx...
reject     ....xx...
lock       ....xxxx.
unlock     ....xxxx.
freeze     .....x...
unfreeze   .....x...
preview    ....xxxx.
history    .xxxxxxx.
diff       .xxxxxxx.
changelog  .xxxxxxx.
verify     ...xxx...
logs       ....xxxx.
"""
TABLES = {"staging": STAGING, "production": PRODUCTION}
CELLS = [
    (environment, verb, who, mark == "x")
    for environment, table in TABLES.items()
    for verb, marks in (line.split() for line in table.strip().splitlines())
    for who, mark in zip(WHO, marks, strict=True)
]


def asked(world: Any, environment: str, verb: str, who: str) -> Outcome:
    files, path = world.github.files, (".github/slipway.yml", "main")
    files[path] = files[path].replace(', permissions: {rollback: [maintain, "@acme/oncall"]}', "")
    files[path] = files[path].replace("permissions: {deploy: admin}", SETTINGS)
    world.github.permissions[who] = ROLES.get(who, who)
    world.github.teams.add(("acme", "oncall", "otto"))
    said: Outcome = world.say(SAID.get(verb, f"/{verb} {{}}").format(environment), author=who)
    return said


@pytest.mark.parametrize(("environment", "verb", "who", "may"), CELLS)
def test_who_may(world: Any, environment: str, verb: str, who: str, *, may: bool) -> None:
    outcome = asked(world, environment, verb, who)
    assert (outcome.reason is not Reason.FORBIDDEN) is may, outcome.message
    if may:
        return
    assert world.mutations() == []
    assert not world.github.kept
    assert (world.github.locks, world.github.approvals, world.github.queues) == ({}, {}, {})
    assert not any(world.github.marks.values())
    said = world.github.thread(7)
    if ROLES.get(who, who) in {"none", "read"}:  # an outsider gets a reaction, and not one word
        assert said == []
        assert world.github.reactions == ["-1"]
    else:
        assert len(said) == 1
        assert " needs " in said[0]
        assert "has not got it" in said[0]


def test_every_command_is_in_the_table() -> None:
    told = {environment: {verb for there, verb, *_ in CELLS if there == environment} for environment in TABLES}
    assert told["staging"] == set(REGISTRY)
    assert told["production"] == set(REGISTRY) - {"status", "whoami", "doctor", "help"}  # those are about all of it


@pytest.mark.parametrize("verb", sorted(REGISTRY))
def test_an_outsider_costs_no_look_at_what_is_there(world: Any, verb: str) -> None:
    """What is asked for beforehand is asked for; nothing of it is answered, and no cloud is asked."""
    asked(world, "staging", verb, "none")
    assert world.log.named("connect") == []
    assert world.summary == []
