"""A GitHub for each test, the real client on it, and GitHub's own description as the judge of each answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import github as pygithub
import pytest
import requests
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no stubs are among the dependencies
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from bot.sandbox.github import GitHub, Repository
from bot.sandbox.wire import Call

DESCRIPTION = Path(__file__).parents[4] / "../shared/data/github-rest.openapi.json"
TOKEN = "t-bot"


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def _as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable`; JSON Schema says it in `type` and `enum`."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_json_schema(value) for key, value in node.items()}
    if node.pop("nullable", None) is True:
        if isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
        if "type" not in node and ({"$ref", "allOf", "oneOf", "anyOf"} & set(node)):
            node = {"anyOf": [node, {"type": "null"}]}
    return node


class Judge:
    def __init__(self) -> None:
        document = _as_json_schema(json.loads(DESCRIPTION.read_text(encoding="utf-8")))
        self.document = document
        self.registry = Registry().with_resource("urn:github", DRAFT202012.create_resource(document))
        self.operations = {
            (method.upper(), self._key(path)): path for path, ways in document["paths"].items() for method in ways
        }
        self.cache: dict[str, Draft202012Validator] = {}

    @staticmethod
    def _key(template: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", template)

    def _pointer(self, call: Call) -> str | None:
        path = self.operations.get((call.method, self._key(call.template)))
        if path is None:
            return None
        responses = self.document["paths"][path][call.method.lower()]["responses"]
        response = responses.get(str(call.status))
        assert response is not None or call.status >= 400, f"{call.method} {call.template}: undocumented {call.status}"
        if response is None:
            return None
        if "$ref" in response:
            pointer = response["$ref"]
            response = self.document["components"]["responses"][pointer.rsplit("/", 1)[1]]
        else:
            escaped = path.replace("~", "~0").replace("/", "~1")
            pointer = f"#/paths/{escaped}/{call.method.lower()}/responses/{call.status}"
        if "application/json" not in response.get("content", {}):
            return None
        return f"urn:github{pointer}/content/application~1json/schema".replace("{", "%7B").replace("}", "%7D")

    def problems(self, call: Call) -> list[str]:
        media = call.response_headers.get("Content-Type", "")
        if call.status == 0 or "application/json" not in media or call.fault:
            return []
        pointer = self._pointer(call)
        if pointer is None:
            return []
        if pointer not in self.cache:
            self.cache[pointer] = Draft202012Validator({"$ref": pointer}, registry=self.registry)
        return [
            f"{call.method} {call.path} {call.status}: {error.json_path}: {error.message[:300]}"
            for error in self.cache[pointer].iter_errors(json.loads(call.response_body))
            # One error answer often fits two of the error forms that the description offers.
            if not (call.status >= 400 and "is valid under each of" in error.message)
        ]


@pytest.fixture(scope="session")
def judge() -> Judge | None:
    return Judge() if DESCRIPTION.exists() else None


@pytest.fixture
def unjudged() -> None:
    """Ask for this where GitHub itself does not keep to its description."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock, judge: Judge | None, request: pytest.FixtureRequest) -> Iterator[GitHub]:
    server = GitHub(tmp_path / "repositories", clock=clock)
    server.start()
    server.add_token(TOKEN)
    yield server
    server.stop()
    if judge is not None and "unjudged" not in request.fixturenames:
        found = [problem for call in server.calls for problem in judge.problems(call)]
        assert not found, "\n".join(found[:20])


@pytest.fixture
def repo(server: GitHub) -> Repository:
    files = {"README.md": "# Shop\n", "src/app.py": "print('shop')\n"}
    repo = server.create_repository("acme/shop", files=files)
    repo.add_collaborator("dana", "write")
    return repo


@pytest.fixture
def client(server: GitHub) -> Iterator[pygithub.Github]:
    auth = pygithub.Auth.Token(TOKEN)
    client = pygithub.Github(
        base_url=server.url, auth=auth, retry=None, seconds_between_requests=None, seconds_between_writes=None
    )
    yield client
    client.close()


@pytest.fixture
def remote(client: pygithub.Github, repo: Repository) -> Any:
    return client.get_repo(repo.full_name)


@pytest.fixture
def call(server: GitHub) -> Iterator[Callable[..., requests.Response]]:
    """Send one raw request: `call("GET", "/user", token="t-bot")`."""
    session = requests.Session()

    def send(
        method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **options: Any
    ) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        return session.request(method, server.url + path, json=body, headers=headers, timeout=10, **options)

    yield send
    session.close()


@pytest.fixture
def graphql(call: Callable[..., requests.Response]) -> Callable[..., Any]:
    def post(query: str, /, *, token: str = TOKEN, **variables: Any) -> Any:
        answer = call("POST", "/graphql", {"query": query, "variables": variables}, token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return post
