"""What Cloud Build attests of an image: the occurrences of Container Analysis.

Grounds: containeranalysis.v1 (occurrences.list; Occurrence, InTotoStatement, InTotoSlsaProvenanceV1). They are kept in
the project of the image's registry, under ``https://`` and its name, which is where `gcloud artifacts docker images
describe --show-provenance` looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.images import Provenance
from bot.targets.artifact_registry import Image
from bot.targets.google import Google
from bot.targets.google_errors import check, listed, read, unreadable

_SLSA = "https://slsa.dev/provenance/"  # the beginning of a predicate's type (slsa.dev, "Provenance")
_LOOKED_AT = 100  # occurrences of one image; a build makes one or two


def provenance(google: Google, reference: str) -> Provenance:
    """Read what is attested of an image: the newest format, then the newest build.

    Raises UpstreamError (or a subclass) or AuthError.
    """
    image = Image.parse(reference)
    if image is None:
        return Provenance(image=reference)
    url = f"{google.endpoints.containeranalysis}/v1/projects/{image.project}/occurrences"
    wanted = {"filter": f'kind="BUILD" AND resourceUrl="https://{reference}"', "pageSize": str(_LOOKED_AT)}
    operation = "read the provenance"
    answer = read(operation, lambda: check(google.http.get(url, params=wanted, timeout=google.timeout)))
    occurrences = listed(answer, "occurrences", operation)
    newest = sorted(occurrences, key=lambda each: str(each.get("createTime", "")), reverse=True)
    try:
        statements = [found for each in newest if (found := _statement(reference, each["build"])) is not None]
    except (AttributeError, KeyError, TypeError) as error:
        raise unreadable(operation) from error
    return max(statements, key=lambda found: found.format, default=Provenance(image=reference))


def _statement(reference: str, build: Mapping[str, Any]) -> Provenance | None:
    """Read one attestation; None for one in another form."""
    if "inTotoSlsaProvenanceV1" in build:
        statement = build["inTotoSlsaProvenanceV1"]
        predicate = statement["predicate"]
        builder = predicate["runDetails"]["builder"]["id"]
        sources = predicate["buildDefinition"].get("resolvedDependencies", [])
    elif "slsaProvenance" in build.get("intotoStatement", {}):
        statement = build["intotoStatement"]
        predicate = statement["slsaProvenance"]
        builder, sources = predicate["builder"]["id"], predicate.get("materials", [])
    else:
        return None
    kind = statement["predicateType"]
    format_ = f"SLSA {kind.removeprefix(_SLSA)}" if kind.startswith(_SLSA) else kind
    source = next((_address(each["uri"]) for each in sources if "uri" in each), "")
    return Provenance(image=reference, builder=builder, format=format_, source=source)


def _address(uri: str) -> str:
    """Return a source's address without its version.

    A commit is `git+https://…` or, with SLSA v1, that and `@refs/…`; an object is `gs://…#GENERATION` (real occurrences
    that slsa-framework/slsa-verifier keeps for its tests). A verifier wants neither prefix nor version.
    """
    return uri.removeprefix("git+").partition("#")[0].partition("@")[0]
