"""Runs a plan over its graph, and takes failure and cancellation the same way back to what served before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal, assert_never

from bot.core.checks import CheckResult, JobCheck
from bot.core.outcome import Reason, StepResult
from bot.core.plan import Analysis, Applied, Build, Plan, Restore, Rollout, RunJob, Shift, Step, Verify, WatchLog
from bot.core.serving import Serving
from bot.core.target import Broken, Diagnosis, Done, Known, Running, Target
from bot.engine.clock import Clock, Unstoppable
from bot.engine.persistence import insist
from bot.engine.progress import Kind, Progress, kind_of
from bot.engine.reconcile import Reconciler, StepTimeoutError, slowest_poll
from bot.engine.verification import Expected, Prober, Verifier, job_step
from bot.errors import CancelledError, SlipwayError

MAX_THREADS = 64
RESTORE_TIMEOUT = 300.0  # seconds; the way back waits at least this long, and as long as the plan's longest step
GRACE = 2.0  # seconds that a cancelled run waits for calls under way: GitHub kills it ten seconds after asking
_HEARTBEAT = 0.25  # seconds between two looks at the wish to stop
_DIAGNOSIS = 20.0  # seconds that the end waits for logs


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
        self._progress = Progress(plan.steps, known, on_change)
        self._lock = threading.RLock()
        self._halt = threading.Event()
        self._touched = touched  # something that serves, or will, was begun to be changed
        self._began_at = clock.now()
        self._exposed_at = 0.0
        self._stopping_since = 0.0
        self._reason = Reason.RELEASED
        self._failed: Step | None = None
        self._jobs: list[str] = []
        self._seen: Serving | None = None
        self._diagnoses: list[Future[None]] = []
        self._threads = ThreadPoolExecutor(max_workers=MAX_THREADS, thread_name_prefix="step")

    # -- the graph ------------------------------------------------------------------------------------------
    def run(self) -> Ended:
        """Run every step, and on failure or cancellation restore. Never raises for a step's failure."""
        try:
            self._run_graph()
            if not self._halt.is_set() or self._keeps():
                return self._ended()
            return self._way_back()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _run_graph(self) -> None:
        waiting = {step.id: step for step in self._plan.steps}
        running: dict[Future[bool], Step] = {}
        done: set[str] = set()
        while waiting or running:
            if not self._halt.is_set():
                for step in [step for step in waiting.values() if done.issuperset(step.needs)]:
                    running[self._threads.submit(self._step, step)] = waiting.pop(step.id)
            if not running:
                break
            done |= self._ended_well(running)
            if self._overdue():
                self._give_up(list(running.values()))
                break
        if self._halt.is_set():
            for step_id in waiting:
                self._progress.update(step_id, state="skipped")

    def _ended_well(self, running: dict[Future[bool], Step]) -> set[str]:
        """Wait a moment for steps to end, take those that did out of ``running``; returns which went well."""
        ended, _ = wait(running, timeout=_HEARTBEAT, return_when=FIRST_COMPLETED)
        steps = {future: running.pop(future) for future in ended}
        well = {step.id for future, step in steps.items() if future.result()}
        if len(well) < len(steps):
            self._halt.set()
        return well

    def _overdue(self) -> bool:
        """Whether the run was asked to stop so long ago that calls under way are waited for no more."""
        if not self._clock.stopping:
            return False
        self._stopping_since = self._stopping_since or self._clock.now()
        return self._clock.now() - self._stopping_since > GRACE

    def _give_up(self, steps: list[Step]) -> None:
        """Go on without steps that a call holds up. What they still may do is undone all the same.

        A change that arrives after the way back carries an etag from before it, and is refused.
        """
        self._halt.set()
        for step in steps:
            self._progress.update(step.id, state="cancelled", ended=self._clock.now(), detail="a call was under way")
            self._progress.give_up(step.id)
            if isinstance(step, Rollout | Shift | Restore):
                self._begun(step, self._clock.now())
        wait([self._threads.submit(self._stop, step) for step in steps], timeout=GRACE)

    def _step(self, step: Step) -> bool:
        """Run one step; True when it is done."""
        if self._clock.stopping:
            self._cancelled(step)
            return False
        self._progress.update(step.id, state="running", started=self._clock.now())
        try:
            match step:
                case Verify():
                    return self._verify(step)
                case Analysis() | WatchLog():
                    return self._compare(step)
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
        self._done(step, outcome.detail, link=outcome.link)
        return True

    def _reconcile(self, step: Applied) -> Done | Broken:
        def progress(seen: Running) -> None:
            self._shown(step, seen)
            if seen.handle:
                self._progress.learn(step.id, seen.handle)
            self._progress.update(step.id, detail=seen.detail, link=seen.link)

        slowest = slowest_poll(self._plan, step)
        reconciler = Reconciler(self._target, self._clock, halted=self._halt.is_set, progress=progress, slowest=slowest)
        began, outcome = self._clock.now(), None
        try:
            outcome = reconciler.run(step, self._progress.known)
        finally:
            if reconciler.begun and not (isinstance(step, Build) and isinstance(outcome, Broken)):
                self._begun(step, began)  # a build that failed has made nothing that could be released
        self._shown(step, outcome)
        if outcome.handle:
            self._progress.learn(step.id, outcome.handle)
        if isinstance(outcome, Done) and outcome.artifact is not None:
            self._progress.keep(outcome.artifact)
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
            if isinstance(step, RunJob) and self._progress.result(step.id):  # a check's job is meant to change nothing
                self._jobs.append(step.job)

    # -- judging --------------------------------------------------------------------------------------------
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
        checks = verifier.run(step.phase, step.checks, self._progress.known)
        self._seen = verifier.seen or self._seen
        return self._judged(step, checks, Reason.VERIFICATION_FAILED)

    def _judged(self, step: Step, checks: tuple[CheckResult, ...], reason: Reason, *, detail: str = "") -> bool:
        """End a step by its checks: all of them have to pass."""
        failed = [check for check in checks if not check.passed]
        self._progress.update(step.id, checks=checks)
        if not failed:
            self._done(step, detail or f"{len(checks)} of {len(checks)} checks passed")
            return True
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        self._fail(step, reason, f"{failed[0].name}: {failed[0].found}{others}")
        return False

    def _compare(self, step: Analysis | WatchLog) -> bool:
        from bot.engine.comparing import Comparer  # noqa: PLC0415 - few plans compare, and statistics take time to import

        comparer = Comparer(
            self._target,
            self._clock,
            self._probe,
            halted=self._halt.is_set,
            progress=lambda detail: self._progress.update(step.id, detail=detail),
        )
        known = self._progress.known
        match step:
            case Analysis():
                judged = comparer.analyse(step, known)
            case WatchLog():
                judged = comparer.watch(step, known, began=self._began_at)
            case _:
                assert_never(step)
        if isinstance(step, WatchLog) and (judged.status == "undecided" or step.watch.then == "suggest"):
            self._progress.update(step.id, checks=judged.checks)
            self._done(step, _watched(judged.status))
            return True
        if isinstance(step, Analysis) and judged.status == "undecided":
            self._progress.update(step.id, checks=judged.checks)
            time = f"{step.strategy.deadline:.0f} s"
            self._fail(step, Reason.CANARY_UNDECIDED, f"it could not be decided in {time}: {judged.detail}")
            return False
        return self._judged(step, judged.checks, REASONS[kind_of(step)], detail=judged.detail)

    def _expected(self, service: str) -> Expected:
        """Return what a service must serve: the recorded state of a rollback, else the release's artifact."""
        for step in self._plan.steps:
            if isinstance(step, Restore):
                state = step.to.service(service)
                return Expected(
                    digest=state.digest, revision=state.revision if self._target.traits.traffic_split else ""
                )
        artifact = self._progress.known.artifact
        return Expected(digest=artifact.digest if artifact else "")

    # -- endings --------------------------------------------------------------------------------------------
    def _done(self, step: Step, detail: str, *, link: str = "") -> None:
        self._progress.update(step.id, state="done", ended=self._clock.now(), detail=detail, link=link)

    def _fail(self, step: Step, reason: Reason, detail: str, *, link: str = "") -> None:
        """End a step as failed. Its logs are read beside the way back: users come first."""
        with self._lock:
            if self._failed is None:
                self._failed, self._reason = step, reason
        self._halt.set()
        changes = {"link": link} if link else {}
        self._progress.update(step.id, state="failed", ended=self._clock.now(), detail=detail, **changes)
        with self._lock:
            self._diagnoses.append(self._threads.submit(self._diagnose, step))

    def _cancelled(self, step: Step) -> None:
        self._halt.set()
        result = self._progress.result(step.id)
        self._progress.update(step.id, state="cancelled", ended=self._clock.now())
        if result is not None and result.started:
            self._stop(step)

    def _stop(self, step: Step) -> None:
        """Stop what a step has started."""
        if isinstance(step, Verify | Analysis | WatchLog):
            return
        try:
            self._target.cancel(step, self._progress.known)
        except Exception as error:  # noqa: BLE001 - what cannot be stopped must not keep the rest from being restored
            result = self._progress.result(step.id)
            said = error.message if isinstance(error, SlipwayError) else type(error).__name__
            before = result.detail if result is not None else ""
            self._progress.update(step.id, detail="; ".join(filter(None, [before, f"could not be stopped: {said}"])))

    def _diagnose(self, step: Step) -> None:
        """Read from the logs why a step failed. Logs that cannot be read leave it at that."""
        try:
            diagnosis = self._diagnosis(step)
        except Exception:  # noqa: BLE001 - see above
            return
        if diagnosis is not None:
            self._progress.update(step.id, diagnosis=diagnosis)

    def _diagnosis(self, step: Step) -> Diagnosis | None:
        known = self._progress.known
        if isinstance(step, Verify | Analysis | WatchLog):  # the candidate's own words explain a failed check best
            found = [self._target.diagnose(item, known) for item in self._suspects(step)[:2]]
            return next((item for item in found if item.error), found[0] if found else None)
        return self._target.diagnose(step, known)

    def _suspects(self, step: Verify | Analysis | WatchLog) -> list[RunJob | Rollout]:
        """Return what failed checks looked at: their jobs and services, or else all services."""
        result = self._progress.result(step.id)
        failed = [check for check in result.checks if not check.passed] if result is not None else []
        names, services = {check.name for check in failed}, {check.service for check in failed}
        jobs: list[RunJob] = []
        if isinstance(step, Verify):
            jobs = [job_step(check) for check in step.checks if isinstance(check, JobCheck) and check.name in names]
        rollouts = [item for item in self._plan.steps if isinstance(item, Rollout)]
        named: list[RunJob | Rollout] = [*jobs, *(item for item in rollouts if item.service in services)]
        return named or list(rollouts)

    # -- the way back ---------------------------------------------------------------------------------------
    def _keeps(self) -> bool:
        """Whether what failed leaves the release in place."""
        return isinstance(self._failed, RunJob) and self._failed.keeps

    def _way_back(self) -> Ended:
        """Restore what served before, if anything was begun that serves. Nothing interrupts it."""
        if not self._touched or not self._plan.undo:
            return self._ended()
        step = Restore(id="undo", to=self._progress.known.before, timeout=self._patience())
        self._progress.add(StepResult(id=step.id, kind="restore", title="Restore what served before"))
        self._progress.update(step.id, state="running", started=self._clock.now())
        outcome = self._restore(step)
        now = self._clock.now()
        restored = isinstance(outcome, Done)
        self._progress.update(step.id, state="done" if restored else "failed", ended=now, detail=outcome.detail)
        exposed = now - self._exposed_at if self._exposed_at else 0.0
        return self._ended(restored=restored, detail=outcome.detail, exposed=exposed)

    def _restore(self, step: Restore) -> Done | Broken:
        clock = Unstoppable(self._clock)

        def reconcile() -> Done | Broken:
            slowest = slowest_poll(self._plan, step)
            reconciler = Reconciler(self._target, clock, halted=lambda: False, progress=lambda _: None, slowest=slowest)
            return reconciler.run(step, self._progress.known)

        try:
            return insist(reconcile, clock)
        except (SlipwayError, StepTimeoutError) as error:
            return Broken(detail=str(error))
        except Exception as error:  # noqa: BLE001 - people must be told, all the more
            return Broken(detail=f"{type(error).__name__} in the bot itself.")

    def _patience(self) -> float:
        """Return how long the way back may take: it may have to wait for a build or a release phase to end first."""
        timeouts = (step.timeout for step in self._plan.steps if not isinstance(step, Verify | Analysis | WatchLog))
        return max([RESTORE_TIMEOUT, *timeouts])

    def _ended(self, *, restored: bool | None = None, detail: str = "", exposed: float = 0.0) -> Ended:
        with self._lock:
            diagnoses = list(self._diagnoses)
        wait(diagnoses, timeout=GRACE if self._clock.stopping else _DIAGNOSIS)
        stopped = self._halt.is_set() and self._failed is None
        return Ended(
            plan=self._plan,
            results=self._progress.results,
            known=self._progress.known,
            reason=Reason.CANCELLED if stopped else self._reason,
            cancelled=stopped,
            failed=self._progress.result(self._failed.id) if self._failed is not None else None,
            restored=restored,
            restore_detail=detail,
            exposed_seconds=exposed,
            jobs=tuple(self._jobs),
            seen=self._seen,
        )


def _watched(status: Literal["passed", "failed", "undecided"]) -> str:
    said = {"failed": "more errors than before", "undecided": "the error log could not be read"}
    return said.get(status, "no more errors than before")


REASONS: dict[Kind, Reason] = {
    "build": Reason.BUILD_FAILED,
    "run_job": Reason.JOB_FAILED,
    "rollout": Reason.ROLLOUT_FAILED,
    "verify": Reason.VERIFICATION_FAILED,
    "shift": Reason.SHIFT_FAILED,
    "analysis": Reason.CANARY_FAILED,
    "watch": Reason.WATCH_FAILED,
    "restore": Reason.RESTORE_FAILED,
}


def _reason_of(error: SlipwayError, step: Step) -> Reason:
    """Return the error's own reason where it says more than the step's."""
    if error.reason in {"auth_failed", "upstream_forbidden", "conflict"}:
        return Reason(error.reason)
    return REASONS[kind_of(step)]
