"""How far a plan is: what its threads know and have found so far, in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, assert_never

from bot.core.outcome import StepResult
from bot.core.plan import Analysis, Build, Restore, Rollout, RunJob, Shift, Step, Verify, WatchLog
from bot.core.serving import Artifact
from bot.core.target import Known
from bot.core.titles import title

Kind = Literal["gates", "build", "run_job", "rollout", "verify", "shift", "analysis", "watch", "restore"]


class Progress:
    """The results and the knowledge of one run of a plan. All methods may be called from any thread.

    ``on_change`` is told of every change of a step, with all results so far.
    """

    def __init__(
        self, steps: Iterable[Step], known: Known, on_change: Callable[[tuple[StepResult, ...]], None]
    ) -> None:
        self._lock = threading.RLock()
        self._known, self._on_change = known, on_change
        self._results = {step.id: StepResult(id=step.id, kind=kind_of(step), title=title(step)) for step in steps}
        self._given_up: set[str] = set()

    @property
    def known(self) -> Known:
        """What the release knows."""
        with self._lock:
            return self._known

    @property
    def results(self) -> tuple[StepResult, ...]:
        """The steps as they stand."""
        with self._lock:
            return tuple(self._results.values())

    def result(self, step_id: str) -> StepResult | None:
        """Return a step as it stands, None for one that is not in the plan (a check's job)."""
        with self._lock:
            return self._results.get(step_id)

    def add(self, result: StepResult) -> None:
        """Add a step that the plan did not have."""
        with self._lock:
            self._results[result.id] = result

    def update(self, step_id: str, **changes: object) -> None:
        """Change a step's result; one that is not in the plan or was given up is left alone."""
        with self._lock:
            before = self._results.get(step_id)
            if before is None or step_id in self._given_up:
                return
            after = replace(before, **changes)  # type: ignore[arg-type]  # the callers name StepResult's own fields
            if after == before:
                return
            self._results[step_id] = after
            results = tuple(self._results.values())
        self._on_change(results)

    def give_up(self, step_id: str) -> None:
        """Take no more news of a step: whatever its thread still hears comes too late."""
        with self._lock:
            self._given_up.add(step_id)

    def learn(self, step_id: str, handle: str) -> None:
        """Keep the provider's name of what a step started."""
        with self._lock:
            self._known = self._known.with_handle(step_id, handle)

    def keep(self, artifact: Artifact) -> None:
        """Keep what the build made."""
        with self._lock:
            self._known = replace(self._known, artifact=artifact)


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
        case Analysis():
            kind = "analysis"
        case WatchLog():
            kind = "watch"
        case Restore():
            kind = "restore"
        case _:
            assert_never(step)
    return kind
