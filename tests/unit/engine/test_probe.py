"""The prober against a real server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bot.engine.probe import HttpProber
from bot.engine.verification import MAX_BODY


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str]]]
    release: threading.Event

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, dict(self.headers.items())))
        match self.path:
            case "/slow":
                self.release.wait(20.0)
                self.close_connection = True
            case "/broken":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                self.close_connection = True
            case "/nonsense":
                self.wfile.write(b"not http at all\r\n\r\n")
                self.close_connection = True
            case "/moved":
                self.reply(302, b"", Location="/elsewhere")
            case "/huge":
                self.reply(200, b"x" * (3 * MAX_BODY))
            case "/missing":
                self.reply(404, b"not here")
            case _:
                self.reply(200, b"hello", **{"X-Served-By": "web"})

    do_POST = do_HEAD = do_GET  # noqa: N815 - the names that the standard library calls

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:  # the other side has seen enough
                self.close_connection = True


@pytest.fixture
def server() -> Iterator[tuple[str, Any]]:
    class Fresh(Handler):
        seen: list[tuple[str, str, dict[str, str]]] = []  # noqa: RUF012 - a class of its own for each test
        release = threading.Event()

    handler = Fresh
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", handler
    handler.release.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def probe() -> Iterator[Callable[..., Any]]:
    made = HttpProber()
    yield made
    made._pool.clear()


def test_an_answer_is_given_whole(server: Any, probe: Any) -> None:
    url, handler = server
    answer = probe("GET", f"{url}/", {"Authorization": "Bearer t"}, 5.0)
    assert (answer.status, answer.body, answer.error) == (200, b"hello", "")
    assert answer.headers["X-Served-By"] == "web"
    assert 0 < answer.seconds < 5.0
    ((method, path, headers),) = handler.seen
    assert (method, path) == ("GET", "/")
    assert headers["Authorization"] == "Bearer t"
    assert headers["User-Agent"] == "slipway"


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_other_methods(server: Any, probe: Any, method: str) -> None:
    url, handler = server
    assert probe(method, f"{url}/", {}, 5.0).status == 200
    assert handler.seen[0][0] == method


def test_a_redirect_is_an_answer(server: Any, probe: Any) -> None:
    url, handler = server
    answer = probe("GET", f"{url}/moved", {}, 5.0)
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    assert len(handler.seen) == 1


def test_an_error_status_is_an_answer(server: Any, probe: Any) -> None:
    assert probe("GET", f"{server[0]}/missing", {}, 5.0).status == 404


def test_a_huge_body_is_cut_and_the_next_request_still_works(server: Any, probe: Any) -> None:
    url, _ = server
    assert len(probe("GET", f"{url}/huge", {}, 5.0).body) == MAX_BODY
    assert probe("GET", f"{url}/", {}, 5.0).body == b"hello"


def test_connections_are_used_again(server: Any, probe: Any) -> None:
    url, handler = server
    assert [probe("GET", f"{url}/", {}, 5.0).status for _ in range(3)] == [200] * 3
    assert probe._pool.connection_from_url(url).num_connections == 1
    assert len(handler.seen) == 3


@pytest.mark.parametrize(
    ("path", "error"),
    [("/slow", "timed out"), ("/broken", "the connection broke"), ("/nonsense", "the connection broke")],
)
def test_what_is_no_answer_says_why(server: Any, probe: Any, path: str, error: str) -> None:
    answer = probe("GET", f"{server[0]}{path}", {}, 0.2 if path == "/slow" else 5.0)
    assert (answer.status, answer.error) == (0, error)


def test_a_refused_connection_says_so(probe: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, but nobody listens
        answer = probe("GET", f"http://127.0.0.1:{port}/", {}, 2.0)
    assert (answer.status, answer.error) == (0, "connection refused or host unknown")


def test_connecting_takes_no_longer_than_is_said() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # the queue is full: the next one is not let in
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        answer = HttpProber(connect=0.2)("GET", f"http://127.0.0.1:{full.getsockname()[1]}/", {}, 30.0)
        for one in waiting:
            one.close()
    assert (answer.status, answer.error) == (0, "timed out")
    assert answer.seconds < 5.0


def test_tls_to_a_server_without_it_says_so(server: Any, probe: Any) -> None:
    answer = probe("GET", server[0].replace("http:", "https:"), {}, 2.0)
    assert (answer.status, answer.error) == (0, "the TLS handshake failed")


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://exa mple/", "ftp://127.0.0.1/", "/health/", ""])
def test_what_is_no_url_says_so(probe: Any, url: str) -> None:
    answer = probe("GET", url, {}, 2.0)
    assert answer.status == 0
    assert answer.error
