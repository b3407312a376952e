"""What can go wrong with a call, and the place where it does: before every server of a world.

A call is known by its server, method, path in short and how many of its kind came before: ``run PATCH services/web #1``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from bot.sandbox.wire import Request, Response, Service
from bot.sandbox.world import World

CALL_TIMEOUT = 2  # seconds that the bot waits for a stalled answer
PATIENT = 20  # and for all others: a busy machine is no fault of the story
STALL = CALL_TIMEOUT + 0.6  # seconds that a stalled call waits before the server goes on with it
RETRY_AFTER = 1  # seconds

Kind = Literal["refused", "status", "stall", "lost", "malformed", "outage", "kill", "cancel"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One fault. ``then``: what happens after a killed run (a re-run of the job, or the next command)."""

    name: str
    words: str
    kind: Kind
    status: int = 0
    after: bool = False  # of a kill: whether the call took effect
    then: Literal["rerun", "next"] = "rerun"
    only: str = ""  # the server that it is about, if it is about one

    @property
    def kills(self) -> bool:
        """Whether it ends the bot's process."""
        return self.kind == "kill"

    def concerns(self, call: str) -> bool:
        """Whether it can happen to a call, and is not what another fault is there.

        A call that only reads has no effect that could be lost: breaking off after it is breaking off before it. An
        outage that begins with one is an outage that begins with the next change.
        """
        effect = self.after or self.kind in {"lost", "outage"}
        return (not self.only or call.startswith(f"{self.only} ")) and not (effect and reads(call))


COLUMNS = {
    column.name: column
    for column in (
        Column(name="refused", words="the connection is closed before the request is looked at", kind="refused"),
        Column(
            name="400",
            words="the answer is 400, which nobody tries again, and nothing was done",
            kind="status",
            status=400,
        ),
        Column(name="500", words="the answer is 500, and nothing was done", kind="status", status=500),
        Column(name="502", words="the answer is 502, and nothing was done", kind="status", status=502),
        Column(name="503", words="the answer is 503, and nothing was done", kind="status", status=503),
        Column(name="429", words=f"the answer is 429 with `Retry-After: {RETRY_AFTER}`", kind="status", status=429),
        Column(
            name="403",
            words=f"GitHub's secondary rate limit: 403 with `Retry-After: {RETRY_AFTER}`",
            kind="status",
            status=403,
            only="github",
        ),
        Column(name="stall", words="no answer within the call's time limit", kind="stall"),
        Column(name="lost", words="the request takes effect, and the connection breaks before the answer", kind="lost"),
        Column(name="malformed", words="the request takes effect, and the answer is cut-off JSON", kind="malformed"),
        Column(
            name="outage",
            words="from this call on the server answers 503 to everything, until the run has ended",
            kind="outage",
            status=503,
        ),
        Column(name="kill-r", words="SIGKILL before the call is handled, then a re-run of the job", kind="kill"),
        Column(
            name="kill-n",
            words="SIGKILL before the call is handled, then the next command by somebody else",
            kind="kill",
            then="next",
        ),
        Column(name="done-kill-r", words="SIGKILL once the call took effect, then a re-run", kind="kill", after=True),
        Column(
            name="done-kill-n",
            words="SIGKILL once the call took effect, then the next command",
            kind="kill",
            after=True,
            then="next",
        ),
    )
}

# What others may have written into an error: of each shape that credentials are published with, and what a name tells of.
SECRETS = {
    "GitHub's": "ghs_planted00000000000000000000000000",
    "GitHub's fine-grained": "github_pat_planted0000000000000000000000",
    "Google's access": "ya29.planted-0000000000000000",
    "Google's refresh": "1//0planted-00000000000000000000",
    "Google's API": "AIzaplanted0000000000000000000000000000",
    "Google's client": "GOCSPX-planted00000000000000",
    "Heroku's": "HRKU-planted-0000-0000-0000-000000000000",
    "a signed": "eyJwbGFudGVkIjox.eyJwbGFudGVkIjox.cGxhbnRlZDAwMDA",
    "a database's": "planted-in-an-address-0",
    "a password's": "planted-by-its-name-0",
    "a key's": "cGxhbnRlZCBrZXkgcGxhbnRlZCBrZXk",
}
_PLANTED = (
    "{GitHub's} {GitHub's fine-grained} {Google's access} {Google's refresh} {Google's API} {Google's client} {Heroku's} "
    "{a signed} postgres://shop:{a database's}@10.0.0.3/shop password={a password's} "
    "-----BEGIN PRIVATE KEY----- {a key's} -----END PRIVATE KEY-----"
)

