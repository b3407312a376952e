"""The one loop of the engine: observe a step, apply it if it is absent, poll until it is done.

Because the world is asked first, a step that an earlier run started (or whose reply was lost) is found and finished,
never started twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.core.plan import Applied, Plan, Restore, Rollout, Shift
from bot.core.target import READS_PER_SECOND, Absent, Broken, Done, Known, Running, Target
from bot.engine.clock import Clock
from bot.errors import CancelledError, ConflictError, UpstreamError

FIRST_POLL = 0.02  # seconds: what has nothing to wait for is done by then
LAST_POLL = 0.8  # seconds: so the bot knows of an end less than half a second late in the mean
POLL_GROWTH = 1.7
SETTLE = 3.0  # seconds in which something applied may not be listed yet (lists are eventually consistent)
APPLIES = 3  # how often a step is applied at most, when replies are lost
_NAMED = 3  # operations
FAILED_OBSERVATIONS = 5  # in a row, each already retried by the adapter


def slowest_poll(plan: Plan, step: Applied) -> float:
    """Return the seconds between two looks at a step at most: more where very many services are looked at at once."""
    match step:
        case Rollout():
            many = sum(isinstance(other, Rollout) for other in plan.steps)
        case Shift():
            many = len(step.services)
        case Restore():
            many = len(step.to.services)
        case _:
            many = 1
    return max(LAST_POLL, many / READS_PER_SECOND)


class StepTimeoutError(Exception):
    """A step did not end in its time. ``what`` names the thing that was waited for, ``detail`` how far it was."""

    def __init__(self, what: str, seconds: float, *, detail: str = "", operations: Sequence[str] = ()) -> None:
        said = f"{what or 'It'} did not end within {seconds:.0f} s"
        said += f": {detail}." if detail else "."
        if operations:
            more = f" and {len(operations) - _NAMED} more" if len(operations) > _NAMED else ""
            noun = "Operation" if len(operations) == 1 else "Operations"
            said += f" {noun}: {', '.join(operations[:_NAMED])}{more}."
        super().__init__(said)


class Reconciler:
    """Reconciles one step. ``begun``: something was applied, or found there; it may have changed the world."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        *,
        halted: Callable[[], bool],
        progress: Callable[[Running], None],
        slowest: float = LAST_POLL,
    ) -> None:
        self._target, self._clock, self._halted, self._progress = target, clock, halted, progress
        self._slowest = slowest
        self.begun = False
        self._applies = 0
        self._applied_at = 0.0
        self._failures = 0
        self._detail = ""
        self._operations: tuple[str, ...] = ()

    def run(self, step: Applied, known: Known) -> Done | Broken:
        """Bring the world to a step.

        Raises:
            CancelledError: the run was asked to stop, or another step failed.
            StepTimeoutError: the step's timeout is over.
            UpstreamError: the provider refused, or kept failing.
        """
        deadline, delay = self._clock.now() + step.timeout, FIRST_POLL
        while True:
            if self._clock.stopping or self._halted():
                raise CancelledError("The run was asked to stop.")
            outcome, known = self._once(step, known)
            if isinstance(outcome, Done | Broken):
                return outcome
            if isinstance(outcome, Running):
                self._detail = outcome.detail
                self._progress(outcome)
            if self._clock.now() >= deadline:
                raise StepTimeoutError(
                    known.handles.get(step.id, ""), step.timeout, detail=self._detail, operations=self._operations
                )
            self._clock.wait(delay)
            delay = min(delay * POLL_GROWTH, self._slowest)

    def _once(self, step: Applied, known: Known) -> tuple[Done | Broken | Running | Absent, Known]:
        try:
            seen = self._target.observe(step, known)
        except UpstreamError as error:
            self._failures += 1
            if self._failures >= FAILED_OBSERVATIONS or 400 <= error.status < 429:
                raise
            return Absent(), known
        self._failures = 0
        self.begun |= not isinstance(seen, Absent)
        if isinstance(seen, Running | Done) and seen.handle:
            known = known.with_handle(step.id, seen.handle)
        if isinstance(seen, Absent) and self._may_apply():
            return self._apply(step, known)
        return seen, known

    def _may_apply(self) -> bool:
        settled = self._clock.now() - self._applied_at >= SETTLE
        return self._applies == 0 or (settled and self._applies < APPLIES)

    def _apply(self, step: Applied, known: Known) -> tuple[Done | Running | Absent, Known]:
        self.begun = True
        self._applies += 1
        self._applied_at = self._clock.now()
        try:
            applied = self._target.apply(step, known)
        except ConflictError:
            raise
        except UpstreamError as error:
            # No answer, or one that does not say whether it was taken: the next observation tells.
            if error.status and error.status < 500 and error.status != 429:
                raise
            if self._applies >= APPLIES:
                raise
            return Absent(), known
        self._operations = applied.operations if isinstance(applied, Running) else ()
        return applied, known.with_handle(step.id, applied.handle) if applied.handle else known
