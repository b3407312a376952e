"""Breaks every call of every story in every way, and counts what holds: ``nox -s faults``.

``python tests/faults/matrix.py [--scenario S] [--call N] [--fault F] [--jobs J] [--sample K --seed N] [--write]``

First each story is told without a fault, which gives its calls. Then each call of it is hit by each fault, in a world
of its own (:mod:`stage`), what would follow is let happen, and :mod:`invariants` judges. Exit status 1 if a cell does
not hold. With ``--call`` or ``--sample`` the calls are those that docs/reliability.md shows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

import invariants
import page
import stories
from columns import CALL_TIMEOUT, COLUMNS, PATIENT, Column
from stage import Bot, Stage, StageError, Template
from stories import STORIES, Story

from bot.sandbox.world import Ran

LISTENED = 3  # runs without a fault: a call counts if it is in all of them
TRIES = 3  # of a cell whose call did not come
SHOWN = 20  # cells of which --json tells all, whether they hold or not


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A fault at a call of a story."""

    story: str
    call: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A cell after it was played. ``problems``: what does not hold. ``hit``: whether the call came at all."""

    cell: Cell
    hit: bool
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    described: dict[str, Any] | None = None


# -- one cell -----------------------------------------------------------------------------------------------
def listen(stage: Stage, story: Story) -> dict[str, Any]:
    """Tell a story without a fault; returns its calls in order, and what did not hold."""
    before = invariants.Before.of(stage)
    event = story.event(stage)
    stage.wires.listen()
    ran = stage.act(event)
    stage.wires.hush()
    problems = [
        *invariants.after_a_run(stage, ran, before, None, ""),
        *invariants.at_the_end(stage, before),
        *invariants.as_without_faults(stage, ran, story.decision, story.goal(stage.shas)),
    ]
    return {"calls": stage.wires.calls, "problems": problems, "described": invariants.describe(stage)}


def play(stage: Stage, story: Story, cell: Cell) -> dict[str, Any]:
    """Tell a story with a fault, let happen what would follow, and judge."""
    column = COLUMNS[cell.column]
    before = invariants.Before.of(stage)
    event = story.event(stage)
    stage.wires.listen(column, call=cell.call)
    ran = stage.act(event, call_timeout=CALL_TIMEOUT if column.kind == "stall" else PATIENT)
    stage.wires.hush()
    killed = column.kills and ran.exit_code == -signal.SIGKILL
    problems = [] if killed else list(invariants.after_a_run(stage, ran, before, column, cell.call))
    after = follows(column, story, ran, killed=killed)
    follow, goal = None, (story.decision, story.goal(stage.shas))
    if after == "next":
        follow, goal = (
            stage.act(stories.next_command(stage)),
            ("released", dict.fromkeys(invariants.SERVICES, stage.shas["other"])),
        )
    elif after == "rerun":
        follow = stage.act(event, again=ran.run)
    if follow is not None:
        problems += invariants.after_a_run(stage, follow, before, None, "")
    problems += invariants.at_the_end(stage, before)
    problems += invariants.as_without_faults(stage, follow or ran, *goal)
    unique = list(dict.fromkeys(problems))
    return {"hit": bool(stage.wires.hit), "problems": unique, "described": invariants.describe(stage)}


def follows(column: Column, story: Story, ran: Ran, *, killed: bool) -> Literal["rerun", "next", ""]:
    """Return what really would follow a run: nobody repeats one that is green, or that failed as it had to."""
    if killed:
        return column.then
    if column.kind == "outage" and ran.exit_code == 0:  # it may have left its lock, which only the next one sees
        return "next"
    return "rerun" if column.kind == "outage" or ran.outputs.get("decision") != story.decision else ""


# -- many cells ---------------------------------------------------------------------------------------------
class Player:
    """Plays what it is asked, in a world that is made ready when the story changes. For a process without threads."""

    def __init__(self) -> None:
        self._bot = Bot()
        self._template: Template | None = None

    def play(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Play a cell, or listen to a story; a cell that breaks off is told as a problem, and costs the world."""
        story = STORIES[asked["story"]]
        try:
            template = self._ready(story)
            if "call" not in asked:
                return dict(template.fork(partial(listen, story=story)))
            return dict(template.fork(partial(play, story=story, cell=Cell(**asked))))
        except StageError as error:
            self.close()
            self._bot = Bot()
            return {"hit": True, "calls": [], "problems": [f"it broke off: {error}"]}

    def _ready(self, story: Story) -> Template:
        if self._template is not None and self._template.story is not story:
            self._template.__exit__()
            self._template = None
        if self._template is None:
            self._template = Template(story, self._bot).__enter__()
        return self._template

    def close(self) -> None:
        """Let the world and the bot go."""
        if self._template is not None:
            self._template.__exit__()
            self._template = None
        self._bot.kill()


class Plays(Protocol):
    """What a worker has: it plays what it is asked, and is closed in the end."""

    def play(self, asked: dict[str, Any]) -> dict[str, Any]: ...
    def close(self) -> None: ...


def _work(pipe: Connection, others: Iterable[Connection], number: int, make: Callable[[], Plays]) -> None:
    """Be the worker of a number: play what comes through a pipe."""
    for other in others:
        other.close()
    if hasattr(os, "sched_setaffinity"):  # threads that wait for one lock are an eighth cheaper on one core
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    player = make()
    try:
        while (asked := pipe.recv()) is not None:
            pipe.send(player.play(asked))
    except EOFError:  # whoever asked is gone
        pass
    finally:
        player.close()


