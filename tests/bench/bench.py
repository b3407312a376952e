"""Measures what the bot promises about speed and size, against the sandbox on loopback, and renews docs/performance.md.

``python tests/bench/bench.py [--runs 7] [--write]``; exit status 1 when a bound is not kept. Medians, each run a fresh
process. The clouds answer at once (revisions and jobs take no time), GitHub takes 50 ms for each call.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import growth
import hostile

from bot.core.plan import Build
from bot.core.serving import Serving
from bot.core.target import READS_PER_SECOND, Done, Known, ReleaseId, Running
from bot.engine.reconcile import Reconciler
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.wire import Call
from bot.sandbox.world import PACKAGE, TOKEN, World

LATENCY = 0.05
ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "performance.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise: what was measured (a median, with the least and the most), and its bound."""

    what: str
    unit: str
    values: Sequence[float]
    bound: float
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def kept(self) -> bool:
        return self.median <= self.bound

    def cells(self) -> str:
        verdict = "" if math.isinf(self.bound) else "✅" if self.kept else "❌"
        bound = "" if math.isinf(self.bound) else f"{self.bound:g} {self.unit}"
        low, high = min(self.values), max(self.values)
        return (
            f"| {self.what} | {self.median:.{_digits(self.unit)}f} {self.unit} "
            f"({low:.{_digits(self.unit)}f} to {high:.{_digits(self.unit)}f}) | {bound} | {verdict} |"
            f" {self.note} |"
        )


def _digits(unit: str) -> int:
    return {"s": 2, "ms": 0, "MiB": 0, "times": 1}.get(unit, 0)


def chain(calls: Sequence[Call]) -> int:
    """Return the most calls of which each began after the one before had ended: the round trips nobody can save."""
    longest: list[tuple[float, int]] = []
    for call in sorted(calls, key=lambda item: item.ended):
        before = max((length for ended, length in longest if ended <= call.started), default=0)
        longest.append((call.ended, before + 1))
    return max((length for _, length in longest), default=0)


