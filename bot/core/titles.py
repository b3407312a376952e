"""What the steps of a plan are called, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from bot.core.plan import Analysis, Build, Restore, Rollout, RunJob, Shift, Step, Verify, WatchLog


def title(step: Step) -> str:
    """Return a step's name for people."""
    match step:
        case Build(promoted_from=there):
            name = f"Take the image of {there}" if there else "Build"
        case Restore():
            name = "Restore the recorded release"
        case RunJob(job=job):
            name = f"Run {job}"
        case Rollout(service=service):
            name = f"Roll out {place(service)}"
        case Verify(phase=phase):
            name = ("Verify before traffic" if phase == "candidate" else "Verify what serves") + _in(step.id)
        case Shift(percent=percent):
            name = f"Shift {percent} % of the traffic{_of_some(step)}"
        case Analysis(service=service, percent=percent):
            name = f"Compare {place(service)} at {percent} %"
        case WatchLog():
            name = "Watch the error log"
        case _:
            assert_never(step)
    return name


def _of_some(step: Shift) -> str:
    """Return which services a shift is about, where it is not all of a region's."""
    names = [service.partition("@")[0] for service in step.services]
    some = f" of {', '.join(names)}" if step.id.partition("@")[0] != "shift" else ""
    return some + _in(step.id)


def _in(step_id: str) -> str:
    region = step_id.partition("@")[2]
    return f" in {region}" if region else ""


def place(service: str) -> str:
    """Return a service's key as people say it: ``web``, ``web in europe-west1``."""
    name, _, region = service.partition("@")
    return f"{name} in {region}" if region else name


def order(steps: Iterable[Step]) -> tuple[tuple[str, ...], ...]:
    """Return the steps' titles by when they can begin: what stands together runs at the same time."""
    waves: list[tuple[str, ...]] = []
    waiting, done = list(steps), set[str]()
    while waiting:
        ready = [step for step in waiting if done.issuperset(step.needs)]
        if not ready:  # what waits for nothing that is there: shown all the same
            ready = waiting
        waves.append(tuple(title(step) for step in ready))
        done |= {step.id for step in ready}
        waiting = [step for step in waiting if step.id not in done]
    return tuple(waves)
