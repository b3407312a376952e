"""A recorded wire to Heroku: answers by route, every call kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import responses
import stamina

from bot.core.serving import Artifact, ServiceState, Serving, TrafficShare
from bot.core.spec import HerokuSpec
from bot.core.target import Known, ReleaseId
from bot.targets.heroku import HerokuApp, connect

BASE = "http://127.0.0.1:1"
SHA = "0123456789abcdef0123456789abcdef01234567"
KEY = "HRKU-a-key"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as it went over the wire."""

    method: str
    url: str
    path: str
    body: Any
    headers: dict[str, str]


@dataclass(kw_only=True)
class Wire:
    """Answers by method and path; each route's answers come in turn, the last one again and again."""

    mock: responses.RequestsMock
    calls: list[Call] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    now: float = 1_000_000.0

    def on(self, method: str, url: str, *replies: Any) -> None:
        """Answer a route: a path of the app (``/builds``), of the API (``//sources``), or a whole URL.

        A reply is JSON, a text, ``(status, JSON)``, ``(status, JSON, headers)`` or an exception.
        """
        left = list(replies)
        if url.startswith("//"):
            url = BASE + url[1:]
        elif not url.startswith("http"):
            url = f"{BASE}/apps/shop-staging{url}"

        def answer(request: requests.PreparedRequest) -> Any:
            raw: Any = request.body
            raw = raw.read() if hasattr(raw, "read") else raw.encode() if isinstance(raw, str) else raw or b""
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            parts = urlsplit(str(request.url))
            self.calls.append(
                Call(
                    method=method,
                    url=str(request.url),
                    path=parts.path.removeprefix("/apps/shop-staging"),
                    body=body,
                    headers=dict(request.headers),
                )
            )
            reply = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(reply, Exception):
                raise reply
            status, content, headers = (*reply, {})[:3] if isinstance(reply, tuple) else (200, reply, {})
            return status, headers, content if isinstance(content, str) else json.dumps(content)

        self.mock.add_callback(method, re.compile(re.escape(url) + r"(\?.*)?$"), callback=answer)

    def made(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def wire() -> Iterator[Wire]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock, stamina.set_testing(True, attempts=4):
        yield Wire(mock=mock)


@pytest.fixture
def make_target(wire: Wire) -> Callable[..., HerokuApp]:
    def make(*, chunks: tuple[bytes, ...] = (b"\x1f\x8b", b"source"), **environ: str) -> HerokuApp:
        @contextmanager
        def source(sha: str) -> Iterator[Iterator[bytes]]:
            assert sha == SHA
            yield iter(chunks)

        return connect(
            HerokuSpec(environment="staging", repository="acme/shop", app="shop-staging"),
            source=source,
            environ={"HEROKU_API_URL": f"{BASE}/", "HEROKU_API_KEY": KEY, **environ},
            clock=wire.clock,
            sleep=wire.sleep,
        )

    return make


@pytest.fixture
def target(make_target: Callable[..., HerokuApp]) -> HerokuApp:
    return make_target()


@pytest.fixture
def make_build() -> Callable[..., dict[str, Any]]:
    def make(id_: str = "b2", status: str = "pending", *, slug: str | None = None, **over: Any) -> dict[str, Any]:
        return {
            "id": id_,
            "status": status,
            "created_at": "2026-03-02T10:00:00Z",
            "source_blob": {"url": "https://storage.example/x", "version": SHA, "checksum": None},
            "slug": {"id": slug} if slug else None,
            "output_stream_url": f"{BASE}/streams/{id_}",
            "release": None,
            **over,
        }

    return make


@pytest.fixture
def make_release() -> Callable[..., dict[str, Any]]:
    def make(version: int, slug: str | None, status: str = "succeeded", **over: Any) -> dict[str, Any]:
        return {
            "id": f"r{version}",
            "version": version,
            "status": status,
            "created_at": "2026-03-02T10:01:00Z",
            "current": False,
            "slug": {"id": slug} if slug else None,
            "output_stream_url": None,
            "description": "Deploy 0123456",
            **over,
        }

    return make


@pytest.fixture
def before() -> Serving:
    """What served before: v42, when v43 had been tried and build b1 was the newest."""
    state = ServiceState(
        service="app",
        url="https://shop.example",
        traffic=(TrafficShare(revision="v42", percent=100),),
        digests={"v42": "slug-old"},
        settings={
            "maintenance": False,
            "last_release": 43,
            "last_build_at": "2026-03-02T09:00:00Z",
            "last_builds": ["b1"],
        },
    )
    return Serving(services=(state,))


@pytest.fixture
def known(before: Serving) -> Known:
    release = ReleaseId(deployment_id=1295, environment="staging", sha=SHA, actor="ada", tag="pr-7")
    return Known(release=release, before=before)


@pytest.fixture
def built(known: Known) -> Known:
    """The release knows its build and its slug."""
    artifact = Artifact(digest="slug-new", reference="slug-new", sha=SHA)
    return Known(release=known.release, before=known.before, artifact=artifact, handles={"build": "b2"})
