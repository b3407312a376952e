"""Compares the release with what served before it: by requests while it has a share of them, then by its error log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Literal, Protocol

from bot.core import canary
from bot.core.canary import Observed
from bot.core.checks import CheckResult
from bot.core.config import Canary
from bot.core.plan import Analysis, WatchLog
from bot.core.stages import analysis_of, looks
from bot.core.target import Known, Target
from bot.core.titles import place
from bot.engine.clock import Clock
from bot.engine.verification import Answer, Prober
from bot.errors import AuthError, CancelledError, SlipwayError, UpstreamError

LOG_BEFORE = 3600.0  # seconds of the version before that the watch is held against
_PATIENCE = 1.0  # seconds between two looks at the wish to stop
_PROBE_TIMEOUT = 10.0  # seconds

Status = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How a comparison ended: its rows for the report, and in a few words what it rests on."""

    status: Status
    checks: tuple[CheckResult, ...]
    detail: str


class Comparer:
    """Runs one comparison. ``progress`` is told in a few words how it stands."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        probe: Prober,
        *,
        halted: Callable[[], bool],
        progress: Callable[[str], None],
    ) -> None:
        self._target, self._clock, self._probe = target, clock, probe
        self._halted, self._progress = halted, progress

    # -- stages ---------------------------------------------------------------------------------------------
    def analyse(self, step: Analysis, known: Known) -> Judged:
        """Look at a stage again and again until it is decided, or its deadline is over.

        Raises:
            CancelledError: the run was asked to stop, or another step failed.
            UpstreamError: the measurements may not be read at all.
        """
        strategy, started = step.strategy, self._clock.now()
        source: Measured = (
            Monitored(self._target, self._clock, step, known, started)
            if strategy.source == "monitoring"
            else Probed(self._target, self._probe, step, known)
        )
        analysis, each = analysis_of(strategy, judged=step.judged), looks(strategy)
        number = 0
        while True:
            self._until(self._clock.now() + strategy.look_every, source.every, source.sample)
            number = min(number + 1, each)
            look = canary.Look(number=step.stage * each + number, of=step.stages * each)
            candidate, baseline = source.observed()
            verdict = canary.judge(analysis, candidate=candidate, baseline=baseline, look=look)
            elapsed = self._clock.now() - started
            self._progress(f"{candidate.requests:,} requests so far: {verdict.sentence}")
            if verdict.status == "fail":
                return _judged("failed", step, verdict, candidate)
            if verdict.status == "pass" and elapsed >= strategy.stage_time:
                return _judged("passed", step, verdict, candidate)
            if elapsed >= strategy.deadline:
                return _judged("passed" if strategy.undecided == "pass" else "undecided", step, verdict, candidate)

    def _until(self, end: float, every: float, sample: Callable[[], None]) -> None:
        """Take samples until some time, or just wait. Raises CancelledError."""
        while True:
            if self._clock.stopping or self._halted():
                raise CancelledError("The run was asked to stop.")
            sample()
            left = end - self._clock.now()
            if left <= 0:
                return
            self._clock.wait(min(left, every))

    # -- after the release ----------------------------------------------------------------------------------
    def watch(self, step: WatchLog, known: Known, *, began: float) -> Judged:
        """Watch the error log of what serves now, against that of the version before. ``began``: the release did then.

        A log that cannot be read at the end leaves it undecided: what is live has been verified.

        Raises:
            CancelledError: the run was asked to stop.
        """
        started, rule = self._clock.now(), step.watch
        usual: dict[str, int] = {}
        while True:
            self._until(self._clock.now() + rule.look_every, _PATIENCE, lambda: None)
            elapsed = self._clock.now() - started
            seen = elapsed - rule.delay
            if seen <= 0:
                continue
            try:
                usual = usual or self._usual(step, known, began)
                rises = self._rises(step, known, usual, started, seen)
            except (AuthError, UpstreamError) as error:
                self._progress(f"the error log cannot be read: {error.message}")
                if elapsed >= rule.time:
                    return Judged(
                        status="undecided", checks=(_unread(error),), detail="the error log could not be read"
                    )
                continue
            self._progress("; ".join(f"{place(name)}: {rise.sentence}" for name, rise in rises.items()))
            rose = any(rise.rose for rise in rises.values())
            if rose or elapsed >= rule.time:
                checks = tuple(_row(*item) for item in rises.items())
                return Judged(status="failed" if rose else "passed", checks=checks, detail="")

    def _usual(self, step: WatchLog, known: Known, began: float) -> dict[str, int]:
        before = {name: _before(known, name) for name in step.services}
        return self._lines(step, before, began - LOG_BEFORE, began)

    def _rises(
        self, step: WatchLog, known: Known, usual: Mapping[str, int], since: float, seen: float
    ) -> dict[str, canary.Rise]:
        """Hold what was logged in the ``seen`` seconds against what is usual, for every service that was there."""
        rule = step.watch
        level = (1.0 - rule.confidence) / len(step.services) / max(1.0, rule.time / rule.look_every)
        counts = self._lines(step, {name: (_revision(known, name),) for name in step.services}, since, since + seen)
        return {
            name: canary.rate_rose(
                counts[name], seen, usual[name], LOG_BEFORE, level=level, factor=rule.factor, fewest=rule.fewest
            )
            for name in step.services
            if known.before.service(name).exists
        }

    def _lines(
        self, step: WatchLog, revisions: Mapping[str, tuple[str, ...]], since: float, until: float
    ) -> dict[str, int]:
        """Count the error lines of every service, all at once."""
        with ThreadPoolExecutor(max_workers=len(step.services)) as pool:
            counts = pool.map(lambda name: self._target.error_lines(name, revisions[name], since, until), step.services)
            return dict(zip(step.services, counts, strict=True))


# -- measurements -----------------------------------------------------------------------------------------------------
class Measured(Protocol):
    """What a stage is judged by. ``every``: seconds between two samples of its own."""

    every: float

    def sample(self) -> None:
        """Take a sample, if it takes any itself."""
        ...

    def observed(self) -> tuple[Observed, Observed]:
        """Return what the candidate and the baseline have shown in this stage so far."""
        ...


class Monitored:
    """What users' requests got, by the target's own measurement."""

    every = _PATIENCE

    def __init__(self, target: Target, clock: Clock, step: Analysis, known: Known, started: float) -> None:
        self._target, self._clock, self._started = target, clock, started
        self._service, self._delay = step.service, step.strategy.delay
        self._candidate, self._baseline = _revision(known, step.service), _before(known, step.service)
        self._last = (Observed(), Observed())

    def sample(self) -> None:
        """Nothing: others measure."""

    def observed(self) -> tuple[Observed, Observed]:
        """Return all that is to be seen of this stage; what it was before where it cannot be read for the moment."""
        until = self._clock.now() - self._delay
        if until <= self._started:
            return self._last
        try:
            seen = self._target.traffic(self._service, self._started, until)
        except UpstreamError as error:
            if 400 <= error.status < 429:
                raise
            return self._last
        empty = Observed()
        baseline = reduce(add, (seen.get(name, empty) for name in self._baseline), empty)
        self._last = (seen.get(self._candidate, empty), baseline)
        return self._last


@dataclass(kw_only=True)
class _Samples:
    """What one version answered. ``seconds`` are of answers that succeeded: what fails at once would flatter it."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def take(self, answer: Answer) -> None:
        if answer.status == 0 or answer.status >= 500:
            self.errors += 1
        else:
            self.seconds.append(answer.seconds)

    def observed(self) -> Observed:
        latency = canary.observed(self.seconds).latency
        return Observed(requests=len(self.seconds) + self.errors, errors=self.errors, latency=latency)


