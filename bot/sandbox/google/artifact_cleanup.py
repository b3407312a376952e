"""Clean-up policies of a repository: which versions they would delete. Pure; times are seconds since the epoch.

Source: artifactregistry.v1, CleanupPolicy and what it holds; cloud.google.com/artifact-registry/docs/repositories/
cleanup-policy-overview: "If an artifact version matches criteria in both a delete policy and a keep policy, Artifact
Registry applies the keep policy." The age of a version is the time since it was uploaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.sandbox.google import seconds_of
from bot.sandbox.wire import WireError

Json = dict[str, Any]
MAX_POLICIES = 10  # "You can apply the maximum of 10 cleanup policies to a repository."
# The numbers that the REST transport sends for enums, by google/devtools/artifactregistry/v1/repository.proto.
ACTIONS = {0: "ACTION_UNSPECIFIED", 1: "DELETE", 2: "KEEP"}
TAG_STATES = {0: "TAG_STATE_UNSPECIFIED", 1: "TAGGED", 2: "UNTAGGED", 3: "ANY"}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a package, as a policy sees it."""

    package: str
    name: str  # "sha256:…"
    tags: Sequence[str]
    uploaded: float


def accepted(policies: Mapping[str, Json]) -> dict[str, Json]:
    """Return policies as they are kept: enums by name, each with its own id. Raises WireError 400."""
    if len(policies) > MAX_POLICIES:
        raise _bad(f"at most {MAX_POLICIES} cleanup policies are allowed")
    return {key: _accepted(key, policy) for key, policy in policies.items()}


def _accepted(key: str, sent: Json) -> Json:
    policy = {**sent, "id": key, "action": ACTIONS.get(sent.get("action", 0), sent.get("action"))}
    if policy["action"] not in {"DELETE", "KEEP"}:
        raise _bad(f"cleanup policy {key!r} needs an action")
    # "You can't use Conditional keep and Keep most recent versions criteria in the same cleanup policy."
    if ("condition" in policy) == ("mostRecentVersions" in policy):
        raise _bad(f"cleanup policy {key!r} needs either a condition or most recent versions")
    if "mostRecentVersions" in policy and policy["action"] != "KEEP":
        raise _bad(f"cleanup policy {key!r}: most recent versions may only be specified with a Keep action")
    if "condition" in policy:
        state = policy["condition"].get("tagState", 0)
        policy["condition"] = {**policy["condition"], "tagState": TAG_STATES.get(state, state)}
        for name in ("olderThan", "newerThan"):
            seconds_of(policy["condition"].get(name, "0s"))
    return policy


def doomed(versions: Iterable[Version], policies: Iterable[Json], now: float) -> list[Version]:
    """Return the versions that a delete policy matches and no keep policy, in their order."""
    everything, rules = list(versions), list(policies)
    kept = {version for rule in rules if rule["action"] == "KEEP" for version in _matching(everything, rule, now)}
    gone = {version for rule in rules if rule["action"] == "DELETE" for version in _matching(everything, rule, now)}
    return [version for version in everything if version in gone - kept]


def _matching(versions: list[Version], policy: Json, now: float) -> list[Version]:
    if "condition" in policy:
        return [version for version in versions if _meets(version, policy["condition"], now)]
    recent = policy["mostRecentVersions"]
    found = []
    for package in {version.package for version in versions if _begins(version.package, recent, "packageNamePrefixes")}:
        own = sorted(
            (version for version in versions if version.package == package),
            key=lambda each: each.uploaded,
            reverse=True,
        )
        found += own[: int(recent.get("keepCount", 0))]
    return found


def _meets(version: Version, condition: Json, now: float) -> bool:
    """Tell whether a version meets a condition: "If multiple entries are set, all must be satisfied"."""
    age, state = now - version.uploaded, condition["tagState"]
    if "olderThan" in condition and age <= seconds_of(condition["olderThan"]):
        return False
    if "newerThan" in condition and age >= seconds_of(condition["newerThan"]):
        return False
    if state in {"TAGGED", "UNTAGGED"} and (state == "TAGGED") != bool(version.tags):
        return False
    # With the state ANY the prefixes of tags are ignored, as a report of the live service has it (the answer to Stack
    # Overflow's question 78702774): a trap that has deleted what it should not.
    prefixes = condition.get("tagPrefixes", [])
    if prefixes and state != "ANY" and not any(tag.startswith(tuple(prefixes)) for tag in version.tags):
        return False
    package = _begins(version.package, condition, "packageNamePrefixes")
    return package and _begins(version.name, condition, "versionNamePrefixes")


def _begins(name: str, condition: Json, key: str) -> bool:
    return name.startswith(tuple(condition.get(key, []))) if condition.get(key) else True


def _bad(message: str) -> WireError:
    return WireError(400, message, "INVALID_ARGUMENT")
