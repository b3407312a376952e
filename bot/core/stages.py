"""Which stages of a rollout can be decided at all, at the traffic there is. Asked before anything is changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from bot.core import canary
from bot.core.config import AllAtOnce, Canary
from bot.core.outcome import Reason, Refusal
from bot.core.resolve import Environment
from bot.core.serving import Serving
from bot.core.units import Region, Unit

RATE_WINDOW = 3600.0  # seconds of the past in which the traffic is looked at
_PROBED_SHARE = 0.5  # the bot's own requests go to both versions alike


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A service's traffic: requests per second and the share of them that fail."""

    requests: float
    errors: float = 0.0


def analysis_of(strategy: Canary, *, judged: int) -> canary.Analysis:
    """Return what a strategy asks of the judgement. ``judged``: how many services are judged apart."""
    return canary.Analysis(
        confidence=strategy.confidence,
        power=strategy.power,
        error_rise=strategy.error_rise,
        slowdown=strategy.slowdown,
        metrics=strategy.metrics,
        services=judged,
    )


def looks(strategy: Canary) -> int:
    """Return how many looks one stage takes at most, being held included."""
    return max(1, math.ceil(strategy.deadline / strategy.look_every))


def staged(environment: Environment) -> tuple[str, ...]:
    """Return the services whose traffic has to be known: those with stages that are judged by it."""
    return tuple(
        unit.key
        for region in environment.regions
        for unit in region.units
        if isinstance(unit.strategy, Canary) and unit.strategy.source == "monitoring"
    )


@dataclass(frozen=True, kw_only=True)
class Decidable:
    """An environment whose stages can be decided, and in words what was left out."""

    environment: Environment
    notes: tuple[str, ...] = ()


def decidable(environment: Environment, rates: Mapping[str, Rate], serving: Serving) -> Decidable | Refusal:
    """Leave out the stages that could not be decided by their deadline, or refuse, as each service is configured.

    ``rates`` holds the services of :func:`staged`; one that is missing takes no requests. A service of which nothing
    serves has nothing to be compared with: its first release has no stages.
    """
    hopeless: list[str] = []
    notes: list[str] = []
    regions: list[Region] = []
    for region in environment.regions:
        judged = sum(isinstance(unit.strategy, Canary) for unit in region.units)
        units: list[Unit] = []
        for unit in region.units:
            if not isinstance(unit.strategy, Canary):
                units.append(unit)
                continue
            if not serving.service(unit.key).traffic:
                units.append(replace(unit, strategy=AllAtOnce(type="all-at-once")))
                continue
            kept, left_out = _kept(unit.strategy, rates.get(unit.key, Rate(requests=0.0)), judged)
            said = [f"{_place(unit.key)} at {percent} %: {why}" for percent, why in left_out]
            match unit.strategy.too_little_traffic:
                case "refuse":
                    hopeless += said
                case "skip":
                    notes += said
                case _:
                    assert_never(unit.strategy.too_little_traffic)
            units.append(replace(unit, strategy=_with_stages(unit.strategy, kept)))
        regions.append(replace(region, units=tuple(units)))
    if hopeless:
        return _refusal(environment.name, hopeless)
    return Decidable(environment=replace(environment, regions=tuple(regions)), notes=tuple(notes))


def _with_stages(strategy: Canary, kept: tuple[int, ...]) -> Canary | AllAtOnce:
    return strategy.model_copy(update={"stages": kept}) if kept else AllAtOnce(type="all-at-once")


def _kept(strategy: Canary, rate: Rate, judged: int) -> tuple[tuple[int, ...], list[tuple[int, str]]]:
    """Return the stages that can be decided by their deadline, and the others with why not."""
    kept: list[int] = []
    left_out: list[tuple[int, str]] = []
    for percent in strategy.stages:
        time = _seconds_needed(strategy, rate, percent, judged)
        seen = strategy.deadline - (strategy.delay if strategy.source == "monitoring" else 0.0)
        if time <= seen:
            kept.append(percent)
        else:
            left_out.append((percent, _why(strategy, rate, time, seen)))
    return tuple(kept), left_out


def _seconds_needed(strategy: Canary, rate: Rate, percent: int, judged: int) -> float:
    """Return how long a stage must be to be decided."""
    analysis = analysis_of(strategy, judged=judged)
    if strategy.source == "probes":
        needed = canary.needed(analysis, error_rate=rate.errors, share=_PROBED_SHARE)
        return needed * strategy.probe_every
    return canary.seconds_needed(
        analysis, requests_per_second=rate.requests, percent=float(percent), error_rate=rate.errors
    )


def _why(strategy: Canary, rate: Rate, time: float, seen: float) -> str:
    if strategy.source == "probes":
        return f"a probe every {strategy.probe_every:g} s would need {_span(time)}, and there are {_span(seen)}"
    if rate.requests <= 0:
        return "it takes no requests"
    return f"{rate.requests:.2g} requests a second would need {_span(time)}, and there are {_span(seen)}"


def _span(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "for ever"
    for unit, name in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.2g} {name}" if seconds < 10 * unit else f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _refusal(environment: str, hopeless: Iterable[str]) -> Refusal:
    return Refusal(
        reason=Reason.TOO_LITTLE_TRAFFIC,
        gate="decidable_stages",
        sentence=f"Stages of `{environment}` could not be decided by their deadline: {'; '.join(hopeless)}.",
        next="Use `source: probes`, larger stages or a later `deadline`, or set `too_little_traffic: skip`, in "
        "`.github/slipway.yml`",
    )


def _place(service: str) -> str:
    name, _, region = service.partition("@")
    return f"{name} in {region}" if region else name
