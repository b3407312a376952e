"""The methods of projects.locations.workerPools and its revisions."""

from __future__ import annotations

import copy
import secrets
import threading
from typing import Any

from bot.sandbox.google import paginate
from bot.sandbox.google.cloud_run import defaults, policies, rules
from bot.sandbox.google.cloud_run.platform import Platform, Routes, check_etag, missing
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.google.cloud_run.worker_pools import Pool
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
# The fields of WorkerPool in run.v2 that are not "Output only", nor the name and the etag.
WRITABLE = (
    "description", "labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization", "template",
    "instanceSplits", "scaling", "customAudiences",
)  # fmt: skip


class WorkerPools:
    """The worker pools of one region."""

    def __init__(self, platform: Platform, server: Routes) -> None:
        self.platform = platform
        self.all: dict[str, Pool] = {}
        self.lock = threading.RLock()
        base = "/v2/projects/{project}/locations/{location}/workerPools"
        one = f"{base}/{{pool}}"
        server.route("POST", base, self._create)
        server.route("GET", base, self._list)
        policies.register(server, one, self._find)
        server.route("GET", one, lambda request: answer(self._find(request).shown()))
        server.route("PATCH", one, self._patch)
        server.route("DELETE", one, self._delete)
        server.route("GET", f"{one}/revisions", self._list_revisions)
        server.route("GET", f"{one}/revisions/{{revision}}", self._get_revision)
        server.route("DELETE", f"{one}/revisions/{{revision}}", self._delete_revision)

    def close(self) -> None:
        """Stop every worker."""
        for pool in list(self.all.values()):
            pool.close()

    # -- finding ----------------------------------------------------------------------------------------------
    def _find(self, request: Request) -> Pool:
        self.platform.check_parent(request)
        found = self.all.get(request.params["pool"])
        if found is None:
            raise missing("WORKERPOOL", request.params["pool"], self.platform)
        return found

    def _find_revision(self, request: Request) -> tuple[Pool, Revision]:
        pool, name = self._find(request), request.params["revision"]
        if name not in pool.revisions:
            raise missing("REVISION", name, self.platform)
        return pool, pool.revisions[name]

    def _list(self, request: Request) -> Response:
        """List the pools: "Results are sorted by creation time, descending." (workerPools.list)."""
        self.platform.check_parent(request)
        pools = reversed(list(self.all.values()))
        return answer(paginate(request, [pool.shown() for pool in pools], "workerPools"))

    def _list_revisions(self, request: Request) -> Response:
        newest_first = [copy.deepcopy(each.resource) for each in reversed(list(self._find(request).revisions.values()))]
        return answer(paginate(request, newest_first, "revisions"))

    def _get_revision(self, request: Request) -> Response:
        return answer(self._find_revision(request)[1].resource)

    # -- writing --------------------------------------------------------------------------------------------------
    def _desired(self, current: Json, request: Request) -> Json:
        sent = rules.normalize(request.json())
        desired = rules.merge(current, sent, request.arg("updateMask") or "", WRITABLE)
        rules.check_metadata(desired, "worker_pool")
        rules.check_metadata(desired.get("template", {}), "worker_pool.template")
        rules.check_containers(desired.get("template", {}), "worker_pool.template")
        rules.check_splits(desired.get("instanceSplits", []))
        desired["template"] = defaults.worker_template(desired["template"])
        desired.setdefault("launchStage", "GA")
        desired.setdefault("scaling", {}).setdefault("manualInstanceCount", 1)
        return desired

    def _create(self, request: Request) -> Response:
        """Create a pool. "If not provided, the server will generate" an id (workerPools.create, ``workerPoolId``)."""
        self.platform.check_parent(request)
        return self._create_named(request, request.arg("workerPoolId") or f"pool-{secrets.token_hex(4)}")

    def _create_named(self, request: Request, name: str) -> Response:
        rules.check_id(name, "worker_pool")
        with self.lock:
            if name in self.all:
                raise WireError(409, f"Resource '{name}' already exists.", "ALREADY_EXISTS")
            stamp = self.platform.stamp(f"{self.platform.parent}/workerPools/{name}", request)
            desired = self._desired(stamp, request)
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("WorkerPool", desired))
            pool = Pool(self.platform, name=name, resource=desired)
            try:
                pool.write(desired, pool.planned_revision(desired, force=False))
            except WireError:
                pool.close()
                raise
            self.all[name] = pool
        return answer(self.platform.operations.start("WorkerPool", pool.shown, pool.reconcile))

    def _patch(self, request: Request) -> Response:
        name = request.params["pool"]
        self.platform.check_parent(request)
        if name not in self.all and request.arg("allowMissing") == "true":
            return self._create_named(request, name)
        pool = self._find(request)
        with pool.lock:
            check_etag(pool.resource, request.json().get("etag"))
            desired = self._desired(pool.shown(), request)
            revision = pool.planned_revision(desired, force=request.arg("forceNewRevision") == "true")
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("WorkerPool", desired))
            self.platform.touch(desired, request)
            pool.write(desired, revision)
        return answer(self.platform.operations.start("WorkerPool", pool.shown, pool.reconcile))

    def _delete(self, request: Request) -> Response:
        pool = self._find(request)
        check_etag(pool.resource, request.arg("etag"))
        shown = {**pool.shown(), "deleteTime": self.platform.now()}
        if request.arg("validateOnly") == "true":
            return answer(self.platform.operations.done("WorkerPool", shown))
        with self.lock:
            self.all.pop(pool.name, None)

        def work() -> Json:
            pool.close()
            return shown

        return answer(self.platform.operations.start("WorkerPool", lambda: shown, work))

    def _delete_revision(self, request: Request) -> Response:
        """Delete a revision without instances, by the rule of services."""
        pool, revision = self._find_revision(request)
        check_etag(revision.resource, request.arg("etag"))
        with pool.lock:
            if pool.uses(revision):
                message = f"Revision '{revision.name}' can't be deleted: it has instances, or is the latest one."
                raise WireError(400, message, "FAILED_PRECONDITION")
            shown = {**revision.resource, "deleteTime": self.platform.now()}
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Revision", shown))
            del pool.revisions[revision.name]
        revision.stop()
        return answer(self.platform.operations.start("Revision", lambda: shown, lambda: shown))
