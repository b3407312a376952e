"""A judged wire: every REST request of a test is held against GitHub's own description of its API."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema  # type: ignore[import-untyped]  # no stubs are among the dependencies
import pytest
import requests
import responses

from bot.github.api import Api, connect
from bot.github.retry import Waiting
from bot.github.transport import Transport

API = "https://api.github.com"
ON_WIRE = f"{API}:443"  # PyGithub always names the port
REPO = f"{ON_WIRE}/repos/acme/shop"
DESCRIPTION = Path(__file__).parents[3].parent / "shared" / "data" / "github-rest.openapi.json"
# These take the rest of the path; all others take one segment.
_OPEN_ENDED = ("/contents/{path}", "/git/ref/{ref}", "/git/refs/{ref}")


class Judge:
    """Refuses a request that GitHub's REST description does not know: path, query parameters or body."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._root = {"components": description["components"]}
        self._operations: list[tuple[re.Pattern[str], dict[str, Any]]] = []
        for template in sorted(description["paths"], key=lambda path: (path.count("{"), path)):
            last = ".+" if template.endswith(_OPEN_ENDED) else "[^/]+"
            *parts, end = re.split(r"\{[^}]+\}", template)
            pattern = "".join(re.escape(part) + "[^/]+" for part in parts[:-1]) + re.escape(parts[-1] if parts else "")
            pattern = pattern + (last if parts else "") + re.escape(end)
            self._operations.append((re.compile(pattern), description["paths"][template]))

    def judge(self, request: requests.PreparedRequest) -> None:
        parts = urlsplit(str(request.url))
        method = str(request.method).lower()
        found = [item[method] for pattern, item in self._operations if pattern.fullmatch(parts.path) and method in item]
        assert found, f"GitHub has no {request.method} {parts.path}"
        operation = found[0]
        parameters = [self._resolve(parameter) for parameter in operation.get("parameters", [])]
        known = {parameter["name"]: parameter["schema"] for parameter in parameters if parameter["in"] == "query"}
        for name, text in parse_qsl(parts.query, keep_blank_values=True):
            assert name in known, f"{request.method} {parts.path} has no parameter {name}"
            value = int(text) if known[name].get("type") == "integer" else text
            jsonschema.Draft202012Validator(known[name] | self._root).validate(value)
        if request.body is None:
            assert not operation.get("requestBody", {}).get("required"), f"{parts.path} wants a body"
            return
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = json.loads(request.body)
        jsonschema.Draft202012Validator(schema | self._root).validate(body)
        extra = set(body) - set(schema.get("properties", body))
        assert not extra, f"GitHub does not know the fields {extra} of {request.method} {parts.path}"

    def _resolve(self, parameter: dict[str, Any]) -> Any:
        reference = parameter.get("$ref")
        return self._root["components"]["parameters"][reference.rpartition("/")[2]] if reference else parameter


@pytest.fixture(scope="session")
def judge() -> Judge | None:
    return Judge(json.loads(DESCRIPTION.read_text())) if DESCRIPTION.exists() else None


class Wire(responses.RequestsMock):
    """`responses` with shorthands: what GitHub answers, and what it was asked."""

    def rest(self, verb: str, path: str, data: Any = None, *, status: int = 200, **more: Any) -> responses.BaseResponse:
        """Answer a path of the repository, whatever its query."""
        if isinstance(data, BaseException):
            return self.add(verb, REPO + path, body=data, **more)
        return self.add(verb, REPO + path, json=data, status=status, **more)

    def graphql(
        self, data: Any = None, *, errors: list[dict[str, Any]] | None = None, status: int = 200, **more: Any
    ) -> None:
        reply = {"data": data} | ({"errors": errors} if errors is not None else {})
        self.add("POST", f"{ON_WIRE}/graphql", json=reply, status=status, **more)

    def fail(self, verb: str, url: str, error: BaseException) -> None:
        """Take a request and lose the reply."""
        self.add(verb, url if url.startswith("http") else REPO + url, body=error)

    @property
    def asked(self) -> list[str]:
        """`VERB path?query` of every request, relative to the repository."""
        return [f"{call.request.method} {unquote(str(call.request.url)).removeprefix(REPO)}" for call in self.calls]

    def body(self, index: int) -> Any:
        return json.loads(self.calls[index].request.body or "")


@pytest.fixture
def wire(judge: Judge | None) -> Iterator[Wire]:
    mock = Wire(assert_all_requests_are_fired=False)
    with mock:
        yield mock
        for call in mock.calls:
            if judge and str(call.request.url).startswith(API) and not str(call.request.url).endswith("/graphql"):
                judge.judge(call.request)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def waiting(slept: list[float]) -> Waiting:
    """Time stands still but for the waits that the code asks for."""
    return Waiting(sleep=slept.append, now=lambda: 1_800_000_000 + sum(slept), monotonic=lambda: sum(slept))


@pytest.fixture
def transport(waiting: Waiting) -> Iterator[Transport]:
    made = Transport(token="s3cret", repository="acme/shop", api_url=API, graphql_url=f"{API}/graphql", waiting=waiting)
    yield made
    made.close()


@pytest.fixture
def api(waiting: Waiting) -> Iterator[Api]:
    with connect(token="s3cret", repository="acme/shop", waiting=waiting) as made:
        yield made


@pytest.fixture
def make_pull() -> Callable[..., dict[str, Any]]:
    def make(**over: Any) -> dict[str, Any]:
        base = {
            "number": 7,
            "title": "Add stock",
            "user": {"login": "dana"},
            "state": "open",
            "merged": False,
            "draft": False,
            "mergeable": True,
            "html_url": "https://github.com/acme/shop/pull/7",
            "merge_commit_sha": "c" * 40,
            "head": {"sha": "a" * 40, "ref": "stock", "repo": {"full_name": "acme/shop"}, "user": {"login": "dana"}},
            "base": {"sha": "b" * 40, "ref": "main", "repo": {"full_name": "acme/shop"}},
        }
        return base | over

    return make
