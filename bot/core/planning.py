"""Computes plans. The differences between targets are here, in their traits, and nowhere in the engine."""

from __future__ import annotations

from bot.core.plan import Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify
from bot.core.resolve import Environment
from bot.core.serving import Serving
from bot.core.spec import CloudRunSpec
from bot.core.target import Traits


def plan_release(environment: Environment, traits: Traits) -> Plan:
    """Return ``Build -> RunJob* -> Rollout* -> Verify(candidate) -> Shift -> Verify(live)``, as far as the target goes.

    Jobs run one after the other, before any revision of the release starts: a booting revision may need their work,
    and a migration that fails must find nothing of the release running. Services roll out in parallel.
    """
    steps: list[Step] = [Build(timeout=environment.build_timeout)]
    needs: tuple[str, ...] = ("build",)
    if traits.jobs:
        for job in environment.release_jobs:
            steps.append(RunJob(id=f"job-{job}", job=job, timeout=_job_timeout(environment, job), needs=needs))
            needs = (f"job-{job}",)
    rollouts = [
        Rollout(id=f"rollout-{service}", service=service, timeout=environment.rollout_timeout, needs=needs)
        for service in environment.services
    ]
    steps += rollouts
    needs = tuple(step.id for step in rollouts)
    if traits.traffic_split:
        if environment.candidate_checks:
            steps.append(
                Verify(id="verify-candidate", phase="candidate", checks=environment.candidate_checks, needs=needs)
            )
            needs = ("verify-candidate",)
        shift = Shift(
            id="shift", services=environment.services, percent=100, timeout=environment.rollout_timeout, needs=needs
        )
        steps.append(shift)
        needs = (shift.id,)
    steps.append(Verify(id="verify-live", phase="live", checks=environment.live_checks, needs=needs))
    return Plan(steps=tuple(steps))


def plan_rollback(environment: Environment, to: Serving) -> Plan:
    """Return ``Restore -> Verify(live)``: back to what a recorded release served."""
    return Plan(
        steps=(
            Restore(id="restore", to=to, timeout=environment.rollout_timeout),
            Verify(id="verify-live", phase="live", checks=environment.live_checks, needs=("restore",)),
        ),
    )


def _job_timeout(environment: Environment, job: str) -> float:
    """Return how long to await an execution: its tries, and a minute to be scheduled."""
    assert isinstance(environment.spec, CloudRunSpec)
    config = environment.spec.job(job).config
    return config.timeout * (config.max_retries + 1) + 60.0


def title(step: Step) -> str:
    """Return a step's name for people."""
    match step:
        case Build() | Restore():
            name = "Build" if isinstance(step, Build) else "Restore the recorded release"
        case RunJob(job=job):
            name = f"Run {job}"
        case Rollout(service=service):
            name = f"Roll out {service}"
        case Verify(phase=phase):
            name = "Verify before traffic" if phase == "candidate" else "Verify what serves"
        case Shift(percent=percent):
            name = f"Shift {percent} % of the traffic"
    return name
