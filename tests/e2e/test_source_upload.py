"""The source's way into Cloud Storage: the real client, in several parts, against the sandbox."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.core.config import BuildConfig
from bot.core.spec import CloudRunSpec
from bot.sandbox.google.storage import Storage
from bot.targets.google import Google
from bot.targets.source_upload import CHUNK, upload

SHA = "a" * 40


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    service = Storage(root=tmp_path / "objects")
    service.start()
    yield service
    service.stop()
    assert not service.unknown


@pytest.fixture
def google(storage: Storage, tmp_path: Path) -> Google:
    overrides = {"RUN": "http://127.0.0.1:1/", "STORAGE": f"{storage.url}/"}
    environ = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": url for name, url in overrides.items()}
    return Google(
        project="acme", region="us-central1", auth=None, environ={"HOME": str(tmp_path), **environ}, oidc=None
    )


def archive(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        folder = tarfile.TarInfo("octo-shop-aaaaaaa/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        file = tarfile.TarInfo("octo-shop-aaaaaaa/data")
        file.size = size
        tar.addfile(file, io.BytesIO(os.urandom(size)))
    return buffer.getvalue()


@pytest.mark.parametrize("size", [10, 2 * CHUNK + 12345])
def test_a_source_arrives_whole_and_is_sent_once(storage: Storage, google: Google, size: int) -> None:
    data, asked = archive(size), []

    @contextlib.contextmanager
    def source(sha: str) -> Iterator[Iterator[bytes]]:
        asked.append(sha)
        yield (data[start : start + 70_001] for start in range(0, len(data), 70_001))

    spec = CloudRunSpec(
        app="shop",
        environment="staging",
        repository="octo/shop",
        project="acme",
        region="us-central1",
        image="us-central1-docker.pkg.dev/acme/shop/shop",
        source_bucket="acme_cloudbuild",
        build=BuildConfig(),
    )
    first = upload(google, spec, SHA, source)
    assert first.folder == "octo-shop-aaaaaaa"
    stored = google.storage.bucket("acme_cloudbuild").blob(first.name, generation=first.generation)
    assert stored.download_as_bytes() == data
    assert upload(google, spec, SHA, source) == first
    assert asked == [SHA]
    parts = [call for call in storage.calls if call.method == "PUT"]
    assert len(parts) == len(data) // CHUNK + 1
