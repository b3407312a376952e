"""Worker pools: revisions that work without requests, and the split of instances among them.

One process runs for each revision that has a share. Source: WorkerPool, InstanceSplit in run.v2.
"""

from __future__ import annotations

import copy
import secrets
import threading
from typing import Any

from bot.sandbox.google import paginate
from bot.sandbox.google.cloud_run import conditions, defaults, rules
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.platform import Platform, check_etag, missing
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.google.cloud_run.serving import not_ready
from bot.sandbox.wire import Request, Response, Service, WireError, answer

Json = dict[str, Any]
LATEST = rules.SPLIT_TYPES[1]
BY_REVISION = rules.SPLIT_TYPES[2]
# The fields of WorkerPool in run.v2 that are not "Output only", nor the name and the etag.
WRITABLE = (
    "description", "labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization", "template",
    "instanceSplits", "scaling",
)  # fmt: skip


class Pool:
    """One worker pool."""

    def __init__(self, platform: Platform, *, name: str, resource: Json) -> None:
        self.platform, self.name, self.resource = platform, name, resource
        self.revisions: dict[str, Revision] = {}
        self.latest_created: Revision | None = None
        self.latest_ready: Revision | None = None
        self.working: list[Revision] = []
        self.lock = threading.RLock()
        self._reconciling = threading.Lock()

    def shown(self) -> Json:
        """Return a copy of the WorkerPool as the API returns it."""
        with self.lock:
            return copy.deepcopy(self.resource)

    def write(self, desired: Json) -> None:
        """Take over the desired state and register the revision it asks for. Raises WireError."""
        template, last = desired["template"], self.latest_created
        name = template.get("revision", "")
        if name:
            rules.check_revision_name(name, self.name)
            if name in self.revisions and self.revisions[name].template != template:
                message = f"Revision named '{name}' with different configuration already exists."
                raise WireError(409, message, "ALREADY_EXISTS")
        elif last is None or last.template != template:
            name = f"{self.name}-{int(desired['generation']):05d}-{secrets.token_hex(2)[:3]}"
        self.resource = desired
        desired["reconciling"] = True
        desired["terminalCondition"] = self.platform.condition("Ready", conditions.RECONCILING)
        if name and name not in self.revisions:
            self.latest_created = self.revisions[name] = Revision(
                self.platform, parent=self.name, path=desired["name"], name=name, template=template, serves=False
            )
            desired["latestCreatedRevision"] = self.latest_created.resource["name"]

    def reconcile(self) -> Json:
        """Bring up what is new, then run the revisions of the split. Raises RunError after recording it."""
        with self._reconciling:
            failure: RunError | None = None
            try:
                self._apply()
            except RunError as error:
                failure = error
            with self.lock:
                self._record(failure)
        if failure:
            raise failure
        return self.shown()

    def _apply(self) -> None:
        for revision in [each for each in self.revisions.values() if each.resource["reconciling"]]:
            revision.bring_up()
            if not revision.ready:
                raise not_ready(revision)
            self.latest_ready = revision
        splits = self.resource.get("instanceSplits") or [{"type": LATEST, "percent": 100}]
        chosen = [self._revision_of(split) for split in splits if split.get("percent")]
        for revision in chosen:
            revision.running()
        for revision in self.revisions.values():
            if revision not in chosen:
                revision.stop()
        self.working = chosen
        self.resource["instanceSplitStatuses"] = splits

    def _revision_of(self, split: Json) -> Revision:
        name = split.get("revision", "")
        found = self.latest_ready if split.get("type") == LATEST else self.revisions.get(name)
        if found is None or not found.ready:
            message = f"Revision '{name}' does not exist or is not ready."
            raise RunError(code=conditions.INTERNAL, message=message, reasons={"reason": "UNKNOWN"})
        return found

    def _record(self, failure: RunError | None) -> None:
        self.resource.update(reconciling=False, etag=conditions.new_etag())
        if self.latest_ready:
            self.resource["latestReadyRevision"] = self.latest_ready.resource["name"]
        if failure:
            self.resource["terminalCondition"] = self.platform.condition(
                "Ready", conditions.FAILED, failure.message, **failure.reasons
            )
            return
        self.resource["observedGeneration"] = self.resource["generation"]
        self.resource["terminalCondition"] = self.platform.condition("Ready", conditions.SUCCEEDED)


