"""Cloud Run's Admin API v2 on loopback: services, revisions, traffic, jobs, executions, worker pools, operations.

Source: run.v2, with each rule's own ground beside it. A revision is a real process, a service and each of its tags a
real address.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bot.sandbox.google import GoogleService, paginate, seconds_of
from bot.sandbox.google.cloud_run.conditions import Operation, Operations
from bot.sandbox.google.cloud_run.jobs import Jobs
from bot.sandbox.google.cloud_run.launch import Launcher
from bot.sandbox.google.cloud_run.platform import Knobs, Platform
from bot.sandbox.google.cloud_run.services import Services
from bot.sandbox.google.cloud_run.worker_pools import WorkerPools
from bot.sandbox.google.iam import TokenAuthority
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.images import ImageStore
from bot.sandbox.runtime import Runtime
from bot.sandbox.wire import Request, Response, WireError, answer

__all__ = ["CloudRun", "Knobs"]

MAX_WAIT = 30.0  # seconds one operations.wait holds the connection; the live server's cap is not documented


class CloudRun(GoogleService):
    """``run.googleapis.com`` for one project and region."""

    name = "run"

    def __init__(
        self,
        *,
        authority: TokenAuthority,
        images: ImageStore,
        runtime: Runtime,
        secrets: SecretManager,
        sink: Callable[[dict[str, Any]], None],
        project: str = "acme",
        region: str = "us-central1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authority.authenticate)
        self.launcher = Launcher(images=images, runtime=runtime, secrets=secrets, sink=sink)
        self.operations = Operations(project=project, region=region)
        self.platform = Platform(
            project=project, region=region, clock=clock, launcher=self.launcher, operations=self.operations,
            authority=authority, sink=sink,
        )  # fmt: skip
        self.run_services = Services(self.platform, self)
        self.jobs = Jobs(self.platform, self)
        self.worker_pools = WorkerPools(self.platform, self)
        base = "/v2/projects/{project}/locations/{location}/operations"
        self.route("GET", base, self._list_operations)
        self.route("POST", f"{base}/{{operation}}:wait", self._wait)
        self.route("GET", f"{base}/{{operation}}", lambda request: answer(self._operation(request).resource()))
        self.route("DELETE", f"{base}/{{operation}}", self._delete_operation)

    @property
    def knobs(self) -> Knobs:
        """What a scenario may turn."""
        return self.platform.knobs

    @property
    def operation_seconds(self) -> float:
        """How long an operation takes at least, in seconds."""
        return self.operations.seconds

    @operation_seconds.setter
    def operation_seconds(self, value: float) -> None:
        self.operations.seconds = value

    def stop(self) -> None:
        """Stop listening and stop every process."""
        self.operations.stopped.set()
        self.launcher.stopping.set()
        super().stop()
        self.run_services.close()
        self.jobs.close()
        self.worker_pools.close()

    # -- operations -----------------------------------------------------------------------------------------------
    def _operation(self, request: Request) -> Operation:
        self.platform.check_parent(request)
        found = self.operations.find(f"{self.operations.prefix}/{request.params['operation']}")
        if found is None:
            raise WireError(404, f"Operation '{request.params['operation']}' not found.", "NOT_FOUND")
        return found

    def _list_operations(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return answer(paginate(request, [each.resource() for each in self.operations.all()], "operations"))

    def _wait(self, request: Request) -> Response:
        """Hold the answer until the operation is done or the time is over (WaitOperationRequest.timeout)."""
        operation = self._operation(request)
        sent = request.json().get("timeout")
        operation.finished.wait(min(seconds_of(sent), MAX_WAIT) if sent else MAX_WAIT)
        return answer(operation.resource())

    def _delete_operation(self, request: Request) -> Response:
        operation = self._operation(request)
        if not operation.finished.is_set():
            raise WireError(400, "The operation is not done and can't be deleted.", "FAILED_PRECONDITION")
        self.operations.remove(operation.name)
        return answer({})
