"""Text that is still being written, readable over HTTP while it grows.

On Heroku, build output, release output and log sessions are read from hosts other than the API's, each at a URL with
its own secret. So here they have their own listener, which sends every line as soon as it is written.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT = 0.5  # seconds between two looks at whether the server is closing


class Stream:
    """Lines that are appended by one thread and followed by others."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._closed = False
        self._grew = threading.Condition()

    def write(self, line: str) -> None:
        """Append one line; its newline is added here."""
        with self._grew:
            self._lines.append(line.rstrip("\r\n") + "\n")
            self._grew.notify_all()

    def close(self) -> None:
        """Say that no line will follow."""
        with self._grew:
            self._closed = True
            self._grew.notify_all()

    @property
    def text(self) -> str:
        """What was written until now."""
        return "".join(self.lines())

    def lines(self) -> list[str]:
        """Return the lines written until now, each with its newline."""
        with self._grew:
            return list(self._lines)

    def follow(self, *, start: int = 0, open_: Callable[[], bool] = lambda: True) -> Iterator[str]:
        """Yield lines from index ``start`` and wait for more, until the stream is closed or ``open_`` says no."""
        index = start
        while True:
            with self._grew:
                while open_() and not self._closed and index >= len(self._lines):
                    self._grew.wait(WAIT)
                ready = self._lines[index:]
            yield from ready
            index += len(ready)
            if not ready:
                return


Source = Callable[[], Iterator[str]]


class StreamServer:
    """Serves streams as ``text/plain`` on loopback.

    ``Range: bytes=N-`` resumes after a disconnect, as the schema of ``output_stream_url`` says.
    """

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.open = False
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen on a free port of loopback."""
        owner = self

        class _Bound(_Handler):
            streams = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Bound)
        self._server.daemon_threads = True
        self.open = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening; readers see the end of their stream."""
        self.open = False
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def publish(self, kind: str, source: Source) -> str:
        """Return a new, unguessable URL at which the lines of ``source`` are read."""
        assert self._server is not None, "the stream server is not started"
        path = f"/{kind}/{secrets.token_urlsafe(18)}"
        self.sources[path] = source
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    streams: StreamServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on stderr."""

    def do_GET(self) -> None:
        source = self.streams.sources.get(self.path.split("?")[0])
        if source is None:
            self.send_error(404)
            return
        resume = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.send_response(206 if resume else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        skip = int(resume[1]) if resume else 0
        try:
            for line in source():
                raw = line.encode()
                rest, skip = raw[skip:], max(0, skip - len(raw))
                if rest:
                    self.wfile.write(f"{len(rest):x}\r\n".encode() + rest + b"\r\n")
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True
