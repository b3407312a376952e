"""Plays scenarios, judges their end state, and shows them: to people, or as JSON."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.rule import Rule
from rich.text import Text

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.model import Finding, Play, Scenario
from bot.sandbox.terminal import Lines, Screen, Watcher, plain, unfolded
from bot.sandbox.truths import addresses, truths
from bot.sandbox.world import World

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A scenario that was played. ``seconds`` counts from the first act; the world stands until :func:`play` ends."""

    scenario: Scenario
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def reached(self) -> bool:
        """Whether everything expected was found."""
        return all(finding.holds for finding in self.findings)


def play(
    scenario: Scenario, root: Path, *, watch: Watcher | None = None, show: Console | None = None
) -> tuple[Result, Json]:
    """Play a scenario in a world of its own below ``root``, judge its end, and describe it as JSON.

    ``watch`` shows it meanwhile, ``show`` gets its end printed while the world still stands. A story that breaks off is
    a finding of its own, not an exception.
    """
    with World(root=root, runtime=scenario.runtime()) as world:
        stage = Play(world=world)
        begun = time.monotonic()
        broken = _act(scenario, stage, watch)
        seconds = time.monotonic() - begun
        findings = _judge(scenario, stage, broken)
        result = Result(scenario=scenario, findings=findings, seconds=seconds)
        if show is not None:
            _show(show, stage, result)
        return result, _described(stage, result)


def _act(scenario: Scenario, stage: Play, watch: Watcher | None) -> str:
    """Let the story happen; return what broke it off, if anything did."""
    done, broken = threading.Event(), ""

    def act() -> None:
        nonlocal broken
        try:
            scenario.act(stage)
        except Exception as error:  # noqa: BLE001 - told as a finding
            broken = f"{type(error).__name__}: {error}"
        finally:
            done.set()

    thread = threading.Thread(target=act, name=scenario.name)
    thread.start()
    if watch is not None:
        watch(stage, done)
    thread.join()
    return broken


def _judge(scenario: Scenario, stage: Play, broken: str) -> tuple[Finding, ...]:
    if broken:
        return (Finding(name="the story", expected="goes on to its end", found=broken, holds=False),)
    return tuple(expectation.judge(stage) for expectation in scenario.expectations)


def _described(stage: Play, result: Result) -> Json:
    """Return what a machine wants to know of a played scenario."""
    world = stage.world
    return {
        "scenario": result.scenario.name,
        "reached": result.reached,
        "seconds": round(result.seconds, 3),
        "expectations": [finding.__dict__ for finding in result.findings],
        "runs": [
            {
                "exit_code": ran.exit_code,
                "seconds": round(ran.seconds, 3),
                "outputs": {name: value for name, value in ran.outputs.items() if name != "result"},
            }
            for ran in stage.runs
        ],
        "comments": [
            {
                "number": comment.number,
                "author": comment.author,
                "body": comment.body,
                "edits": len(comment.edits),
                "reactions": [reaction.content for reaction in comment.reactions],
            }
            for comment in stage.repository.state.comments.values()
        ],
        "deployments": [
            {
                "id": deployment.id,
                "environment": deployment.environment,
                "sha": deployment.sha,
                "states": [status.state for status in deployment.statuses],
            }
            for deployment in stage.repository.deployments()
        ],
        "serving": {
            name: [
                {
                    "revision": target.revision.name,
                    "percent": target.percent,
                    "tag": target.tag,
                    "digest": looking.digest_of(target.revision),
                }
                for target in service.site.targets
            ]
            for name, service in world.cloud.run.everywhere()
        },
        "working": {
            name: [{"revision": one.name, "digest": looking.digest_of(one)} for one in pool.working]
            for name, pool in world.cloud.run.worker_pools.all.items()
        },
        "calls": {
            name: dict(sorted(Counter(f"{call.method} {call.template}" for call in list(service.calls)).items()))
            for name, service in world.services.items()
        },
    }


# -- for people ---------------------------------------------------------------------------------------------
def _show(console: Console, stage: Play, result: Result) -> None:
    """Print the last comments, what really answers, where each truth lies, and the verdict."""
    for comment in stage.comments()[-2:]:
        _rule(console, f"comment {comment.id} by {comment.author}, edited {len(comment.edits)} times")
        if console.is_terminal:
            console.print(Markdown(unfolded(comment.body)))
        else:
            _lines(console, plain(comment.body))
    for url in addresses(stage):
        _rule(console, "what really answers")
        for path in ("/health/", "/"):
            status, body = looking.get(f"{url}{path}")
            _lines(console, f"GET {url}{path}\n{status} {' '.join(body.split())[:200]}")
    if stage.runs:
        _rule(console, "where each truth lies")
        for truth, place, lines in truths(stage):
            console.print(Text.assemble((truth, "bold"), f": {place}"), soft_wrap=True)
            _lines(console, "\n".join(f"    {line}" for line in lines) or "    none")
    _rule(console, "expected end state")
    console.print(verdict(result), soft_wrap=True)


def _rule(console: Console, title: str) -> None:
    """Print a headline; brackets in it are no markup."""
    console.print(Rule(Text(title)) if console.is_terminal else Text(f"\n== {title} =="), soft_wrap=True)


def _lines(console: Console, text: str) -> None:
    """Print text as it is: a terminal wraps it, a pipe does not."""
    console.print(Text(text), soft_wrap=True)


def verdict(result: Result) -> Text:
    """Return each expectation with what was found, and whether the end state was reached."""
    text = Text()
    for finding in result.findings:
        text.append(f"{'✓' if finding.holds else '✗'} {finding.name}: {finding.found}\n")
        if not finding.holds:
            text.append(f"    expected: {finding.expected}\n", style="red")
    end = "reached" if result.reached else "NOT reached"
    return text.append(f"{result.scenario.name}: end state {end} in {result.seconds:.1f} s", style="bold")


def demo(scenarios: list[Scenario], *, as_json: bool = False, lines: bool = False, keep: Path | None = None) -> bool:
    """Play scenarios one after the other and show them; True when each reached its end state.

    ``keep`` is a folder in which the worlds stay for a look afterwards.
    """
    console = Console(highlight=False)
    described: list[Json] = []
    reached = True
    for scenario in scenarios:
        root = _root(keep, scenario.name)
        try:
            if as_json:
                result, data = play(scenario, root)
            else:
                _rule(console, f"{scenario.name}: {scenario.summary}")
                live = console.is_terminal and not lines
                result, data = play(scenario, root, watch=Screen(console) if live else Lines(console), show=console)
        finally:
            if keep is None:
                shutil.rmtree(root, ignore_errors=True)
        described.append(data)
        reached = reached and result.reached
    if as_json:
        print(json.dumps(described[0] if len(described) == 1 else described, indent=2, ensure_ascii=False))  # noqa: T201
    return reached


def _root(keep: Path | None, name: str) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="slipway-"))
    root = keep / name
    root.mkdir(parents=True)
    return root.resolve()
