"""What is impossible in who waits for whom: names in ``after`` that lead nowhere, to another time, or in a circle.

A circle may close through what nobody wrote: a job without ``after`` waits for the one before it, a service for the one
before it in ``order``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from bot.core.config import CloudRunTarget, EnvironmentConfig, JobConfig, ServiceConfig
from bot.core.words import no_such

Path = tuple[str | int, ...]
Problems = list[tuple[Path, str]]
Waits = dict[str, tuple[str, ...]]
Kind = Literal["services", "jobs"]


def target_waits(name: str, target: CloudRunTarget) -> Problems:
    """Return what is impossible in a target."""
    problems: Problems = []
    for place, entry in enumerate(target.order):
        known = (*target.services, *target.jobs, "verify", "scheduler")
        if entry not in known:
            problems.append((("targets", name, "order", place), no_such("service or job", entry, known)))
    return problems + _problems(("targets", name), target, {}, {})


def environment_waits(name: str, environment: EnvironmentConfig, target: CloudRunTarget) -> Problems:
    """Return what an environment makes impossible, where it has something else awaited than its target."""
    services, jobs = environment.services, environment.jobs
    if not any({"after", "when"} & one.model_fields_set for one in (*services.values(), *jobs.values())):
        return []
    return _problems(("environments", name), target, services, jobs)


def _problems(
    at: Path, target: CloudRunTarget, services: Mapping[str, ServiceConfig], jobs: Mapping[str, JobConfig]
) -> Problems:
    """Look at a target's services and jobs with what an environment lays over them."""
    times = {key: _when(job, jobs.get(key)) for key, job in target.jobs.items()}
    problems = _graph(at, "services", _after(target.services, services), _in_order(target), {})
    return problems + _graph(at, "jobs", _after(target.jobs, jobs), _in_turn(times), times)


def _after(
    items: Mapping[str, ServiceConfig] | Mapping[str, JobConfig],
    special: Mapping[str, ServiceConfig] | Mapping[str, JobConfig],
) -> dict[str, tuple[str, ...] | None]:
    """Return what each names in its ``after``, None if it has none."""
    layers = {key: (special.get(key), item) for key, item in items.items()}
    return {
        key: next((one.after for one in both if one is not None and one.after is not None), None)
        for key, both in layers.items()
    }


def _when(job: JobConfig, special: JobConfig | None) -> str:
    return special.when if special is not None and "when" in special.model_fields_set else job.when


def _in_order(target: CloudRunTarget) -> Waits:
    """Return whom a service waits for that names nobody: the one before it in ``order``."""
    named = [key for key in target.order if key in target.services]
    return {later: (earlier,) for earlier, later in pairwise(named)}


def _in_turn(times: Mapping[str, str]) -> Waits:
    """Return whom a job waits for that names nobody: the one of its time before it."""
    waits: Waits = {}
    last: dict[str, str] = {}
    for key, when in times.items():
        waits[key] = (last[when],) if when in last else ()
        last[when] = key
    return waits


def _graph(
    at: Path, kind: Kind, after: Mapping[str, tuple[str, ...] | None], unsaid: Waits, times: Mapping[str, str]
) -> Problems:
    problems: Problems = []
    for key, names in after.items():
        for place, name in enumerate(names or ()):
            here: Path = (*at, kind, key, "after", place)
            if name not in after:
                problems.append((here, no_such(kind[:-1], name, after)))
            elif times and times[name] != times[key]:
                problems.append((here, f"`{name}` runs at another time (`when: {times[name]}`)"))
    waits = {key: unsaid.get(key, ()) if names is None else names for key, names in after.items()}
    circle = _circle(waits)
    if circle:
        first = next((place for place, key in enumerate(circle[:-1]) if after[key] is not None), 0)
        circle = (*circle[first:-1], *circle[: first + 1])
        where: Path = (*at, "order") if after[circle[0]] is None else (*at, kind, circle[0], "after")
        problems.append((where, f"waits for itself: {' after '.join(f'`{key}`' for key in circle)}"))
    return problems


def _circle(waits: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a circle of names that wait for each other, its first name again at the end; ``()`` if there is none."""
    done: set[str] = set()

    def walk(key: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if key in trail:
            return (*trail[trail.index(key) :], key)
        if key in done:
            return ()
        for name in waits.get(key, ()):
            found = walk(name, (*trail, key))
            if found:
                return found
        done.add(key)
        return ()

    return next((found for key in waits if (found := walk(key, ()))), ())
