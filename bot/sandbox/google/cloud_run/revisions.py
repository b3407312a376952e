"""A revision: an immutable copy of a template, the image its tag meant at that time, and at most one process."""

from __future__ import annotations

import copy
import threading
import uuid
from typing import Any

from bot.sandbox.google.cloud_run import conditions, defaults
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.launch import LogSource
from bot.sandbox.google.cloud_run.platform import Platform
from bot.sandbox.images import Image
from bot.sandbox.runtime import Instance

Json = dict[str, Any]


def digest_reference(reference: str, digest: str) -> str:
    """Return an image reference pinned to a digest, as ContainerStatus.imageDigest shows it."""
    repository = reference.split("@", 1)[0]
    head, _, tail = repository.rpartition(":")
    return f"{head if head and '/' not in tail else repository}@{digest}"


class Revision:
    """One revision of a service or, without a port, of a worker pool.

    ``parent`` is the parent's short name, ``creator`` who wrote the template.
    """

    def __init__(
        self, platform: Platform, *, parent: str, path: str, name: str, creator: str, template: Json, serves: bool
    ) -> None:
        self.platform, self.parent, self.name, self.serves = platform, parent, name, serves
        self.template = copy.deepcopy(template)
        self.images: list[Image] = []
        self.failure: RunError | None = None
        self.ready = False
        self.instance: Instance | None = None
        self._lock = threading.Lock()
        now = platform.now()
        self.resource: Json = {
            **{key: value for key, value in self.template.items() if key != "revision"},
            "name": f"{path}/revisions/{name}", "uid": str(uuid.uuid4()), "generation": "1",
            "createTime": now, "updateTime": now, "etag": conditions.new_etag(), "reconciling": True,
            "service": parent, "creator": creator,
            "conditions": [platform.condition("Ready", conditions.RECONCILING)],
            "logUri": platform.log_uri("cloud_run_revision", service_name=parent, revision_name=name),
        }  # fmt: skip

    @property
    def source(self) -> LogSource:
        """Where the revision's lines are logged."""
        if self.serves:
            return self.platform.revision_logs(self.parent, self.name)
        return self.platform.pool_logs(self.parent, self.name)

    def bring_up(self) -> None:
        """Resolve, check and start the revision once; keep the outcome in its conditions.

        Image tags are resolved to digests here, "during the creation of Revision" (ContainerStatus.imageDigest). A
        revision that failed stays failed: a new one is needed.
        """
        platform = self.platform
        try:
            containers = self.template["containers"]
            self.images = [platform.launcher.resolve(container["image"]) for container in containers]
            statuses = [
                {
                    **({"name": container["name"]} if "name" in container else {}),
                    "imageDigest": digest_reference(container["image"], image.digest),
                }
                for container, image in zip(containers, self.images, strict=True)
            ]
            self._note(containerStatuses=statuses)
            platform.launcher.check_secrets(self.template)
            with self._lock:
                self.instance = self._launch()
            self.ready = True
        except RunError as failure:
            self.failure = failure
        self._settle()

    def check_copy(self) -> None:
        """Raise RunError CONTAINER_MISSING when the image is in no registry any more.

        "Cloud Run keeps this copy of the container image as long as it is used by a serving revision"
        (cloud.google.com/run/docs/deploying): one that serves goes on without the registry, one that served once can't
        be gone back to (firebase/firebase-tools#6759 shows the refusal, in other words).
        """
        for container, image in zip(self.template["containers"], self.images, strict=True):
            self.platform.launcher.resolve(digest_reference(container["image"], image.digest))

    def _settle(self) -> None:
        platform = self.platform
        if self.failure is None:
            kinds = ("Ready", "ContainerHealthy", "ContainerReady", "ResourcesAvailable")
            found = [platform.condition(kind, conditions.SUCCEEDED) for kind in kinds]
        else:
            failed = "ContainerHealthy" if "revisionReason" in self.failure.reasons else "ContainerReady"
            found = [
                platform.condition(kind, conditions.FAILED, self.failure.message, **self.failure.reasons)
                for kind in ("Ready", failed)
            ]
        self._note(reconciling=False, observedGeneration="1", updateTime=platform.now(), conditions=found)

    def _note(self, **fields: Any) -> None:
        """Put another resource in place: readers in other threads hold a whole one, never one half written."""
        self.resource = {**self.resource, **fields}

    def _launch(self) -> Instance:
        """Start the main container. Sidecars are resolved and checked, but have no process here."""
        index = defaults.ingress_index(self.template["containers"]) if self.serves else 0
        container, image = self.template["containers"][index], self.images[index]
        # cloud.google.com/run/docs/reference/container-contract, "Environment variables".
        if not self.serves:
            env = {"CLOUD_RUN_WORKER_POOL": self.parent, "CLOUD_RUN_WORKER_POOL_REVISION": self.name}
            return self.platform.launcher.work(self.template, container, image, env, self.source)
        env = {"K_SERVICE": self.parent, "K_REVISION": self.name, "K_CONFIGURATION": self.parent}
        return self.platform.launcher.serve(self.template, container, image, env, self.source)

    def running(self) -> Instance | None:
        """Return a live process, starting one where there is none (a cold start); None when it does not start."""
        with self._lock:
            if self.instance is not None and self.instance.alive():
                return self.instance
            try:
                self.instance = self._launch()
            except RunError:
                self.instance = None
            return self.instance

    def stop(self) -> None:
        """Stop the process, if there is one; the next request to the revision starts another."""
        with self._lock:
            if self.instance is not None:
                self.instance.stop()
                self.instance = None
