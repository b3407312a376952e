# mypy: disallow-untyped-calls=False
import base64
import contextlib
import dataclasses
import gzip
import io
import tarfile
from types import SimpleNamespace
from typing import Any

import google_crc32c
import pytest

from bot.core.config import BuildConfig, Overlay
from bot.core.plan import Build
from bot.errors import UpstreamError
from bot.targets.source_upload import ChunkReader

SHA = "0123456789abcdef0123456789abcdef01234567"


def archive(*names: Any, pax: Any = True) -> Any:
    """A gzipped tarball as `git archive` makes GitHub's: a global header with the sha, then the files."""
    buffer = io.BytesIO()
    headers = {"comment": SHA} if pax else {}
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(info)
    return buffer.getvalue()


def in_chunks(data: Any, size: Any) -> Any:
    return iter([data[i : i + size] for i in range(0, len(data), size)])


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("pax", [True, False])
def test_the_folder_is_known_without_losing_a_byte(size: Any, pax: Any) -> None:
    data = archive("octo-shop-0123456/", "octo-shop-0123456/a.py", pax=pax)
    reader = ChunkReader(in_chunks(data, size))
    assert reader.top_folder() == "octo-shop-0123456"
    assert reader.tell() == 0
    assert reader.read(3) == data[:3]
    assert reader.tell() == 3
    assert reader.read(10) + reader.read() == data[3:]
    assert reader.tell() == len(data)
    assert reader.read(5) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html>",
        gzip.compress(b"no archive" * 100),
        archive("octo-shop/")[:20],
        archive("/"),
        gzip.compress(b""),
    ],
    ids=["nothing", "html", "gzip", "cut", "no folder", "empty gzip"],
)
def test_what_is_no_archive_is_an_error(data: Any) -> None:
    with pytest.raises(UpstreamError, match="source archive is unusable"):
        ChunkReader(iter([data])).top_folder()


@pytest.fixture
def source() -> Any:
    data = archive("octo-shop-0123456/", "octo-shop-0123456/Dockerfile")
    asked = []

    @contextlib.contextmanager
    def source(sha: Any) -> Any:
        asked.append(sha)
        yield in_chunks(data, 50)

    return SimpleNamespace(stream=source, data=data, asked=asked)


OBJECT = "source/octo-shop-" + SHA + ".tgz"
RESOURCE = {
    "name": OBJECT,
    "bucket": "acme_cloudbuild",
    "generation": "17",
    "metadata": {"slipway-folder": "octo-shop-0123456"},
}
GET = r"/storage/v1/b/acme_cloudbuild/o/[^/]+"


def stored(call: Any) -> Any:
    checksum = base64.b64encode(google_crc32c.Checksum(call.body).digest()).decode()
    return {**RESOURCE, "crc32c": checksum}


START = "/upload/storage/v1/b/acme_cloudbuild/o"
BUILDS = "/v1/projects/acme/locations/us-central1/builds"
BUILD = {"name": "projects/acme/locations/us-central1/builds/1", "id": "1", "logUrl": "https://log"}
STARTED = {
    "name": "operations/1",
    "metadata": {"@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata", "build": BUILD},
}
SESSION: Any = (200, {}, {"Location": "http://127.0.0.1:1/storage/session/1"})


def start(wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any) -> Any:
    wire.on("POST", "cloudbuild", BUILDS, STARTED)
    return make_target(make_spec(), source=source.stream).apply(Build(), known)


def test_the_archive_streams_into_a_new_object(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, SESSION, judged=False)
    wire.on("PUT", "storage", "/session/1", stored, judged=False)
    running = start(wire, make_target, make_spec, known, source)
    assert running.handle == BUILD["name"]
    assert source.asked == [SHA]
    opened, sent = wire.made("POST", START)[0], wire.made("PUT", "/session/1")[0]
    assert opened.query["uploadType"] == ["resumable"]
    assert opened.query["ifGenerationMatch"] == ["0"]
    assert opened.body["metadata"] == {"slipway-folder": "octo-shop-0123456"}
    assert sent.body == source.data
    built = wire.made("POST", BUILDS)[0].body
    assert built["source"]["storageSource"] == {"bucket": "acme_cloudbuild", "object": OBJECT, "generation": "17"}
    assert built["steps"][0]["dir"] == "octo-shop-0123456"


def test_an_object_that_is_there_is_used_again(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any
) -> None:
    wire.on("GET", "storage", GET, RESOURCE, judged=False)
    start(wire, make_target, make_spec, known, source)
    assert source.asked == []
    assert wire.made("POST", BUILDS)[0].body["steps"][0]["dir"] == "octo-shop-0123456"


def test_losing_the_race_for_the_object_is_winning(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), RESOURCE, judged=False)
    wire.on("POST", "storage", START, api_error(412, "conditionNotMet"), judged=False)
    start(wire, make_target, make_spec, known, source)
    assert wire.made("POST", BUILDS)[0].body["source"]["storageSource"]["generation"] == "17"