def timed(command: list[str], environ: dict[str, str], cwd: Path) -> tuple[float, float, float, float]:
    """Run a process; returns when it began (Unix time), its wall and CPU seconds, and its peak memory in MiB."""
    began, start = time.time(), time.monotonic()
    process = subprocess.Popen(command, env=environ, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024 if sys.platform != "darwin" else 1 << 20
    return began, time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


class Bench:
    """A world with instant clouds, and the same event again and again."""

    def __init__(self, world: World, runs: int, python: str) -> None:
        self.world, self.runs, self.python = world, runs, python
        self._count = 0

    def environ(self, body: str, number: int) -> tuple[dict[str, str], Path]:
        """Post a comment; return the environment of the action's steps for it, and a folder of their own."""
        world = self.world
        self._count += 1
        folder = world.root / f"bench-{self._count}"
        folder.mkdir()
        payload = world.repository.comment(number, body, author="dana")
        run = world.repository.start_run(actor="dana")
        runner = world.github.environ(
            world.repository,
            run,
            event_name="issue_comment",
            payload=payload,
            event_path=folder / "event.json",
            token=TOKEN,
        )
        return world.environ(**runner), folder

    def triage(self, body: str, number: int) -> tuple[float, float, float, list[Call]]:
        environ, folder = self.environ(body, number)
        seen = len(self.world.github.calls)
        began, wall, cpu, _ = timed([self.python, "-I", "-S", str(PACKAGE / "triage.py")], environ, folder)
        return began, wall, cpu, list(self.world.github.calls[seen:])

    def act(self, body: str, number: int) -> tuple[float, float, float, list[Call]]:
        """Return seconds from process start to the last comment's answer, wall seconds, peak MiB, GitHub's calls."""
        environ, folder = self.environ(body, number)
        seen = len(self.world.github.calls)
        began, wall, _, memory = timed([self.python, "-I", "-m", "bot", "act"], environ, folder)
        calls = [call for call in self.world.github.calls[seen:] if not call.path.startswith("/_actions")]
        outputs = (folder / "output").read_text() if (folder / "output").exists() else ""
        comments = [call.ended for call in calls if "/comments" in call.path and call.method in {"POST", "PATCH"}
                    and not call.path.endswith("reactions")]  # fmt: skip
        assert comments, f"no comment was written: {outputs}"
        return max(comments) - began, wall, memory, calls


def ordinary(bench: Bench, number: int) -> list[Row]:
    results = [bench.triage("Looks good to me, thanks!", number) for _ in range(bench.runs)]
    return [
        Row(what="An ordinary comment: process time", unit="ms", values=[r[1] * 1000 for r in results], bound=60,
            note="nothing is installed"),
        Row(what="An ordinary comment: calls", unit="calls", values=[len(r[3]) for r in results], bound=0),
    ]  # fmt: skip


def reaction(bench: Bench, number: int) -> list[Row]:
    values = []
    for _ in range(bench.runs):
        began, _, _, calls = bench.triage("/deploy staging", number)
        values.append((calls[0].ended - began) * 1000)
    return [
        Row(what="First reaction, from the start of the process", unit="ms", values=values, bound=150 + LATENCY * 1000,
            note=f"150 ms and one round trip of {LATENCY * 1000:.0f} ms"),
    ]  # fmt: skip


def deploy(bench: Bench) -> list[Row]:
    seconds, memory, trips, calls = [], [], [], []
    for index in range(bench.runs):
        number = growth.pull(bench.world, f"feature-{index}")
        took, _, peak, log = bench.act("/deploy staging", number)
        deployment = bench.world.repository.deployments()[-1]
        assert deployment.statuses[-1].state == "success", f"the release failed: {deployment.statuses}"
        seconds.append(took)
        memory.append(peak)
        trips.append(chain(log))
        calls.append(len(log))
    return [
        Row(what="`/deploy staging`, from the start of the process to the last comment", unit="s", values=seconds, bound=1.5,
            note="build, migration, rollout of two services, checks and traffic included"),
        Row(what="`/deploy staging`: round trips to GitHub on the critical path", unit="calls", values=trips, bound=20,
            note=f"of {statistics.median(calls):.0f} calls in all"),
        Row(what="`/deploy staging`: peak memory", unit="MiB", values=memory, bound=120),
    ]  # fmt: skip


QUESTIONS = ("/status", "/help", "/history staging", "/diff staging", "/changelog staging", "/whoami")


def questions(bench: Bench) -> list[Row]:
    """Ask what changes nothing, of an environment that has been released to a few times."""
    number = growth.pull(bench.world, "asking")
    rows = []
    for body in QUESTIONS:
        asked = [bench.act(body, number) for _ in range(bench.runs)]
        calls = [len(essential(log)) for *_, log in asked]
        rows.append(
            Row(what=f"`{body}`, from the start of the process to the answer", unit="s", values=[took for took, *_ in asked],
                bound=0.7, note=f"{statistics.median(calls):.0f} calls beside the reaction")
        )  # fmt: skip
        if body == "/help":
            rows.append(Row(what="`/help`: calls beside the reaction", unit="calls", values=calls, bound=3))
    return rows


def refusals(bench: Bench) -> list[Row]:
    """Ask for what is refused: because of a red check, a wrong name, and somebody's freeze."""
    world = bench.world
    red = growth.pull(world, "red")
    head = world.repository.branches()["red"]
    world.repository.check_run(head, name="ci", conclusion="failure")
    rows = []
    for why, body in (("a red check", "/deploy staging"), ("no such environment", "/deploy stagign")):
        asked = [bench.act(body, red) for _ in range(bench.runs)]
        trips = [chain(essential(log)) for *_, log in asked]
        rows.append(
            Row(what=f"A refusal ({why}): round trips on the critical path", unit="calls", values=trips, bound=8,
                note=f"{statistics.median(took for took, *_ in asked):.2f} s to the answer")
        )  # fmt: skip
    return rows


def essential(log: Sequence[Call]) -> list[Call]:
    """Leave the reactions out: nobody waits for them."""
    return [call for call in log if "/reactions" not in call.path]


class _Steps:
    """A target whose build takes a while, and a clock that only waits advance: the engine's polling, nothing else."""

    def __init__(self, duration: float) -> None:
        self.time, self.duration, self.begun = 0.0, duration, -1.0
        self.stopping = False

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += seconds
        return False

    sleep = wait

    def observe(self, _step: object, _known: object) -> Running | Done:
        return Done() if self.time >= self.duration else Running()


def polling() -> list[Row]:
    """Ask how late the engine learns of an end, for operations of 1 to 300 s."""
    known = Known(
        release=ReleaseId(deployment_id=1, environment="x", sha="0" * 40, actor="x", tag="x"), before=Serving()
    )
    delays = []
    for tenth in range(10, 3000, 7):
        steps = _Steps(tenth / 10)
        Reconciler(steps, steps, halted=lambda: False, progress=lambda _: None).run(Build(timeout=1e9), known)  # type: ignore[arg-type]
        delays.append(steps.time - tenth / 10)
    mean = statistics.mean(delays)
    return [Row(what="From the end of a cloud operation to knowing of it, mean", unit="s", values=[mean], bound=0.5,
                note=f"simulated for {len(delays)} durations from 1 to 300 s; at most {max(delays):.2f} s")]  # fmt: skip


def reading() -> list[Row]:
    """Ask how reading grows with hostile text, against growing with its length."""
    return [
        Row(what=f"Reading {what}: time against length", unit="times", values=[times], bound=2.0,
            note="1 grows as the text does; with its square would be 4")
        for what, times in hostile.worst()
    ]  # fmt: skip


def yardstick(bench: Bench) -> list[Row]:
    """Time the import of one Google client alone: how fast the machine is today, to read the other figures by."""
    code = "import google.cloud.run_v2"
    seconds = [
        timed([bench.python, "-I", "-c", code], dict(os.environ), bench.world.root)[1] for _ in range(bench.runs)
    ]
    return [Row(what="For scale: a process that imports `google.cloud.run_v2` and nothing else", unit="s", values=seconds,
                bound=math.inf, note="0.36 s on the machine that the bounds were set on")]  # fmt: skip


def measure(runs: int, python: str) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as root, World(root=Path(root), runtime=InstantRuntime(growth.respond)) as world:
        world.github.warm_up()
        world.configure(lambda text: text.replace(", passes: 2", ""))  # its second look would be a second of waiting
        world.github.latency = LATENCY
        bench = Bench(world, runs, python)
        bench.act("/help", growth.pull(world, "first"))  # not counted: the files are read from disk once
        number = growth.pull(world, "talk")
        parts: list[Callable[[], list[Row]]] = [
            lambda: ordinary(bench, number), lambda: reaction(bench, number), lambda: deploy(bench),
            lambda: questions(bench), lambda: refusals(bench), polling, reading,
            lambda: yardstick(bench),
        ]  # fmt: skip
        for part in parts:
            rows += part()
    return rows


def render(rows: Sequence[Row], grown: Sequence[growth.Measured], runs: int) -> str:
    """Return docs/performance.md."""
    lines = [
        "# Performance",
        "",
        f"Renewed by `nox -s bench`. Each figure is the median of {runs} fresh processes (least to most in brackets),",
        "against the sandbox on loopback: clouds that answer at once, a GitHub that takes",
        f"{LATENCY * 1000:.0f} ms for each call. Measured on {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        "| What | Median | Bound | | |",
        "|---|---|---|:-:|---|",
        *[row.cells() for row in rows],
        "",
        "For comparison, github/branch-deploy v12 needed 2.14 s and 35 calls, one after the other, for its gates and",
        "records alone at the same 50 ms; it builds and rolls out nothing.",
        "",
        "## How it grows",
        "",
        "The same command in a small world and in a large one, once each; every call takes 50 ms, GitHub's and the clouds',",
        f"and with services Cloud Run takes {growth.ROLLOUT:.0f} s for each change. Bounds: 1.5 times as long for 50 services,",
        f"and {growth.MEMORY:.0f} MiB everywhere. Calls to Cloud Run grow with the services, for each is looked at while it",
        f"changes; of very many, {READS_PER_SECOND} a second at most. Of very many check runs only the required ones are asked",
        "for, of deployments the newest, of a log the end.",
        "",
        *growth.HEAD,
        *[each.cells() for each in grown],
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="renew docs/performance.md")
    parser.add_argument("--python", default=sys.executable, help="interpreter with what the action installs, no more")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="leave out how it grows")
    arguments = parser.parse_args()
    rows = measure(arguments.runs, arguments.python)
    grown = growth.measure(arguments.python) if arguments.growth else []
    if arguments.json:
        print(
            json.dumps(
                [
                    {
                        "what": row.what,
                        "median": row.median,
                        "bound": None if math.isinf(row.bound) else row.bound,
                        "kept": row.kept,
                    }
                    for row in rows
                ]
            )
        )
    else:
        print("\n".join([*(row.cells() for row in rows), "", *growth.HEAD, *(each.cells() for each in grown)]))
    if arguments.write:
        REPORT.write_text(render(rows, grown, arguments.runs))
    return 0 if all(row.kept for row in rows) and not any(each.broken() for each in grown) else 1


if __name__ == "__main__":
    sys.exit(main())
