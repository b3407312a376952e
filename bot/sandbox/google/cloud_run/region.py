"""One region of a project: its own services, jobs, worker pools and operations, with their own generations and etags.

"The location and project to list resources on" is a part of every name in run.v2, and one endpoint answers for all of
them; so a region here is a table of handlers, and the server asks the one that a path names.
"""

from __future__ import annotations

from bot.sandbox.google import paginate, seconds_of
from bot.sandbox.google.cloud_run.conditions import Operation
from bot.sandbox.google.cloud_run.jobs import Jobs
from bot.sandbox.google.cloud_run.platform import Platform
from bot.sandbox.google.cloud_run.pool_methods import WorkerPools
from bot.sandbox.google.cloud_run.services import Services
from bot.sandbox.wire import Handler, Request, Response, WireError, answer

MAX_WAIT = 30.0  # seconds one operations.wait holds the connection; the live server's cap is not documented


class Region:
    """What lives in one region. ``handlers`` are its methods by verb and path template."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.operations = platform, platform.operations
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.run_services = Services(platform, self)
        self.jobs = Jobs(platform, self)
        self.worker_pools = WorkerPools(platform, self)
        base = "/v2/projects/{project}/locations/{location}/operations"
        self.route("GET", base, self._list_operations)
        self.route("POST", f"{base}/{{operation}}:wait", self._wait)
        self.route("GET", f"{base}/{{operation}}", lambda request: answer(self._operation(request).resource()))
        self.route("DELETE", f"{base}/{{operation}}", self._delete_operation)

    def route(self, method: str, template: str, handler: Handler) -> None:
        """Declare a method."""
        self.handlers[method, template] = handler

    def close(self) -> None:
        """Stop every process."""
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
