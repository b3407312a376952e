"""What runs an image: real processes, or nothing at all for benches.

A process here has no root file system of its own. Each instance gets a copy of the image's tree, ``SANDBOX_ROOT`` in
its environment names that copy, and absolute container paths in the command, arguments and environment values are
rewritten to their place in it when they are, or lie below, the working directory or a mounted file
(:func:`bot.sandbox.oci.place`). So ``/bin/bash -c "set -a && source /secrets/.env && …"`` works; a path that the
program itself computes (``open("/secrets/.env")`` in code) does not, unless it asks for ``SANDBOX_ROOT``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Protocol

from bot.sandbox.gateway import PRETENDED, Gateway, GatewayRequest
from bot.sandbox.oci import Image, interpreter_path, place

__all__ = [
    "Gateway", "GatewayRequest", "Instance", "InstantRuntime", "Log", "ProcessRuntime", "Reply", "Responder", "Runtime",
    "argv_of", "failing", "slower",
]  # fmt: skip


class Log(Protocol):
    """Takes each line a process writes, without its line end."""

    def __call__(self, stream: Literal["stdout", "stderr"], line: str) -> None: ...


class Instance(Protocol):
    """One running container. ``port`` is the loopback port it should listen on, 0 for a job task."""

    @property
    def port(self) -> int: ...
    @property
    def exit_code(self) -> int | None: ...
    def alive(self) -> bool: ...
    def stop(self) -> None: ...
    def wait(self, timeout: float) -> int | None: ...


class Runtime(Protocol):
    """Starts containers. ``files`` are mounted secrets by absolute container path."""

    def serve(
        self, image: Image, *, command: Sequence[str], args: Sequence[str], env: Mapping[str, str], port: int,
        files: Mapping[str, bytes], log: Log,
    ) -> Instance: ...  # fmt: skip

    def run(
        self, image: Image, *, command: Sequence[str], args: Sequence[str], env: Mapping[str, str],
        files: Mapping[str, bytes], log: Log,
    ) -> Instance: ...  # fmt: skip


def argv_of(image: Image, command: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return what a container executes.

    ``command`` replaces ENTRYPOINT and ``args`` replaces CMD (run.v2, Container.command and .args). A command
    without args drops the image's CMD, as Kubernetes documents ("Define a Command and Arguments for a Container").
    """
    if command:
        return [*command, *args]
    return [*image.entrypoint, *(args or image.command)]


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Process:
    """A process group with its own copy of the tree; the copy goes when the group has ended."""

    def __init__(self, process: subprocess.Popen[str], tree: Path, port: int, grace: float, log: Log) -> None:
        self.port, self._process, self._tree, self._grace = port, process, tree, grace
        self.finished = False
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, "stdout", log), daemon=True),
            threading.Thread(target=self._read, args=(process.stderr, "stderr", log), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe: IO[str], stream: Literal["stdout", "stderr"], log: Log) -> None:
        with pipe:
            for line in pipe:
                log(stream, line.rstrip("\n"))

    @property
    def exit_code(self) -> int | None:
        """128 + the signal's number when a signal ended it, as a shell and Cloud Run count."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float) -> int | None:
        """Return the exit code, ``None`` if still running after ``timeout`` seconds. All its lines are logged then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
            self._finish()
        return self.exit_code

    def stop(self) -> None:
        """SIGTERM to the whole group, SIGKILL after the grace period (container runtime contract, shutdown)."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        self._finish()

    def _finish(self) -> None:
        """A container ends with its first process: kill what it left behind, so that the pipes close."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join(5)
        shutil.rmtree(self._tree, ignore_errors=True)
        self.finished = True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@dataclass(kw_only=True)
class _NotStarted:
    """A container whose command could not be executed."""

    port: int
    exit_code: int | None = 127

    def alive(self) -> bool:
        return False

    def stop(self) -> None:
        """Nothing runs."""

    def wait(self, timeout: float) -> int | None:  # noqa: ARG002 - it has ended
        return self.exit_code


