"""Jobs: each configured job is run once for a release, on the release's image, as a labelled execution."""

from __future__ import annotations

from itertools import islice

from google.cloud import run_v2

from bot.core.plan import RunJob
from bot.core.spec import CloudRunSpec
from bot.core.target import Absent, Broken, Done, Known, Observation, ReleaseId, Running
from bot.errors import UpstreamError
from bot.targets.google import Google
from bot.targets.google_errors import change, or_none, read
from bot.targets.run_condition import failed, sentence, succeeded
from bot.targets.run_template import RELEASE, STEP, Place, job_template, label
from bot.targets.run_traffic import short
from bot.targets.secret_versions import with_pins

_LOOKED_AT = 100  # newest executions of a job among which the release's is looked for
_READY_WITHIN = 120.0  # seconds for Cloud Run to take over a job's new definition
_POLL = 0.3


class Jobs:
    """Jobs of one specification."""

    def __init__(self, google: Google, spec: CloudRunSpec) -> None:
        self._google, self._spec = google, spec

    def observe(self, step: RunJob, handle: str, known: Known) -> Observation:
        """Look at the release's execution of a job: by its name if known, else by its labels."""
        execution = self._get(handle) if handle else self._find(step, known.release)
        if execution is None:
            return Absent()
        name, link = execution.name, execution.log_uri
        completed = next((c for c in execution.conditions if c.type_ == "Completed"), run_v2.Condition())
        if succeeded(completed):
            return Done(handle=name, detail=self._duration(execution), link=link)
        if failed(completed):
            return Broken(handle=name, detail=self._failure(execution, completed), link=link)
        return Running(handle=name, detail=self._duration(execution), link=link)

    def apply(self, step: RunJob, known: Known) -> Running:
        """Reconcile the job, wait until Cloud Run has it, and start one execution.

        The wait matters: an execution started earlier could still run the former image. Raises UpstreamError.
        """
        self._reconcile(step, known)
        client, name = self._google.jobs, self._name(step.job)
        operation = change("run the job", lambda: client.run_job(name=name, retry=None, timeout=self._google.timeout))
        execution = operation.metadata or run_v2.Execution()  # without it, the labels find the execution
        return Running(handle=execution.name, detail="started", link=execution.log_uri)

    def cancel(self, handle: str) -> None:
        """Stop an execution that has not ended."""
        execution = self._get(handle)
        if execution is not None and not execution.completion_time:
            client = self._google.executions
            change(
                "cancel the execution",
                lambda: client.cancel_execution(name=handle, retry=None, timeout=self._google.timeout),
            )

    def get(self, key: str) -> run_v2.Job | None:
        """Return a job, None if there is none."""
        return self._job(self._name(key))

    def _name(self, key: str) -> str:
        return f"{self._google.location}/jobs/{self._spec.job(key).name}"

    def _job(self, name: str) -> run_v2.Job | None:
        return or_none(
            "get the job", lambda: self._google.jobs.get_job(name=name, retry=None, timeout=self._google.timeout)
        )

    def _get(self, name: str) -> run_v2.Execution | None:
        client = self._google.executions
        return or_none(
            "get the execution", lambda: client.get_execution(name=name, retry=None, timeout=self._google.timeout)
        )

    def _find(self, step: RunJob, release: ReleaseId) -> run_v2.Execution | None:
        client, parent = self._google.executions, self._name(step.job)

        def call() -> list[run_v2.Execution]:
            return list(
                islice(client.list_executions(parent=parent, retry=None, timeout=self._google.timeout), _LOOKED_AT)
            )

        executions = or_none("list the executions", call) or []
        wanted = {RELEASE: release.key, STEP: label(step.id)}
        return next((e for e in executions if wanted.items() <= dict(e.labels).items()), None)

    def _reconcile(self, step: RunJob, known: Known) -> None:
        if known.artifact is None:
            raise UpstreamError("There is no image to run the job on.", service="Cloud Run", operation="run the job")
        spec, name = self._spec.job(step.job), self._name(step.job)
        live = self._job(name)
        template = job_template(
            with_pins(spec.config, known.pins),
            live.template if live is not None else None,
            image=known.artifact.reference,
            step=step.id,
            release=known.release,
            place=Place.of(self._spec),
        )
        client = self._google.jobs
        if live is None:
            job = run_v2.Job(template=template)
            parent = self._google.location
            change(
                "create the job",
                lambda: client.create_job(
                    parent=parent, job=job, job_id=spec.name, retry=None, timeout=self._google.timeout
                ),
            )
        elif live.template != template:
            # A job's update has no mask (run.v2 jobs.patch): everything that is not sent would be reset.
            live.template = template
            change("update the job", lambda: client.update_job(job=live, retry=None, timeout=self._google.timeout))
        self._await_ready(name)

    def _await_ready(self, name: str) -> None:
        deadline = self._google.clock() + _READY_WITHIN
        while True:
            job = self._job(name)
            settled = job is not None and not job.reconciling and job.observed_generation >= job.generation
            if job is not None and settled and failed(job.terminal_condition):
                raise UpstreamError(
                    f"Cloud Run did not accept the job {short(name)}: {sentence(job.terminal_condition)}",
                    service="Cloud Run",
                    operation="update the job",
                )
            if settled:
                return
            if self._google.clock() >= deadline:
                raise UpstreamError(
                    f"Cloud Run did not take over the job {short(name)} within {_READY_WITHIN:.0f} s.",
                    service="Cloud Run",
                    operation="update the job",
                )
            self._google.sleep(_POLL)

    def _duration(self, execution: run_v2.Execution) -> str:
        if not execution.start_time:
            return "waiting to start"
        ended = execution.completion_time.timestamp() if execution.completion_time else self._google.clock()
        return f"{max(0, round(ended - execution.start_time.timestamp()))} s"

    def _failure(self, execution: run_v2.Execution, completed: run_v2.Condition) -> str:
        """Return Cloud Run's reason, with the exit code of the task that failed."""
        client = self._google.tasks

        def call() -> list[run_v2.Task]:
            return list(
                islice(client.list_tasks(parent=execution.name, retry=None, timeout=self._google.timeout), _LOOKED_AT)
            )

        said = sentence(completed)
        try:
            tasks = read("list the tasks", call)
        except UpstreamError:
            return said  # the reason is worth more than the exit code
        results = (task.last_attempt_result for task in tasks)
        code = next((result.exit_code for result in results if result.exit_code), 0)
        return f"{said} (exit code {code})" if code and str(code) not in said else said
