"""Plays canary rollouts with known truth, counts how they are judged, and renews the table in docs/explanation/canary.md.

``python tests/simulation/canary.py [--rollouts 2000] [--write]``. Seeded: each rollout of each row has a seed of its own,
so that the first of many are the same as few.
"""

from __future__ import annotations

import argparse
import functools
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bot.core.canary import Analysis, Look, Observed, Status, decidable, judge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "canary.md"
START, END = "<!-- table: nox -s canary -->", "<!-- end of the table -->"

ANALYSIS = Analysis()
STAGES = (1, 5, 25)  # percent of the traffic
STAGE_SECONDS = 600
LOOKS = 5  # in a stage's time
HOLD = 5  # more looks, when a stage that could decide has not
LOOK_SECONDS = STAGE_SECONDS / LOOKS
ALL_LOOKS = len(STAGES) * (LOOKS + HOLD)

# Latencies are log-normal: most answers around 120 ms, one in a hundred five times as long.
MEDIAN, SPREAD = 0.12, 0.7
# Counted in buckets whose bounds, in seconds, grow by 1.4: coarse, as a monitoring service keeps them.
BOUNDS = (*(0.001 * 1.4**i for i in range(34)), math.inf)

NAIVE_WINDOW, NAIVE_CHECKS, NAIVE_LIMIT = 100, 6, 0.01

End = Literal["rolled back", "released", "undecided"]
ENDS: Mapping[Status, End] = {"fail": "rolled back", "pass": "released", "inconclusive": "undecided"}


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the two versions are really like. ``slower`` is the factor on the candidate's latency."""

    name: str
    rps: float
    error_rate: float
    candidate_rate: float
    slower: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How one rollout ended, after how many minutes, and how many of the candidate's requests had failed by then."""

    end: End
    minutes: float
    failed: int
    naive: bool


def truths() -> Iterator[Truth]:
    """Return the rows of the table."""
    for rate in (0.001, 0.005, 0.02):
        for rps in (1, 10, 100):
            yield Truth(name="as good", rps=rps, error_rate=rate, candidate_rate=rate)
    for name, rate, candidate_rate in (
        ("errors x 2", 0.005, 0.01),
        ("errors + 1 point", 0.005, 0.015),
        ("errors x 5", 0.005, 0.025),
        ("errors x 20", 0.005, 0.1),
        ("errors x 2", 0.02, 0.04),
    ):
        for rps in (1, 10, 100):
            yield Truth(name=name, rps=rps, error_rate=rate, candidate_rate=candidate_rate)
    for rps in (1, 10, 100):
        yield Truth(name="latency + 50 %", rps=rps, error_rate=0.005, candidate_rate=0.005, slower=1.5)


@functools.cache
def shares(slower: float) -> np.ndarray:
    """Return the share of answers in each bucket."""
    bell = statistics.NormalDist(math.log(MEDIAN * slower), SPREAD)
    below = [bell.cdf(math.log(bound)) if bound < math.inf else 1.0 for bound in BOUNDS]
    return np.diff(np.array([0.0, *below]))


def traffic(random: np.random.Generator, requests: float, error_rate: float, slower: float) -> Observed:
    """Return what one version shows in one look's time."""
    count = int(random.poisson(requests))
    latency = random.multinomial(count, shares(slower))
    return Observed(
        requests=count,
        errors=int(random.binomial(count, error_rate)),
        latency={bound: int(each) for bound, each in zip(BOUNDS, latency, strict=True) if each},
    )


def planned(truth: Truth, stage: int) -> bool:
    """Whether a stage is expected to decide in its time."""
    return decidable(
        ANALYSIS,
        requests_per_second=truth.rps,
        percent=STAGES[stage],
        seconds=STAGE_SECONDS,
        error_rate=truth.error_rate,
    )


def statuses(truth: Truth, stage: int, random: np.random.Generator) -> Iterator[tuple[Status, int]]:
    """Look at a stage again and again: what is said each time, and how many of the candidate's requests have failed."""
    requests, percent = truth.rps * LOOK_SECONDS, STAGES[stage]
    candidate = baseline = Observed()
    for number in range(1, LOOKS + HOLD + 1):
        candidate += traffic(random, requests * percent / 100, truth.candidate_rate, truth.slower)
        baseline += traffic(random, requests * (100 - percent) / 100, truth.error_rate, 1.0)
        look = Look(number=stage * (LOOKS + HOLD) + number, of=ALL_LOOKS)
        yield judge(ANALYSIS, candidate=candidate, baseline=baseline, look=look).status, candidate.errors


