"""What Cloud Run accepts, as pure functions over the JSON of run.v2. Each raises WireError as the API would."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.sandbox.wire import WireError

Json = dict[str, Any]

LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
BY_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
RESERVED = ("run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev")
MAX_NAME = 49  # "must be less than 50 characters", Service and Job ids
MAX_REVISION_NAME = 63  # a DNS label (RFC 1123)
# gcloud and the REST transport send enums as numbers; the numbers are those of the protobuf definitions in
# google/cloud/run_v2/types (vendor_settings.py, traffic_target.py, k8s_min.py).
ENUMS: Mapping[str, Mapping[int, str]] = {
    "ingress": {
        0: "INGRESS_TRAFFIC_UNSPECIFIED", 1: "INGRESS_TRAFFIC_ALL", 2: "INGRESS_TRAFFIC_INTERNAL_ONLY",
        3: "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", 4: "INGRESS_TRAFFIC_NONE",
    },
    "executionEnvironment": {
        0: "EXECUTION_ENVIRONMENT_UNSPECIFIED", 1: "EXECUTION_ENVIRONMENT_GEN1", 2: "EXECUTION_ENVIRONMENT_GEN2",
    },
    "egress": {0: "VPC_EGRESS_UNSPECIFIED", 1: "ALL_TRAFFIC", 2: "PRIVATE_RANGES_ONLY"},
    "launchStage": {
        0: "LAUNCH_STAGE_UNSPECIFIED", 6: "UNIMPLEMENTED", 7: "PRELAUNCH", 5: "EARLY_ACCESS", 1: "ALPHA", 2: "BETA",
        3: "GA", 4: "DEPRECATED",
    },
    "scalingMode": {0: "SCALING_MODE_UNSPECIFIED", 1: "AUTOMATIC", 2: "MANUAL"},
    "medium": {0: "MEDIUM_UNSPECIFIED", 1: "MEMORY", 2: "DISK"},
    "encryptionKeyRevocationAction": {
        0: "ENCRYPTION_KEY_REVOCATION_ACTION_UNSPECIFIED", 1: "PREVENT_NEW", 2: "SHUTDOWN",
    },
}  # fmt: skip
TRAFFIC_TYPES = {0: "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED", 1: LATEST, 2: BY_REVISION}
SPLIT_TYPES = {
    0: "INSTANCE_SPLIT_ALLOCATION_TYPE_UNSPECIFIED",
    1: "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST",
    2: "INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION",
}


def invalid(message: str, field: str = "") -> WireError:
    """Return a 400 INVALID_ARGUMENT, with a BadRequest detail when a field is named."""
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": message}],
        }
    ]
    text = f"Violation in {field}: {message}" if field else message
    return WireError(400, text, "INVALID_ARGUMENT", **({"details": details} if field else {}))


def conflict(message: str) -> WireError:
    """Return the 409 ABORTED of a stale etag."""
    return WireError(409, message, "ABORTED")


def normalize(value: Any, key: str = "") -> Any:
    """Return JSON with enums by name and without nulls, which protobuf's JSON reads as absent."""
    if isinstance(value, dict):
        return {name: normalize(item, name) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        items = [normalize(item) for item in value]
        types = {"traffic": TRAFFIC_TYPES, "instanceSplits": SPLIT_TYPES}.get(key)
        if types:
            for item in items:
                if isinstance(item.get("type"), int):
                    item["type"] = types[item["type"]]
        return items
    if isinstance(value, int) and not isinstance(value, bool) and key in ENUMS:
        return ENUMS[key].get(value, value)
    return value


# -- names ------------------------------------------------------------------------------------------------------
def check_id(name: str, kind: str) -> None:
    """Refuse an id of a service, job or pool that is not a DNS label below 50 characters.

    Source: CreateServiceRequest.service_id and the create methods' descriptions: lower-case letters, digits and
    hyphens, beginning with a letter, not ending with a hyphen.
    """
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        message = (
            f"Invalid resource name {name!r}: only lowercase, digits, and hyphens; must begin with letter, and may not "
            "end with hyphen; must be less than 50 characters."
        )
        raise invalid(message, f"{kind}_id")


def check_revision_name(name: str, parent: str) -> None:
    """Refuse a revision name that does not begin with its parent's, or is no DNS label.

    Source: cloud.google.com/run/docs/configuring (``--revision-suffix`` is appended to the service's name);
    Knative's validation of ``spec.template.metadata.name``, whose prefix rule Cloud Run keeps.
    """
    if not name.startswith(f"{parent}-"):
        raise invalid(f"Revision name must be prefixed by the name of the service: {parent}-", "template.revision")
    if len(name) > MAX_REVISION_NAME or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        raise invalid(
            f"Invalid revision name {name!r}: must be a DNS label of at most 63 characters", "template.revision"
        )


def check_metadata(resource: Mapping[str, Any], field: str) -> None:
    """Refuse labels and annotations of reserved namespaces, and labels out of shape.

    Source: the descriptions of Service.labels and Service.annotations: such namespaces "will be rejected". The shape
    of labels: cloud.google.com/resource-manager/docs/creating-managing-labels.
    """
    for kind in ("labels", "annotations"):
        for key in resource.get(kind, {}):
            domain = key.split("/", 1)[0]
            if "/" in key and any(domain == name or domain.endswith(f".{name}") for name in RESERVED):
                raise invalid(f"System {kind} are not supported in v2: {key}", f"{field}.{kind}")
    for key, value in resource.get("labels", {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise invalid(f"Invalid label {key}={value}", f"{field}.labels")


# -- containers -------------------------------------------------------------------------------------------------
def check_containers(template: Mapping[str, Any], field: str) -> None:
    """Refuse a template whose containers, environment, ports or mounts can't be right."""
    containers = template.get("containers", [])
    if not containers:
        raise invalid("at least one container is required", f"{field}.containers")
    volumes = {volume["name"] for volume in template.get("volumes", [])}
    for index, container in enumerate(containers):
        place = f"{field}.containers[{index}]"
        if not container.get("image"):  # Container.image: "Required."
            raise invalid("image is required", f"{place}.image")
        _check_env(container, place)
        if len(container.get("ports", [])) > 1:  # Container.ports: "Only a single port can be specified."
            raise invalid("only a single port can be specified", f"{place}.ports")
        for mount in container.get("volumeMounts", []):
            if mount.get("name") not in volumes:  # VolumeMount.name: "This must match the Name of a Volume."
                raise invalid(f"no volume is named {mount.get('name')!r}", f"{place}.volume_mounts")
        check_probe(container.get("startupProbe"), f"{place}.startup_probe")


def _check_env(container: Mapping[str, Any], place: str) -> None:
    seen: set[str] = set()
    for variable in container.get("env", []):
        name = variable.get("name", "")
        # cloud.google.com/run/docs/reference/container-contract: PORT is set by Cloud Run and can't be set.
        if name in {"", "PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"} or name in seen:
            raise invalid(f"reserved, empty or repeated environment variable name: {name!r}", f"{place}.env")
        seen.add(name)


def check_probe(probe: Mapping[str, Any] | None, field: str) -> None:
    """Refuse a probe against the limits that the Probe schema's descriptions state."""
    if probe is None:
        return
    if sum(kind in probe for kind in ("httpGet", "tcpSocket", "grpc")) > 1:
        raise invalid("exactly one of http_get, tcp_socket, or grpc must be specified", field)
    period, timeout = probe.get("periodSeconds", 10), probe.get("timeoutSeconds", 1)
    if timeout > period:
        raise invalid("timeout_seconds must not be greater than period_seconds", f"{field}.timeout_seconds")
    if not 1 <= period <= 240:
        raise invalid("period_seconds must be between 1 and 240", f"{field}.period_seconds")
    if probe.get("failureThreshold", 3) < 1:
        raise invalid("failure_threshold must be at least 1", f"{field}.failure_threshold")


# -- traffic ----------------------------------------------------------------------------------------------------
def check_traffic(traffic: list[Json], service: str) -> None:
    """Refuse a traffic block whose sum, types, names or tags are wrong.

    Source: TrafficTarget's descriptions; "Traffic targets sum to 50, want 100" is Knative's own sentence
    (knative/client#345). Tags: at least 3 characters of a DNS label, and at most 46 together with the service's name,
    as reports of the live server's refusals state.
    """
    if not traffic:
        return
    tags: set[str] = set()
    for index, target in enumerate(traffic):
        _check_target(target, f"traffic[{index}]")
        tag = target.get("tag", "")
        if tag:
            _check_tag(tag, service, f"traffic[{index}].tag")
            if tag in tags:
                raise invalid(f"Multiple definitions for tag {tag!r}", f"traffic[{index}].tag")
            tags.add(tag)
    total = sum(target.get("percent", 0) for target in traffic)
    if total != 100:
        raise invalid(f"Traffic targets sum to {total}, want 100", "traffic")


def _check_target(target: Json, field: str) -> None:
    if not 0 <= target.get("percent", 0) <= 100:
        raise invalid("percent must be between 0 and 100", f"{field}.percent")
    kind, revision = target.get("type"), target.get("revision", "")
    if kind == BY_REVISION and not revision:
        raise invalid("revision is required for a target of type REVISION", f"{field}.revision")
    if kind == LATEST and revision:
        raise invalid("revision must be empty for a target of type LATEST", f"{field}.revision")
    if kind not in {BY_REVISION, LATEST}:
        raise invalid("type is required", f"{field}.type")
    if "/" in revision:
        raise invalid("revision must be the short name of a revision of this service", f"{field}.revision")


def _check_tag(tag: str, service: str, field: str) -> None:
    if len(tag) < 3 or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", tag):
        raise invalid(f"Invalid traffic tag {tag!r}: a DNS label of at least 3 characters is required", field)
    if len(tag) + len(service) > 46:
        raise invalid(f"Traffic tag {tag!r} and service name {service!r} together exceed 46 characters", field)


def check_splits(splits: list[Json]) -> None:
    """Refuse instance splits whose sum, types or names are wrong: the rules of traffic, without tags.

    Source: InstanceSplit's descriptions, which are those of TrafficTarget.
    """
    for index, split in enumerate(splits):
        as_target = {SPLIT_TYPES[2]: BY_REVISION, SPLIT_TYPES[1]: LATEST}.get(split.get("type", ""), "")
        _check_target({**split, "type": as_target}, f"instance_splits[{index}]")
    total = sum(split.get("percent", 0) for split in splits)
    if splits and total != 100:
        raise invalid(f"Instance splits sum to {total}, want 100", "instance_splits")


# -- update masks ---------------------------------------------------------------------------------------------------
def camel(path: str) -> str:
    """Return a field path in JSON's camel case; snake_case and camelCase are both understood (FieldMask's JSON)."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), path)


def merge(current: Json, sent: Json, mask: str, writable: Iterable[str]) -> Json:
    """Return ``current`` updated with ``sent``.

    An empty mask or ``*`` replaces every writable field (services.patch, ``updateMask``). Raises WireError for a path
    that is not writable.
    """
    result, fields = copy.deepcopy(current), tuple(writable)
    paths = [camel(path.strip()) for path in mask.split(",") if path.strip()]
    if not paths or paths == ["*"]:
        paths = list(fields)
    for path in paths:
        head = path.split(".", 1)[0]
        if head not in fields:
            raise invalid(f"Field path {path!r} can not be updated", "update_mask")
        _copy(result, sent, path.split("."))
    return result


def _copy(target: Json, source: Json, path: list[str]) -> None:
    name = path[0]
    if len(path) == 1:
        if name in source:
            target[name] = copy.deepcopy(source[name])
        else:
            target.pop(name, None)
        return
    _copy(target.setdefault(name, {}), source.get(name, {}), path[1:])
    if not target[name]:
        del target[name]
