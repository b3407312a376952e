"""Services and their revisions.

The model is Cloud Run's own: an update writes the desired state and returns an operation; reconciliation, in a thread,
makes a revision where the template asks for one, waits for it to be ready, then moves traffic. What fails leaves the
serving state as it was (Service.reconciling).
"""

from __future__ import annotations

import copy
import secrets
import threading
from typing import Any

from bot.sandbox.google import paginate
from bot.sandbox.google.cloud_run import conditions, defaults, policies, rules
from bot.sandbox.google.cloud_run.conditions import RunError
from bot.sandbox.google.cloud_run.platform import Platform, Routes, check_etag, missing
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.google.cloud_run.serving import Site, Target, not_ready, resolve
from bot.sandbox.wire import Request, Response, WireError, answer

Json = dict[str, Any]
# The fields of Service in run.v2 that are not "Output only", nor the name and the etag.
WRITABLE = (
    "description", "labels", "annotations", "client", "clientVersion", "ingress", "launchStage", "binaryAuthorization",
    "template", "traffic", "scaling", "invokerIamDisabled", "defaultUriDisabled", "customAudiences", "iapEnabled",
    "multiRegionSettings", "buildConfig", "functionalType", "sshEnabled",
)  # fmt: skip


class RunService:
    """One service: what is desired (``resource``), what exists (``revisions``), what serves (``site``)."""

    def __init__(self, platform: Platform, *, name: str, resource: Json) -> None:
        self.platform, self.name, self.resource = platform, name, resource
        self.revisions: dict[str, Revision] = {}
        self.policy = policies.new_policy()
        self.latest_created: Revision | None = None
        self.latest_ready: Revision | None = None
        self.lock = threading.RLock()
        self._reconciling = threading.Lock()
        self.site = Site(platform, lambda: self.resource, lambda: self.policy)
        self.resource.update(uri=self.site.url, urls=[self.site.url])

    @property
    def path(self) -> str:
        """The full resource name."""
        return str(self.resource["name"])

    def shown(self) -> Json:
        """Return a copy of the Service as the API returns it."""
        with self.lock:
            return copy.deepcopy(self.resource)

    # -- writing the desired state ----------------------------------------------------------------------------
    def planned_revision(self, desired: Json, *, force: bool) -> str | None:
        """Return the name of the revision that ``desired`` asks for, None when its template changes nothing.

        A named template that equals the revision of that name asks for nothing, one that differs is refused with 409
        ALREADY_EXISTS (googleapis/google-cloud-python#11870, #14259 show the sentence). Without a name, a template that
        differs from the last one in any field asks for a revision with a generated name (RevisionTemplate.revision).
        """
        template, last = desired["template"], self.latest_created
        name = template.get("revision", "")
        if name:
            rules.check_revision_name(name, self.name)
            existing = self.revisions.get(name)
            if existing is None:
                return str(name)
            if existing.template != template:
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
        self.resource["reconciling"] = True
        self.resource["terminalCondition"] = self.platform.condition("Ready", conditions.RECONCILING)
        self.resource["conditions"] = [
            self.platform.condition(kind, conditions.RECONCILING) for kind in ("RoutesReady", "ConfigurationsReady")
        ]
        if revision:
            made = Revision(
                self.platform, parent=self.name, path=self.path, name=revision, creator=desired["lastModifier"],
                template=desired["template"], serves=True,
            )  # fmt: skip
            self.revisions[revision] = self.latest_created = made
            self.resource["latestCreatedRevision"] = made.resource["name"]

    # -- reconciliation -----------------------------------------------------------------------------------------
    def reconcile(self) -> Json:
        """Bring the world to the newest desired state. Raises RunError after recording it."""
        with self._reconciling:
            with self.lock:
                generation = self.resource["generation"]
                traffic = copy.deepcopy(self.resource.get("traffic", []))
                fresh = [each for each in self.revisions.values() if each.resource["reconciling"]]
            failure = self._bring_up(fresh)
            if failure is None:
                try:
                    targets = resolve(traffic, self.revisions, self.latest_ready)
                    self._check_copies(targets, fresh)
                    self.site.serve(targets)
                except RunError as error:
                    failure = error
            in_use = {target.revision for target in self.site.targets}
            for revision in fresh:
                if revision not in in_use:
                    revision.stop()
            with self.lock:
                self._record(generation, failure, fresh)
        if failure:
            raise failure
        return self.shown()

    def _check_copies(self, targets: list[Target], fresh: list[Revision]) -> None:
        """Raise RunError when a revision that did not serve until now has lost its image (Revision.check_copy)."""
        kept = {target.revision for target in self.site.targets} | set(fresh)
        for target in targets:
            if target.revision not in kept:
                target.revision.check_copy()

    def _bring_up(self, fresh: list[Revision]) -> RunError | None:
        """Start new revisions; return the failure of the newest."""
        failure: RunError | None = None
        for revision in fresh:
            revision.bring_up()
            failure = None if revision.ready else not_ready(revision)
            if revision.ready:
                self.latest_ready = revision
        newest = self.latest_created
        if failure is None and self.platform.knobs.sticky_failure and newest is not None and newest.failure:
            return not_ready(newest)
        return failure

    def _record(self, generation: str, failure: RunError | None, fresh: list[Revision]) -> None:
        """Write the outcome into the resource, unless a newer generation is waiting for its own turn."""
        resource, platform = self.resource, self.platform
        resource["trafficStatuses"] = self.site.statuses()
        if self.latest_ready:
            resource["latestReadyRevision"] = self.latest_ready.resource["name"]
        if resource["generation"] != generation:
            return
        resource["reconciling"] = False
        resource["etag"] = conditions.new_etag()
        if failure is None:
            resource["observedGeneration"] = generation
            resource["terminalCondition"] = platform.condition("Ready", conditions.SUCCEEDED)
            resource["conditions"] = [
                platform.condition(kind, conditions.SUCCEEDED) for kind in ("RoutesReady", "ConfigurationsReady")
            ]
            return
        failed = platform.condition("Ready", conditions.FAILED, failure.message, **failure.reasons)
        resource["terminalCondition"] = failed
        broken = "ConfigurationsReady" if any(each.failure for each in fresh) else "RoutesReady"
        other = "RoutesReady" if broken == "ConfigurationsReady" else "ConfigurationsReady"
        resource["conditions"] = [
            platform.condition(other, conditions.SUCCEEDED),
            {**failed, "type": broken},
        ]


