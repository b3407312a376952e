"""One execution of a job: its tasks, their attempts, and the conditions and counts they leave."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.google import seconds_of
from bot.sandbox.google.cloud_run import conditions
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.platform import Platform
from bot.sandbox.images import Image
from bot.sandbox.runtime import Instance

Json = dict[str, Any]
TICK = 0.02  # seconds between two looks at a running attempt
TIMED_OUT = "The configured timeout was reached."
EXITED = "The container exited with an error."


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attempt ended. ``exit_code`` is None when the container was ended by the platform."""

    exit_code: int | None
    message: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False

    @property
    def good(self) -> bool:
        """Whether the attempt succeeded."""
        return self.exit_code == 0


class Execution:
    """One run of a job. ``template`` is the ExecutionTemplate with overrides applied."""

    def __init__(self, platform: Platform, *, job: str, name: str, stamp: Json, template: Json) -> None:
        self.platform, self.job, self.name = platform, job, name
        self.template = template
        self.cancelled = threading.Event()
        self.lock = threading.Lock()
        count = template["taskCount"]
        self.tasks: dict[str, Json] = {}
        self.resource: Json = {
            **stamp,
            "labels": {**template.get("labels", {})},
            "annotations": {**template.get("annotations", {})},
            "job": job,
            "parallelism": template.get("parallelism") or count,
            "taskCount": count,
            "template": copy.deepcopy(template["template"]),
            "reconciling": True,
            "conditions": [platform.condition("Completed", conditions.RECONCILING)],
            "logUri": platform.log_uri("cloud_run_job", job_name=job, location=platform.region),
        }

    def shown(self) -> Json:
        """Return a copy of the Execution as the API returns it."""
        with self.lock:
            return copy.deepcopy(self.resource)

    def shown_tasks(self) -> list[Json]:
        """Return copies of the Tasks that have begun, in their order."""
        with self.lock:
            return [copy.deepcopy(task) for task in self.tasks.values()]

    def run(self) -> Json:
        """Run every task, ``parallelism`` at a time. Raises RunError when one did not succeed."""
        template = self.resource["template"]
        failure: RunError | None = None
        try:
            image = self.platform.launcher.resolve(template["containers"][0]["image"])
            self.platform.launcher.check_secrets(template)
        except RunError as error:
            failure = error
        else:
            self._count(startTime=self.platform.now())
            with ThreadPoolExecutor(max_workers=self.resource["parallelism"]) as pool:
                ended = list(pool.map(lambda index: self._task(index, image), range(self.resource["taskCount"])))
            failure = self._failure(ended)
        self._finish(failure)
        if failure:
            raise failure
        return self.shown()

    def _failure(self, ended: list[Attempt]) -> RunError | None:
        if any(attempt.cancelled for attempt in ended):
            return RunError(
                code=conditions.CANCELLED,
                message="The execution was cancelled.",
                reasons={"executionReason": "CANCELLED"},
            )
        bad = next(((index, attempt) for index, attempt in enumerate(ended) if not attempt.good), None)
        if bad is None:
            return None
        index, attempt = bad
        # The sentence as gcloud relays it (googlecodelabs/feedback#1369). The code is assumed.
        message = f"Task {self.name}-task{index} failed with message: {attempt.message}"
        return RunError(code=conditions.FAILED_PRECONDITION, message=message, reasons=attempt.reasons)

    def _finish(self, failure: RunError | None) -> None:
        platform = self.platform
        state = conditions.FAILED if failure else conditions.SUCCEEDED
        message, reasons = (failure.message, failure.reasons) if failure else ("", {})
        with self.lock:
            self.resource.update(
                reconciling=False, observedGeneration=self.resource["generation"], etag=conditions.new_etag(),
                completionTime=platform.now(), updateTime=platform.now(),
                conditions=[platform.condition("Completed", state, message, **reasons)],
            )  # fmt: skip

    def cancel(self) -> None:
        """Ask every running task to stop; its container is killed."""
        with self.lock:
            if self.resource["reconciling"]:
                self.resource["conditions"] = [
                    self.platform.condition("Completed", conditions.RECONCILING, executionReason="CANCELLING")
                ]
        self.cancelled.set()

    # -- tasks --------------------------------------------------------------------------------------------------
    def _count(self, **fields: Any) -> None:
        with self.lock:
            self.resource.update(fields)

    def _add(self, key: str, amount: int = 1) -> None:
        with self.lock:
            self.resource[key] = self.resource.get(key, 0) + amount

    def _task(self, index: int, image: Image) -> Attempt:
        """Run one task with its retries (TaskTemplate.maxRetries) and return its last attempt."""
        name, now = f"{self.name}-task{index}", self.platform.now()
        template = self.resource["template"]
        shared = (
            "containers",
            "volumes",
            "maxRetries",
            "timeout",
            "serviceAccount",
            "executionEnvironment",
            "vpcAccess",
        )
        task: Json = {
            **{key: copy.deepcopy(template[key]) for key in shared if key in template},
            "name": f"{self.resource['name']}/tasks/{name}", "uid": str(uuid.uuid4()), "generation": "1",
            "createTime": now, "scheduledTime": now, "startTime": now, "job": self.job, "execution": self.name,
            "index": index, "reconciling": True, "labels": dict(self.resource["labels"]),
            "logUri": self.resource["logUri"],
        }  # fmt: skip
        with self.lock:
            self.tasks[name] = task
        self._add("runningCount")
        retries = template["maxRetries"]
        for number in range(retries + 1):
            ended = self._attempt(index, number, image)
            if ended.good or ended.cancelled or number == retries:
                break
            with self.lock:
                task["retried"] = number + 1
            if number == 0:
                self._add("retriedCount")
        self._add("runningCount", -1)
        self._add("succeededCount" if ended.good else "cancelledCount" if ended.cancelled else "failedCount")
        self._close(task, ended)
        return ended

    def _close(self, task: Json, ended: Attempt) -> None:
        state = conditions.SUCCEEDED if ended.good else conditions.FAILED
        now = self.platform.now()
        result: Json = {"status": {"code": 0 if ended.good else 2, "message": ended.message}}
        if ended.exit_code is not None:
            result["exitCode"] = ended.exit_code
        with self.lock:
            task.update(
                reconciling=False, completionTime=now, updateTime=now, observedGeneration="1", lastAttemptResult=result,
                conditions=[self.platform.condition("Completed", state, ended.message, **ended.reasons)],
            )  # fmt: skip

    def _attempt(self, index: int, number: int, image: Image) -> Attempt:
        template = self.resource["template"]
        # cloud.google.com/run/docs/container-contract#jobs-env-vars
        env = {
            "CLOUD_RUN_JOB": self.job, "CLOUD_RUN_EXECUTION": self.name, "CLOUD_RUN_TASK_INDEX": str(index),
            "CLOUD_RUN_TASK_ATTEMPT": str(number), "CLOUD_RUN_TASK_COUNT": str(self.resource["taskCount"]),
        }  # fmt: skip
        source = self.platform.job_logs(self.job, self.name, index, number)
        try:
            instance = self.platform.launcher.run(template, template["containers"][0], image, env, source)
        except RunError as failure:
            return Attempt(exit_code=None, message=failure.message, reasons=failure.reasons)
        ended = self._wait(instance, seconds_of(template["timeout"]))
        if not ended.good and not ended.cancelled:
            self.platform.sink(source.system("ERROR", f"Container called exit({ended.exit_code}). {ended.message}"))
        return ended

    def _wait(self, instance: Instance, timeout: float) -> Attempt:
        """Wait for an attempt; ``timeout`` is in seconds, for each attempt (TaskTemplate.timeout)."""
        deadline = time.monotonic() + timeout
        stopping = self.platform.operations.stopped
        while (code := instance.wait(TICK)) is None:
            if self.cancelled.is_set() or stopping.is_set():
                instance.stop()
                return Attempt(
                    exit_code=None,
                    message="The task was cancelled.",
                    reasons={"executionReason": "CANCELLED"},
                    cancelled=True,
                )
            if time.monotonic() > deadline:
                instance.stop()
                return Attempt(exit_code=None, message=TIMED_OUT, reasons={"reason": "PROGRESS_DEADLINE_EXCEEDED"})
        if code == 0:
            return Attempt(exit_code=0)
        return Attempt(exit_code=code, message=EXITED, reasons={"executionReason": "NON_ZERO_EXIT_CODE"})
