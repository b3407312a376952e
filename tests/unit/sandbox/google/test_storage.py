"""The storage server, driven by google-cloud-storage."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.credentials import Credentials

from bot.sandbox.google.storage import QUANTUM, Storage
from bot.sandbox.wire import Fault, WireError

KILOBYTE = 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Storage]:
    service = Storage(root=tmp_path / "objects", clock=lambda: 1_760_000_000.5)
    service.start()
    yield service
    service.stop()
    service.close()


@pytest.fixture
def client(server: Storage) -> Iterator[storage.Client]:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    made = storage.Client(project="acme", credentials=credentials, client_options={"api_endpoint": server.url})
    yield made
    made.close()


def test_buckets_are_created_once_and_read_back(client: storage.Client) -> None:
    client.create_bucket("acme-source", location="us-central1")
    assert client.get_bucket("acme-source").location == "us-central1"
    assert [bucket.name for bucket in client.list_buckets()] == ["acme-source"]
    with pytest.raises(Conflict, match="you already own it"):
        client.create_bucket("acme-source")
    with pytest.raises(NotFound, match="The specified bucket does not exist"):
        client.get_bucket("other")
    with pytest.raises(BadRequest, match="Invalid bucket name"):
        client.create_bucket("No_Capitals")


@pytest.mark.parametrize(
    "size", [0, 10, QUANTUM, QUANTUM + 1, 3 * QUANTUM - 1], ids=["empty", "small", "quantum", "odd", "three"]
)
def test_a_stream_of_unknown_length_goes_up_in_chunks(server: Storage, client: storage.Client, size: int) -> None:
    server.create_bucket("acme-source")
    data = bytes(range(256)) * (size // 256 + 1)
    blob = client.bucket("acme-source").blob("source/a b.tgz", chunk_size=QUANTUM)
    with blob.open("wb", ignore_flush=True, if_generation_match=0) as file:
        file.write(data[:size])
    blob.reload()
    assert (blob.size, blob.name) == (size, "source/a b.tgz")
    assert server.lookup("acme-source", "source/a b.tgz").path.read_bytes() == data[:size]
    assert blob.download_as_bytes() == data[:size]


def test_a_whole_file_goes_up_in_one_multipart_request(server: Storage, client: storage.Client) -> None:
    server.create_bucket("acme-source")
    blob = client.bucket("acme-source").blob("a.txt")
    blob.metadata = {"sha": "1" * 40}
    blob.upload_from_string(b"one\r\n\r\ntwo--\r\n", content_type="text/plain")
    blob.reload()
    assert (blob.content_type, blob.metadata) == ("text/plain", {"sha": "1" * 40})
    assert blob.download_as_bytes() == b"one\r\n\r\ntwo--\r\n"
    assert blob.download_as_bytes(start=3, end=6) == b"\r\n\r\n"


def test_a_lost_answer_does_not_lose_or_double_bytes(server: Storage, client: storage.Client) -> None:
    """The client sends the same chunk again; what has arrived already is not kept twice."""
    server.create_bucket("acme-source")
    server.fail(Fault(route="PUT", kind="status", status=503, skip=1))
    server.fail(Fault(route="PUT", kind="lose_reply", skip=3))
    data = bytes(range(256)) * 4 * KILOBYTE
    blob = client.bucket("acme-source").blob("a.tgz", chunk_size=QUANTUM)
    quick = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.001)
    blob.upload_from_file(io.BytesIO(data), checksum="crc32c", if_generation_match=0, retry=quick)
    assert server.lookup("acme-source", "a.tgz").path.read_bytes() == data
    sent = [call.request_headers["content-range"] for call in server.calls if call.method == "PUT"]
    assert len(sent) == len(set(sent)) + 2


def test_generation_preconditions(server: Storage, client: storage.Client) -> None:
    server.put("acme-source", "a", b"1")
    bucket = client.bucket("acme-source")
    with pytest.raises(PreconditionFailed):
        bucket.blob("a").upload_from_string(b"2", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        client.bucket("acme-source").blob("a", chunk_size=QUANTUM).upload_from_file(
            io.BytesIO(b"2"), if_generation_match=0
        )
    first = server.lookup("acme-source", "a").generation
    bucket.blob("a").upload_from_string(b"2", if_generation_match=first)
    assert server.lookup("acme-source", "a").generation > first
    with pytest.raises(WireError, match="No such object"):
        server.lookup("acme-source", "a", first)


def test_list_delete_and_patch(server: Storage, client: storage.Client) -> None:
    for name in ("source/2", "source/1", "log-1.txt"):
        server.put("acme-source", name, b"x")
    bucket = client.get_bucket("acme-source")
    assert [blob.name for blob in bucket.list_blobs(prefix="source/", page_size=1)] == ["source/1", "source/2"]
    blob = bucket.get_blob("source/1")
    blob.metadata = {"kept": "yes"}
    blob.patch()
    assert bucket.get_blob("source/1").metadata == {"kept": "yes"}
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()
    for each in bucket.list_blobs():
        each.delete()
    assert bucket.get_blob("source/1") is None
    bucket.delete()
    assert not bucket.exists()


def test_a_wrong_hash_is_refused(server: Storage, client: storage.Client) -> None:
    server.create_bucket("acme-source")
    blob = client.bucket("acme-source").blob("a")
    blob.crc32c = "AAAAAA=="
    with pytest.raises(BadRequest, match="doesn't match calculated crc32c"):
        blob.upload_from_string(b"data", checksum=None)
    assert not blob.exists()


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    service = Storage(root=tmp_path, authenticate={"good": "me"}.get)
    service.start()
    try:
        for token, ends in (("good", NotFound), ("bad", RefreshError)):
            credentials = Credentials(token)  # type: ignore[no-untyped-call]
            client = storage.Client(
                project="acme", credentials=credentials, client_options={"api_endpoint": service.url}
            )
            with pytest.raises(ends):
                client.get_bucket("none", retry=None)
            client.close()
        assert requests.get(f"{service.url}/storage/v1/b/none", timeout=5).status_code == 401
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("headers", "status", "received"),
    [
        ({"Content-Range": "bytes 0-2/*"}, 308, None),
        ({"Content-Range": "bytes 9-11/12"}, 400, None),
        ({"Content-Range": "bytes 0-9/12"}, 400, None),
        ({"Content-Range": "nonsense"}, 400, None),
        ({"Content-Range": "bytes */*"}, 308, None),
        ({}, 200, b"abc"),
        ({"Content-Range": "bytes 0-2/3"}, 200, b"abc"),
        ({"Content-Range": "bytes 0-2/3", "X-Goog-Hash": "crc32c=AAAAAA=="}, 400, None),
    ],
)
def test_the_ranges_of_a_session(server: Storage, headers: dict[str, str], status: int, received: bytes | None) -> None:
    """Less than 256 KiB of an unfinished upload is not kept."""
    server.create_bucket("acme-source")
    begun = requests.post(
        f"{server.url}/resumable/upload/storage/v1/b/acme-source/o?uploadType=resumable&name=a", json={}, timeout=5
    )
    answer = requests.put(begun.headers["Location"], data=b"abc", headers=headers, timeout=5)
    assert (answer.status_code, answer.headers.get("Range")) == (status, None)
    if received is not None:
        assert server.lookup("acme-source", "a").path.read_bytes() == received


def test_a_session_can_be_cancelled_and_is_gone(server: Storage) -> None:
    server.create_bucket("acme-source")
    url = f"{server.url}/upload/storage/v1/b/acme-source/o?uploadType=resumable&name=a"
    location = requests.post(url, timeout=5).headers["Location"]
    assert requests.delete(location, timeout=5).status_code == 499
    assert requests.put(location, data=b"", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("POST", "/upload/storage/v1/b/acme-source/o?uploadType=media", 400, "required"),
        ("POST", "/upload/storage/v1/b/acme-source/o?uploadType=other&name=a", 400, "invalid"),
        ("POST", "/upload/storage/v1/b/acme-source/o?uploadType=multipart&name=a", 400, "invalid"),
        ("POST", "/storage/v1/b", 400, "required"),
        ("GET", "/storage/v1/b", 400, "required"),
        ("GET", "/storage/v1/b/acme-source/o/none?alt=media", 404, "notFound"),
        ("GET", "/storage/v1/b/acme-source/o?pageToken=x", 400, "backendError"),
        ("DELETE", "/storage/v1/b/none/o/a", 404, "notFound"),
    ],
)
def test_errors_speak_the_json_dialect(server: Storage, method: str, path: str, status: int, reason: str) -> None:
    server.create_bucket("acme-source")
    answer = requests.request(method, server.url + path, json={}, timeout=5)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status
    if reason != "backendError":
        assert answer.json()["error"]["errors"][0]["reason"] == reason


def test_media_upload_and_ranges_of_a_download(server: Storage) -> None:
    server.create_bucket("acme-source")
    url = f"{server.url}/upload/storage/v1/b/acme-source/o?uploadType=media&name=a"
    made = requests.post(url, data=b"0123456789", headers={"Content-Type": "text/plain"}, timeout=5).json()
    assert (made["size"], made["contentType"]) == ("10", "text/plain")
    found = {
        header: requests.get(made["mediaLink"], headers={"Range": header}, timeout=5)
        for header in ("bytes=2-3", "bytes=-3", "bytes=8-", "bytes=10-", "lines=1")
    }
    assert {header: (each.status_code, each.content[:10]) for header, each in found.items() if each.ok} == {
        "bytes=2-3": (206, b"23"),
        "bytes=-3": (206, b"789"),
        "bytes=8-": (206, b"89"),
        "lines=1": (200, b"0123456789"),
    }
    assert found["bytes=10-"].status_code == 416
    assert found["bytes=2-3"].headers["Content-Range"] == "bytes 2-3/10"
