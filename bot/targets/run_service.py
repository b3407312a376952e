"""Service-level settings of Cloud Run: ingress, scaling, the default URL, public access. Pure.

They belong to the service, not to a revision, so they change when traffic does and are recorded to be put back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.cloud import run_v2
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from bot.core.config import ServiceConfig

INVOKER = "roles/run.invoker"
_EVERYONE = ("allUsers", "allAuthenticatedUsers")
_INGRESS: dict[str, Any] = {
    "all": run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
    "internal": run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY,
    "internal-and-cloud-load-balancing": run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER,
    "none": run_v2.IngressTraffic.INGRESS_TRAFFIC_NONE,
}
_WORDS = {value: word for word, value in _INGRESS.items()}


def ingress_word(service: run_v2.Service) -> str:
    """Return the short word of a service's ingress; unspecified counts as ``all``, Cloud Run's default."""
    return _WORDS.get(service.ingress, "all")


def settings(service: run_v2.Service, *, public: bool) -> dict[str, Any]:
    """Return what a release may change and a restore must put back."""
    return {
        "ingress": ingress_word(service),
        "min": service.scaling.min_instance_count,
        "max": service.scaling.max_instance_count,
        "default_url": not service.default_uri_disabled,
        "invoker_iam_disabled": service.invoker_iam_disabled,
        "public": public,
    }


def declared(config: ServiceConfig) -> dict[str, Any]:
    """Return the settings that a configuration declares, in the form of :func:`settings`."""
    scale = config.scale
    wanted: dict[str, Any] = {
        "ingress": config.ingress,
        "min": scale.min if scale is not None else None,
        "max": scale.max if scale is not None else None,
        "default_url": config.default_url,
        # Without the invoker check anybody may call, whatever the policy says.
        "invoker_iam_disabled": False if config.public is False else None,
        "public": config.public,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def reconcile(live: run_v2.Service, wanted: Mapping[str, Any], update: run_v2.Service) -> list[str]:
    """Set the wanted settings that differ from the live ones in ``update``; returns the update mask's paths for them.

    ``public`` is not among them: it is the IAM policy's.
    """
    now = settings(live, public=False)
    changed = {name: value for name, value in wanted.items() if name != "public" and now.get(name, value) != value}
    paths: list[str] = []
    if "ingress" in changed:
        update.ingress = _INGRESS[changed["ingress"]]
        paths.append("ingress")
    if {"min", "max"} & changed.keys():
        update.scaling = run_v2.ServiceScaling(live.scaling)
        update.scaling.min_instance_count = changed.get("min", live.scaling.min_instance_count)
        update.scaling.max_instance_count = changed.get("max", live.scaling.max_instance_count)
        paths.append("scaling")
    if "default_url" in changed:
        update.default_uri_disabled = not changed["default_url"]
        paths.append("default_uri_disabled")
    if "invoker_iam_disabled" in changed:
        update.invoker_iam_disabled = changed["invoker_iam_disabled"]
        paths.append("invoker_iam_disabled")
    return paths


def is_public(service: run_v2.Service, policy: policy_pb2.Policy) -> bool:
    """Whether anyone may call a service: no invoker check, or everyone is an invoker without a condition."""
    return service.invoker_iam_disabled or any(
        member in _EVERYONE
        for binding in policy.bindings
        if binding.role == INVOKER and not binding.condition.expression
        for member in binding.members
    )


def with_public(policy: policy_pb2.Policy, *, public: bool) -> policy_pb2.Policy:
    """Return a copy of a policy with everyone as an invoker or not. Its etag is kept."""
    changed = type(policy)()
    changed.CopyFrom(policy)
    for binding in changed.bindings:
        if binding.role == INVOKER:
            kept = [member for member in binding.members if member not in _EVERYONE]
            del binding.members[:]
            binding.members.extend(kept)
    for index in reversed(range(len(changed.bindings))):
        if not changed.bindings[index].members:
            del changed.bindings[index]
    if public:
        plain = (b for b in changed.bindings if b.role == INVOKER and not b.condition.expression)
        binding = next(plain, None) or changed.bindings.add(role=INVOKER)
        binding.members.append("allUsers")
    return changed
