"""What services, jobs and worker pools of one project and region share."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.sandbox.google import rfc3339
from bot.sandbox.google.cloud_run import conditions, defaults
from bot.sandbox.google.cloud_run.conditions import Operations
from bot.sandbox.google.cloud_run.launch import Launcher, LogSource
from bot.sandbox.google.cloud_run.rules import conflict
from bot.sandbox.google.iam import Principal, TokenAuthority
from bot.sandbox.wire import Handler, Request, WireError

Json = dict[str, Any]
Meter = Callable[[Json, int, float], None]  # a monitored resource, a status, seconds: one request that was answered
INVOKER_ROLES = frozenset({"roles/run.invoker", "roles/run.servicesInvoker", "roles/run.admin"})


class Routes(Protocol):
    """Where the methods of a kind of resource are declared."""

    def route(self, method: str, template: str, handler: Handler) -> None: ...


def unmetered(resource: Json, status: int, seconds: float) -> None:
    """Take no notice of a request."""


@dataclass(kw_only=True)
class Knobs:
    """What a scenario may turn.

    ``caller_is_internal`` says whether requests to service URLs come from inside the VPC, which ``ingress`` asks about.
    ``sticky_failure`` keeps a service's terminal condition failed while its newest revision is a failed one, even after
    an update of its traffic alone went well; whether the live service does so is not documented. ``project_invokers``
    are members with run.invoker on the whole project: policies are inherited (cloud.google.com/iam/docs/overview).
    """

    caller_is_internal: bool = False
    sticky_failure: bool = False
    project_invokers: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class Platform:
    """The shared parts. ``clock`` gives seconds since the epoch."""

    project: str
    region: str
    clock: Callable[[], float]
    launcher: Launcher
    operations: Operations
    authority: TokenAuthority
    sink: Callable[[Json], None]
    meter: Meter = unmetered
    knobs: Knobs = field(default_factory=Knobs)
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def parent(self) -> str:
        """``projects/P/locations/L``."""
        return f"projects/{self.project}/locations/{self.region}"

    def now(self) -> str:
        """The time as protobuf's JSON writes it."""
        return rfc3339(self.clock())

    def check_parent(self, request: Request) -> None:
        """Refuse another project or region. "{project} can be project id or number" (the ``parent`` of every list)."""
        project, location = request.params["project"], request.params["location"]
        if project not in {self.project, defaults.PROJECT_NUMBER} or location != self.region:
            raise denied(request)

    def caller(self, request: Request) -> str:
        """The caller's address or principal name, empty when the call is anonymous."""
        header = request.headers.get("authorization", "")
        who = self.authority.authenticate(header.split(" ", 1)[1]) if " " in header else None
        return (who.email or who.name) if who else ""

    def stamp(self, name: str, request: Request) -> Json:
        """Return the output-only fields of a new resource."""
        now, caller = self.now(), self.caller(request)
        return {
            "name": name, "uid": str(uuid.uuid4()), "generation": "1", "createTime": now, "updateTime": now,
            "creator": caller, "lastModifier": caller, "etag": conditions.new_etag(),
        }  # fmt: skip

    def touch(self, resource: Json, request: Request) -> None:
        """Mark a resource as changed by the caller: generation, etag, time, modifier."""
        resource["generation"] = str(int(resource["generation"]) + 1)
        resource["etag"] = conditions.new_etag()
        resource["updateTime"] = self.now()
        resource["lastModifier"] = self.caller(request)

    def condition(self, kind: str, state: str, message: str = "", **reasons: str) -> Json:
        """Return a condition as of now."""
        return conditions.condition(kind, state, self.clock(), message=message, **reasons)

    def revision_logs(self, service: str, revision: str) -> LogSource:
        """Return the log source of a revision."""
        labels = {
            "project_id": self.project, "location": self.region, "service_name": service,
            "revision_name": revision, "configuration_name": service,
        }  # fmt: skip
        return LogSource(project=self.project, resource={"type": "cloud_run_revision", "labels": labels})

    def job_logs(self, job: str, execution: str, task: int, attempt: int) -> LogSource:
        """Return the log source of one attempt of a job's task."""
        labels = {"project_id": self.project, "location": self.region, "job_name": job}
        return LogSource(
            project=self.project,
            resource={"type": "cloud_run_job", "labels": labels},
            labels={
                "run.googleapis.com/execution_name": execution,
                "run.googleapis.com/task_index": str(task),
                "run.googleapis.com/task_attempt": str(attempt),
            },
        )

    def pool_logs(self, pool: str, revision: str) -> LogSource:
        """Return the log source of a worker pool's revision."""
        labels = {
            "project_id": self.project, "location": self.region, "worker_pool_name": pool, "revision_name": revision,
        }  # fmt: skip
        return LogSource(project=self.project, resource={"type": "cloud_run_worker_pool", "labels": labels})

    def log_uri(self, kind: str, **labels: str) -> str:
        """Return a console address with the filter a person would type."""
        query = "%0A".join(
            [f"resource.type%3D%22{kind}%22"]
            + [f"resource.labels.{key}%3D%22{value}%22" for key, value in labels.items()]
        )
        return f"https://console.cloud.google.com/logs/viewer?project={self.project}&advancedFilter={query}"


def denied(request: Request) -> WireError:
    """Return the 403 of a project or region that is none of the caller's."""
    where = f"projects/{request.params['project']}/locations/{request.params['location']}"
    return WireError(403, f"Permission denied on resource {where}.", "PERMISSION_DENIED")


def missing(kind: str, name: str, platform: Platform) -> WireError:
    """Return the 404 of a resource that does not exist."""
    message = (
        f"Resource '{name}' of kind '{kind}' in region '{platform.region}' in project '{platform.project}' "
        "does not exist."
    )
    return WireError(404, message, "NOT_FOUND")


def check_etag(resource: Mapping[str, Any], sent: str | None) -> None:
    """Refuse a stale etag: 409 ABORTED (ABORTED is what both a stale etag and a lost race give on run.v2)."""
    if sent and sent != resource["etag"]:
        message = (
            f"Conflict for resource '{resource['name'].rsplit('/', 1)[-1]}': version '{sent}' was specified but "
            f"current version is '{resource['etag']}'."
        )
        raise conflict(message)


def invoker(policy: Mapping[str, Any], principal: Principal | None) -> bool:
    """Tell whether a policy lets a principal (None: nobody in particular) invoke the resource."""
    members = {
        member
        for binding in policy.get("bindings", [])
        if binding.get("role") in INVOKER_ROLES
        for member in binding.get("members", [])
    }
    return "allUsers" in members or (principal is not None and bool(members & principal.members))
