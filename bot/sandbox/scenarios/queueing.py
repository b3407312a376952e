"""Scenarios of releases that wait in line: in the form with two jobs, the second of which waits for its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.sandbox.github.model import Run
from bot.sandbox.scenarios.expectations import COMMON, deployments, ended, says, serves, true
from bot.sandbox.scenarios.marks import marks
from bot.sandbox.scenarios.model import Play, Scenario
from bot.sandbox.scenarios.moments import PATIENCE, SERVICE, Moment

COMMAND = {"SLIPWAY_PHASE": "command"}


@dataclass(frozen=True, kw_only=True)
class Let:
    """A command that the first job has let through: its event, its run, and what the second job gets."""

    payload: dict[str, Any]
    run: Run
    actor: str
    sha: str


def let_through(play: Play, body: str, *, author: str = "dana", number: int = 0) -> Let:
    """Comment, and let the first job run on it. Its run goes on waiting for the second one's turn."""
    payload = play.repository.comment(number or play.number, body, author=author)
    ran = play.event("issue_comment", payload, actor=author, extra=COMMAND, more=True)
    return Let(payload=payload, run=ran.run, actor=author, sha=ran.outputs.get("sha", ""))


def turn(play: Play, let: Let) -> None:
    """Let the second job run: nobody is before it."""
    play.repository.go_on(let.run, "release")
    extra = {"SLIPWAY_PHASE": "release", "SLIPWAY_ENVIRONMENT": "staging", "SLIPWAY_SHA": let.sha}
    play.event("issue_comment", let.payload, actor=let.actor, run=let.run, environment="staging", extra=extra)


def _behind_another(play: Play, *acts: Callable[[], object]) -> None:
    """Lee releases his pull request; people do something meanwhile on dana's, which is the thread to look at."""
    play.release_main()
    others = play.pull_request("slow_pages", author="lee")
    play.pull_request("feature")
    first = let_through(play, "/deploy staging", author="lee", number=others)
    moment = Moment(play.world.cloud.run, "before", "PATCH", SERVICE, hold=True)

    def act() -> None:
        if moment.come.wait(PATIENCE):
            for each in acts:
                each()
            moment.go.set()

    meanwhile = threading.Thread(target=act)
    meanwhile.start()
    turn(play, first)
    meanwhile.join()
    play.begin()


def _queued(play: Play) -> None:
    """Dana's waits for lee's, and is released after it."""
    lets: list[Let] = []

    def wait() -> None:
        lets.append(let_through(play, "/deploy staging"))
        play.notes["while it waits"] = play.comments()[-1].body
        play.notes["the line"] = marks(play)

    _behind_another(play, wait)
    turn(play, lets[0])


def _replaced(play: Play) -> None:
    """While dana's waits she pushes once more, and asks for that instead."""
    lets: list[Let] = []

    def wait() -> None:
        lets.append(let_through(play, "/deploy staging"))
        with play.world.earlier(10):
            change = {"NOTES.md": "One more thing.\n"}
            play.shas["newer"] = play.repository.commit("feature", change, message="One more thing")
        play.repository.check_run(play.shas["newer"], name="ci", conclusion="success")
        lets.append(let_through(play, "/deploy staging"))

    _behind_another(play, wait)
    for let in lets:
        turn(play, let)


def _taken_out(play: Play) -> None:
    """Dana thinks again."""
    lets: list[Let] = []

    def wait() -> None:
        lets.append(let_through(play, "/deploy staging"))
        payload = play.repository.comment(play.number, "/cancel staging", author="dana")
        play.event("issue_comment", payload, extra=COMMAND)

    _behind_another(play, wait)
    turn(play, lets[0])


SCENARIOS = (
    Scenario(
        name="queue",
        summary="another release runs: this one waits in line, is told its place, and starts by itself",
        act=_queued,
        expectations=(
            *COMMON,
            *ended("released", "released"),
            *deployments("success"),
            *serves("feature"),
            *true("marks", marks, []),
            *true("the line", lambda play: play.notes["the line"], ["locks/staging", "queues/staging"]),
            *true("its place", lambda play: "waits for **staging** · 1st in line" in play.notes["while it waits"]),
            *says("is live on **staging**", comments=1),
        ),
        instant=True,
    ),
    Scenario(
        name="queue-replaced",
        summary="a newer command of the pull request takes the place of the one that waits in line",
        act=_replaced,
        expectations=(
            *COMMON,
            *ended("refused", "replaced", run=-2),
            *ended("released", "released"),
            *deployments("success"),
            *serves("newer"),
            *true("marks", marks, []),
            *says("a newer command on this thread took its place", comments=2, comment=0),
            *says("is live on **staging**", comments=2),
        ),
        instant=True,
    ),
    Scenario(
        name="queue-cancelled",
        summary="`/cancel` takes a release out of the line; the one that runs goes on",
        act=_taken_out,
        expectations=(
            *COMMON,
            *ended("refused", "dequeued"),
            *deployments(),
            *serves("slow_pages"),
            *true("marks", marks, []),
            *says("dana took it out of the line", comments=2, comment=0),
            *says("Out of the line for **staging**", comments=2),
        ),
        instant=True,
    ),
)
