"""A recorded wire to Google: answers by route, every request's body judged by the discovery documents."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import googleapiclient
import pytest
import requests
import responses
import stamina

from bot.core.config import BuildConfig, JobConfig, ServiceConfig
from bot.core.serving import Artifact, Serving
from bot.core.spec import CloudRunSpec, JobSpec, ServiceSpec
from bot.core.target import Known, ReleaseId
from bot.targets.cloud_run import CloudRun, connect

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
APIS = {
    "run": "run.v2",
    "cloudbuild": "cloudbuild.v1",
    "storage": "storage.v1",
    "artifactregistry": "artifactregistry.v1",
    "containeranalysis": "containeranalysis.v1",
    "logging": "logging.v2",
    "sts": "sts.v1",
    "iamcredentials": "iamcredentials.v1",
    "monitoring": "monitoring.v3",
    "secretmanager": "secretmanager.v1",
}
BASE = "http://127.0.0.1:1"
SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "a" * 64
IMAGE = "us-central1-docker.pkg.dev/acme/shop/shop"


class Discovery:
    """One API's description, as a judge of request bodies."""

    def __init__(self, name: str) -> None:
        self._document = json.loads((DOCUMENTS / f"{name}.json").read_text())
        self._methods = list(self._walk(self._document))

    def _walk(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from node.get("methods", {}).values()
        for child in node.get("resources", {}).values():
            yield from self._walk(child)

    def judge(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> None:
        """Fail unless some documented method takes this request."""
        problems = []
        for candidate in self._methods:
            template = self._document["servicePath"] + candidate.get("flatPath", candidate["path"])
            pattern = re.sub(r"\{\+?\w+\}", "[^/]+", template)
            if candidate["httpMethod"] != method or not re.fullmatch(pattern, path.lstrip("/")):
                continue
            found = list(self._problems(candidate, query, body))
            if not found:
                return
            problems += found
        pytest.fail(f"{method} {path} is not as documented: {problems}")

    def _problems(self, method: dict[str, Any], query: dict[str, list[str]], body: Any) -> Iterator[str]:
        known = {*method.get("parameters", {}), *self._document["parameters"]}
        yield from (f"query {name}" for name in query if name not in known and not name.startswith("$"))
        if "request" in method:
            yield from self._check({"$ref": method["request"]["$ref"]}, body or {}, "body")

    def _check(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
        schema = self._document["schemas"][schema["$ref"]] if "$ref" in schema else schema
        kind = schema.get("type", "any")
        kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
        if value is None or ("enum" in schema and isinstance(value, int) and value > 0):
            return  # null is as good as absent, and proto3's JSON mapping takes an enum's number as well as its name; Google's clients send that
        if not isinstance(value, kinds.get(kind, object)):
            yield f"{at}: {value!r} is no {kind}"
        elif kind == "array":
            for index, item in enumerate(value):
                yield from self._check(schema["items"], item, f"{at}[{index}]")
        elif kind == "object":
            for key, item in value.items():
                inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
                if inner is None:
                    yield f"{at}.{key} is unknown"
                else:
                    yield from self._check(inner, item, f"{at}.{key}")
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{at}: {value!r} is none of {schema['enum']}"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as it went over the wire."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


Reply = dict[str, Any] | tuple[int, Any] | tuple[int, Any, dict[str, str]] | Exception | Callable[[Call], Any]


@dataclass(kw_only=True)
class Wire:
    """Answers by method and path; each route's answers come in turn, the last one again and again."""

    mock: responses.RequestsMock
    judges: dict[str, Discovery]
    calls: list[Call] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    now: float = 1_000_000.0

    def on(self, method: str, api: str, path: str, *replies: Reply, judged: bool = True) -> None:
        """Answer a route; ``path`` is a regular expression for the whole path."""
        left = list(replies)

        def answer(request: requests.PreparedRequest) -> Any:
            parts = urlsplit(str(request.url))
            raw = request.body.encode() if isinstance(request.body, str) else request.body or b""
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            call = Call(
                method=method,
                path=parts.path.removeprefix(f"/{api}"),
                query=parse_qs(parts.query),
                body=body,
                headers=dict(request.headers),
            )
            self.calls.append(call)
            if judged:
                self.judges[api].judge(method, call.path, call.query, body)
            reply = left.pop(0) if len(left) > 1 else left[0]
            reply = reply(call) if callable(reply) else reply
            if isinstance(reply, Exception):
                raise reply
            status, content, headers = (*reply, {})[:3] if isinstance(reply, tuple) else (200, reply, {})
            return status, headers, content if isinstance(content, str) else json.dumps(content)

        self.mock.add_callback(method, re.compile(re.escape(f"{BASE}/{api}") + path + r"(\?.*)?$"), callback=answer)

    def made(self, method: str, path: str) -> list[Call]:
        """Return the calls of a route, by the end of its path."""
        return [call for call in self.calls if call.method == method and unquote(call.path).endswith(path)]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def error(status: int, code: str, message: str = "no") -> tuple[int, Any]:
    return status, {"error": {"code": status, "message": message, "status": code}}


@pytest.fixture(scope="session")
def judges() -> dict[str, Discovery]:
    return {api: Discovery(name) for api, name in APIS.items()}


@pytest.fixture
def wire(judges: dict[str, Discovery]) -> Iterator[Wire]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock, stamina.set_testing(True, attempts=4):
        yield Wire(mock=mock, judges=judges)


@pytest.fixture
def environ() -> dict[str, str]:
    return {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{BASE}/{api}/" for api in APIS}


@pytest.fixture
def api_error() -> Callable[..., tuple[int, Any]]:
    return error


@pytest.fixture
def make_spec() -> Callable[..., CloudRunSpec]:
    def make(**over: Any) -> CloudRunSpec:
        services = over.pop("services", {"web": ServiceConfig()})
        jobs = over.pop("jobs", {"migrate": JobConfig(run=("migrate --noinput",))})
        return CloudRunSpec(
            **{
                "app": "shop",
                "environment": "staging",
                "repository": "octo/shop",
                "project": "acme",
                "region": "us-central1",
                "image": IMAGE,
                "source_bucket": "acme_cloudbuild",
                "build": BuildConfig(),
                "services": tuple(
                    ServiceSpec(key=k, name=f"shop-{k}", region="us-central1", config=c) for k, c in services.items()
                ),
                "jobs": tuple(JobSpec(key=k, name=f"shop-{k}", config=c) for k, c in jobs.items()),
                **over,
            }
        )

    return make


@pytest.fixture
def release() -> ReleaseId:
    return ReleaseId(deployment_id=1295, environment="staging", sha=SHA, actor="ada", tag="pr-7")


@pytest.fixture
def known(release: ReleaseId) -> Known:
    artifact = Artifact(digest=DIGEST, reference=f"{IMAGE}@{DIGEST}", sha=SHA)
    return Known(release=release, before=Serving(), artifact=artifact)


@pytest.fixture
def make_target(wire: Wire, environ: dict[str, str]) -> Callable[..., CloudRun]:
    def make(spec: CloudRunSpec, source: Any = None, oidc: Any = None, others: Any = None, **over: str) -> CloudRun:
        def no_source(sha: str) -> Any:
            raise AssertionError(f"nobody should read the source of {sha}")

        return connect(
            spec,
            source=source or no_source,
            others=others,
            environ={**environ, **over},
            oidc=oidc,
            clock=wire.clock,
            sleep=wire.sleep,
        )

    return make