class Services:
    """The methods of projects.locations.services and its revisions."""

    def __init__(self, platform: Platform, server: Routes) -> None:
        self.platform = platform
        self.all: dict[str, RunService] = {}
        self.lock = threading.RLock()
        base = "/v2/projects/{project}/locations/{location}/services"
        one = f"{base}/{{service}}"
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
        """Stop every service."""
        for service in list(self.all.values()):
            service.site.close()
            for revision in list(service.revisions.values()):
                revision.stop()

    # -- finding ----------------------------------------------------------------------------------------------
    def _find(self, request: Request) -> RunService:
        self.platform.check_parent(request)
        found = self.all.get(request.params["service"])
        if found is None:
            raise missing("SERVICE", request.params["service"], self.platform)
        return found

    def _find_revision(self, request: Request) -> tuple[RunService, Revision]:
        service = self.all.get(request.params["service"])
        name = request.params["revision"]
        self.platform.check_parent(request)
        if service is None or name not in service.revisions:
            raise missing("REVISION", name, self.platform)
        return service, service.revisions[name]

    def _list(self, request: Request) -> Response:
        """List the services: "Results are sorted by creation time, descending." (services.list)."""
        self.platform.check_parent(request)
        return answer(paginate(request, [service.shown() for service in reversed(list(self.all.values()))], "services"))

    def _list_revisions(self, request: Request) -> Response:
        """List the revisions of a service, or with ``-`` of all (revisions.list, ``parent``), the newest first."""
        self.platform.check_parent(request)
        services = list(self.all.values()) if request.params["service"] == "-" else [self._find(request)]
        newest_first = (each for service in services for each in reversed(list(service.revisions.values())))
        found = [copy.deepcopy(each.resource) for each in newest_first]
        found.sort(
            key=lambda each: str(each["createTime"]), reverse=True
        )  # stable: those of one moment keep their order
        return answer(paginate(request, found, "revisions"))

    def _get_revision(self, request: Request) -> Response:
        return answer(self._find_revision(request)[1].resource)

    # -- checking -----------------------------------------------------------------------------------------------
    def _desired(self, current: Json, request: Request, name: str) -> Json:
        """Return the merged, checked and filled-in desired state. Raises WireError."""
        sent = rules.normalize(request.json())
        desired = rules.merge(current, sent, request.arg("updateMask") or "", WRITABLE)
        template = desired.get("template", {})
        rules.check_metadata(desired, "service")
        rules.check_metadata(template, "service.template")
        rules.check_containers(template, "service.template")
        rules.check_traffic(desired.get("traffic", []), name)
        desired["template"] = defaults.revision_template(template)
        if desired.get("ingress", "INGRESS_TRAFFIC_UNSPECIFIED") == "INGRESS_TRAFFIC_UNSPECIFIED":
            desired["ingress"] = "INGRESS_TRAFFIC_ALL"
        desired.setdefault("launchStage", "GA")
        return desired

    # -- writing --------------------------------------------------------------------------------------------------
    def _create(self, request: Request) -> Response:
        self.platform.check_parent(request)
        return self._create_named(request, request.arg("serviceId") or "")

    def _create_named(self, request: Request, name: str) -> Response:
        rules.check_id(name, "service")
        with self.lock:
            if name in self.all:
                raise WireError(409, f"Resource '{name}' already exists.", "ALREADY_EXISTS")
            stamp = self.platform.stamp(f"{self.platform.parent}/services/{name}", request)
            desired = self._desired(stamp, request, name)
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Service", desired))
            service = RunService(self.platform, name=name, resource=desired)
            try:
                service.write(service.resource, service.planned_revision(desired, force=False))
            except WireError:
                service.site.close()
                raise
            self.all[name] = service
        return answer(self.platform.operations.start("Service", service.shown, service.reconcile))

    def _patch(self, request: Request) -> Response:
        name = request.params["service"]
        if name not in self.all and request.arg("allowMissing") == "true":
            self.platform.check_parent(request)
            return self._create_named(request, name)
        service = self._find(request)
        with service.lock:
            check_etag(service.resource, request.json().get("etag"))
            desired = self._desired(service.shown(), request, name)
            revision = service.planned_revision(desired, force=request.arg("forceNewRevision") == "true")
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Service", desired))
            self.platform.touch(desired, request)
            service.write(desired, revision)
        return answer(self.platform.operations.start("Service", service.shown, service.reconcile))

    def _delete(self, request: Request) -> Response:
        service = self._find(request)
        check_etag(service.resource, request.arg("etag"))
        if request.arg("validateOnly") == "true":
            return answer(self.platform.operations.done("Service", service.shown()))

        def work() -> Json:
            service.site.close()
            for revision in list(service.revisions.values()):
                revision.stop()
            return {**service.shown(), "deleteTime": self.platform.now()}

        with self.lock:
            self.all.pop(service.name, None)
        return answer(self.platform.operations.start("Service", service.shown, work))

    def _delete_revision(self, request: Request) -> Response:
        """Delete a revision that nobody can be sent to.

        Refused: one that can receive traffic, which a tag suffices for, and the latest one, which an only one is too
        (cloud.google.com/run/docs/managing/revisions; the status is that of reports of the live server, the words are
        this server's own).
        """
        service, revision = self._find_revision(request)
        check_etag(revision.resource, request.arg("etag"))
        with service.lock:
            reachable = any(target.revision is revision for target in service.site.targets)
            asked = {target.get("revision") for target in service.resource.get("traffic", [])}
            if reachable or revision.name in asked or revision is service.latest_created:
                message = (
                    f"Revision '{revision.name}' can't be deleted: it can receive traffic by a percentage or a tag, "
                    "or is the latest one."
                )
                raise WireError(400, message, "FAILED_PRECONDITION")
            shown = {**revision.resource, "deleteTime": self.platform.now()}
            if request.arg("validateOnly") == "true":
                return answer(self.platform.operations.done("Revision", shown))
            del service.revisions[revision.name]
        revision.stop()
        return answer(self.platform.operations.start("Revision", lambda: shown, lambda: shown))
