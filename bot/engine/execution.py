"""Runs a plan over its graph, and takes failure and cancellation the same way back to what served before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from bot.core.checks import JobCheck
from bot.core.outcome import Reason, StepResult
from bot.core.plan import Applied, Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify
from bot.core.planning import title
from bot.core.serving import Serving
from bot.core.target import Broken, Diagnosis, Done, Known, Running, Target
from bot.engine.clock import Clock, Unstoppable
from bot.engine.reconcile import Reconciler, StepTimeoutError
from bot.engine.verification import Expected, Prober, Verifier, job_step
from bot.errors import CancelledError, SlipwayError

MAX_THREADS = 16
RESTORE_TIMEOUT = 300.0  # seconds; the way back waits at least this long, and as long as the plan's longest step

Kind = Literal["gates", "build", "run_job", "rollout", "verify", "shift", "restore"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a plan ended. ``restored`` is None when nothing had to be brought back.

    ``exposed_seconds``: how long users saw a revision that was then taken back. ``jobs``: jobs that were started,
    which a restore does not undo. ``seen``: what served when the last check asked.
    """

    plan: Plan
    results: tuple[StepResult, ...]
    known: Known
    reason: Reason
    cancelled: bool = False
    failed: StepResult | None = None
    restored: bool | None = None
    restore_detail: str = ""
    exposed_seconds: float = 0.0
    jobs: tuple[str, ...] = ()
    seen: Serving | None = None


