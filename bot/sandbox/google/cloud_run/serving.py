"""The addresses of a service: its own and one for each tag, each a loopback port, with ingress and IAM in front.

On Cloud Run a tag's address is ``https://TAG---HOST``; here it is another port of 127.0.0.1, kept for as long as the
service lives, so that a tag that comes back has its old address.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.gateway import Gateway, GatewayRequest
from bot.sandbox.google.cloud_run import rules
from bot.sandbox.google.cloud_run.conditions import FAILED_PRECONDITION, INTERNAL, RunError
from bot.sandbox.google.cloud_run.launch import LogSource
from bot.sandbox.google.cloud_run.platform import Platform, invoker
from bot.sandbox.google.cloud_run.revisions import Revision
from bot.sandbox.runtime import Instance

Json = dict[str, Any]
_DRAINING = 2.0  # seconds at most that a revision is left for the requests that it was given
INTERNAL_ONLY = frozenset(
    {"INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_NONE"}
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One resolved traffic target. ``latest`` says that it was asked for as LATEST."""

    revision: Revision
    percent: int
    tag: str
    latest: bool


def resolve(traffic: list[Json], revisions: Mapping[str, Revision], latest_ready: Revision | None) -> list[Target]:
    """Return the targets a traffic block means. Raises RunError when one can't serve.

    "If traffic is empty or not provided, defaults to 100% traffic to the latest `Ready` Revision." (Service.traffic)
    Code 13 and the sentence for a missing revision are those of a live server
    (terraform-google-modules/terraform-docs-samples#269).
    """
    result = []
    for target in traffic or [{"type": rules.LATEST, "percent": 100}]:
        latest = target["type"] == rules.LATEST
        name = target.get("revision", "")
        revision = latest_ready if latest else revisions.get(name)
        if revision is None and latest:
            raise RunError(code=FAILED_PRECONDITION, message="No revision is ready.", reasons={"reason": "UNKNOWN"})
        if revision is None:
            message = (
                f"Revision '{name}' does not exist or is deleted. "
                "Update all traffic to route to currently available revisions."
            )
            raise RunError(code=INTERNAL, message=message, reasons={"reason": "UNKNOWN"})
        if not revision.ready:
            raise not_ready(revision)
        result.append(
            Target(revision=revision, percent=target.get("percent", 0), tag=target.get("tag", ""), latest=latest)
        )
    return result


def not_ready(revision: Revision) -> RunError:
    """Return the failure of a service that is to serve a revision that is not ready."""
    cause = revision.failure
    if cause is not None and cause.reasons.get("reason") == "CONTAINER_MISSING":
        message = cause.message  # "Image '…' not found." comes without the frame
    else:
        message = f"Revision '{revision.name}' is not ready and cannot serve traffic. {cause.message if cause else ''}"
    return RunError(
        code=cause.code if cause else FAILED_PRECONDITION,
        message=message.strip(),
        reasons=dict(cause.reasons) if cause else {"reason": "REVISION_FAILED"},
    )


