"""The last words of what failed, from Cloud Logging. Best effort: no answer is an empty diagnosis."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

from bot.core.questions import LogLine, LogQuery
from bot.core.target import Diagnosis
from bot.errors import SlipwayError
from bot.targets.google import Google
from bot.targets.google_errors import read

_LINES = 40
_LAG = 3.0  # seconds that are waited for lines to arrive
_POLL = 0.5
_PAGE = 1000  # entries of one call (logging.v2 entries.list: "maximum of 1000")
MOST = 5000  # entries that are counted
_NEWEST = 200  # entries that are read for somebody who asks
_LONGEST = 20_000  # characters of such an entry that are looked at
_WIDTH = 500  # characters of a line that are kept
_ERRORS = frozenset({"ERROR", "CRITICAL", "ALERT", "EMERGENCY"})
_EXCEPTION = re.compile(r"\w+(\.\w+)*(Error|Exception)(: |$)")
_SYSTEM = "varlog%2Fsystem"  # the log that Cloud Run itself writes (Cloud Run docs, "Logging": log types)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a log. ``system``: Cloud Run wrote it, not the application."""

    text: str
    severity: str = ""
    system: bool = False


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose revisions log: ``type_`` is the monitored resource of theirs, ``label`` what it has ``name`` under.

    The resources are ``cloud_run_revision`` and ``cloud_run_worker_pool``; of the latter's labels, gcloud's own filter
    (``run worker-pools revisions logs tail``) shows ``revision_name`` and ``location``.
    """

    type_: str
    label: str
    name: str
    region: str


def of_build(build: str) -> str:
    """Return the filter for a build's log by the build's full name (monitored resource ``build``)."""
    return f'resource.type="build" AND resource.labels.build_id="{build.rpartition("/")[2]}"'


def of_execution(execution: str) -> str:
    """Return the filter for an execution's log by its full name (monitored resource ``cloud_run_job``)."""
    name = execution.rpartition("/")[2]
    return f'resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="{name}"'


def of_revisions(origin: Origin, revisions: Iterable[str]) -> str:
    """Return the filter for the log of revisions by their short names."""
    return (
        f'resource.type="{origin.type_}" AND resource.labels.{origin.label}="{origin.name}"'
        f' AND resource.labels.location="{origin.region}" AND resource.labels.revision_name=({_any(revisions)})'
    )


def errors_of(types: Iterable[str], revisions: Iterable[str]) -> str:
    """Return the filter for the errors of revisions, whose monitored resources are of the types."""
    return f"resource.type=({_any(types)}) AND resource.labels.revision_name=({_any(revisions)}) AND severity>=ERROR"


def _any(words: Iterable[str]) -> str:
    """Return a disjunction of values (Logging query language, "Boolean operators")."""
    return " OR ".join(f'"{word}"' for word in sorted(words))


def at_least(query: LogQuery, origin: Origin) -> str:
    """Return the filter for what a query asks for."""
    since = datetime.fromtimestamp(query.since, UTC).isoformat()
    return f'{of_revisions(origin, query.revisions)} AND severity>={query.severity.upper()} AND timestamp>="{since}"'


def newest(google: Google, filter_: str) -> tuple[LogLine, ...]:
    """Return the newest entries that match, oldest first. Raises UpstreamError (or a subclass) or AuthError."""

    def call() -> list[Any]:
        found = google.logging.list_entries(filter_=filter_, order_by="timestamp desc", page_size=_NEWEST)
        return list(islice(found, _NEWEST))

    entries = reversed(read("read the logs", call))
    return tuple(
        LogLine(text=text, severity=str(entry.severity or ""), at=entry.timestamp)
        for entry in entries
        if (text := _whole(entry))
    )


def link(google: Google, filter_: str) -> str:
    """Return where people read what matches."""
    return _link(google.project, filter_)