class Probed:
    """The bot's own requests, to both versions at the same time."""

    def __init__(self, target: Target, probe: Prober, step: Analysis, known: Known) -> None:
        self._target, self._probe, self._service, self._known = target, probe, step.service, known
        self._path, self.every = step.strategy.probe, step.strategy.probe_every
        self._candidate, self._baseline = _Samples(), _Samples()

    def sample(self) -> None:
        """Ask both versions once."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            answers = pool.map(self._ask, ("candidate", "baseline"))
            for samples, answer in zip((self._candidate, self._baseline), answers, strict=True):
                samples.take(answer)

    def _ask(self, phase: Literal["candidate", "baseline"]) -> Answer:
        url = self._target.endpoint(self._service, phase, self._known)
        if not url:
            raise UpstreamError(
                f"{self._service} cannot be reached from here: judge it by `source: monitoring`.",
                service="Cloud Run",
                operation="probe",
                status=400,
            )
        url += self._path
        return self._probe("GET", url, self._target.authorization(self._service, url), _PROBE_TIMEOUT)

    def observed(self) -> tuple[Observed, Observed]:
        """Return all samples."""
        return self._candidate.observed(), self._baseline.observed()


def _revision(known: Known, service: str) -> str:
    """Return the release's revision of a service, by its short name."""
    return known.handles.get(f"rollout-{service}", "").rpartition("/")[2]


def _before(known: Known, service: str) -> tuple[str, ...]:
    """Return the revisions that had traffic before the release, which is what a way back would return to."""
    own = _revision(known, service)
    traffic = known.before.service(service).traffic
    return tuple(dict.fromkeys(share.revision for share in traffic if share.percent and share.revision != own))


# -- rows of the report -----------------------------------------------------------------------------------------------
def _judged(status: Status, step: Analysis, verdict: canary.Verdict, candidate: Observed) -> Judged:
    where = f"{place(step.service)} at {step.percent} %"
    checks = tuple(
        CheckResult(
            name=f"{finding.metric} of {where}",
            passed=finding.status == "pass" or (status == "passed" and finding.status != "fail"),
            expected=_expected(finding.metric, step.strategy),
            found=_found(finding),
            service=step.service,
        )
        for finding in verdict.findings
    )
    more = f", about {verdict.more:,} more are needed" if verdict.more else ""
    return Judged(status=status, checks=checks, detail=f"{candidate.requests:,} requests{more}")


def _found(finding: canary.Finding) -> str:
    said = finding.sentence.removeprefix(f"{finding.metric} ")  # the row's name says of what
    return f"{said}: not decided" if finding.status == "inconclusive" else said


def _expected(metric: canary.Metric, strategy: Canary) -> str:
    if metric == "errors":
        points = 100 * strategy.error_rise
        return f"less than {points:g} {'point' if points == 1 else 'points'} above what serves"
    return f"slower in less than {100 * (0.5 + strategy.slowdown):g} of 100 pairs"


def _row(service: str, rise: canary.Rise) -> CheckResult:
    return CheckResult(
        name=f"error log of {place(service)}",
        passed=not rise.rose,
        expected="as before the release",
        found=rise.sentence,
        service=service,
    )


def _unread(error: SlipwayError) -> CheckResult:
    return CheckResult(
        name="error log", passed=False, expected="as before the release", found=f"it could not be read: {error.message}"
    )