class Site:
    """All addresses of one service. ``resource`` and ``policy`` are asked at each request."""

    def __init__(self, platform: Platform, resource: Callable[[], Json], policy: Callable[[], Json]) -> None:
        self.platform, self.resource, self.policy = platform, resource, policy
        self.targets: list[Target] = []
        self._of: dict[Instance, Revision] = {}  # whose each process is, or was
        self._gateways: dict[str, Gateway] = {}
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()  # requests, by the name of their revision
        self._routing = threading.Condition()
        self.url = self.address("")

    def address(self, tag: str) -> str:
        """Return the address of a tag, or with "" of the service, listening from now on."""
        with self._lock:
            if tag not in self._gateways:
                gateway = Gateway(
                    pick=lambda: self._pick(tag),
                    authorize=lambda headers: self._authorize(tag, headers),
                    observe=lambda request: self._observe(tag, request),
                )
                gateway.start()
                self._gateways[tag] = gateway
            return self._gateways[tag].url

    def gateway(self, tag: str = "") -> Gateway:
        """Return the proxy behind an address, which counts requests for each backend."""
        self.address(tag)
        return self._gateways[tag]

    def serve(self, targets: list[Target]) -> None:
        """Route to these targets from now on: start what is cold, then switch, then stop what is out.

        What is out answers the requests that it was given before: an instance is shut down once it handles none
        (cloud.google.com/run/docs/container-contract, instance shutdown).
        """
        for target in targets:
            target.revision.running()
        with self._routing:
            before = {target.revision for target in self.targets}
            self.targets = list(targets)
            out = before - {target.revision for target in targets}
            self._routing.wait_for(lambda: not any(self._under_way[each.name] for each in out), _DRAINING)
        for revision in out:
            revision.stop()

    def statuses(self) -> list[Json]:
        """Return Service.trafficStatuses.

        A target of type LATEST shows no revision name: the message has ``type`` to say so, and live services leave
        ``revision`` empty there.
        """
        shown = []
        for target in self.targets:
            status: Json = {"type": rules.LATEST if target.latest else rules.BY_REVISION}
            if not target.latest:
                status["revision"] = target.revision.name
            if target.percent:
                status["percent"] = target.percent
            if target.tag:
                status.update(tag=target.tag, uri=self.address(target.tag))
            shown.append(status)
        return shown

    def close(self) -> None:
        """Stop listening and stop every process that serves."""
        with self._lock:
            for gateway in self._gateways.values():
                gateway.stop()
        for target in self.targets:
            target.revision.stop()
        self.targets = []

    # -- one request ------------------------------------------------------------------------------------------
    def chosen(self, tag: str) -> Revision | None:
        """Choose the revision of one request: the tag's, or a random one by percent."""
        targets = self.targets
        if tag:
            return next((target.revision for target in targets if target.tag == tag), None)
        weighted = [target for target in targets if target.percent]
        if not weighted:
            return None
        weights = [target.percent for target in weighted]
        return self.platform.dice.choices(weighted, weights)[0].revision

    def _pick(self, tag: str) -> Instance | None:
        with self._routing:
            revision = self.chosen(tag)
            if revision is None:
                return None
            self._under_way[revision.name] += 1
        instance = revision.running()
        if instance is None:
            self._ended(revision)
        else:
            self._of[instance] = revision
        return instance

    def _ended(self, revision: Revision) -> None:
        with self._routing:
            self._under_way[revision.name] -= 1
            self._routing.notify_all()

    def _observe(self, tag: str, request: GatewayRequest) -> None:
        """Log a request, and count it for the revision that it has reached.

        A request that reaches no instance is not counted (cloud.google.com/monitoring/api/metrics_gcp, ``run``: "Number
        of requests reaching the revision. Excludes requests that are not reaching your container instances"). It counts
        for the revision by whichever address it came: the metrics know no tags.
        """
        revision = self._of.get(request.instance)
        if revision is not None:
            self._ended(revision)
        service = str(self.resource()["name"]).rsplit("/", 1)[-1]
        source = self.platform.revision_logs(service, revision.name if revision else "")
        self._log(tag, request, source)
        if revision is not None:
            self.platform.meter(source.resource, request.status, request.seconds)

    def _log(self, tag: str, request: GatewayRequest, source: LogSource) -> None:
        """Write the request's entry. Source: cloud.google.com/run/docs/logging; logging.v2, HttpRequest."""
        severity = "ERROR" if request.status >= 500 else "WARNING" if request.status >= 400 else "INFO"
        payload: Json = {
            "severity": severity,
            "httpRequest": {
                "requestMethod": request.method,
                "requestUrl": f"{self.address(tag)}{request.path}",
                "status": request.status,
                "responseSize": str(request.response_size),
                "userAgent": request.headers.get("user-agent", ""),
                "remoteIp": "127.0.0.1",
                "latency": f"{request.seconds:.6f}s",
                "protocol": "HTTP/1.1",
            },
        }
        if request.status in {401, 403} and request.instance is None:
            payload["textPayload"] = (
                "The request was not authenticated. Either allow unauthenticated invocations or set the proper "
                "Authorization header."
            )
        self.platform.sink(source.entry("requests", payload))

    def _authorize(self, tag: str, headers: Mapping[str, str]) -> int | None:
        """Return the status that refuses a request, None to let it in.

        404 for a tag that is gone, for the default address when it is disabled, and for callers that ``ingress`` keeps
        out (cloud.google.com/run/docs/troubleshooting, "404: Not Found"). 401 for a token that does not verify, 403 for
        none and for a principal without run.routes.invoke (same page, "401" and "403").
        """
        service = self.resource()
        if tag and not any(target.tag == tag for target in self.targets):
            return 404
        if service.get("defaultUriDisabled"):
            return 404
        if service.get("ingress") in INTERNAL_ONLY and not self.platform.knobs.caller_is_internal:
            return 404
        if service.get("invokerIamDisabled") or invoker(self.policy(), None):
            return None
        return self._check_token(tag, service, headers)

    def _check_token(self, tag: str, service: Json, headers: Mapping[str, str]) -> int | None:
        sent = {key.lower(): value for key, value in headers.items()}
        # X-Serverless-Authorization is looked at first (cloud.google.com/run/docs/authenticating/service-to-service).
        header = sent.get("x-serverless-authorization") or sent.get("authorization", "")
        if not header.lower().startswith("bearer "):
            return 403
        verified = self.platform.authority.verify_id_token(header.split(" ", 1)[1])
        # "The default Google-generated URL always remains as an accepted audience value", beside the custom ones
        # (cloud.google.com/run/docs/configuring/custom-audiences). A tag's own address is accepted as well: it is one
        # of the service's run.app addresses; the documents do not say so outright.
        accepted = {self.url, *service.get("customAudiences", []), *([self.address(tag)] if tag else [])}
        if verified is None or verified[1].rstrip("/") not in {each.rstrip("/") for each in accepted}:
            return 401
        inherited = self.platform.knobs.project_invokers & verified[0].members
        return None if inherited or invoker(self.policy(), verified[0]) else 403
