"""Real processes, instant ones, and the gateway in front of them."""

import http.client
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import requests

from bot.sandbox.images import Image, pack
from bot.sandbox.runtime import Gateway, GatewayRequest, Instance, InstantRuntime, ProcessRuntime, argv_of

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == "/chunks":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            self.wfile.write(b"3\\r\\nabc\\r\\n2\\r\\nde\\r\\n0\\r\\n\\r\\n")
            return
        if self.path == "/short":
            self.send_response(200); self.send_header("Content-Length", "9"); self.end_headers()
            self.wfile.write(b"abc"); self.close_connection = True
            return
        if self.path == "/torn":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            self.wfile.write(b"zz\\r\\n"); self.close_connection = True
            return
        if self.path == "/die":
            os._exit(9)
        if self.path == "/empty":
            self.send_response(204); self.end_headers()
            return
        body = "\\n".join(f"{k.lower()}: {v}" for k, v in self.headers.items()).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        if self.headers.get("Transfer-Encoding"):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class Lines:
    """Takes a log, and lets a test wait for a line."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self._new = threading.Condition()

    def __call__(self, stream: Literal["stdout", "stderr"], line: str) -> None:
        with self._new:
            self.all.append((stream, line))
            self._new.notify_all()

    def wait(self, text: str) -> None:
        with self._new:
            assert self._new.wait_for(lambda: any(text in line for _, line in self.all), 10), self.all

    def of(self, stream: str) -> list[str]:
        return [line for name, line in self.all if name == stream]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    root = tmp_path / "tree"
    (root / "app").mkdir(parents=True)
    (root / "app" / "server.py").write_text(SERVER)
    return pack(
        root, workdir="/app", env={"A": "image", "B": "image"}, command=("python", "-u", "server.py"), port=8080
    )


@pytest.fixture
def runtime() -> Iterator[ProcessRuntime]:
    made = ProcessRuntime(grace=5, environment={"SHARED": "yes"})
    yield made
    made.close()


@pytest.fixture
def serve(runtime: ProcessRuntime, image: Image) -> Callable[[], Instance]:
    def start() -> Instance:
        log = Lines()
        instance = runtime.serve(image, env={}, port=8080, files={}, log=log)
        log.wait("listening")
        return instance

    return start


def run(runtime: ProcessRuntime, image: Image, *command: str, **more: Any) -> tuple[int | None, Lines]:
    log = Lines()
    options: dict[str, Any] = {"env": {}, "files": {}, **more}
    instance = runtime.run(image, command=command, log=log, **options)
    return instance.wait(20), log


@pytest.mark.parametrize(
    ("command", "args", "found"),
    [
        ((), (), ["e", "c"]),
        ((), ("a",), ["e", "a"]),
        (("x",), (), ["x"]),
        (("x",), ("a",), ["x", "a"]),
    ],
)
def test_command_and_args_replace_entrypoint_and_cmd(
    image: Image, command: tuple[str, ...], args: tuple[str, ...], found: list[str]
) -> None:
    image = Image(**{**image.__dict__, "entrypoint": ("e",), "command": ("c",)})
    assert argv_of(image, command, args) == found


def test_a_task_sources_a_mounted_secret_and_sees_only_its_own_environment(
    runtime: ProcessRuntime, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_TEST", "leak")
    code, log = run(
        runtime,
        image,
        "/bin/bash",
        "-c",
        'set -a && source /secrets/.env && set +a && echo "$X $A $B $SHARED" && cat "$FILE" && env && pwd',
        env={"B": "service", "FILE": "/secrets/other"},
        files={"/secrets/.env": b'X="from the secret"\n', "/secrets/other": b"other\n"},
    )
    lines = log.of("stdout")
    assert (code, lines[:2]) == (0, ["from the secret image service yes", "other"])
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert "OF_THE_TEST" not in names
    assert {"PATH", "HOME", "SANDBOX_ROOT", "A", "B"} <= names
    assert "PORT" not in names
    root = next(line for line in lines if line.startswith("SANDBOX_ROOT=")).partition("=")[2]
    assert lines[-1] == f"{root}/app"
    assert not Path(root).exists()
    assert not (image.root / "secrets").exists()


def test_this_interpreter_comes_first_and_the_images_path_after_it(runtime: ProcessRuntime, image: Image) -> None:
    script = "import os, sys; print(sys.executable); print(os.environ['PATH'])"
    _, log = run(runtime, image, "python", "-c", script, env={"PATH": "/app/bin:/usr/bin"})
    executable, path = log.of("stdout")
    assert Path(executable).parent == Path(sys.executable).parent
    assert path.startswith(f"{Path(sys.executable).parent}:")
    assert path.endswith("/app/bin:/usr/bin")
    assert ":/app/bin" not in path


def test_each_instance_has_its_own_copy_of_the_tree(runtime: ProcessRuntime, image: Image) -> None:
    assert run(runtime, image, "sh", "-c", "echo changed > server.py && echo err >&2; exit 4")[0] == 4
    assert (image.root / "app/server.py").read_text() == SERVER


def test_what_can_not_be_started_ends_with_127(runtime: ProcessRuntime, image: Image) -> None:
    code, log = run(runtime, image, "/no/such/program")
    assert code == 127
    assert "failed to start the container: /no/such/program" in log.of("stderr")[0]
    instance = runtime.run(
        Image(**{**image.__dict__, "command": ()}), command=(), args=(), env={}, files={}, log=(log := Lines())
    )
    assert (instance.alive(), instance.port, instance.exit_code) == (False, 0, 127)
    instance.stop()
    assert "no command" in log.of("stderr")[0]


def test_stop_takes_the_children_along(runtime: ProcessRuntime, image: Image) -> None:
    log = Lines()
    script = "trap 'echo bye; exit 3' TERM; sleep 60 & echo child $!; wait"
    instance = runtime.run(image, command=("bash", "-c", script), env={}, files={}, log=log)
    log.wait("child")
    child = int(log.of("stdout")[0].split()[1])
    assert instance.wait(0.01) is None
    assert instance.alive()
    instance.stop()
    assert (instance.exit_code, log.of("stdout")[-1]) == (3, "bye")
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_who_ignores_the_signal_is_killed(image: Image) -> None:
    runtime = ProcessRuntime(grace=0.05)
    log = Lines()
    runtime.run(image, command=("bash", "-c", "trap '' TERM; echo up; sleep 60"), env={}, files={}, log=log)
    log.wait("up")
    (instance,) = runtime._instances
    runtime.close()
    assert instance.exit_code == 128 + 9
    assert runtime._instances == []


def test_a_server_listens_on_the_port_it_is_given(serve: Callable[[], Instance]) -> None:
    first, second = serve(), serve()
    assert first.port != second.port
    assert requests.get(f"http://127.0.0.1:{first.port}/", timeout=5).status_code == 200
    first.stop()
    assert not first.alive()
    assert second.alive()


@pytest.fixture
def gateway() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def start(*args: Any, **options: Any) -> Gateway:
        made.append(Gateway(*args, **options))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.stop()


def test_requests_and_answers_pass_whole(serve: Callable[[], Instance], gateway: Callable[..., Gateway]) -> None:
    instance = serve()
    seen: list[GatewayRequest] = []
    arrived = threading.Semaphore(0)

    def observe(request: GatewayRequest) -> None:
        seen.append(request)
        arrived.release()

    front = gateway(lambda: instance, observe=observe)
    with requests.Session() as session:
        headers = dict(
            line.split(": ", 1)
            for line in session.get(f"{front.url}/x", headers={"X-Mine": "1"}, timeout=5).text.splitlines()
        )
        assert (headers["x-mine"], headers["x-forwarded-proto"]) == ("1", "https")
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["host"] == front.url.removeprefix("http://")
        assert session.post(front.url, data=b"a" * 100_000, timeout=5).content == b"a" * 100_000
        assert session.post(front.url, data=iter([b"ab", b"c"]), timeout=5).content == b"abc"
        chunks = session.get(f"{front.url}/chunks", headers={"X-Forwarded-For": "1.2.3.4"}, timeout=5)
        assert chunks.content == b"abcde"
        assert session.get(f"{front.url}/empty", timeout=5).status_code == 204
    for _ in range(5):
        assert arrived.acquire(timeout=5)
    assert front.counts[instance] == 5
    assert [(each.method, each.path, each.status) for each in seen[:2]] == [("GET", "/x", 200), ("POST", "/", 201)]
    assert (seen[1].response_size, seen[1].instance) == (100_000, instance)
    assert seen[0].headers["x-mine"] == "1"


@pytest.mark.parametrize("path", ["/short", "/torn"])
def test_a_torn_answer_stays_torn(serve: Callable[[], Instance], gateway: Callable[..., Gateway], path: str) -> None:
    instance = serve()
    front = gateway(lambda: instance)
    with pytest.raises(requests.exceptions.RequestException):
        _ = requests.get(front.url + path, timeout=5).content


def test_there_is_503_without_a_backend_or_with_a_dead_one(
    serve: Callable[[], Instance], gateway: Callable[..., Gateway]
) -> None:
    instance = serve()
    picks: list[Instance | None] = [None, instance, instance]
    front = gateway(lambda: picks.pop(0))
    assert requests.get(front.url, timeout=5).status_code == 503
    assert requests.get(f"{front.url}/die", timeout=5).status_code == 503
    assert instance.wait(5) == 9
    assert requests.post(front.url, data=b"abc", timeout=5).status_code == 503
    assert front.counts[instance] == 1


def test_a_refused_caller_reaches_no_backend(gateway: Callable[..., Gateway]) -> None:
    def authorize(headers: Mapping[str, str]) -> int | None:
        return {"": 403, "bad": 401}.get(headers.get("authorization", ""))

    runtime = InstantRuntime()
    image = Image(digest="", root=Path())
    instance = runtime.serve(image, env={}, port=1, files={}, log=Lines())
    front = gateway(lambda: instance, authorize)
    with requests.Session() as session:
        refused = session.post(front.url, data=b"kept out", timeout=5)
        assert (refused.status_code, "Forbidden" in refused.text) == (403, True)
        wrong = session.head(front.url, headers={"Authorization": "bad"}, timeout=5)
        assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert session.get(front.url, headers={"Authorization": "good"}, timeout=5).json() == {"status": "healthy"}
        assert session.head(front.url, headers={"Authorization": "good"}, timeout=5).content == b""
    assert front.counts[instance] == 2
    instance.stop()


def test_a_split_is_the_pickers_business(gateway: Callable[..., Gateway]) -> None:
    runtime = InstantRuntime(lambda image, env, method, path: (200, f'"{env["N"]} {method} {path}"'.encode()))
    image = Image(digest="", root=Path())
    both = [runtime.serve(image, env={"N": str(n)}, port=1, files={}, log=Lines()) for n in (1, 2)]
    order = iter([both[0], both[1], both[1]])
    front = gateway(lambda: next(order))
    assert [requests.put(f"{front.url}/a", timeout=5).json() for _ in range(3)] == ["1 PUT /a", "2 PUT /a", "2 PUT /a"]
    assert [front.counts[each] for each in both] == [1, 2]
    for each in both:
        each.stop()
        each.stop()


def test_the_instant_runtime_ends_tasks_at_once() -> None:
    runtime = InstantRuntime(exit_code=3)
    image = Image(digest="", root=Path())
    task = runtime.run(image, env={}, files={}, log=Lines())
    assert (task.wait(0), task.alive(), task.port) == (3, False, 0)
    task.stop()
    server = runtime.serve(image, env={}, port=1, files={}, log=Lines())
    assert server.alive()
    server.stop()
    assert (server.alive(), server.exit_code) == (False, 0)
    runtime.close()


def test_a_client_that_leaves_harms_nobody(gateway: Callable[..., Gateway]) -> None:
    runtime = InstantRuntime()
    instance = runtime.serve(Image(digest="", root=Path()), env={}, port=1, files={}, log=Lines())
    front = gateway(lambda: instance)
    port = int(front.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b'{"status":"healthy"}'
    connection.close()
    instance.stop()
    front.stop()
    front.stop()
