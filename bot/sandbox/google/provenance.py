"""What Cloud Build attests of an image: SLSA provenance in an in-toto statement, as Container Analysis keeps it. Pure.

Source: containeranalysis.v1 (Occurrence, InTotoStatement, InTotoSlsaProvenanceV1); real occurrences that
slsa-framework/slsa-verifier keeps for its tests, for names and values that no description has; and cloud.google.com/
build/docs/securing-builds/generate-validate-build-provenance: "If you start a build manually … Cloud Build provides
only SLSA v0.1 provenance", and none for what a ``docker push`` step has pushed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from bot.sandbox.images import split_tag

Json = dict[str, Any]
Sign = Callable[[bytes], bytes]
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KEYS = "projects/verified-builder/locations/{location}/keyRings/attestor/cryptoKeys/{key}/cryptoKeyVersions/1"


def occurrences(build: Json, *, finished: str, sign: Sign, v1: bool) -> Iterator[Json]:
    """Yield the occurrences of a build that has pushed its images; ``finished`` is a time as JSON has it.

    One of SLSA v0.1 for each image, with ``v1`` one of SLSA v1.0 as well. They lack a name and times.
    """
    for digest, tags in _images(build).items():
        repository = split_tag(tags[0])[0]
        subject = [
            {"name": f"https://{name}", "digest": {"sha256": digest.removeprefix("sha256:")}} for name in tags
        ]  # fmt: skip
        shared = {"resourceUri": f"https://{repository}@{digest}", "kind": "BUILD"}
        location = build["name"].split("/")[3]
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.1",
            "subject": subject, "slsaProvenance": _slsa_v0(build, finished),
        }  # fmt: skip
        yield {
            **shared, "noteName": f"projects/verified-builder/notes/intoto_{build['id']}",
            "build": {"intotoStatement": statement},
            "envelope": _envelope(statement, sign, _KEYS.format(location=location, key="builtByGCB")),
        }  # fmt: skip
        if v1:
            second = {
                "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
                "subject": subject, "predicate": _slsa_v1(build, finished),
            }  # fmt: skip
            yield {
                **shared, "noteName": f"projects/verified-builder/notes/intoto_slsa_v1_{build['id']}",
                "build": {"inTotoSlsaProvenanceV1": second},
                "envelope": _envelope(second, sign, _KEYS.format(location="global", key="google-hosted-worker")),
            }  # fmt: skip


def _images(build: Json) -> dict[str, list[str]]:
    """Return the names under which each digest was pushed to Artifact Registry, by the field ``images`` alone."""
    found: dict[str, list[str]] = {}
    for image in build.get("results", {}).get("images", []):
        if "-docker.pkg.dev/" in image["name"]:
            found.setdefault(image["digest"], []).append(image["name"])
    return found


def _recorded(build: Json) -> Json:
    """Return what a recipe keeps of a build."""
    kept = ("id", "name", "options", "sourceProvenance", "steps", "substitutions")
    return {
        "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.Build",
        **{key: build[key] for key in kept if key in build},
    }


def _slsa_v0(build: Json, finished: str) -> Json:
    return {
        "builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3"},
        "recipe": {
            "type": "https://cloudbuild.googleapis.com/CloudBuildSteps@v0.1",
            "definedInMaterial": "-1",  # the steps came with the request
            "arguments": _recorded(build),
        },
        "metadata": {
            "buildInvocationId": build["id"], "buildStartedOn": build["startTime"], "buildFinishedOn": finished,
        },
        "materials": list(_materials(build)),
    }  # fmt: skip


def _slsa_v1(build: Json, finished: str) -> Json:
    _, number, _, location, *_ = build["name"].split("/")
    system = {"BUILD_ID": build["id"], "LOCATION": location, "PROJECT_NUMBER": number}
    return {
        "buildDefinition": {
            "buildType": "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1",
            "externalParameters": {
                "buildConfig": {key: build[key] for key in ("steps", "images", "options") if key in build},
                "substitutions": build.get("substitutions", {}),
            },
            "internalParameters": {"systemSubstitutions": system},
            "resolvedDependencies": list(_materials(build)),
        },
        "runDetails": {
            "builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker"},
            "metadata": {
                "invocationId": f"https://cloudbuild.googleapis.com/v1/{build['name']}",
                "startedOn": build["startTime"], "finishedOn": finished,
            },
        },
    }  # fmt: skip


def _materials(build: Json) -> Iterator[Json]:
    """Yield the source: an object with its hashes, or a commit."""
    provenance = build.get("sourceProvenance", {})
    for path, hashes in provenance.get("fileHashes", {}).items():
        digest = {each["type"].lower(): base64.b64decode(each["value"]).hex() for each in hashes["fileHash"]}
        yield {"uri": path, "digest": digest}
    for key, place in (("resolvedConnectedRepository", "repository"), ("resolvedGitSource", "url")):
        if key in provenance:
            yield {"uri": f"git+{provenance[key][place]}", "digest": {"sha1": provenance[key]["revision"]}}


def _envelope(statement: Json, sign: Sign, key: str) -> Json:
    """Return a DSSE envelope (secure-systems-lab/dsse): what is signed names the payload's type and both lengths."""
    payload = json.dumps(statement, separators=(",", ":")).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    signature = base64.urlsafe_b64encode(sign(signed)).decode()
    return {
        "payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key, "sig": signature}],
    }  # fmt: skip