def test_an_object_without_our_metadata_is_not_trusted(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, {**RESOURCE, "metadata": {}}, judged=False)
    wire.on("POST", "storage", START, api_error(412, "conditionNotMet"), judged=False)
    with pytest.raises(UpstreamError):
        start(wire, make_target, make_spec, known, source)


def test_a_missing_bucket_is_made_in_the_region(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, api_error(404, "NOT_FOUND"), SESSION, judged=False)
    wire.on("POST", "storage", "/storage/v1/b", {"name": "acme_cloudbuild"})
    wire.on("PUT", "storage", "/session/1", stored, judged=False)
    start(wire, make_target, make_spec, known, source)
    made = wire.made("POST", "/storage/v1/b")[0]
    assert made.query["project"] == ["acme"]
    assert made.body["name"] == "acme_cloudbuild"
    assert made.body["location"] == "us-central1"
    assert made.body["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": True}
    assert wire.made("PUT", "/session/1")[0].body == source.data


def test_losing_the_race_for_the_bucket_is_winning(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, api_error(404, "NOT_FOUND"), SESSION, judged=False)
    wire.on("POST", "storage", "/storage/v1/b", api_error(409, "conflict", "you already own it"))
    wire.on("PUT", "storage", "/session/1", stored, judged=False)
    start(wire, make_target, make_spec, known, source)
    assert wire.made("PUT", "/session/1")[0].body == source.data


def test_a_refused_upload_is_an_error(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, api_error(403, "forbidden", "no storage.objects.create"), judged=False)
    with pytest.raises(UpstreamError, match=r"no storage\.objects\.create"):
        start(wire, make_target, make_spec, known, source)


def test_a_storage_that_keeps_failing_is_given_up_in_our_own_words(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, SESSION, judged=False)
    wire.on("PUT", "storage", "/session/1", api_error(503, "backendError", "later"), judged=False)
    target = make_target(make_spec(), source=source.stream)
    target._google.timeout = 0.01
    with pytest.raises(UpstreamError, match="upload the source") as caught:
        target.apply(Build(), known)
    assert wire.made("PUT", "/session/1")  # once, or once more where the first pause came out short
    assert "RetryError" not in str(caught.value)


@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_upload_is_an_error(
    wire: Any, make_target: Any, make_spec: Any, known: Any, source: Any, api_error: Any, missing: bool
) -> None:
    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    no_bucket = [api_error(404, "NOT_FOUND")] if missing else []
    wire.on("POST", "storage", START, *no_bucket, SESSION, judged=False)
    wire.on("POST", "storage", "/storage/v1/b", {"name": "acme_cloudbuild"})
    wire.on("PUT", "storage", "/session/1", {**RESOURCE, "crc32c": "AAAAAA=="}, judged=False)
    wire.on("DELETE", "storage", GET, (204, ""), judged=False)
    with pytest.raises(UpstreamError, match="damaged"):
        start(wire, make_target, make_spec, known, source)


# -- several sources ------------------------------------------------------------------------------------------------
EXTRAS = "e" * 40


@pytest.fixture
def overlaid(make_spec: Any) -> Any:
    return make_spec(build=BuildConfig(overlay=Overlay(context="extras", repos=("acme/extras",))))


def test_every_source_is_uploaded_under_its_own_name(
    wire: Any, make_target: Any, known: Any, source: Any, overlaid: Any, api_error: Any
) -> None:
    def sent(call: Any) -> Any:
        name = wire.made("POST", START)[0].body["name"]
        return {**stored(call), "name": name}

    wire.on("GET", "storage", GET, api_error(404, "NOT_FOUND"), judged=False)
    wire.on("POST", "storage", START, SESSION, judged=False)
    wire.on("PUT", "storage", "/session/1", sent, judged=False)
    wire.on("POST", "cloudbuild", BUILDS, STARTED)
    asked: list[str] = []

    def others(repository: str) -> Any:
        asked.append(repository)
        return source.stream

    known = dataclasses.replace(known, sources={"acme/extras": EXTRAS})
    make_target(overlaid, source=source.stream, others=others).apply(Build(), known)
    assert asked == ["acme/extras"]
    assert sorted(source.asked) == sorted([SHA, EXTRAS])
    names = {call.body["name"] for call in wire.made("POST", START)}
    assert names == {OBJECT, f"source/acme-extras-{EXTRAS}.tgz"}
    fetch, docker = wire.made("POST", BUILDS)[0].body["steps"]
    assert f"source/acme-extras-{EXTRAS}.tgz#17" in fetch["args"][1]
    assert docker["args"][:2] == ["buildx", "build"]


def test_a_target_that_was_given_no_other_repositories_says_so(
    wire: Any, make_target: Any, known: Any, source: Any, overlaid: Any
) -> None:
    wire.on("GET", "storage", GET, RESOURCE, judged=False)
    known = dataclasses.replace(known, sources={"acme/extras": EXTRAS})
    with pytest.raises(UpstreamError, match=r"The source of acme/extras cannot be had\."):
        make_target(overlaid, source=source.stream).apply(Build(), known)
    assert not wire.made("POST", BUILDS)