class WorkerPools:
    """The methods of projects.locations.workerPools and its revisions."""

    def __init__(self, platform: Platform, server: Service) -> None:
        self.platform = platform
        self.all: dict[str, Pool] = {}
        self.lock = threading.RLock()
        base = "/v2/projects/{project}/locations/{location}/workerPools"
        one = f"{base}/{{pool}}"
        server.route("POST", base, self._create)
        server.route("GET", base, self._list)
        server.route("GET", one, lambda request: answer(self._find(request).shown()))
        server.route("PATCH", one, self._patch)
        server.route("DELETE", one, self._delete)
        server.route("GET", f"{one}/revisions", self._list_revisions)
        server.route("GET", f"{one}/revisions/{{revision}}", self._get_revision)

    def close(self) -> None:
        """Stop every worker."""
        for pool in list(self.all.values()):
            for revision in pool.revisions.values():
                revision.stop()

    def _find(self, request: Request) -> Pool:
        self.platform.check_parent(request)
        found = self.all.get(request.params["pool"])
        if found is None:
            raise missing("WORKERPOOL", request.params["pool"], self.platform)
        return found

    def _list(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return answer(paginate(request, [pool.shown() for pool in list(self.all.values())], "workerPools"))

    def _list_revisions(self, request: Request) -> Response:
        newest_first = [copy.deepcopy(each.resource) for each in reversed(self._find(request).revisions.values())]
        return answer(paginate(request, newest_first, "revisions"))

    def _get_revision(self, request: Request) -> Response:
        revisions = self._find(request).revisions
        if request.params["revision"] not in revisions:
            raise missing("REVISION", request.params["revision"], self.platform)
        return answer(revisions[request.params["revision"]].resource)

    def _desired(self, current: Json, request: Request) -> Json:
        sent = rules.normalize(request.json())
        desired = rules.merge(current, sent, request.arg("updateMask") or "", WRITABLE)
        rules.check_metadata(desired, "worker_pool")
        rules.check_metadata(desired.get("template", {}), "worker_pool.template")
        rules.check_containers(desired.get("template", {}), "worker_pool.template")
        splits = desired.get("instanceSplits", [])
        total = sum(split.get("percent", 0) for split in splits)
        if splits and total != 100:
            raise rules.invalid(f"Instance splits sum to {total}, want 100", "instance_splits")
        desired["template"] = defaults.worker_template(desired["template"])
        desired.setdefault("launchStage", "GA")
        return desired

    def _create(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return self._create_named(request, request.arg("workerPoolId") or "")

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
            pool.write(desired)
            self.all[name] = pool
        return answer(self.platform.operations.start("WorkerPool", pool.shown, pool.reconcile))

    def _patch(self, request: Request) -> Response:
        name = request.params["pool"]
        if name not in self.all and request.arg("allowMissing") == "true":
            self.platform.check_parent(request)
            return self._create_named(request, name)
        pool = self._find(request)
        with pool.lock:
            check_etag(pool.resource, request.json().get("etag"))
            desired = self._desired(pool.shown(), request)
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("WorkerPool", desired))
            self.platform.touch(desired, request)
            pool.write(desired)
        return answer(self.platform.operations.start("WorkerPool", pool.shown, pool.reconcile))

    def _delete(self, request: Request) -> Response:
        pool = self._find(request)
        check_etag(pool.resource, request.arg("etag"))
        with self.lock:
            self.all.pop(pool.name, None)
        for revision in pool.revisions.values():
            revision.stop()
        shown = {**pool.shown(), "deleteTime": self.platform.now()}
        return answer(self.platform.operations.start("WorkerPool", lambda: shown, lambda: shown))
