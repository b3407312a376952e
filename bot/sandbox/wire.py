"""The HTTP floor of every sandbox server: routes, faults, latency, and a log of each call.

A server is a :class:`Service`: a table of routes and the error dialect of the provider it stands for. An unknown
route is an error answer *and* is kept in ``Service.unknown``, so that a test can fail on it.
"""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

LOGGED_BODY = 1 << 20  # bytes of a body the call log keeps


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived. ``path`` is percent-decoded, ``raw_path`` is not."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # keys in lower case
    body: bytes
    params: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""

    def json(self) -> Any:
        """Return the body as JSON, ``{}`` if empty. Raises ValueError."""
        return json.loads(self.body) if self.body else {}

    def arg(self, name: str, default: str | None = None) -> str | None:
        """Return the last value of a query argument."""
        values = self.query.get(name)
        return values[-1] if values else default


@dataclass(kw_only=True)
class Response:
    """What a handler answers. ``body`` may be an iterable of chunks (sent chunked)."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


def answer(data: Any = None, status: int = 200, **headers: str) -> Response:
    """Return a JSON response; ``None`` gives an empty body. Header names take ``_`` for ``-``."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    if data is None:
        return Response(status=status, headers=named)
    return Response(
        status=status,
        body=json.dumps(data, separators=(",", ":")).encode(),
        headers={"Content-Type": "application/json; charset=utf-8", **named},
    )