class Workers:
    """Processes that play cells, or walk, as many at a time as there are jobs."""

    def __init__(self, jobs: int, make: Callable[[], Plays] = Player) -> None:
        context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, [*self._pipes, ours], number, make))
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def each(self, requests: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any], float]]:
        """Play requests; yields ``(index, what was told, seconds)`` as they end."""
        left, done = SimpleQueue[tuple[int, dict[str, Any]]](), SimpleQueue[tuple[int, dict[str, Any], float]]()
        for item in enumerate(requests):
            left.put(item)

        def drive(pipe: Connection) -> None:
            with suppress(Empty):
                while True:
                    index, request = left.get_nowait()
                    begun = time.monotonic()
                    done.put((index, _asked(pipe, request), time.monotonic() - begun))

        for pipe in self._pipes:
            threading.Thread(target=drive, args=(pipe,), daemon=True).start()
        for _ in requests:
            yield done.get()

    def close(self) -> None:
        """Let the workers go."""
        for pipe in self._pipes:
            with suppress(BrokenPipeError):
                pipe.send(None)
        for process in self._processes:
            process.join(10.0)


def _asked(pipe: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Have a worker play a request and return what it tells."""
    try:
        pipe.send(request)
        return dict(pipe.recv())
    except (EOFError, BrokenPipeError):
        return {"hit": True, "calls": [], "problems": ["the worker died"]}


def calls_of(workers: Workers, names: Sequence[str]) -> dict[str, list[str]]:
    """Tell each story without a fault, some times; returns the calls that came each time. Raises StageError."""
    heard: dict[str, list[list[str]]] = {name: [] for name in names}
    requests = [{"story": name} for name in names for _ in range(LISTENED)]
    for index, told, _ in workers.each(requests):
        if told["problems"]:
            raise StageError(f"{requests[index]['story']} without a fault: {json.dumps(told, indent=2)}")
        heard[requests[index]["story"]].append(told["calls"])
    return {
        name: [call for call in first if re.search(STORIES[name].only, call) and all(call in other for other in others)]
        for name, (first, *others) in heard.items()
    }


def cells_of(calls: Mapping[str, Sequence[str]], *, call: str = "", columns: Sequence[Column] = ()) -> list[Cell]:
    """Return every cell, story by story. ``call``: only that one, by its number or its name."""
    return [
        Cell(story=story, call=name, column=column.name)
        for story, names in calls.items()
        for number, name in enumerate(names, 1)
        if not call or call in {str(number), name}
        for column in columns or COLUMNS.values()
        if column.concerns(name)
    ]


def judge(workers: Workers, cells: Sequence[Cell]) -> list[Judged]:
    """Play cells. One whose call does not come is played again, for calls that poll come by chance."""
    judged: dict[Cell, Judged] = {}
    left, begun = list(cells), time.monotonic()
    for _ in range(TRIES):
        for index, told, seconds in workers.each([asdict(cell) for cell in left]):
            cell = left[index]
            judged[cell] = Judged(
                cell=cell, hit=told["hit"], problems=tuple(told["problems"]), seconds=seconds,
                described=told.get("described") if told["problems"] or len(cells) <= SHOWN else None,
            )  # fmt: skip
            if told["problems"] or len(judged) % 100 == 0:
                _show(judged[cell], len(judged), len(cells), time.monotonic() - begun)
        left = [cell for cell in left if not judged[cell].hit and not judged[cell].problems]
    return [judged[cell] for cell in cells]


def _show(one: Judged, done: int, of: int, seconds: float) -> None:
    cell = one.cell
    print(f"[{done}/{of} {seconds:.0f} s] {'❌' if one.problems else '✅'} {cell.story} | {cell.call} | {cell.column}")
    for problem in one.problems:
        print(f"    {problem}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=sorted(STORIES), help="only this story")
    parser.add_argument("--call", default="", help="only this call: its number in the table, or its name")
    parser.add_argument("--fault", action="append", choices=sorted(COLUMNS), help="only this fault")
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="cells at a time")
    parser.add_argument("--sample", type=int, default=0, help="only so many cells, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="renew docs/reliability.md")
    parser.add_argument(
        "--json", type=Path, help="write every cell; with all that is known, if it does not hold or they are few"
    )
    arguments = parser.parse_args()
    names = arguments.scenario or list(STORIES)
    if arguments.write and (arguments.scenario or arguments.call or arguments.fault or arguments.sample):
        parser.error("--write wants the whole matrix")
    begun = time.monotonic()
    written = page.PAGE.read_text("utf-8") if page.PAGE.exists() else ""
    workers = Workers(arguments.jobs)
    try:
        if arguments.sample or arguments.call:  # of what the page shows
            calls = {name: page.calls_on(written, name) for name in names}
        else:
            calls = calls_of(workers, names)
        cells = cells_of(calls, call=arguments.call, columns=[COLUMNS[name] for name in arguments.fault or ()])
        if arguments.sample:
            cells = sorted(
                random.Random(arguments.seed).sample(cells, min(arguments.sample, len(cells))), key=cells.index
            )
        judged = judge(workers, cells)
    finally:
        workers.close()
    took = page.Took.since(begun)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in judged], indent=1, ensure_ascii=False))
    results = {(one.cell.story, one.cell.call, one.cell.column): page.mark(one.hit, one.problems) for one in judged}
    came = [mark for mark in results.values() if mark != page.ABSENT]
    print(f"{len(came)} cells, {came.count(page.HOLDS)} hold; {len(results) - len(came)} did not come; {took.words}")
    if arguments.write:
        page.PAGE.write_text(page.render(calls, results, took=took), "utf-8")
    return 0 if came.count(page.HOLDS) == len(came) and came else 1


if __name__ == "__main__":
    sys.exit(main())
