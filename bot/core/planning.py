"""Computes plans. The differences between targets are here, in their traits, and nowhere in the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.core.config import Canary
from bot.core.partial import about, unlike
from bot.core.plan import Analysis, Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify, WatchLog
from bot.core.resolve import Environment
from bot.core.serving import Artifact, Serving
from bot.core.spec import CloudRunSpec, JobSpec
from bot.core.target import Traits
from bot.core.units import Region, Unit

Needs = tuple[str, ...]


def plan_release(environment: Environment, traits: Traits, *, promoted: Artifact | None = None) -> Plan:
    """Return ``Build -> RunJob* -> region -> regions* -> RunJob* -> WatchLog``, as far as the target goes.

    A region is ``Rollout* -> Verify(candidate) -> (Shift -> Analysis)* -> Shift* -> Verify(live)``: services roll out
    in parallel and move as one unit. The first region is verified before the others begin, all at once.

    Jobs run before any revision of the release starts: a booting revision may need their work, and a migration that
    fails must find nothing of the release running. ``promoted`` is the artifact that is taken instead of being built.
    """
    steps: list[Step] = [_build(environment, promoted)]
    needs: Needs = ("build",)
    if traits.jobs:
        needs = _add_jobs(steps, environment, "release", needs)
    first, *others = environment.regions
    needs = _add_region(steps, environment, traits, first, needs)
    ends = [_add_region(steps, environment, traits, region, needs) for region in others]
    needs = tuple(step for end in ends for step in end) or needs
    if traits.jobs:
        needs = _add_jobs(steps, environment, "after", needs)
    if environment.watch is not None and traits.traffic_split:
        steps.append(WatchLog(id="watch", services=environment.services, watch=environment.watch, needs=needs))
    return Plan(steps=tuple(steps))


def _build(environment: Environment, promoted: Artifact | None) -> Build:
    there = environment.promotion.environment if environment.promotion is not None else ""
    return Build(timeout=environment.build_timeout, promoted=promoted, promoted_from=there)


def plan_rollback(environment: Environment, to: Serving, sha: str) -> Plan:
    """Return ``Restore -> Verify(live)*``: back to what a recorded release of ``sha`` served, everywhere at once.

    A service that did not exist then is not verified: it is left in place, out of reach. One that served another commit
    then (a release of some services was before) is not asked for this one.
    """
    restore = Restore(id="restore", to=to, timeout=environment.rollout_timeout)
    existed = {state.service for state in to.services if state.exists}
    others = {state.service for state in to.services if state.exists and state.sha not in {"", sha}}
    verifies = (
        Verify(
            id=_at("verify-live", region),
            phase="live",
            checks=unlike(about(region.live_checks, existed, mixed=False), others),
            needs=(restore.id,),
        )
        for region in environment.regions
    )
    return Plan(steps=(restore, *(step for step in verifies if step.checks)))


# -- one region -----------------------------------------------------------------------------------------------
def _add_region(
    steps: list[Step], environment: Environment, traits: Traits, region: Region, needs: Needs
) -> tuple[str, ...]:
    """Add the steps of a region; returns what has to be done for it to be released."""
    timeout = environment.rollout_timeout
    rollouts = [
        Rollout(id=f"rollout-{unit.key}", service=unit.key, timeout=timeout, needs=needs) for unit in region.units
    ]
    steps += rollouts
    needs = tuple(step.id for step in rollouts)
    if traits.traffic_split:
        if region.candidate_checks:
            check = Verify(
                id=_at("verify-candidate", region), phase="candidate", checks=region.candidate_checks, needs=needs
            )
            steps.append(check)
            needs = (check.id,)
        needs = _add_stages(steps, region, timeout, needs)
        needs = _add_shifts(steps, region, timeout, needs)
    live = Verify(id=_at("verify-live", region), phase="live", checks=region.live_checks, needs=needs)
    steps.append(live)
    return (live.id,)


def _add_stages(steps: list[Step], region: Region, timeout: float, needs: Needs) -> Needs:
    """Add the stages of the services that have some: each a shift and then an analysis, service by service.

    A stage begins when every analysis of the one before has passed.
    """
    staged = [(unit, unit.strategy) for unit in region.units if isinstance(unit.strategy, Canary)]
    for stage in range(max((len(strategy.stages) for _, strategy in staged), default=0)):
        here = [(unit, strategy) for unit, strategy in staged if stage < len(strategy.stages)]
        ends: list[str] = []
        for percent in sorted({strategy.stages[stage] for _, strategy in here}):
            units = [(unit, strategy) for unit, strategy in here if strategy.stages[stage] == percent]
            # A percent that is one service's second stage may have been another's first.
            before = {share for _, strategy in staged for share in strategy.stages[:stage]}
            shift = Shift(
                id=_at(f"shift-{percent}" + (f"-stage-{stage + 1}" if percent in before else ""), region),
                services=tuple(unit.key for unit, _ in units),
                percent=percent,
                timeout=timeout,
                since={unit.key: strategy.stages[stage - 1] for unit, strategy in units} if stage else {},
                needs=needs,
            )
            analyses = [
                Analysis(
                    id=f"analysis-{unit.key}-{percent}",
                    service=unit.key,
                    percent=percent,
                    strategy=strategy,
                    stage=stage,
                    stages=len(strategy.stages),
                    judged=len(staged),
                    needs=(shift.id,),
                )
                for unit, strategy in units
            ]
            steps += [shift, *analyses]
            ends += [step.id for step in analyses]
        needs = tuple(ends)
    return needs


def _add_shifts(steps: list[Step], region: Region, timeout: float, needs: Needs) -> Needs:
    """Add the shifts of all traffic: one for all services, or one for each level of those that wait for others."""
    levels = _levels(region.units)
    last = {unit.key: unit.strategy.stages[-1] for unit in region.units if isinstance(unit.strategy, Canary)}
    for number, services in enumerate(levels):
        name = "shift" if len(levels) == 1 else f"shift-{number + 1}-of-{len(levels)}"
        since = {key: last[key] for key in services if key in last}
        shift = Shift(id=_at(name, region), services=services, percent=100, timeout=timeout, since=since, needs=needs)
        steps.append(shift)
        needs = (shift.id,)
    return needs


def _levels(units: Sequence[Unit]) -> list[tuple[str, ...]]:
    """Return the services by how many others they wait for, one behind the other (circles are refused on load)."""
    known = {unit.key: unit for unit in units}

    def depth(unit: Unit) -> int:
        return max((depth(known[name]) + 1 for name in unit.after if name in known), default=0)

    depths = {unit.key: depth(unit) for unit in units}
    return [tuple(key for key in depths if depths[key] == level) for level in sorted(set(depths.values()))]


def _at(step: str, region: Region) -> str:
    """Return a step's id in a region; the first region's have none of its name."""
    return step if region.primary else f"{step}@{region.name}"


# -- jobs -----------------------------------------------------------------------------------------------------
def _add_jobs(steps: list[Step], environment: Environment, when: str, needs: Needs) -> Needs:
    """Add the jobs of a time, each after those it names, else after the one before it; returns what ends them all."""
    jobs = [job for job in _jobs(environment) if job.config.when == when]
    added: dict[str, RunJob] = {}
    previous: Needs = needs
    for job in jobs:
        after = previous if job.config.after is None else tuple(f"job-{name}" for name in job.config.after) or needs
        step = RunJob(id=f"job-{job.key}", job=job.key, timeout=_job_timeout(job), needs=after, keeps=when == "after")
        added[step.id] = step
        previous = (step.id,)
    steps += added.values()
    awaited = {need for step in added.values() for need in step.needs}
    return tuple(step for step in added if step not in awaited) or needs


def _jobs(environment: Environment) -> Iterable[JobSpec]:
    return environment.spec.jobs if isinstance(environment.spec, CloudRunSpec) else ()


def _job_timeout(job: JobSpec) -> float:
    """Return how long to await an execution: its tries, and a minute to be scheduled."""
    return job.config.timeout * (job.config.max_retries + 1) + 60.0
