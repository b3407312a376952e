"""Walks at random: releases, rollbacks, kills, faults and other people's edits in any order: ``nox -s walk``.

``python tests/faults/walk.py [--steps N] [--seed S] [--jobs J] [--length L] [--shrink] [--play FILE]``

The steps are Hypothesis's choice, by the seed that is printed first; real bot processes take them in a world that each
walk has for itself (:mod:`walker`). Exit status 1 if something does not hold: then the whole walk is printed, with
``--shrink`` only the steps that it takes, and written to a file that ``--play`` takes again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import company
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from matrix import Workers
from stage import Bot, Session, Stage, StageError, Template
from walker import FAULTS, Step, Walker

LENGTH = 25  # steps of a walk
WALKS = 8  # that Hypothesis chooses together; a world is made for each
LEFT_OUT = {"outage", "stall"}  # slow ones, chosen more seldom

PLACE = st.integers(0, 999)
NUMBER = st.integers(0, 30)
HEALTH = st.sampled_from((*["fine"] * 3, *company.HEALTHS))
ENVIRONMENT = st.sampled_from(("staging", "staging", "staging", "production"))
EDITS = (
    "shift", "split", "env", "revision", "tag", "untag", "scale", "status", "deployment", "delete-comment",
    "edit-comment", "delete-lock", "close", "commit",
)  # fmt: skip
COMMAND = st.sampled_from(
    (
        *["deploy"] * 4,
        *["one"] * 2,
        *["rollback"] * 3,
        *["push"] * 2,
        *["dispatch"] * 2,
        *["rerun"] * 2,
        "rollback_to",
        "status",
        "unlock",
    )
)
CHANGE = st.sampled_from((*EDITS, *["propose"] * 3, *["amend"] * 2, "configure"))
QUICK = sorted(FAULTS.keys() - LEFT_OUT)
FAULT = st.fixed_dictionaries({"fault": st.sampled_from([*QUICK, *QUICK, *sorted(LEFT_OUT)]), "at": PLACE})
EDIT = st.fixed_dictionaries({"edit": st.sampled_from(EDITS), "edit_at": PLACE})
BOTH = st.builds(lambda one, other: {**one, **other}, FAULT, EDIT)
TROUBLE = st.one_of(st.just({}), FAULT, FAULT, EDIT, BOTH)


@dataclass(kw_only=True)
class Walked:
    """The walks so far, ``broken`` those in which something did not hold: their steps and what became of them."""

    open: Callable[[], Session]
    restart: Callable[[], None]
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[list[dict[str, Any]]] = field(default_factory=list)


class Walk(RuleBasedStateMachine):
    """One walk: each rule is a step."""

    walked: Walked

    def __init__(self) -> None:
        super().__init__()
        self._trail: list[dict[str, Any]] = []
        self._session: Session | None = self.walked.open()

    def teardown(self) -> None:
        """End as every walk has to: a release of something healthy goes well. Then let the world go."""
        for environment in company.ENVIRONMENTS:
            self.take(Step(what="end", environment=environment))
        if self._session is not None:
            self._session.__exit__()

    def take(self, step: Step) -> None:
        """Take a step, unless something did not hold before: Hypothesis need not know, steps can be taken again."""
        if self._session is None:
            return
        entry: dict[str, Any] = {"step": asdict(step), "words": "it broke off", "problems": []}
        self._trail.append(entry)
        try:
            entry.update(self._session.ask(step))
        except StageError as error:  # something may be under way
            entry["problems"] = [f"it broke off: {error}"]
            self.walked.restart()
        self.walked.counts[step.what] += 1
        self.walked.counts.update(
            f"{name} {value}" for name, value in (("fault", step.fault), ("edit", step.edit)) if value
        )
        if entry["problems"]:
            self.walked.broken.append(self._trail)
            self._session.__exit__()
            self._session = None

    @rule(what=COMMAND, environment=ENVIRONMENT, number=NUMBER, health=HEALTH, trouble=TROUBLE)
    def command(self, what: str, environment: str, number: int, health: str, trouble: dict[str, Any]) -> None:
        """Somebody asks something of the bot, or pushes to main."""
        place = "staging" if what == "push" else environment
        self.take(Step(what=what, environment=place, number=number, health=health, **trouble))

    @rule(what=CHANGE, environment=ENVIRONMENT, number=NUMBER, health=HEALTH)
    def change(self, what: str, environment: str, number: int, health: str) -> None:
        """Somebody changes something by hand, or works on a pull request."""
        self.take(Step(what=what, environment=environment, number=number, health=health))


# -- worlds -------------------------------------------------------------------------------------------------
def walking(stage: Stage) -> Callable[[Step], dict[str, Any]]:
    """Return what takes the steps of a walk in a child process."""
    return Walker(stage=stage).take


class Theatre:
    """Makes a world for each walk. For a process without threads."""

    def __init__(self) -> None:
        self._bot, self._stale = Bot(), False
        self._template: Template | None = None

    def open(self) -> Session:
        """Begin with a fresh world."""
        if self._template is not None and self._stale:
            self._template.__exit__()
            self._template, self._stale = None, False
        if self._template is None:
            self._template = Template(company.STORY, self._bot).__enter__()
        return Session(self._template, walking)

    def play(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Walk some steps by a seed, or the very steps that are given; returns what was counted and what broke."""
        if "shrink" in asked:
            return {"shrunk": shrink(self.broken, asked["shrink"])}
        walked = Walked(open=self.open, restart=self.restart)
        machine = type("Walk", (Walk,), {"walked": walked})
        if "steps" in asked:
            _again(machine, asked["steps"])
        else:
            _choose(machine, **asked)
        return {"counts": dict(walked.counts), "broken": walked.broken}

    def broken(self, steps: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Take the very steps that are given; returns the walk if it broke."""
        found: list[list[dict[str, Any]]] = self.play({"steps": steps})["broken"]
        return found

    def restart(self) -> None:
        """Begin with another bot and world."""
        self._bot.kill()
        self._bot = Bot()
        self._stale = True

    def close(self) -> None:
        """Let the world and the bot go."""
        if self._template is not None:
            self._template.__exit__()
            self._template = None
        self._bot.kill()


def _choose(machine: type[Walk], *, number: int, walks: int, length: int) -> None:
    """Let Hypothesis choose walks by a seed."""
    chosen = settings(
        max_examples=walks,
        stateful_step_count=length,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(machine), settings=chosen)


def _again(machine: type[Walk], steps: Iterable[dict[str, Any]]) -> None:
    walk = machine()
    for step in steps:
        if step["what"] != "end":
            walk.take(Step(**step))
    walk.teardown()


def shrink(play: Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]], broken: list[Any]) -> list[Any]:
    """Leave out steps, first many at once, as long as the same does not hold; returns the shortest walk."""
    size = len(broken) // 2
    while size:
        begin = len(broken) - 1 - size  # the last step is the one that shows it
        while begin >= 0:
            found = play([entry["step"] for entry in (*broken[:begin], *broken[begin + size :])])
            same = [walk for walk in found if _kind(walk) == _kind(broken)]
            broken = same[0] if same else broken
            begin -= size
        size //= 2
    return broken


def _kind(broken: Sequence[dict[str, Any]]) -> str:
    """Return what does not hold, without its names and numbers."""
    return re.sub(r"\S*\d\S*", "…", str(broken[-1]["problems"][0]))


# -- command line -------------------------------------------------------------------------------------------
def requests(steps: int, number: int, length: int) -> list[dict[str, int]]:
    """Return what makes so many steps: seeds with their numbers of walks."""
    walks = -(-steps // length)
    return [
        {"number": number * 1_000_003 + index, "walks": min(WALKS, walks - done), "length": length}
        for index, done in enumerate(range(0, walks, WALKS))
    ]


def show(walks: Iterable[Sequence[dict[str, Any]]]) -> None:
    """Print walks in which something does not hold, and write the steps of each to a file."""
    for walk in walks:
        path = Path(tempfile.gettempdir(), f"walk-{time.time_ns() // 1_000_000}.json")
        path.write_text(json.dumps([entry["step"] for entry in walk]))
        print(f"❌ after {len(walk)} steps:")
        for number, entry in enumerate(walk, 1):
            print(f"  {number:3} {Step(**entry['step']).words}\n        {entry['words']}")
            print(*(f"      ❌ {problem}\n" for problem in entry["problems"]), sep="", end="")
        for name, found in walk[-1].get("described", {}).items():
            print(f"{name}:", *found, sep="\n  ")
        print(f"Again: python tests/faults/walk.py --play {path}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="by default another each time")
    parser.add_argument("--length", type=int, default=LENGTH, help="steps of a walk")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="walks at a time")
    parser.add_argument("--shrink", action="store_true", help="leave out the steps that a failure does not need")
    parser.add_argument("--play", type=Path, help="take the steps of a file that a failure has written")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    if arguments.play:
        asked: list[dict[str, Any]] = [{"steps": json.loads(arguments.play.read_text())}]
    else:
        asked = list(requests(arguments.steps, arguments.seed, arguments.length))
    begun, counts = time.monotonic(), Counter[str]()
    broken: list[list[dict[str, Any]]] = []
    workers = Workers(arguments.jobs, Theatre)
    try:
        for _, told, _ in workers.each(asked):
            if "counts" not in told:
                raise SystemExit(f"a worker broke off: {told}")
            counts.update(told["counts"])
            broken += told["broken"]
            if not arguments.shrink:
                show(told["broken"])
        if arguments.shrink:
            show([told["shrunk"] for _, told, _ in workers.each([{"shrink": walk} for walk in broken])])
    finally:
        workers.close()
    steps = sum(count for name, count in counts.items() if " " not in name)
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    print(f"{steps} steps, {len(broken)} walks broken, {time.monotonic() - begun:.0f} s, seed {arguments.seed}")
    return 1 if broken or not steps else 0


if __name__ == "__main__":
    sys.exit(main())
