"""Cloud Run's Admin API v2 on loopback: services, revisions, traffic, jobs, executions, worker pools, operations.

Source: run.v2, with each rule's own ground beside it. A revision is a real process, a service and each of its tags a
real address. One server answers for every region of the project, as run.googleapis.com does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bot.sandbox.google import GoogleService
from bot.sandbox.google.cloud_run.conditions import Operations
from bot.sandbox.google.cloud_run.launch import Launcher
from bot.sandbox.google.cloud_run.platform import Knobs, Meter, Platform, denied, unmetered
from bot.sandbox.google.cloud_run.region import MAX_WAIT, Region
from bot.sandbox.google.cloud_run.services import RunService
from bot.sandbox.google.iam import TokenAuthority
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.images import ImageStore
from bot.sandbox.runtime import Runtime
from bot.sandbox.wire import Handler, Request, Response

__all__ = ["MAX_WAIT", "CloudRun", "Knobs", "Region"]


class CloudRun(GoogleService):
    """``run.googleapis.com`` for one project.

    ``region`` is the home: ``run_services``, ``jobs``, ``worker_pools``, ``operations`` and ``platform`` are its own.
    :meth:`add_region` adds others, which ``regions`` holds by name; what is not there is forbidden. ``meter`` is told
    of each request that a revision has answered.
    """

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
        meter: Meter = unmetered,
    ) -> None:
        super().__init__(authenticate=authority.authenticate)
        self.launcher = Launcher(images=images, runtime=runtime, secrets=secrets, sink=sink)
        self.project, self.knobs = project, Knobs()
        self.regions: dict[str, Region] = {}
        self._new_platform = partial(
            Platform, project=project, clock=clock, launcher=self.launcher, authority=authority, sink=sink, meter=meter,
            knobs=self.knobs,
        )  # fmt: skip
        home = self.add_region(region)
        self.platform, self.operations = home.platform, home.operations
        self.run_services, self.jobs, self.worker_pools = home.run_services, home.jobs, home.worker_pools
        for method, template in home.handlers:
            self.route(method, template, self._handler(method, template))

    def add_region(self, name: str) -> Region:
        """Let a region be used from now on, and return it; a region that is there already is returned as it is."""
        with self.lock:
            if name not in self.regions:
                operations = Operations(project=self.project, region=name)
                self.regions[name] = Region(self._new_platform(region=name, operations=operations))
            return self.regions[name]

    def _handler(self, method: str, template: str) -> Handler:
        def handle(request: Request) -> Response:
            region = self.regions.get(request.params["location"])
            if region is None:
                raise denied(request)
            return region.handlers[method, template](request)

        return handle

    def everywhere(self) -> Iterator[tuple[str, RunService]]:
        """Yield every service by its name; those away from home by ``region/name``."""
        for region in list(self.regions.values()):
            prefix = "" if region.platform is self.platform else f"{region.platform.region}/"
            for name, service in list(region.run_services.all.items()):
                yield f"{prefix}{name}", service

    @property
    def operation_seconds(self) -> float:
        """How long an operation takes at least, in seconds, in every region there is."""
        return self.operations.seconds

    @operation_seconds.setter
    def operation_seconds(self, value: float) -> None:
        for region in self.regions.values():
            region.operations.seconds = value

    def stop(self) -> None:
        """Stop listening and stop every process."""
        for region in self.regions.values():
            region.operations.stopped.set()
        self.launcher.stopping.set()
        super().stop()
        for region in self.regions.values():
            region.close()
