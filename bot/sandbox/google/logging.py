"""Cloud Logging: the entries of every sandbox server, written by :meth:`Logging.sink`, read back by filter.

Source: logging.v2. Knob: ``ingestion_seconds``, how long an entry stays unseen after it was written (real Logging
takes some seconds; the reader of a failure's log tail has to cope with it).
"""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.sandbox.google import GoogleService, rfc3339
from bot.sandbox.google.logging_query import SEVERITIES, QueryError, compile_query, parse_time
from bot.sandbox.wire import Request, Response, WireError, answer

Entry = dict[str, Any]
PAGE_SIZE = 50  # "Default is 50." (ListLogEntriesRequest.pageSize)
MAX_PAGE_SIZE = 1000  # larger values are cut, as entries.list documents


class Logging(GoogleService):
    """``logging.googleapis.com``: entries.list, entries.write, logs.delete."""

    name = "logging"

    def __init__(
        self,
        *,
        authenticate: Callable[[str], object | None] | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(authenticate=authenticate)
        self.clock = clock
        self.ingestion_seconds = 0.0
        self._entries: list[Entry] = []
        self._entries_lock = threading.Condition()
        self.route("POST", "/v2/entries:list", self._list)
        self.route("POST", "/v2/entries:write", self._write)
        self.route("DELETE", "/v2/projects/{project}/logs/{log}", self._delete)

    @property
    def entries(self) -> list[Entry]:
        """A copy of everything written, in the order of writing."""
        with self._entries_lock:
            return list(self._entries)

    def sink(self, entry: Entry) -> None:
        """Store one LogEntry in its JSON form; ``timestamp``, ``insertId`` and ``receiveTimestamp`` are added."""
        now = rfc3339(self.clock())
        kept = {"timestamp": now, "insertId": uuid.uuid4().hex, **entry, "receiveTimestamp": now}
        with self._entries_lock:
            self._entries.append(kept)
            self._entries_lock.notify_all()

    def wait_for(self, wanted: Callable[[Entry], bool], timeout: float = 5.0) -> Entry | None:
        """Return the first entry that is wanted, waiting up to ``timeout`` seconds for it to be written."""
        with self._entries_lock:
            return self._entries_lock.wait_for(lambda: next(filter(wanted, self._entries), None), timeout)

    # -- handlers -------------------------------------------------------------------------------------------
    def _list(self, request: Request) -> Response:
        body = request.json()
        names = body.get("resourceNames") or [f"projects/{name}" for name in body.get("projectIds", [])]
        if not names:
            raise WireError(400, "resource_names cannot be empty", "INVALID_ARGUMENT")
        size = int(body.get("pageSize") or PAGE_SIZE)
        if size < 0:  # "If the value is negative, the request is rejected."
            raise WireError(400, "page_size must not be negative", "INVALID_ARGUMENT")
        order = body.get("orderBy") or "timestamp asc"
        if order not in {"timestamp asc", "timestamp desc"}:
            message = 'Invalid order_by. The only permitted values are "timestamp asc" and "timestamp desc".'
            raise WireError(400, message, "INVALID_ARGUMENT")
        found = self._find(names, body.get("filter", ""))
        # "Entries with equal timestamps are returned in order of their insert_id values." (orderBy) Here the order
        # of writing stands in for insert_id, which real writers make ascending.
        found.sort(key=lambda entry: parse_time(entry["timestamp"]), reverse=order.endswith("desc"))
        start = self._offset(body.get("pageToken", ""))
        size = min(size, MAX_PAGE_SIZE)
        page: dict[str, Any] = {"entries": found[start : start + size]}
        if start + size < len(found):
            page["nextPageToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        return answer(page)

    def _find(self, names: list[str], text: str) -> list[Entry]:
        try:
            wanted = compile_query(text)
        except QueryError as error:
            raise WireError(400, f"Unparseable filter: {error}", "INVALID_ARGUMENT") from None
        seen_until = datetime.fromtimestamp(self.clock(), UTC) - timedelta(seconds=self.ingestion_seconds)
        prefixes = tuple(f"{name}/" for name in names)
        return [
            entry
            for entry in self.entries
            if entry["logName"].startswith(prefixes)
            and parse_time(entry["receiveTimestamp"]) <= seen_until
            and wanted(entry)
        ]

    @staticmethod
    def _offset(token: str) -> int:
        try:
            return int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            raise WireError(400, "page_token is invalid", "INVALID_ARGUMENT") from None

    def _write(self, request: Request) -> Response:
        body = request.json()
        for entry in body.get("entries", []):
            whole = {
                **{key: body[key] for key in ("logName", "resource") if key in body},
                **entry,
                "labels": {**body.get("labels", {}), **entry.get("labels", {})},
            }
            if not whole.get("logName"):
                raise WireError(400, "A log entry lacks its log_name.", "INVALID_ARGUMENT")
            severity = whole.get("severity", "DEFAULT")
            if isinstance(severity, int):  # protobuf's JSON accepts an enum's number: hundreds, in this order
                whole["severity"] = SEVERITIES[severity // 100]
            self.sink(whole)
        return answer({})

    def _delete(self, request: Request) -> Response:
        name = f"projects/{request.params['project']}/logs/{request.params['log']}"
        with self._entries_lock:
            self._entries = [entry for entry in self._entries if entry["logName"] != name]
        return answer({})