def diagnose(google: Google, filter_: str) -> Diagnosis:
    """Read the last lines that match, oldest first. Waits up to three seconds for the first; never raises."""
    link = _link(google.project, filter_)
    deadline = google.clock() + _LAG
    try:
        lines = _lines(google, filter_)
        while not lines and google.clock() < deadline:
            google.sleep(_POLL)
            lines = _lines(google, filter_)
    except SlipwayError:
        lines = []
    return Diagnosis(error=first_error(lines), tail=tuple(line.text for line in lines), link=link)


def count_errors(google: Google, origin: Origin, revisions: Collection[str], *, since: float, until: float) -> int:
    """Count the entries of severity ERROR and above that revisions logged between two times (Unix time).

    At most :data:`MOST`: whoever compares counts needs no more. Raises UpstreamError (or a subclass).
    """
    if not revisions or until <= since:
        return 0
    start, end = (datetime.fromtimestamp(seconds, UTC).isoformat() for seconds in (since, until))
    times = f'timestamp>="{start}" AND timestamp<"{end}"'
    filter_ = f"{of_revisions(origin, revisions)} AND severity>=ERROR AND {times}"

    def call() -> int:
        return sum(1 for _ in islice(google.logging.list_entries(filter_=filter_, page_size=_PAGE), MOST))

    return read("count the errors in the log", call)


def first_error(lines: Sequence[Line]) -> str:
    """Return the line that says why, ``""`` if none does.

    The application's own words come before the platform's: its first line logged as an error, else its last line that
    looks like an exception (Python prints that one last), else what Cloud Run says of the container.
    """
    own = [line for line in lines if not line.system]
    logged = (line.text for line in own if line.severity in _ERRORS)
    raised = (line.text for line in reversed(own) if _EXCEPTION.match(line.text.strip()))
    platform = (line.text for line in lines if line.system and line.severity in _ERRORS)
    return next(chain(logged, raised, platform), "").strip()


def _lines(google: Google, filter_: str) -> list[Line]:
    """Return the newest lines, oldest first."""

    def call() -> list[Any]:
        entries = google.logging.list_entries(filter_=filter_, order_by="timestamp desc", page_size=_LINES)
        return list(islice(entries, _LINES))

    lines = [
        Line(severity=str(entry.severity or ""), text=text, system=str(entry.log_name or "").endswith(_SYSTEM))
        for entry in reversed(read("read the logs", call))
        for text in _text(entry.payload)
    ]
    return lines[-_LINES:]


def _text(payload: Any) -> list[str]:
    """Return the lines of an entry: its text, the message of a structured one, the status of an audit one."""
    match payload:
        case str():
            text = payload
        case {"message": str(message)}:
            text = message
        case {"status": {"message": str(message)}}:
            text = message
        case _:
            text = ""
    return [line[:_WIDTH] for line in text.splitlines() if line.strip()]


def _whole(entry: Any) -> str:
    """Return what an entry says. It is cut where no reader of it gets: what is masked later is masked whole."""
    match entry.payload:
        case str() as text:
            pass
        case {"message": str(text)} | {"status": {"message": str(text)}}:
            pass
        case dict() as payload if payload:
            text = json.dumps(payload, ensure_ascii=False, default=str)
        case _:
            text = _request(entry.http_request)
    text = text.strip()
    if len(text) <= _LONGEST:
        return text
    kept = text[:_LONGEST]  # half of its last line could be half of a secret, which nobody would know any more
    return kept.rpartition("\n")[0] or kept


def _request(request: Any) -> str:
    """Return what the log of requests says of one (LogEntry.httpRequest), without its query."""
    if not isinstance(request, dict):
        return ""
    url = str(request.get("requestUrl", "")).partition("?")[0]
    return f"{request.get('requestMethod', '')} {url} {request.get('status', '')}".strip()


def _link(project: str, filter_: str) -> str:
    return f"https://console.cloud.google.com/logs/query;query={quote(filter_, safe='')}?project={project}"