def play(truth: Truth, seed: Sequence[int]) -> Rollout:
    """Roll out once.

    A stage that can't decide in its time is only watched: it may fail, and is left at its end all the same. A stage that
    could decide and has not is held. The last stage must have passed.
    """
    random = np.random.default_rng(seed)
    windows = random.binomial(NAIVE_WINDOW, truth.candidate_rate, NAIVE_CHECKS)
    looks = failed = 0
    status: Status = "inconclusive"
    for stage in range(len(STAGES)):
        holds, last = planned(truth, stage), failed
        for number, (status, bad) in enumerate(statuses(truth, stage, random), 1):
            looks, failed = looks + 1, last + bad
            if status == "fail" or (number >= LOOKS and (status == "pass" or not holds)):
                break
        if status == "fail" or (status == "inconclusive" and holds):
            break
    return Rollout(
        end=ENDS[status],
        minutes=looks * LOOK_SECONDS / 60,
        failed=failed,
        naive=bool((windows > NAIVE_LIMIT * NAIVE_WINDOW).any()),
    )


def run(rollouts: int) -> dict[Truth, list[Rollout]]:
    """Play every row so many times."""
    return {truth: [play(truth, (row, number)) for number in range(rollouts)] for row, truth in enumerate(truths())}


HEAD = (
    ("Candidate", "---"),
    ("Requests/s", "--:"),
    ("Errors in truth", "---"),
    ("Stages that can decide", "---"),
    ("Rolled back", "--:"),
    ("Released", "--:"),
    ("Undecided", "--:"),
    ("Minutes until", "--:"),
    ("Failed until", "--:"),
    ("Fixed limit", "--:"),
)


def table(played: dict[Truth, list[Rollout]]) -> str:
    """Return the Markdown table, and the line that says how it came about."""
    rollouts = len(next(iter(played.values())))
    head = [f"| {' | '.join(name for name, _ in HEAD)} |", f"|{'|'.join(rule for _, rule in HEAD)}|"]
    said = f"{rollouts:,} seeded rollouts a row."
    return "\n".join([*head, *(line(truth, results) for truth, results in played.items()), "", said])


def line(truth: Truth, rollouts: list[Rollout]) -> str:
    """Return one row; how long a rollback took is left out where less than one in twenty was rolled back."""
    back = [rollout for rollout in rollouts if rollout.end == "rolled back"]
    seldom = len(back) * 20 < len(rollouts)
    cells = [
        *described(truth),
        *(share(rollout.end == end for rollout in rollouts) for end in ENDS.values()),
        "" if seldom else f"{statistics.median(rollout.minutes for rollout in back):g}",
        "" if seldom else f"{statistics.median(rollout.failed for rollout in back):g}",
        share(rollout.naive for rollout in rollouts),
    ]
    return f"| {' | '.join(cells)} |"


def described(truth: Truth) -> list[str]:
    """Return the cells that are known without playing."""
    able = ", ".join(f"{percent} %" for stage, percent in enumerate(STAGES) if planned(truth, stage))
    errors = f"{100 * truth.candidate_rate:g} % against {100 * truth.error_rate:g} %"
    return [truth.name, f"{truth.rps:g}", errors, able or "none"]


def share(hits: Iterable[bool]) -> str:
    """Return how many of them, in percent."""
    each = list(hits)
    return f"{100 * sum(each) / len(each):.1f} %"


def renewed(page: str, text: str) -> str:
    """Return the page with another table between its marks."""
    return re.sub(f"(?s)(?<={re.escape(START)}\n).*(?={re.escape(END)})", lambda _: f"{text}\n", page)


def main() -> None:
    """Print the table, or write it."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rollouts", type=int, default=2000)
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()
    text = table(run(given.rollouts))
    print(text)
    if given.write:
        PAGE.write_text(renewed(PAGE.read_text("utf-8"), text), "utf-8")


if __name__ == "__main__":
    main()