# Only the walk has it. The runner of a cancelled workflow sends SIGINT first (github.com/actions/runner, ProcessInvoker).
CANCEL = Column(name="cancel", words="the workflow run is cancelled: SIGINT as the call arrives", kind="cancel")

# The queries of bot/github/queries.py, and Cloud Logging's list, which is a POST (logging.v2 entries.list).
_READS = re.compile(r"\w+ (?:GET |POST graphql (?:Refs|Deployments|Thread) |POST v2/entries:list )")


def reads(call: str) -> bool:
    """Whether a call of a name changes nothing."""
    return bool(_READS.match(call))


_PREFIX = re.compile(
    r"^(/repos/\{owner\}/\{repo\}/|/v[12]/projects/\{project\}/locations/\{location\}/|/v1/projects/[{\w}-]+/|/storage/v1/b/"
    r"|/upload/storage/v1/b/\{bucket\}/|/)"
)
_OPERATION = re.compile(r"(?:query|mutation) (\w+)")
_SERVICE = re.compile(r"shop-(\w+)-staging")


def named(service: Service, request: Request) -> str:
    """Return the name of a call, without its number."""
    found = service.find(request.method, request.path)
    template, params = (found[0].template, found[1]) if found else (request.path, {})
    short = _PREFIX.sub("", template)
    for name in ("service", "job"):
        if match := _SERVICE.fullmatch(params.get(name, "")):
            short = short.replace(f"{{{name}}}", match[1])
    short = re.sub(r"\{(\w+)\+?\}", r"{\1}", short)
    if template == "/graphql" and (operation := _OPERATION.search(request.body.decode("utf-8", "replace"))):
        short = f"graphql {operation[1]}"
    return f"{service.name} {request.method} {short}"


