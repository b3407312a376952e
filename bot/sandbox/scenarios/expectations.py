"""Expectations in the words of a scenario. Each is judged on the servers' own state."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot.sandbox.scenarios import looking
from bot.sandbox.scenarios.model import Expectation, Play

__all__ = [
    "COMMON", "deployments", "ended", "heroku", "hidden", "ignored", "made", "nothing_changed", "reacted", "says",
    "serves", "serves_with_pool", "silent", "spared", "told", "true",
]  # fmt: skip

COMMON: tuple[Expectation, ...] = (
    Expectation(name="no environment stays locked", expected=[], find=lambda play: looking.locks(play.world)),
    Expectation(name="no call that a server does not know", expected=[], find=lambda play: play.world.unknown()),
    Expectation(name="no secret can be seen", expected=[], find=looking.leaks),
    Expectation(name="no traceback in a log", expected=[], find=looking.tracebacks),
    Expectation(
        name="no deployment is left open",
        expected=[],
        find=lambda play: [
            f"{each.environment} {each.state}"
            for each in play.repository.deployments()
            if each.state not in {"success", "failure", "error", "inactive"}
        ],
    ),
)


def ended(decision: str, reason: str, *, exit_code: int = 0, run: int = -1) -> tuple[Expectation, ...]:
    """Expect how a run of the action ended; the last one unless told."""

    def find(play: Play) -> Any:
        ran = play.runs[run]
        return [ran.outputs.get("decision"), ran.outputs.get("reason"), f"exit {ran.exit_code}"]

    which = "the run ends as" if run == -1 else f"run {run + 1} ends as"
    return (Expectation(name=which, expected=[decision, reason, f"exit {exit_code}"], find=find),)


def deployments(*states: str, environment: str = "staging") -> tuple[Expectation, ...]:
    """Expect these deployments, oldest first, by their final states."""
    return (
        Expectation(
            name="deployments",
            expected=[f"{environment} {state}" for state in states],
            find=lambda play: [f"{each.environment} {each.state}" for each in play.deployments()],
        ),
    )


def serves(
    web: str, worker: str | None = None, *, environment: str = "staging", digests: int = 1
) -> tuple[Expectation, ...]:
    """Expect what serves, by the commit's name in the scenario ("" for nothing), and that it answers so.

    Without ``worker`` it is the same commit as ``web``.
    """
    worker = web if worker is None else worker

    def expected_web(play: Play) -> str:
        return f"{play.sha(web)} 100 %, answers 200 {play.sha(web)} web" if web else "nothing"

    def expected_worker(play: Play) -> str:
        sha = play.sha(worker) if worker else ""
        return f"{sha} 100 %, refuses strangers, answers 200 {sha} worker" if sha else "nothing"

    found = (
        Expectation(
            name=f"{environment}: web serves",
            expected=expected_web,
            find=lambda play: looking.serving(play.world, "web", environment),
        ),
        Expectation(
            name=f"{environment}: worker serves",
            expected=expected_worker,
            find=lambda play: looking.serving(play.world, "worker", environment),
        ),
    )
    if not web:
        return found
    same = Expectation(
        name=f"{environment}: digests that serve",
        expected=digests,
        find=lambda play: len(looking.digests(play.world, environment)),
    )
    return (*found, same)


def serves_with_pool(commit: str, *, instances: int, environment: str = "staging") -> tuple[Expectation, ...]:
    """Expect the commit that web serves, and that the worker pool has all its instances on the same one."""

    def expected(play: Play) -> str:
        sha = play.sha(commit)
        return f"{sha} 100 % of {instances}, at work: {sha} worker ready"

    web, *_ = serves(commit, environment=environment)
    return (
        web,
        Expectation(
            name=f"{environment}: worker works",
            expected=expected,
            find=lambda play: looking.working(play.world, "worker", environment),
        ),
        Expectation(
            name=f"{environment}: digests that serve",
            expected=1,
            find=lambda play: len(looking.digests(play.world, environment)),
        ),
    )


def heroku(commit: str) -> tuple[Expectation, ...]:
    """Expect which commit the Heroku app runs, and that it answers so."""
    return (
        Expectation(
            name="legacy: the app serves",
            expected=lambda play: f"{play.sha(commit)}, answers 200 {play.sha(commit)} web",
            find=lambda play: looking.heroku_serving(play.world),
        ),
    )


def made(**counts: int) -> tuple[Expectation, ...]:
    """Expect how many builds, executions or deployments the counted part made."""
    return tuple(
        Expectation(name=f"{kind} made", expected=count, find=lambda play, kind=kind: play.made()[kind])  # type: ignore[misc]
        for kind, count in counts.items()
    )


def says(
    *phrases: str | Callable[[Play], str], never: tuple[str, ...] = (), comments: int = 1, comment: int = -1
) -> tuple[Expectation, ...]:
    """Expect that many comments of the bot on the thread, and phrases in one of them (the last one unless told)."""

    def wanted(play: Play) -> list[str]:
        return [phrase(play) if callable(phrase) else phrase for phrase in phrases]

    def body(play: Play) -> str:
        written = play.comments()
        return written[comment].body if written else ""

    found = [
        Expectation(name="comments of the bot", expected=comments, find=lambda play: len(play.comments())),
        Expectation(
            name="the comment says",
            expected=wanted,
            find=lambda play: [each for each in wanted(play) if each in body(play)],
        ),
    ]
    if never:
        found.append(
            Expectation(
                name="the comment does not say",
                expected=[],
                find=lambda play: [each for each in never if each in body(play)],
            )
        )
    return tuple(found)


def told(play: Play) -> list[str]:
    """Return who is mentioned in comments that only tell of a release's end."""
    return [name for one in play.mentions() for name in re.findall(r"@([\w-]+)", one.body)]


def hidden(play: Play) -> list[bool]:
    """Return whether each comment of the bot on the thread is hidden as outdated, oldest first."""
    return [one.minimized == "outdated" for one in play.comments()]


def silent() -> tuple[Expectation, ...]:
    """Expect no comment of the bot."""
    return (Expectation(name="comments of the bot", expected=0, find=lambda play: len(play.comments())),)


def reacted(*contents: str) -> tuple[Expectation, ...]:
    """Expect the reactions to the last command, in order."""
    return (Expectation(name="reactions", expected=list(contents), find=looking.reactions),)


def spared(*services: str) -> tuple[Expectation, ...]:
    """Expect no call at all to these services."""
    return tuple(
        Expectation(name=f"calls to {name}", expected=0, find=lambda play, name=name: play.made()[f"calls to {name}"])  # type: ignore[misc]
        for name in services
    )


def nothing_changed() -> tuple[Expectation, ...]:
    """Expect that nothing was built, run or recorded."""
    return made(builds=0, executions=0, deployments=0)


def ignored() -> tuple[Expectation, ...]:
    """Expect an event that is not for the bot: no call to anybody, no reaction, no comment."""
    return (
        *ended("ignored", "not_a_command"),
        *silent(),
        *reacted(),
        *nothing_changed(),
        *spared("github", "run", "sts", "heroku"),
    )


def true(name: str, find: Callable[[Play], Any], expected: Any = True) -> tuple[Expectation, ...]:
    """Expect anything else."""
    return (Expectation(name=name, expected=expected, find=find),)
