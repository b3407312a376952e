"""One public URL: a reverse proxy on a loopback port, in front of whatever instance the picker names.

Headers follow what a Cloud Run container sees: the caller's own, ``X-Forwarded-For`` and ``X-Forwarded-Proto``. The
latter says ``https``, because the URL this stands for has TLS in front of the container.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade",
     "transfer-encoding"}  # RFC 9110, 7.6.1
)  # fmt: skip
_CHUNK = 64 * 1024  # bytes
PRETENDED = "X-Sandbox-Seconds"
"""A header by which a backend says that its answer took so many seconds more; it is counted, and not passed on."""


class Backend(Protocol):
    """What a gateway needs of an instance."""

    @property
    def port(self) -> int: ...
    def alive(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class GatewayRequest:
    """One request as the gateway saw it end. ``started`` and ``seconds`` by ``time.time()``; sizes in bytes.

    ``seconds`` includes those that the backend pretends (:data:`PRETENDED`).
    """

    method: str
    path: str
    status: int
    headers: Mapping[str, str]  # keys in lower case
    instance: Any  # the backend, None when there was none
    started: float
    seconds: float
    response_size: int


class Gateway:
    """A public URL.

    Args:
        pick: names the instance for one request; a traffic split is the picker's business.
        authorize: takes the request's headers (keys in lower case), returns a status to refuse with, or None.
        observe: told of each request when its answer has been sent.
        timeout: seconds a backend may be silent.

    ``counts`` holds the number of requests that each instance was given.
    """

    def __init__(
        self,
        pick: Callable[[], Backend | None],
        authorize: Callable[[Mapping[str, str]], int | None] = lambda _headers: None,
        *,
        observe: Callable[[GatewayRequest], None] | None = None,
        timeout: float = 300.0,
    ) -> None:
        self.pick, self.authorize, self.observe, self.timeout = pick, authorize, observe, timeout
        self.counts: Counter[Any] = Counter()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self, port: int = 0) -> None:
        """Listen on loopback and serve in a thread."""
        gateway = self

        class _Handler(_Proxy):
            owner = gateway

        self._server = _Listener(("127.0.0.1", port), _Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a trailing slash."""
        assert self._server is not None, "the gateway is not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, instance: Backend) -> None:
        """Count a request for an instance."""
        with self._lock:
            self.counts[instance] += 1


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is an ordinary event."""


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Gateway

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The observer replaces stderr."""

    def _serve(self) -> None:
        started = time.time()
        headers = {key.lower(): value for key, value in self.headers.items()}
        instance: Backend | None = None
        self.pretended = 0.0
        refused = self.owner.authorize(headers)
        if refused is not None:
            status, size = self._refuse(refused)
        else:
            instance = self.owner.pick()
            status, size = self._forward(instance)
        if self.owner.observe is not None:
            self.owner.observe(
                GatewayRequest(
                    method=self.command, path=self.path, status=status, headers=headers, instance=instance,
                    started=started, seconds=time.time() - started + self.pretended, response_size=size,
                )
            )  # fmt: skip

    def _refuse(self, status: int) -> tuple[int, int]:
        """Answer for the front end. The body is drained first so that the connection can be kept."""
        for _ in self._body():
            pass
        phrase = http.client.responses.get(status, "")
        body = f"<html><head><title>{status} {phrase}</title></head><body><h1>Error: {phrase}</h1></body></html>\n"
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.send_header("Content-Type", "text/html; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())
        return status, len(body)

    def _forward(self, instance: Backend | None) -> tuple[int, int]:
        if instance is None or not instance.alive():
            return self._refuse(503)
        self.owner.count(instance)
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=self.owner.timeout)
        with contextlib.closing(connection):
            try:
                self._send(connection)
                reply = connection.getresponse()
            except (OSError, http.client.HTTPException):
                return self._refuse(503)  # not listening, or it died over this request
            return self._relay(reply)

    def _send(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self.headers.items():
            if key.lower() not in _HOP | {"x-forwarded-proto", "x-forwarded-for"}:
                connection.putheader(key, value)
        former = self.headers.get("X-Forwarded-For")
        client = str(self.client_address[0])
        connection.putheader("X-Forwarded-For", f"{former},{client}" if former else client)
        connection.putheader("X-Forwarded-Proto", "https")
        chunked = self._chunked()
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for piece in self._body():
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")

    def _relay(self, reply: http.client.HTTPResponse) -> tuple[int, int]:
        self.pretended = float(reply.getheader(PRETENDED) or 0)
        self.send_response_only(reply.status, reply.reason)
        for key, value in reply.getheaders():
            if key.lower() not in _HOP | {PRETENDED.lower()}:
                self.send_header(key, value)
        bare = self.command == "HEAD" or reply.status in {204, 304}
        declared = reply.getheader("Content-Length")
        chunked = not bare and declared is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        size = 0
        try:
            while not bare and (piece := reply.read1(_CHUNK)):
                size += len(piece)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # a truncated answer must look truncated
            return reply.status, size
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif not bare and size < int(declared or 0):
            self.close_connection = True
        return reply.status, size

    def _chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _body(self) -> Iterator[bytes]:
        """Yield what is left of the request's body; a second call yields nothing."""
        if getattr(self, "_drained", None) is self.headers:
            return
        self._drained = self.headers
        if self._chunked():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (piece := self.rfile.read(min(_CHUNK, left))):
            left -= len(piece)
            yield piece

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815