@dataclass(kw_only=True)
class Wires:
    """Stands before every server: writes down the calls, and lets one of them go wrong.

    ``bot`` gives the id of the bot's process as soon as it runs; ``over`` is set when it has ended.
    """

    world: World
    bot: Future[int] = field(default_factory=Future)
    over: threading.Event = field(default_factory=threading.Event)
    calls: list[str] = field(default_factory=list)
    hit: str = ""  # the call that went wrong
    deeds_done: int = 0  # how many calls there were when somebody did something; 0 when he did not
    _listening: bool = False
    _call: str = ""
    _number: int = 0
    _column: Column | None = None
    _deed: Callable[[], object] | None = None
    _deed_at: int = 0
    _down: str = ""  # the server that is out
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self) -> None:
        """Take a place before every server."""
        for service in self.world.services.values():
            service.handle = partial(self._handle, service, service.handle)  # type: ignore[method-assign]  # that is the place

    def listen(
        self,
        column: Column | None = None,
        *,
        call: str = "",
        number: int = 0,
        deed: Callable[[], object] | None = None,
        deed_at: int = 0,
    ) -> None:
        """Write down the calls from now on.

        One is hit by ``column``: the one of a name with its number, or the first that it can happen to, from a
        ``number`` on. At the call ``deed_at``, ``deed`` is done before that is handled.
        """
        self._column, self._call, self._number = column, call, number
        self._deed, self._deed_at = deed, deed_at
        self.calls, self.hit, self.deeds_done, self._down = [], "", 0, ""
        self._counts.clear()
        self._listening = True

    def hush(self) -> None:
        """Let everything pass from now on."""
        self._listening = False

    def _handle(self, service: Service, handle: Callable[[Request], Response], request: Request) -> Response:
        if not self._listening:
            return handle(request)
        if service.name == self._down:
            return _refusal(503, service, request)
        name = named(service, request)
        with self._lock:
            self._counts[name] += 1
            call = f"{name} #{self._counts[name]}"
            self.calls.append(call)
            struck = self._column is not None and self._is_meant(self._column, call)
            self.hit = call if struck else self.hit
            deed, due = self._deed, len(self.calls) == self._deed_at
        if deed is not None and due:
            self._do(deed)
        if not struck:
            return handle(request)
        assert self._column is not None
        return self._strike(self._column, service, request, lambda: handle(request))

    def _is_meant(self, column: Column, call: str) -> bool:
        if self._call:
            return call == self._call
        return not self.hit and len(self.calls) >= self._number and column.concerns(call)

    def _do(self, deed: Callable[[], object]) -> None:
        """Let somebody do something; calls meanwhile, his own too, pass as they are."""
        self._listening = False
        self.deeds_done = len(self.calls)
        try:
            deed()
        finally:
            self._listening = True

    def _strike(self, column: Column, service: Service, request: Request, handle: Callable[[], Response]) -> Response:
        match column.kind:
            case "refused":
                raise ConnectionAbortedError
            case "status":
                return _refusal(column.status, service, request)
            case "outage":
                self._down = service.name
                return _refusal(column.status, service, request)
            case "stall":
                time.sleep(STALL)
                # GitHub gives a request up after ten seconds, long before the bot does (docs.github.com,
                # "Troubleshooting the REST API", "Timeouts"). Google promises nothing: there it takes effect late.
                if service.name != "github":
                    handle()
                raise ConnectionAbortedError
            case "lost":
                handle()
                raise ConnectionAbortedError
            case "malformed":
                handle()
                body = f'{{"authorization": "{request.headers.get("authorization", "")}", "truncated": '
                return Response(status=200, body=body.encode(), headers={"Content-Type": "application/json"})
            case "cancel":
                self._signal(signal.SIGINT)
                return handle()
            case "kill":
                return self._kill(column, handle)

    def _kill(self, column: Column, handle: Callable[[], Response]) -> Response:
        if column.after:
            handle()
        self._signal(signal.SIGKILL)
        self.over.wait(10.0)
        raise ConnectionAbortedError

    def _signal(self, number: signal.Signals) -> None:
        """Send the bot's process a signal, unless it has ended without waiting for the call."""
        if not self.over.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.bot.result(10.0), number)


def _planted() -> str:
    """Return a text with every one of :data:`SECRETS`, a key in lines of its own."""
    text = _PLANTED
    for name, value in SECRETS.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _refusal(status: int, service: Service, request: Request) -> Response:
    """Answer an error in the words of the provider. As some proxies do, it shows the request's own headers, and more."""
    echoed = f"(request had authorization: {request.headers.get('authorization', 'none')}; {_planted()})"
    headers = {"Content-Type": "application/json"}
    if status in {403, 429}:
        headers["Retry-After"] = str(RETRY_AFTER)
    if service.name == "github":
        # docs.github.com, "Rate limits for the REST API": the message tells a secondary limit from a missing right.
        limit = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        said = limit if status in {403, 429} else "Problems parsing JSON" if status == 400 else "Server Error"
        body: Mapping[str, object] = {
            "message": f"{said} {echoed}",
            "documentation_url": "https://docs.github.com/rest",
        }
    else:
        # google.rpc.Code's HTTP mapping (google/rpc/code.proto).
        code = {
            400: "INVALID_ARGUMENT",
            429: "RESOURCE_EXHAUSTED",
            500: "INTERNAL",
            502: "UNAVAILABLE",
            503: "UNAVAILABLE",
        }[status]
        body = {"error": {"code": status, "message": f"Something failed {echoed}", "status": code}}
    return Response(status=status, body=json.dumps(body).encode(), headers=headers)