class Execution:
    """One run of one plan. Use it once.

    ``on_change`` is told of every change of a step, from any thread, with all results so far. ``touched`` is whether an
    interrupted run may have changed what serves already: then any failure restores.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        known: Known,
        *,
        probe: Prober,
        clock: Clock,
        on_change: Callable[[tuple[StepResult, ...]], None],
        touched: bool = False,
    ) -> None:
        self._plan, self._target, self._clock, self._probe = plan, target, clock, probe
        self._known, self._on_change = known, on_change
        self._lock = threading.RLock()
        self._halt = threading.Event()
        self._results = {step.id: StepResult(id=step.id, kind=kind_of(step), title=title(step)) for step in plan.steps}
        self._touched = touched  # something that serves, or will, was begun to be changed
        self._exposed_at = 0.0
        self._reason = Reason.RELEASED
        self._failed: str = ""
        self._jobs: list[str] = []
        self._seen: Serving | None = None

    # -- the graph ------------------------------------------------------------------------------------------
    def run(self) -> Ended:
        """Run every step, and on failure or cancellation restore. Never raises for a step's failure."""
        waiting = {step.id: step for step in self._plan.steps}
        running: dict[Future[bool], str] = {}
        done: set[str] = set()
        with ThreadPoolExecutor(max_workers=MAX_THREADS, thread_name_prefix="step") as pool:
            while waiting or running:
                ready = [step for step in waiting.values() if done.issuperset(step.needs)]
                if not self._halt.is_set():
                    for step in ready:
                        running[pool.submit(self._step, step)] = step.id
                        del waiting[step.id]
                if not running:
                    break
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    if future.result():
                        done.add(running[future])
                    else:
                        self._halt.set()
                    del running[future]
        if not self._halt.is_set():
            return self._ended()
        for step_id in waiting:
            self._update(step_id, state="skipped")
        return self._way_back()

    def _step(self, step: Step) -> bool:
        """Run one step; True when it is done."""
        if self._clock.stopping:
            self._cancelled(step)
            return False
        self._update(step.id, state="running", started=self._clock.now())
        try:
            match step:
                case Verify():
                    return self._verify(step)
                case Build() | RunJob() | Rollout() | Shift() | Restore():
                    return self._apply(step)
                case _:
                    assert_never(step)
        except CancelledError:
            self._cancelled(step)
        except StepTimeoutError as error:
            self._fail(step, Reason.TIMED_OUT, str(error))
            self._stop(step)
        except SlipwayError as error:
            self._fail(step, _reason_of(error, step), error.message)
        except Exception as error:  # noqa: BLE001 - a bug in one step must not keep the others from being brought back
            self._fail(step, Reason.INTERNAL_ERROR, f"{type(error).__name__} in the bot itself.")
        return False

    def _apply(self, step: Applied) -> bool:
        outcome = self._reconcile(step)
        if isinstance(outcome, Broken):
            self._fail(step, REASONS[kind_of(step)], outcome.detail, link=outcome.link)
            return False
        self._update(step.id, state="done", ended=self._clock.now(), detail=outcome.detail, link=outcome.link)
        return True

    def _reconcile(self, step: Applied) -> Done | Broken:
        def progress(seen: Running) -> None:
            self._shown(step, seen)
            if seen.handle:
                self._learn(step.id, seen.handle)
            if step.id in self._results:
                self._update(step.id, detail=seen.detail, link=seen.link)

        reconciler = Reconciler(self._target, self._clock, halted=self._halt.is_set, progress=progress)
        began, outcome = self._clock.now(), None
        try:
            outcome = reconciler.run(step, self._snapshot())
        finally:
            if reconciler.begun and not (isinstance(step, Build) and isinstance(outcome, Broken)):
                self._begun(step, began)  # a build that failed has made nothing that could be released
        self._shown(step, outcome)
        if outcome.handle:
            self._learn(step.id, outcome.handle)
        if isinstance(outcome, Done) and outcome.artifact is not None:
            with self._lock:
                self._known = replace(self._known, artifact=outcome.artifact)
        return outcome

    def _shown(self, step: Applied, seen: Running | Done | Broken) -> None:
        """Note since when users see what a rollout made, on a target without a traffic split."""
        if not isinstance(step, Rollout) or self._target.traits.traffic_split:
            return
        if isinstance(seen, Done) or seen.serves:
            with self._lock:
                self._exposed_at = self._exposed_at or self._clock.now()

    def _begun(self, step: Applied, at: float) -> None:
        """Note what a step may have changed from some time on."""
        with self._lock:
            # Without a separate build, a build that succeeds is released.
            self._touched |= isinstance(step, Rollout | Shift | Restore) or not self._target.traits.separate_build
            if isinstance(step, Shift | Restore) and not self._exposed_at:
                self._exposed_at = at
            if isinstance(step, RunJob) and step.id in self._results:  # a check's job is meant to change nothing
                self._jobs.append(step.job)

    def _run_check(self, step: RunJob) -> Done | Broken:
        try:
            return self._reconcile(step)
        except (CancelledError, StepTimeoutError):
            self._stop(step)
            raise

    def _verify(self, step: Verify) -> bool:
        verifier = Verifier(
            self._target,
            self._clock,
            self._probe,
            expected=self._expected,
            run_job=self._run_check,
            halted=self._halt.is_set,
        )
        checks = verifier.run(step.phase, step.checks, self._snapshot())
        self._seen = verifier.seen or self._seen
        passed = sum(check.passed for check in checks)
        failed = [check for check in checks if not check.passed]
        self._update(step.id, checks=checks)
        if not failed:
            self._update(
                step.id, state="done", ended=self._clock.now(), detail=f"{passed} of {len(checks)} checks passed"
            )
            return True
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        self._fail(step, Reason.VERIFICATION_FAILED, f"{failed[0].name}: {failed[0].found}{others}")
        return False

    def _expected(self, service: str) -> Expected:
        """Return what a service must serve: the recorded state of a rollback, else the release's artifact."""
        for step in self._plan.steps:
            if isinstance(step, Restore):
                state = step.to.service(service)
                return Expected(
                    digest=state.digest, revision=state.revision if self._target.traits.traffic_split else ""
                )
        known = self._snapshot()
        return Expected(digest=known.artifact.digest if known.artifact else "")

    # -- endings --------------------------------------------------------------------------------------------
    def _fail(self, step: Step, reason: Reason, detail: str, *, link: str = "") -> None:
        with self._lock:
            first = not self._failed
            if first:
                self._failed, self._reason = step.id, reason
        self._halt.set()
        self._update(
            step.id, state="failed", ended=self._clock.now(), detail=detail, **({"link": link} if link else {})
        )
        try:
            diagnosis = self._diagnose(step)
        except Exception:  # noqa: BLE001 - logs that cannot be read must not keep what served from being brought back
            diagnosis = None
        if diagnosis is not None:
            self._update(step.id, diagnosis=diagnosis)

    def _cancelled(self, step: Step) -> None:
        self._halt.set()
        self._update(step.id, state="cancelled", ended=self._clock.now())
        if not isinstance(step, Verify) and self._results[step.id].started:
            self._stop(step)

    def _stop(self, step: Step) -> None:
        """Stop what a step has started."""
        try:
            self._target.cancel(step, self._snapshot())
        except Exception as error:  # noqa: BLE001 - what cannot be stopped must not keep the rest from being restored
            if step.id in self._results:
                said = error.message if isinstance(error, SlipwayError) else type(error).__name__
                before = self._results[step.id].detail
                self._update(step.id, detail="; ".join(filter(None, [before, f"could not be stopped: {said}"])))

    def _diagnose(self, step: Step) -> Diagnosis | None:
        known = self._snapshot()
        if isinstance(step, Verify):  # the candidate's own words explain a failed check best
            found = [self._target.diagnose(item, known) for item in self._suspects(step)[:2]]
            return next((item for item in found if item.error), found[0] if found else None)
        return self._target.diagnose(step, known)

    def _suspects(self, step: Verify) -> list[RunJob | Rollout]:
        """Return what failed checks looked at: their jobs and services, or else all services."""
        failed = [check for check in self._results[step.id].checks if not check.passed]
        names, services = {check.name for check in failed}, {check.service for check in failed}
        jobs = [job_step(check) for check in step.checks if isinstance(check, JobCheck) and check.name in names]
        rollouts = [item for item in self._plan.steps if isinstance(item, Rollout)]
        named: list[RunJob | Rollout] = [*jobs, *(item for item in rollouts if item.service in services)]
        return named or list(rollouts)

    def _way_back(self) -> Ended:
        """Restore what served before, if anything was begun that serves. Nothing interrupts it."""
        if not self._touched or not self._plan.undo:
            return self._ended()
        step = Restore(id="undo", to=self._known.before, timeout=self._patience())
        with self._lock:
            self._results[step.id] = StepResult(id=step.id, kind="restore", title="Restore what served before")
        self._update(step.id, state="running", started=self._clock.now())
        clock = Unstoppable(self._clock)
        reconciler = Reconciler(self._target, clock, halted=lambda: False, progress=lambda _: None)
        try:
            outcome: Done | Broken = reconciler.run(step, self._snapshot())
        except (SlipwayError, StepTimeoutError) as error:
            outcome = Broken(detail=str(error))
        except Exception as error:  # noqa: BLE001 - people must be told, all the more
            outcome = Broken(detail=f"{type(error).__name__} in the bot itself.")
        now = self._clock.now()
        restored = isinstance(outcome, Done)
        self._update(step.id, state="done" if restored else "failed", ended=now, detail=outcome.detail)
        exposed = now - self._exposed_at if self._exposed_at else 0.0
        return self._ended(restored=restored, detail=outcome.detail, exposed=exposed)

    def _patience(self) -> float:
        """Return how long the way back may take: it may have to wait for a build or a release phase to end first."""
        return max([RESTORE_TIMEOUT, *(step.timeout for step in self._plan.steps if not isinstance(step, Verify))])

    def _ended(self, *, restored: bool | None = None, detail: str = "", exposed: float = 0.0) -> Ended:
        with self._lock:
            failed = self._results.get(self._failed)
            stopped = self._halt.is_set() and failed is None
            return Ended(
                plan=self._plan,
                results=tuple(self._results.values()),
                known=self._known,
                reason=Reason.CANCELLED if stopped else self._reason,
                cancelled=stopped,
                failed=failed,
                restored=restored,
                restore_detail=detail,
                exposed_seconds=exposed,
                jobs=tuple(self._jobs),
                seen=self._seen,
            )

    # -- shared state ---------------------------------------------------------------------------------------
    def _snapshot(self) -> Known:
        with self._lock:
            return self._known

    def _learn(self, step_id: str, handle: str) -> None:
        with self._lock:
            self._known = self._known.with_handle(step_id, handle)

    def _update(self, step_id: str, **changes: object) -> None:
        with self._lock:
            before = self._results[step_id]
            after = replace(before, **changes)  # type: ignore[arg-type]  # the callers name StepResult's own fields
            if after == before:
                return
            self._results[step_id] = after
            results = tuple(self._results.values())
        self._on_change(results)


REASONS: dict[Kind, Reason] = {
    "build": Reason.BUILD_FAILED,
    "run_job": Reason.JOB_FAILED,
    "rollout": Reason.ROLLOUT_FAILED,
    "verify": Reason.VERIFICATION_FAILED,
    "shift": Reason.SHIFT_FAILED,
    "restore": Reason.RESTORE_FAILED,
}


def kind_of(step: Step) -> Kind:
    """Return the word for a step's class in reports."""
    match step:
        case Build():
            kind: Kind = "build"
        case RunJob():
            kind = "run_job"
        case Rollout():
            kind = "rollout"
        case Verify():
            kind = "verify"
        case Shift():
            kind = "shift"
        case Restore():
            kind = "restore"
        case _:
            assert_never(step)
    return kind


def _reason_of(error: SlipwayError, step: Step) -> Reason:
    """Return the error's own reason where it says more than the step's."""
    if error.reason in {"auth_failed", "upstream_forbidden", "conflict"}:
        return Reason(error.reason)
    return REASONS[kind_of(step)]