class WireError(Exception):
    """An error a handler raises; the service renders it in its own dialect."""

    def __init__(self, status: int, message: str, code: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.extra = status, message, code, extra


Handler = Callable[[Request], Response]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation: method, a path template as the provider documents it, and its handler.

    ``{name}`` matches one segment (no ``/``), ``{name+}`` one or more. The first declared route that matches wins.
    """

    method: str
    template: str
    handler: Handler
    pattern: re.Pattern[str]


FaultKind = Literal["refuse", "status", "stall", "lose_reply", "malformed"]


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with the next matching calls.

    ``refuse`` closes the connection unanswered and unhandled; ``status`` answers ``status`` unhandled; ``stall``
    waits ``seconds`` before handling; ``lose_reply`` handles the call, then closes the connection; ``malformed``
    handles it and answers garbage.

    ``route`` is a regular expression searched in ``"METHOD /template"``; ``skip`` matching calls pass first, then
    ``times`` calls are hit.
    """

    route: str
    kind: FaultKind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    seconds: float = 0.0
    skip: int = 0
    times: int = 1


@dataclass(kw_only=True)
class Act:
    """What somebody does at the moment of a matching call, in the call's own thread.

    ``before`` is done when the call has arrived and before it is handled, ``after`` when it was handled and before it
    is answered; each is given the request. ``route``, ``skip`` and ``times`` choose the calls as those of a fault do.
    """

    route: str
    before: Callable[[Request], object] | None = None
    after: Callable[[Request], object] | None = None
    skip: int = 0
    times: int = 1


Trigger = TypeVar("Trigger", Fault, Act)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One line of the call log. Times are seconds of ``time.time()``."""

    service: str
    method: str
    path: str
    template: str  # "" when no route matched
    query: Mapping[str, list[str]]
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int  # 0 when the connection was closed without an answer
    response_headers: Mapping[str, str]
    response_body: bytes
    started: float
    ended: float
    fault: str = ""


def _compile(template: str) -> re.Pattern[str]:
    def group(match: re.Match[str]) -> str:
        name = match[1]
        return f"(?P<{name[:-1]}>.+)" if name.endswith("+") else f"(?P<{name}>[^/]+?)"

    parts = re.split(r"(\{\w+\+?\})", template)
    return re.compile(
        "".join(re.sub(r"\{(\w+\+?)\}", group, part) if part.startswith("{") else re.escape(part) for part in parts)
    )


class Service:
    """A wire-level server on loopback.

    Subclasses register routes with :meth:`route` and override :meth:`render_error` for the provider's dialect.
    ``latency`` (seconds) is slept before each call is handled. ``observers`` see ``("before" | "after", method,
    template)`` around each handled call; one that raises ``ConnectionAbortedError`` drops the connection.
    """

    name = "service"

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.calls: list[Call] = []
        self.unknown: list[str] = []
        self.faults: list[Fault] = []
        self.acts: list[Act] = []
        self.latency = 0.0
        self.observers: list[Callable[[str, str, str], None]] = []
        self.lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None

    # -- declaring ------------------------------------------------------------------------------------------
    def route(self, method: str, template: str, handler: Handler) -> None:
        """Declare an operation. ``template`` is the provider's documented path."""
        self.routes.append(
            Route(method=method, template=template, handler=handler, pattern=_compile(template)),
        )

    def render_error(self, error: WireError) -> Response:
        """Return the provider's error body. Override it."""
        return answer({"message": error.message}, error.status)

    def authorize(self, request: Request, route: Route) -> None:
        """Raise WireError when the request's credentials do not allow it. Override it."""

    # -- running --------------------------------------------------------------------------------------------
    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a trailing slash."""
        assert self._server is not None, "the service is not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self, port: int = 0) -> None:
        """Listen on loopback and serve in a thread."""
        service = self

        class _Handler(_WireHandler):
            owner = service

        self._server = _Server(("127.0.0.1", port), _Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def fail(self, fault: Fault) -> Fault:
        """Add a fault and return it."""
        with self.lock:
            self.faults.append(fault)
        return fault

    def when(self, act: Act) -> Act:
        """Add an act and return it."""
        with self.lock:
            self.acts.append(act)
        return act

    def count(self, pattern: str = "") -> int:
        """Count logged calls whose ``"METHOD /template"`` matches a regular expression."""
        return sum(1 for call in self.calls if re.search(pattern, f"{call.method} {call.template}"))

    # -- handling -------------------------------------------------------------------------------------------
    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the first route that matches, with its parameters."""
        for route in self.routes:
            if route.method == method and (match := route.pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    def take(self, triggers: list[Trigger], method: str, template: str) -> Iterator[Trigger]:
        """Yield the faults or acts that a call sets off, and count them down."""
        for trigger in list(triggers):
            with self.lock:
                if trigger.times <= 0 or not re.search(trigger.route, f"{method} {template}"):
                    continue
                if trigger.skip > 0:
                    trigger.skip -= 1
                    continue
                trigger.times -= 1
            yield trigger

    def _no_route(self, request: Request) -> tuple[Route, dict[str, str]]:
        self.unknown.append(f"{request.method} {request.path}")
        raise WireError(404, f"no such route in the sandbox: {request.method} {request.path}", "NOT_FOUND")

    def handle(self, request: Request) -> Response:
        """Route one request to its handler and render errors."""
        found = self.find(request.method, request.path)
        try:
            route, params = found or self._no_route(request)
            bound = Request(**{**request.__dict__, "params": params})
            self.authorize(bound, route)
            return route.handler(bound)
        except WireError as error:
            return self.render_error(error)
        except json.JSONDecodeError:
            return self.render_error(WireError(400, "Problems parsing JSON", "INVALID_ARGUMENT"))


def _do(deeds: list[Callable[[Request], object] | None], request: Request) -> None:
    for deed in deeds:
        if deed is not None:
            deed(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is an ordinary event here; anything else must be seen."""
        import sys  # noqa: PLC0415

        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _WireHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write per answer
    owner: Service

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The call log replaces stderr."""

    def _body(self) -> bytes | None:
        """Read the body; None if the sender closes the connection before all of it has come."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = io.BytesIO()
            while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
                part = self.rfile.read(size) if size > 0 else b""
                if len(part) != size:
                    return None
                out.write(part)
                self.rfile.readline()
            self.rfile.readline()
            return out.getvalue()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _serve(self) -> None:
        owner, started = self.owner, time.time()
        body = self._body()
        if body is None:  # such a message is incomplete, and the connection is closed (RFC 9112, 6.3)
            self._drop()
            return
        split = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(split.path),
            raw_path=split.path,
            query=parse_qs(split.query, keep_blank_values=True),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=body,
            base_url=owner.url,
        )
        found = owner.find(request.method, request.path)
        template = found[0].template if found else ""
        fault = next(owner.take(owner.faults, request.method, template), None)
        acts = list(owner.take(owner.acts, request.method, template))
        response: Response | None = None
        try:
            if owner.latency:
                time.sleep(owner.latency)
            self._tell("before", template)
            _do([act.before for act in acts], request)
            response = self._answer(request, fault)
            _do([act.after for act in acts], request)
            self._tell("after", template)
        except ConnectionAbortedError:
            response = None
        payload = b""
        if response is not None:
            payload = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        owner.calls.append(
            Call(
                service=owner.name, method=request.method, path=request.path, template=template,
                query=request.query, request_headers=request.headers, request_body=body[:LOGGED_BODY],
                status=response.status if response else 0, response_headers=response.headers if response else {},
                response_body=payload[:LOGGED_BODY], started=started, ended=time.time(),
                fault=fault.kind if fault else "",
            )
        )  # fmt: skip
        if response is None:
            self._drop()
        else:
            self._send(response, payload)

    def _tell(self, moment: str, template: str) -> None:
        for observer in list(self.owner.observers):
            observer(moment, self.command, template)

    def _answer(self, request: Request, fault: Fault | None) -> Response | None:
        if fault is None:
            return self.owner.handle(request)
        match fault.kind:
            case "refuse":
                return None
            case "status":
                return Response(status=fault.status, body=fault.body, headers=dict(fault.headers))
            case "stall":
                time.sleep(fault.seconds)
                return self.owner.handle(request)
            case "lose_reply":
                self.owner.handle(request)
                return None
            case "malformed":
                self.owner.handle(request)
                return Response(status=200, body=b'{"truncated": ', headers={"Content-Type": "application/json"})

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, response: Response, payload: bytes) -> None:
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value)
        no_body = response.status in {204, 304} or self.command == "HEAD"
        if response.status not in {204, 304} and "Content-Length" not in response.headers:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if not no_body:
            self.wfile.write(payload)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815
