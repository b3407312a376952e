"""Secret Manager, driven by Google's discovery-based client (the typed one is not a dependency)."""

from __future__ import annotations

import base64
import importlib.resources
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient import discovery, errors

from bot.sandbox.google.iam import TokenAuthority
from bot.sandbox.google.secret_manager import SecretManager
from bot.sandbox.wire import WireError

NAME = "projects/acme/secrets/key"


@pytest.fixture
def server() -> Iterator[tuple[SecretManager, Any]]:
    authority = TokenAuthority()
    made = SecretManager(authenticate=authority.authenticate)
    made.start()
    document = importlib.resources.files("googleapiclient") / "discovery_cache/documents/secretmanager.v1.json"
    credentials = Credentials(authority.issue_token("x@acme.iam.gserviceaccount.com"))  # type: ignore[no-untyped-call]
    client = discovery.build_from_document(
        document.read_text(), credentials=credentials, client_options={"api_endpoint": made.url}
    )
    yield made, client.projects().secrets()
    client.close()
    made.stop()
    assert made.unknown == []


def create(secrets: Any) -> Any:
    body = {"replication": {"automatic": {}}, "versionAliases": {"stable": "1"}}
    return secrets.create(parent="projects/acme", secretId="key", body=body).execute()


def add(secrets: Any, data: bytes, **payload: str) -> Any:
    body = {"payload": {"data": base64.b64encode(data).decode(), **payload}}
    return secrets.addVersion(parent=NAME, body=body).execute()


def failure(request: Any) -> tuple[int, str]:
    with pytest.raises(errors.HttpError) as caught:
        request.execute()
    return caught.value.status_code, caught.value.reason


def test_a_version_is_added_and_accessed(server: tuple[SecretManager, Any]) -> None:
    _, secrets = server
    assert create(secrets)["name"] == NAME
    assert secrets.get(name=NAME).execute()["replication"] == {"automatic": {}}
    assert add(secrets, b"one")["name"] == f"{NAME}/versions/1"
    assert add(secrets, b"two", dataCrc32c=str(google_crc32c.value(b"two")))["state"] == "ENABLED"
    for version, data in (("latest", b"two"), ("1", b"one"), ("2", b"two"), ("stable", b"one")):
        found = secrets.versions().access(name=f"{NAME}/versions/{version}").execute()
        assert base64.b64decode(found["payload"]["data"]) == data
        assert int(found["payload"]["dataCrc32c"]) == google_crc32c.value(data)
    assert found["name"] == f"{NAME}/versions/1"
    listed = secrets.versions().list(parent=NAME).execute()["versions"]
    assert [each["name"] for each in listed] == [f"{NAME}/versions/2", f"{NAME}/versions/1"]
    assert secrets.list(parent="projects/acme").execute()["totalSize"] == 1


def test_only_an_enabled_version_can_be_read(server: tuple[SecretManager, Any]) -> None:
    _, secrets = server
    create(secrets)
    name = add(secrets, b"one")["name"]
    versions = secrets.versions()
    assert versions.disable(name=name, body={}).execute()["state"] == "DISABLED"
    status, reason = failure(versions.access(name=name))
    assert (status, "DISABLED state" in reason) == (400, True)
    versions.enable(name=name, body={}).execute()
    assert versions.access(name=name).execute()["payload"]["data"] == base64.b64encode(b"one").decode()
    assert "destroyTime" in versions.destroy(name=name, body={}).execute()
    assert versions.get(name=name).execute()["state"] == "DESTROYED"
    assert failure(versions.enable(name=name, body={}))[0] == 400


def test_what_is_missing_is_not_found(server: tuple[SecretManager, Any]) -> None:
    _, secrets = server
    assert failure(secrets.get(name=NAME))[0] == 404
    create(secrets)
    status, reason = failure(secrets.versions().access(name=f"{NAME}/versions/latest"))
    assert (status, "has no versions" in reason) == (404, True)
    assert failure(secrets.versions().get(name=f"{NAME}/versions/3"))[0] == 404
    secrets.delete(name=NAME).execute()
    assert failure(secrets.get(name=NAME))[0] == 404


def test_what_cannot_be_is_refused(server: tuple[SecretManager, Any]) -> None:
    _, secrets = server
    assert failure(secrets.create(parent="projects/acme", secretId="key", body={}))[0] == 400
    create(secrets)
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    assert failure(secrets.create(parent="projects/acme", secretId="key", body=body))[0] == 409
    payload = {"payload": {"data": base64.b64encode(b"x").decode(), "dataCrc32c": "1"}}
    assert failure(secrets.addVersion(parent=NAME, body=payload))[0] == 400
    large = {"payload": {"data": base64.b64encode(b"x" * 70_000).decode()}}
    assert failure(secrets.addVersion(parent=NAME, body=large))[0] == 400


def test_the_other_servers_read_by_short_or_full_name(server: tuple[SecretManager, Any]) -> None:
    manager, _ = server
    assert manager.put("env", b"A=1") == "projects/acme/secrets/env/versions/1"
    assert manager.access("env") == manager.access("projects/acme/secrets/env", "1") == b"A=1"
    with pytest.raises(WireError, match="not found"):
        manager.access("absent")
