from __future__ import annotations

from typing import Any

import pytest

from bot.core.config import JobConfig, SecretRef, ServiceConfig
from bot.errors import ConfigError, NotFoundError, UpstreamError
from bot.targets.secret_versions import with_pins

PIN = SecretRef(name="key", version="pin")


def path(secret: str, project: str = "acme") -> str:
    return f"/v1/projects/{project}/secrets/{secret}/versions/latest"


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    secrets = {
        "KEY": PIN,
        "OTHER": SecretRef(name="other", version="3"),
        "/x/y": SecretRef(name="projects/9/secrets/far"),
    }
    job = JobConfig(secrets={"TOO": SecretRef(name="too", version="pin")})
    return make_target(make_spec(services={"web": ServiceConfig(secrets=secrets)}, jobs={"migrate": job}))


def newest(number: Any, state: str = "ENABLED") -> Any:
    return {"name": f"projects/123/secrets/x/versions/{number}", "state": state}


def test_pinned_secrets_are_resolved_to_numbers(target: Any, wire: Any) -> None:
    wire.on("GET", "secretmanager", path("key"), newest(7))
    wire.on("GET", "secretmanager", path("too"), newest(12))
    assert target.newest_secrets(pinned=True) == {"key": "7", "too": "12"}
    assert all(not call.path.endswith(":access") for call in wire.calls)


def test_all_secrets_can_be_asked_for(target: Any, wire: Any) -> None:
    for name in ("key", "too", "other"):
        wire.on("GET", "secretmanager", path(name), newest(1))
    wire.on("GET", "secretmanager", path("far", "9"), newest(2))
    assert target.newest_secrets(pinned=False) == {"key": "1", "too": "1", "other": "1", "projects/9/secrets/far": "2"}


def test_without_secrets_nobody_is_asked(make_target: Any, make_spec: Any, wire: Any) -> None:
    assert make_target(make_spec()).newest_secrets(pinned=True) == {}
    assert wire.calls == []


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (newest(7, "DISABLED"), ConfigError, "The newest version of the secret key, 7, is disabled"),
        ({"name": "projects/1/secrets/x/versions/latest", "state": "ENABLED"}, UpstreamError, "no number for key"),
        ({}, UpstreamError, "no number for key"),
        ((404, {"error": {"code": 404, "message": "Secret [key] not found", "status": "NOT_FOUND"}}), NotFoundError, "look up the secret key"),
    ],
)  # fmt: skip
def test_secrets_that_cannot_be_pinned(target: Any, wire: Any, answer: Any, kind: Any, words: str) -> None:
    wire.on("GET", "secretmanager", path("key"), answer)
    wire.on("GET", "secretmanager", path("too"), newest(1))
    with pytest.raises(kind, match=words):
        target.newest_secrets(pinned=True)


def test_pins_take_the_place_of_the_word() -> None:
    config = ServiceConfig(secrets={"KEY": PIN, "OLD": SecretRef(name="key", version="2")}, port=80)
    pinned = with_pins(config, {"key": "7"})
    assert {place: ref.version for place, ref in pinned.secrets.items()} == {"KEY": "7", "OLD": "2"}
    assert pinned.port == 80
    plain = ServiceConfig()
    assert with_pins(plain, {}) is plain


def test_a_release_that_goes_on_must_have_recorded_its_pins() -> None:
    with pytest.raises(UpstreamError, match="no version of key"):
        with_pins(JobConfig(secrets={"KEY": PIN}), {})
