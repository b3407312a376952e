"""Jobs, their executions and tasks."""

from __future__ import annotations

import copy
import secrets
import threading
from typing import Any

from bot.sandbox.google import paginate, seconds_of
from bot.sandbox.google.cloud_run import conditions, defaults, policies, rules
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.execution import Execution
from bot.sandbox.google.cloud_run.platform import Platform, Routes, check_etag, missing
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
# The fields of Job in run.v2 that are not "Output only", nor the name and the etag.
WRITABLE = (
    "labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization", "template",
    "functionalType",
)  # fmt: skip


class RunJob:
    """One job and its executions, oldest first."""

    def __init__(self, *, name: str, resource: Json) -> None:
        self.name, self.resource = name, resource
        self.executions: dict[str, Execution] = {}
        self.policy = policies.new_policy()
        self.lock = threading.RLock()

    def shown(self) -> Json:
        """Return a copy of the Job as the API returns it."""
        with self.lock:
            return copy.deepcopy(self.resource)


class Jobs:
    """The methods of projects.locations.jobs, executions and tasks."""

    def __init__(self, platform: Platform, server: Routes) -> None:
        self.platform = platform
        self.all: dict[str, RunJob] = {}
        self.lock = threading.RLock()
        base = "/v2/projects/{project}/locations/{location}/jobs"
        one = f"{base}/{{job}}"
        execution = f"{one}/executions/{{execution}}"
        server.route("POST", base, self._create)
        server.route("GET", base, self._list)
        server.route("POST", f"{one}:run", self._run)
        policies.register(server, one, self._find)
        server.route("GET", one, lambda request: answer(self._find(request).shown()))
        server.route("PATCH", one, self._patch)
        server.route("DELETE", one, self._delete)
        server.route("GET", f"{one}/executions", self._list_executions)
        server.route("POST", f"{execution}:cancel", self._cancel)
        server.route("GET", execution, lambda request: answer(self._execution(request)[1].shown()))
        server.route("DELETE", execution, self._delete_execution)
        server.route("GET", f"{execution}/tasks", self._list_tasks)
        server.route("GET", f"{execution}/tasks/{{task}}", self._get_task)

    def close(self) -> None:
        """Cancel whatever runs."""
        for job in list(self.all.values()):
            for execution in list(job.executions.values()):
                execution.cancel()

    # -- finding ----------------------------------------------------------------------------------------------
    def _find(self, request: Request) -> RunJob:
        self.platform.check_parent(request)
        found = self.all.get(request.params["job"])
        if found is None:
            raise missing("JOB", request.params["job"], self.platform)
        return found

    def _execution(self, request: Request) -> tuple[RunJob, Execution]:
        job = self._find(request)
        name = request.params["execution"]
        if name not in job.executions:
            raise missing("EXECUTION", name, self.platform)
        return job, job.executions[name]

    def _list(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return answer(paginate(request, [job.shown() for job in reversed(list(self.all.values()))], "jobs"))

    def _list_executions(self, request: Request) -> Response:
        newest_first = [each.shown() for each in reversed(list(self._find(request).executions.values()))]
        return answer(paginate(request, newest_first, "executions"))

    def _list_tasks(self, request: Request) -> Response:
        return answer(paginate(request, self._execution(request)[1].shown_tasks(), "tasks"))

    def _get_task(self, request: Request) -> Response:
        wanted = f"/tasks/{request.params['task']}"
        for task in self._execution(request)[1].shown_tasks():
            if task["name"].endswith(wanted):
                return answer(task)
        raise missing("TASK", request.params["task"], self.platform)

    # -- writing --------------------------------------------------------------------------------------------------
    def _desired(self, current: Json, request: Request) -> Json:
        """Return the checked and filled-in job. jobs.patch has no update mask: it replaces every writable field."""
        desired = rules.merge(current, rules.normalize(request.json()), request.arg("updateMask") or "", WRITABLE)
        template = desired.get("template", {})
        task = template.get("template", {})
        rules.check_metadata(desired, "job")
        rules.check_metadata(template, "job.template")
        rules.check_containers(task, "job.template.template")
        if len(task["containers"]) != 1:  # TaskTemplate.containers: "Holds the single container"
            raise rules.invalid("exactly one container is required", "job.template.template.containers")
        desired["template"] = defaults.execution_template(template)
        seconds_of(desired["template"]["template"]["timeout"])
        desired.setdefault("launchStage", "GA")
        return desired

    def _begin(self, job: RunJob, desired: Json) -> None:
        job.resource = desired
        desired["reconciling"] = True
        desired["terminalCondition"] = self.platform.condition("Ready", conditions.RECONCILING)

    def _reconcile(self, job: RunJob) -> Json:
        """Look whether the image exists and the secrets can be read, as a job's Ready condition says."""
        with job.lock:
            task = copy.deepcopy(job.resource["template"]["template"])
        failure: RunError | None = None
        try:
            self.platform.launcher.resolve(task["containers"][0]["image"])
            self.platform.launcher.check_secrets(task)
        except RunError as error:
            failure = error
        with job.lock:
            job.resource.update(reconciling=False, etag=conditions.new_etag())
            if failure:
                job.resource["terminalCondition"] = self.platform.condition(
                    "Ready", conditions.FAILED, failure.message, **failure.reasons
                )
                raise failure
            job.resource["observedGeneration"] = job.resource["generation"]
            job.resource["terminalCondition"] = self.platform.condition("Ready", conditions.SUCCEEDED)
        return job.shown()

    def _create(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return self._create_named(request, request.arg("jobId") or "")

    def _create_named(self, request: Request, name: str) -> Response:
        rules.check_id(name, "job")
        with self.lock:
            if name in self.all:
                raise WireError(409, f"Resource '{name}' already exists.", "ALREADY_EXISTS")
            stamp = self.platform.stamp(f"{self.platform.parent}/jobs/{name}", request)
            desired = self._desired({**stamp, "executionCount": 0}, request)
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Job", desired))
            job = self.all[name] = RunJob(name=name, resource=desired)
            self._begin(job, desired)
        return answer(self.platform.operations.start("Job", job.shown, lambda: self._reconcile(job)))

    def _patch(self, request: Request) -> Response:
        name = request.params["job"]
        if name not in self.all and request.arg("allowMissing") == "true":
            self.platform.check_parent(request)
            return self._create_named(request, name)
        job = self._find(request)
        with job.lock:
            check_etag(job.resource, request.json().get("etag"))
            desired = self._desired(job.shown(), request)
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Job", desired))
            self.platform.touch(desired, request)
            self._begin(job, desired)
        return answer(self.platform.operations.start("Job", job.shown, lambda: self._reconcile(job)))

    def _delete(self, request: Request) -> Response:
        job = self._find(request)
        check_etag(job.resource, request.arg("etag"))
        shown = {**job.shown(), "deleteTime": self.platform.now()}
        if request.arg("validateOnly") == "true":
            return answer(self.platform.operations.done("Job", job.shown()))
        for execution in list(job.executions.values()):
            execution.cancel()
        with self.lock:
            self.all.pop(job.name, None)
        return answer(self.platform.operations.start("Job", lambda: shown, lambda: shown))

    # -- running --------------------------------------------------------------------------------------------------
    def _run(self, request: Request) -> Response:
        job = self._find(request)
        body = rules.normalize(request.json())
        with job.lock:
            check_etag(job.resource, body.get("etag"))
            template = overridden(job.resource["template"], body.get("overrides", {}))
            name = f"{job.name}-{secrets.token_hex(3)[:5]}"
            stamp = self.platform.stamp(f"{job.resource['name']}/executions/{name}", request)
            del stamp["lastModifier"]  # an Execution is not modified
            execution = Execution(self.platform, job=job.name, name=name, stamp=stamp, template=template)
            if body.get("validateOnly"):
                return answer(self.platform.operations.done("Execution", execution.shown()))
            job.executions[name] = execution
            job.resource["executionCount"] = len(job.executions)
            job.resource["latestCreatedExecution"] = {
                "name": name, "createTime": stamp["createTime"], "completionStatus": "EXECUTION_RUNNING",
            }  # fmt: skip
        return answer(
            self.platform.operations.start("Execution", execution.shown, lambda: self._follow(job, execution))
        )

    def _follow(self, job: RunJob, execution: Execution) -> Json:
        try:
            return execution.run()
        finally:
            shown = execution.shown()
            state = shown["conditions"][0]
            status = "EXECUTION_SUCCEEDED" if state["state"] == conditions.SUCCEEDED else "EXECUTION_FAILED"
            if state.get("executionReason") == "CANCELLED":
                status = "EXECUTION_CANCELLED"
            with job.lock:
                if job.resource["latestCreatedExecution"]["name"] == execution.name:
                    job.resource["latestCreatedExecution"].update(
                        completionStatus=status, completionTime=shown["completionTime"]
                    )

    def _cancel(self, request: Request) -> Response:
        _, execution = self._execution(request)
        check_etag(execution.resource, request.json().get("etag"))
        if not execution.resource["reconciling"]:
            message = f"Execution '{execution.name}' is already completed and can't be cancelled."
            raise WireError(400, message, "FAILED_PRECONDITION")
        execution.cancel()

        def work() -> Json:
            while execution.resource["reconciling"] and not self.platform.operations.stopped.wait(0.01):
                pass
            return execution.shown()

        return answer(self.platform.operations.start("Execution", execution.shown, work))

    def _delete_execution(self, request: Request) -> Response:
        job, execution = self._execution(request)
        check_etag(execution.resource, request.arg("etag"))
        execution.cancel()
        with job.lock:
            job.executions.pop(execution.name, None)
        shown = {**execution.shown(), "deleteTime": self.platform.now()}
        return answer(self.platform.operations.start("Execution", lambda: shown, lambda: shown))


def overridden(template: Json, overrides: Json) -> Json:
    """Return an execution template with a run's overrides.

    Source: Overrides and ContainerOverride in run.v2: args replace, ``clearArgs`` empties them, env is merged,
    taskCount and timeout replace.
    """
    result = copy.deepcopy(template)
    task = result["template"]
    if "taskCount" in overrides:
        result["taskCount"] = overrides["taskCount"]
    if "timeout" in overrides:
        seconds_of(overrides["timeout"])
        task["timeout"] = overrides["timeout"]
    for change in overrides.get("containerOverrides", []):
        container = task["containers"][0]
        if change.get("name") and change["name"] != container.get("name"):
            raise rules.invalid(f"no container is named {change['name']!r}", "overrides.container_overrides")
        if change.get("clearArgs"):
            container["args"] = []
        elif change.get("args"):
            container["args"] = change["args"]
        if change.get("env"):
            merged = {variable["name"]: variable for variable in container.get("env", [])}
            merged.update({variable["name"]: variable for variable in change["env"]})
            container["env"] = list(merged.values())
    return result