class ProcessRuntime:
    """Runs each container as a process group of this machine.

    Args:
        grace: seconds between SIGTERM and SIGKILL (Cloud Run gives 10).
        environment: variables that every container gets, such as a database on this machine.
    """

    def __init__(self, *, grace: float = 2.0, environment: Mapping[str, str] | None = None) -> None:
        self.grace, self.environment = grace, dict(environment or {})
        self._instances: list[_Process] = []
        self._lock = threading.Lock()
        atexit.register(self.close)

    def serve(
        self, image: Image, *, command: Sequence[str] = (), args: Sequence[str] = (), env: Mapping[str, str],
        port: int, files: Mapping[str, bytes], log: Log,
    ) -> Instance:  # fmt: skip
        """Start a server. It gets ``PORT=<a free loopback port>`` whatever container port was declared."""
        del port  # one machine's ports are shared: the declared one can't be used twice
        return self._start(image, argv_of(image, command, args), env, free_port(), files, log)

    def run(
        self, image: Image, *, command: Sequence[str] = (), args: Sequence[str] = (), env: Mapping[str, str],
        files: Mapping[str, bytes], log: Log,
    ) -> Instance:  # fmt: skip
        """Start a job's task."""
        return self._start(image, argv_of(image, command, args), env, 0, files, log)

    def close(self) -> None:
        """Stop everything that still runs."""
        with self._lock:
            instances, self._instances = self._instances, []
        for instance in instances:
            instance.stop()
        atexit.unregister(self.close)

    def _start(
        self, image: Image, command: list[str], env: Mapping[str, str], port: int, files: Mapping[str, bytes], log: Log
    ) -> Instance:
        tree = Path(tempfile.mkdtemp(prefix="container-"))
        shutil.copytree(image.root, tree, symlinks=True, dirs_exist_ok=True)
        for path, data in files.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        prefixes = [image.workdir, *files]
        workdir = tree / image.workdir.lstrip("/")
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            process = subprocess.Popen(
                [place(part, tree, prefixes) for part in command],
                cwd=workdir, env=self._environ(image, env, port, tree, prefixes), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
        except (OSError, IndexError) as error:
            shutil.rmtree(tree, ignore_errors=True)
            log("stderr", f"failed to start the container: {' '.join(command) or 'no command'}: {error}")
            return _NotStarted(port=port)
        instance = _Process(process, tree, port, self.grace, log)
        with self._lock:
            self._instances = [*(each for each in self._instances if not each.finished), instance]
        return instance

    def _environ(
        self, image: Image, env: Mapping[str, str], port: int, tree: Path, prefixes: Sequence[str]
    ) -> dict[str, str]:
        """The container's environment; nothing of this process's own environment goes in."""
        values = {**image.env, **self.environment, **env}
        own = values.get("PATH")
        out = {key: place(value, tree, prefixes) for key, value in values.items()}
        out |= {
            "PATH": interpreter_path() + (f":{place(own, tree, prefixes)}" if own else ""),
            "HOME": values.get("HOME", str(tree)),
            "LANG": values.get("LANG", "C.UTF-8"),
            "SANDBOX_ROOT": str(tree),
        }
        if port:
            out["PORT"] = str(port)
        return out


class Reply(NamedTuple):
    """What an instant server answers. ``seconds`` are pretended: the gateway counts them, nobody waits for them."""

    status: int
    body: bytes
    seconds: float = 0.0


Responder = Callable[[Image, Mapping[str, str], str, str], tuple[int, bytes] | Reply]


def failing(responder: Responder, share: float, *, path: str = "/", status: int = 500, seed: int = 0) -> Responder:
    """Let a share (0 to 1) of the requests of one path fail, by a seeded die: the same ones in each run."""
    dice, lock = random.Random(seed), threading.Lock()

    def respond(image: Image, env: Mapping[str, str], method: str, asked: str) -> Reply:
        reply = Reply(*responder(image, env, method, asked))
        with lock:
            failed = asked.partition("?")[0] == path and dice.random() < share
        return reply._replace(status=status, body=b'{"detail":"Internal Server Error"}') if failed else reply

    return respond


def slower(responder: Responder, seconds: float, *, path: str = "/") -> Responder:
    """Let each request of one path take so many seconds more, pretended."""

    def respond(image: Image, env: Mapping[str, str], method: str, asked: str) -> Reply:
        reply = Reply(*responder(image, env, method, asked))
        late = seconds if asked.partition("?")[0] == path else 0.0
        return reply._replace(seconds=reply.seconds + late)

    return respond


def healthy(image: Image, env: Mapping[str, str], method: str, path: str) -> tuple[int, bytes]:  # noqa: ARG001
    """Answer every request with 200 and ``{"status":"healthy"}``."""
    return 200, b'{"status":"healthy"}'


@dataclass(eq=False)
class _Instant:
    port: int = 0
    exit_code: int | None = None
    _server: ThreadingHTTPServer | None = field(default=None, repr=False)

    def alive(self) -> bool:
        return self.exit_code is None

    def wait(self, timeout: float) -> int | None:  # noqa: ARG002 - a task has ended, a server never does
        return self.exit_code

    def stop(self) -> None:
        if self._server is not None and self.exit_code is None:
            self.exit_code = 0
            self._server.shutdown()
            self._server.server_close()


class InstantRuntime:
    """Starts no process: a server is a thread that asks ``responder``, a job's task ends at once.

    Args:
        responder: ``(image, env, method, path) -> (status, JSON body)``, or a :class:`Reply` that also says how long
            the answer is to have taken.
        exit_code: what every task ends with.
    """

    def __init__(self, responder: Responder = healthy, *, exit_code: int = 0) -> None:
        self.responder, self.task_exit_code = responder, exit_code

    def serve(
        self, image: Image, *, command: Sequence[str] = (), args: Sequence[str] = (), env: Mapping[str, str],
        port: int, files: Mapping[str, bytes], log: Log,
    ) -> Instance:  # fmt: skip
        """Answer on a free loopback port. Answers name the revision of the container's environment, if it has one."""
        del command, args, port, files, log
        responder = self.responder

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent: there is no container to log for."""

            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = Reply(*responder(image, env, self.command, self.path))
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply.body)))
                if revision := env.get("K_REVISION"):
                    self.send_header("X-Revision", revision)
                if reply.seconds:
                    self.send_header(PRETENDED, str(reply.seconds))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return _Instant(port=server.server_address[1], _server=server)

    def run(
        self, image: Image, *, command: Sequence[str] = (), args: Sequence[str] = (), env: Mapping[str, str],
        files: Mapping[str, bytes], log: Log,
    ) -> Instance:  # fmt: skip
        """Return a task that has ended."""
        del image, command, args, env, files, log
        return _Instant(exit_code=self.task_exit_code)

    def close(self) -> None:
        """Nothing outlives its instance."""
