"""A started Heroku, and a plain client for it."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from bot.sandbox.heroku import Heroku
from bot.sandbox.runtime import ProcessRuntime

SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get("GREETING", "hello").encode() + b" " + open("VERSION", "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
PROCFILE = "web: exec python server.py\nworker: echo working; exec python -c 'import time; time.sleep(600)'\n"


class Api:
    """The Platform API as a careful client speaks it."""

    def __init__(self, heroku: Heroku) -> None:
        self.heroku = heroku
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Accept"] = "application/vnd.heroku+json; version=3"
        self.session.headers["Authorization"] = f"Bearer {heroku.token}"

    def call(self, method: str, path: str, json: Any = None, **headers: str) -> requests.Response:
        return self.session.request(method, self.heroku.url + path, json=json, headers=headers, timeout=30)

    def get(self, path: str, **headers: str) -> Any:
        answer = self.call("GET", path, **headers)
        assert answer.ok, answer.text
        return answer.json()

    def read(self, url: str, **headers: str) -> str:
        """Read a stream to its end."""
        answer = requests.get(url, timeout=30, headers=headers)
        assert answer.ok
        return answer.text

    def upload(self, tarball: bytes) -> str:
        source = self.call("POST", "/sources").json()["source_blob"]
        put = requests.put(source["put_url"], data=tarball, timeout=30)
        assert put.status_code == 200, put.text
        return str(source["get_url"])

    def build(self, app: str, tarball: bytes, version: str | None = "0123456789abcdef", **more: Any) -> Any:
        """Build to the end, release phase included; return the build."""
        blob = {"url": self.upload(tarball), "version": version, **more}
        answer = self.call("POST", f"/apps/{app}/builds", {"source_blob": blob})
        assert answer.status_code == 201, answer.text
        assert answer.json()["status"] == "pending"
        self.read(answer.json()["output_stream_url"])
        build = self.get(f"/apps/{app}/builds/{answer.json()['id']}")
        if build["release"]:
            self.settle(app, build["release"]["id"])
        return build

    def settle(self, app: str, release: str) -> Any:
        """Wait for the end of a release phase; return the release."""
        found = self.get(f"/apps/{app}/releases/{release}")
        if found["output_stream_url"]:
            self.read(found["output_stream_url"])
        return self.get(f"/apps/{app}/releases/{release}")

    def current(self, app: str) -> int:
        return next(int(release["version"]) for release in self.get(f"/apps/{app}/releases") if release["current"])

    def logs(self, app: str, **options: Any) -> str:
        session = self.call("POST", f"/apps/{app}/log-sessions", options)
        assert session.status_code == 201
        return self.read(session.json()["logplex_url"])

    def await_line(self, app: str, words: str) -> str:
        """Follow the app's log to a line with some words."""
        session = self.call("POST", f"/apps/{app}/log-sessions", {"tail": True, "lines": 1000}).json()
        with requests.get(session["logplex_url"], stream=True, timeout=30) as answer:
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                if words in line:
                    return str(line)
        raise AssertionError(f"the log ended without {words!r}")


@pytest.fixture
def heroku(tmp_path: Path) -> Iterator[Heroku]:
    server = Heroku(tmp_path / "heroku", ProcessRuntime(environment={"BIND_HOST": "127.0.0.1"}))
    server.start()
    yield server
    server.stop()
    assert server.unknown == []


@pytest.fixture
def connect() -> Iterator[Callable[[Heroku], Api]]:
    clients: list[Api] = []

    def new(heroku: Heroku) -> Api:
        clients.append(Api(heroku))
        return clients[-1]

    yield new
    for client in clients:
        client.session.close()


@pytest.fixture
def api(heroku: Heroku, connect: Callable[[Heroku], Api]) -> Api:
    return connect(heroku)


@pytest.fixture
def tarball() -> Callable[..., bytes]:
    """Pack files; by default a small server under one top folder."""

    def pack(
        files: Mapping[str, str] | None = None,
        *,
        top: str = "shop-0123456/",
        version: str = "1",
        procfile: str = PROCFILE,
    ) -> bytes:
        whole = {"requirements.txt": "", "server.py": SERVER, "VERSION": version, "Procfile": procfile, **(files or {})}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for path, text in whole.items():
                member = tarfile.TarInfo(top + path)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return out.getvalue()

    return pack
