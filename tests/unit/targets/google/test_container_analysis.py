"""What is attested of an image, as Container Analysis shows it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.images import Provenance
from bot.errors import ForbiddenError, UpstreamError

DIGEST = "sha256:" + "a" * 64
IMAGE = f"us-central1-docker.pkg.dev/other/shop/shop@{DIGEST}"
PATH = "/v1/projects/other/occurrences"
BUILDER = "https://cloudbuild.googleapis.com/GoogleHostedWorker"


def early(uri: str = "gs://acme_cloudbuild/source/octo-shop.tgz#17", created: str = "2026-03-01T00:00:00Z") -> Any:
    """An occurrence as a build that was started by hand leaves it."""
    statement = {
        "predicateType": "https://slsa.dev/provenance/v0.1",
        "slsaProvenance": {"builder": {"id": f"{BUILDER}@v0.3"}, "materials": [{"uri": uri}] if uri else []},
    }
    return {"kind": "BUILD", "createTime": created, "build": {"intotoStatement": statement}}


def late(uri: str = "git+https://github.com/octo/shop@refs/heads/main") -> Any:
    """The occurrence that a trigger's build has beside it."""
    predicate = {
        "buildDefinition": {"resolvedDependencies": [{"digest": {}}, {"uri": uri}]},
        "runDetails": {"builder": {"id": BUILDER}},
    }
    statement = {"predicateType": "https://slsa.dev/provenance/v1", "predicate": predicate}
    return {"kind": "BUILD", "createTime": "2026-01-01T00:00:00Z", "build": {"inTotoSlsaProvenanceV1": statement}}


@pytest.fixture
def read(wire: Any, make_target: Any, make_spec: Any) -> Any:
    def read(*occurrences: Any, answer: Any = None) -> Provenance:
        listed = {"occurrences": list(occurrences)} if occurrences else {}
        wire.on("GET", "containeranalysis", PATH, listed if answer is None else answer)
        found: Provenance = make_target(make_spec()).registry.provenance(IMAGE)
        return found

    return read


def test_builder_format_and_source_are_read(read: Any, wire: Any) -> None:
    source = "gs://acme_cloudbuild/source/octo-shop.tgz"
    assert read(early()) == Provenance(image=IMAGE, builder=f"{BUILDER}@v0.3", format="SLSA v0.1", source=source)
    (call,) = wire.calls
    assert call.query["filter"] == [f'kind="BUILD" AND resourceUrl="https://{IMAGE}"']


def test_the_newer_format_is_preferred(read: Any) -> None:
    source = "https://github.com/octo/shop"
    assert read(early(), late()) == Provenance(image=IMAGE, builder=BUILDER, format="SLSA v1", source=source)


def test_of_two_builds_the_newer_one_counts(read: Any) -> None:
    found = read(early("gs://b/old#1", "2025-01-01T00:00:00Z"), early("gs://b/new#1"), early("gs://b/older#1", ""))
    assert found.source == "gs://b/new"


@pytest.mark.parametrize("occurrences", [[], [{"kind": "BUILD", "build": {"provenance": {"id": "1"}}}]])
def test_nothing_to_be_found_is_no_error(read: Any, occurrences: Any) -> None:
    assert read(*occurrences) == Provenance(image=IMAGE)


def test_a_source_may_be_missing(read: Any) -> None:
    assert read(early("")).source == ""


def test_an_image_elsewhere_has_none(wire: Any, make_target: Any, make_spec: Any) -> None:
    assert make_target(make_spec()).registry.provenance("gcr.io/a/b@sha256:1") == Provenance(
        image="gcr.io/a/b@sha256:1"
    )
    assert wire.calls == []


def test_another_type_is_named_as_it_is(read: Any) -> None:
    occurrence = early()
    occurrence["build"]["intotoStatement"]["predicateType"] = "https://example.com/other"
    assert read(occurrence).format == "https://example.com/other"


@pytest.mark.parametrize(
    "answer",
    [
        {"occurrences": [{"kind": "BUILD"}]},
        {"occurrences": ["no object"]},
        {"occurrences": [{"build": {"inTotoSlsaProvenanceV1": {"predicateType": "x"}}}]},
        [],
        (200, "<html>"),
    ],
)
def test_an_unreadable_answer_is_an_error(read: Any, answer: Any) -> None:
    with pytest.raises(UpstreamError, match="read the provenance"):
        read(answer=answer)


def test_what_is_refused_is_an_error(read: Any, api_error: Any) -> None:
    with pytest.raises(ForbiddenError, match=r"containeranalysis\.occurrences\.list"):
        read(answer=api_error(403, "PERMISSION_DENIED", "no containeranalysis.occurrences.list"))
