"""Worker pools: revisions that work without requests, and the split of instances among them.

One process stands for all the instances of each revision that has a share; a process that ends is started again. With
``scaling.manualInstanceCount`` 0 nobody works. Source: WorkerPool, InstanceSplit in run.v2, and the rules of services
where that is silent.
"""

from __future__ import annotations

import copy
import secrets
import threading
from typing import Any

from bot.sandbox.google.cloud_run import conditions, policies, rules
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.platform import Platform
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.google.cloud_run.serving import not_ready
from bot.sandbox.wire import WireError

Json = dict[str, Any]
LATEST = rules.SPLIT_TYPES[1]
TICK = 0.5  # seconds between two looks at the processes


class Pool:
    """One worker pool: what is desired (``resource``), what exists (``revisions``), who works (``working``)."""

    def __init__(self, platform: Platform, *, name: str, resource: Json) -> None:
        self.platform, self.name, self.resource = platform, name, resource
        self.revisions: dict[str, Revision] = {}
        self.policy = policies.new_policy()
        self.latest_created: Revision | None = None
        self.latest_ready: Revision | None = None
        self.working: list[Revision] = []
        self.lock = threading.RLock()
        self._reconciling = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._tend, name=f"pool-{name}", daemon=True).start()

    def shown(self) -> Json:
        """Return a copy of the WorkerPool as the API returns it."""
        with self.lock:
            return copy.deepcopy(self.resource)

    # -- writing the desired state ----------------------------------------------------------------------------
    def planned_revision(self, desired: Json, *, force: bool) -> str | None:
        """Return the name of the revision that ``desired`` asks for, None when its template changes nothing.

        Raises WireError for a name that is wrong, or taken by another template, as for a service.
        """
        template, last = desired["template"], self.latest_created
        name = template.get("revision", "")
        if name:
            rules.check_revision_name(name, self.name)
            if name not in self.revisions:
                return str(name)
            if self.revisions[name].template != template:
                message = f"Revision named '{name}' with different configuration already exists."
                raise WireError(409, message, "ALREADY_EXISTS")
            return None
        if last is not None and last.template == template and not force:
            return None
        number = int(self.resource["generation"]) + (1 if last else 0)
        return f"{self.name}-{number:05d}-{secrets.token_hex(2)[:3]}"

    def write(self, desired: Json, revision: str | None) -> None:
        """Take over the desired state and register the revision it asks for."""
        self.resource = desired
        desired["reconciling"] = True
        desired["terminalCondition"] = self.platform.condition("Ready", conditions.RECONCILING)
        desired["conditions"] = [self.platform.condition("ConfigurationsReady", conditions.RECONCILING)]
        if revision:
            self.latest_created = self.revisions[revision] = Revision(
                self.platform, parent=self.name, path=desired["name"], name=revision, creator=desired["lastModifier"],
                template=desired["template"], serves=False,
            )  # fmt: skip
            desired["latestCreatedRevision"] = self.latest_created.resource["name"]

    # -- reconciliation -----------------------------------------------------------------------------------------
    def reconcile(self) -> Json:
        """Bring up what is new, then run the revisions of the split. Raises RunError after recording it."""
        with self._reconciling:
            failure: RunError | None = None
            with self.lock:
                generation = self.resource["generation"]
            try:
                self._apply()
            except RunError as error:
                failure = error
            with self.lock:
                self._record(generation, failure)
        if failure:
            raise failure
        return self.shown()

    def _apply(self) -> None:
        fresh = [each for each in list(self.revisions.values()) if each.resource["reconciling"]]
        for revision in fresh:
            revision.bring_up()
            if not revision.ready:
                raise not_ready(revision)
            self.latest_ready = revision
        splits = self.resource.get("instanceSplits") or [{"type": LATEST, "percent": 100}]
        chosen = [self._revision_of(split) for split in splits if split.get("percent")]
        for revision in chosen:
            if revision not in [*self.working, *fresh]:
                revision.check_copy()
        if self.resource.get("scaling", {}).get("manualInstanceCount", 1) == 0:
            chosen = []
        for revision in chosen:
            revision.running()
        self.working = chosen
        for revision in list(self.revisions.values()):
            if revision not in chosen:
                revision.stop()
        with self.lock:
            self.resource["instanceSplitStatuses"] = copy.deepcopy(splits)

    def _revision_of(self, split: Json) -> Revision:
        name = split.get("revision", "")
        found = self.latest_ready if split.get("type") == LATEST else self.revisions.get(name)
        if found is None or not found.ready:
            message = f"Revision '{name}' does not exist or is not ready."
            raise RunError(code=conditions.INTERNAL, message=message, reasons={"reason": "UNKNOWN"})
        return found

    def _record(self, generation: str, failure: RunError | None) -> None:
        """Write the outcome into the resource, unless a newer generation is waiting for its own turn."""
        if self.latest_ready:
            self.resource["latestReadyRevision"] = self.latest_ready.resource["name"]
        if self.resource["generation"] != generation:
            return
        self.resource.update(reconciling=False, etag=conditions.new_etag())
        if failure:
            failed = self.platform.condition("Ready", conditions.FAILED, failure.message, **failure.reasons)
            self.resource["terminalCondition"] = failed
            self.resource["conditions"] = [{**failed, "type": "ConfigurationsReady"}]
            return
        self.resource["observedGeneration"] = generation
        self.resource["terminalCondition"] = self.platform.condition("Ready", conditions.SUCCEEDED)
        self.resource["conditions"] = [self.platform.condition("ConfigurationsReady", conditions.SUCCEEDED)]

    # -- the processes --------------------------------------------------------------------------------------------
    def _tend(self) -> None:
        """Start again what ended: a pool keeps its number of instances."""
        while not self._closed.wait(TICK):
            if self._reconciling.acquire(blocking=False):
                try:
                    for revision in self.working:
                        revision.running()
                finally:
                    self._reconciling.release()

    def uses(self, revision: Revision) -> bool:
        """Tell whether instances are, or are to be, on a revision, or it is the latest one."""
        asked = {split.get("revision") for split in self.resource.get("instanceSplits", [])}
        return revision in self.working or revision.name in asked or revision is self.latest_created

    def close(self) -> None:
        """Stop every process."""
        self._closed.set()
        with self._reconciling:
            self.working = []
            for revision in list(self.revisions.values()):
                revision.stop()
