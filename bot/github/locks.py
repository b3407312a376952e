"""Locks, holds, claims and freezes: a ref that points at an annotated tag whose message is the record of whose it is.

Creating a ref is atomic on the server, so it is the claim. Releasing names the object that the ref must still point at
(GraphQL ``updateRefs`` with ``beforeOid``); a REST delete could not. A lock is a running release's; the other marks are
somebody's, and stay until they are lifted or have run out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

from bot.core.facts import Approval, Approvals, Held, Lock, LockRecord, MarkKind, Queue, QueueEntry
from bot.errors import ConflictError, ForbiddenError, UpstreamError
from bot.github import approvals, queries, queues
from bot.github.failures import shaped
from bot.github.mapping import moment, need, sha, text
from bot.github.retry import Failed, repeat
from bot.github.transport import GraphQL, Request, Transport, together

KINDS: tuple[MarkKind, ...] = get_args(MarkKind)
NEEDS = "contents: write"
RECORD_VERSION = 1
GONE = "0" * 40  # in the place of what a ref points at: there is no such ref
_AT_ONCE = 50  # environments in one query


def ref_name(environment: str, kind: MarkKind = "lock") -> str:
    """Full name of an environment's ref. Environment names are lower-case words, so they need no escaping."""
    return f"refs/slipway/{kind}s/{environment}"


def dump(record: LockRecord) -> str:
    """Write a record as one line of JSON with sorted keys, so that equal records make equal tag objects."""
    values = asdict(record) | {"version": RECORD_VERSION}
    return json.dumps(values, sort_keys=True, default=datetime.isoformat)


def load(environment: str, message: str) -> LockRecord | None:
    """Read a record, None if it is none of ours: of another version, of another environment, or damaged."""
    try:
        data = json.loads(message)
        if need(data, "version", int) != RECORD_VERSION or need(data, "environment", str) != environment:
            return None
        pull_request = data.get("pull_request")
        return LockRecord(
            environment=environment,
            run_id=need(data, "run_id", int),
            run_attempt=need(data, "run_attempt", int),
            actor=need(data, "actor", str),
            pull_request=None if pull_request is None else need(data, "pull_request", int),
            sha=sha(data, "sha"),
            since=moment(data, "since"),
            reason=text(data, "reason"),
            expires=None if data.get("expires") is None else moment(data, "expires"),
            sticky=data.get("sticky") is True,
        )
    except ValueError:  # no JSON, or Misshapen
        return None


class Locks:
    """The locks of one repository, and the marks of the other kinds."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._repository_id = ""  # cached: every read brings it

    def with_transport(self, transport: Transport) -> Locks:
        """The same through another transport."""
        twin = Locks(transport)
        twin._repository_id = self._repository_id
        return twin

    def read(self, kind: MarkKind, environment: str) -> Lock | None:
        """Return an environment's mark of a kind (1 call)."""
        what = f"read the {kind} of {environment}"
        wanted = {"mark": ref_name(environment, kind)}
        return _lock(environment, self._refs(wanted, what).get("mark"), what)

    def read_all(self, environments: Sequence[str]) -> dict[str, Held]:
        """Return all marks of each environment (1 call for every 50)."""
        parts = [environments[start : start + _AT_ONCE] for start in range(0, len(environments), _AT_ONCE)]
        found: dict[str, Held] = {}
        for part in together(self._some, parts):
            found.update(part)
        return found

    def _some(self, environments: Sequence[str]) -> dict[str, Held]:
        what = f"read who holds {environments[0] if len(environments) == 1 else 'the environments'}"
        wanted = {f"{kind}{number}": ref_name(name, kind) for number, name in enumerate(environments) for kind in KINDS}
        wanted |= {f"approvals{number}": approvals.ref_name(name) for number, name in enumerate(environments)}
        wanted |= {f"queue{number}": queues.ref_name(name) for number, name in enumerate(environments)}
        refs = self._refs(wanted, what)
        return {
            name: Held(
                approvals=_approvals(name, refs.get(f"approvals{number}"), what),
                queue=_queue(name, refs.get(f"queue{number}"), what),
                **{kind: _lock(name, refs.get(f"{kind}{number}"), what) for kind in KINDS},
            )
            for number, name in enumerate(environments)
        }

    def _refs(self, wanted: Mapping[str, str], what: str) -> dict[str, Any]:
        """Return refs as GraphQL shows them, by alias; None where there is none."""
        variables = {"owner": self._transport.owner, "name": self._transport.name, **wanted}
        query = GraphQL(text=queries.refs(tuple(wanted)), variables=variables, what=what, needs="contents: read")
        data = self._transport.graphql(query)
        with shaped(what):
            repository = need(data, "repository", dict)
            self._repository_id = need(repository, "id", str)
            return dict(repository)

    def take(self, kind: MarkKind, record: LockRecord) -> Lock | None:
        """Claim an environment (2 calls; 3 when it is held or a reply was lost)."""
        what = f"{kind} {record.environment}"
        oid = self._made(_tag(kind, record), what)
        claim = Lock(environment=record.environment, oid=oid, record=record)
        body = {"ref": ref_name(record.environment, kind), "sha": oid}
        request = Request(verb="POST", path="/git/refs", what=what, needs=NEEDS, body=body)

        def create() -> Lock:
            self._transport.once(request)
            return claim

        def found() -> Lock | None:
            return claim if self._held_by(kind, claim) else None

        try:
            return repeat(create, self._transport.waiting, after_loss=found)
        except ConflictError:
            # The ref is there. It is ours when it points at our object: a proxy on the way may repeat requests too.
            return found()

    def move(self, kind: MarkKind, there: Lock, record: LockRecord) -> Lock | None:
        """Put a mark in the place of one that was read (2 calls, one more when there is another by now)."""
        what = f"renew the {kind} of {record.environment}"
        oid = self._made(_tag(kind, record), what)
        moved = self._moved(record.environment, ref_name(record.environment, kind), there.oid, oid, what)
        return Lock(environment=record.environment, oid=oid, record=record) if moved else None

    def _made(self, tag: dict[str, Any], what: str) -> str:
        """Make a tag object; the same again makes the same one, so that sending this twice does no harm."""
        made = self._transport.call(Request(verb="POST", path="/git/tags", what=what, needs=NEEDS, body=tag))
        with shaped(what):
            return sha(made.data, "sha")

    def release(self, kind: MarkKind, lock: Lock) -> bool:
        """Delete the lock if it still is this one (1 call; 2 when no lock was read before, or it was not this one)."""
        what = f"release the {kind} of {lock.environment}"
        variables = {
            "repository": self.repository_id(lock.environment),
            "ref": ref_name(lock.environment, kind),
            "before": lock.oid,
            "after": GONE,
        }
        mutation = GraphQL(text=queries.RELEASE_LOCK, variables=variables, what=what, needs=NEEDS)
        lost = False

        def delete() -> bool:
            nonlocal lost
            try:
                self._transport.graphql_once(mutation)
            except Failed as failed:
                lost = lost or failed.lost
                raise
            return True

        try:
            return repeat(delete, self._transport.waiting)
        except ForbiddenError:
            raise
        except UpstreamError:
            if self._held_by(kind, lock):
                raise
            # Refused because the ref is gone or another's. After a lost reply that was this very request's doing.
            return lost

    def put_approvals(self, environment: str, before: Approvals, entries: Sequence[Approval], actor: str) -> bool:
        """Put entries in the place of those that were read (2 calls; 1 to put none)."""
        tag = approvals.tag(environment, entries, actor) if entries else None
        what = f"write down the approvals of {environment}"
        return self._put_list(environment, approvals.ref_name(environment), before.oid, tag, what)

    def put_queue(self, environment: str, before: Queue, entries: Sequence[QueueEntry], actor: str) -> bool:
        """Put a line in the place of the one that was read (2 calls; 1 to put none)."""
        tag = queues.tag(environment, entries, actor) if entries else None
        what = f"write down who waits for {environment}"
        return self._put_list(environment, queues.ref_name(environment), before.oid, tag, what)

    def _put_list(self, environment: str, ref: str, before: str, tag: dict[str, Any] | None, what: str) -> bool:
        """Move a ref from what it was read at (``""``: nothing) to a new tag object, or away."""
        after = self._made(tag, what) if tag is not None else GONE
        return self._moved(environment, ref, before or GONE, after, what)

    def _moved(self, environment: str, ref: str, there: str, after: str, what: str) -> bool:
        """Move a ref by compare-and-swap. False if it pointed at something else."""
        if after == there:
            return True
        variables = {
            "repository": self.repository_id(environment),
            "ref": ref,
            "before": there,
            "after": after,
        }
        mutation = GraphQL(text=queries.MOVE_REF, variables=variables, what=what, needs=NEEDS)

        def move() -> bool:
            self._transport.graphql_once(mutation)
            return True

        try:
            return repeat(move, self._transport.waiting)
        except ForbiddenError:
            raise
        except UpstreamError:
            # Refused because it was moved: by a lost request of our own, or by somebody who was faster.
            now = self._points_at(ref, what)
            if now == there:
                raise
            return now == after

    def _points_at(self, ref: str, what: str) -> str:
        found = self._refs({"mark": ref}, what).get("mark")
        if found is None:
            return GONE
        with shaped(what):
            return sha(need(found, "target", dict), "oid")

    def repository_id(self, environment: str) -> str:
        """Return the repository's node id (1 call where nothing was read before)."""
        if not self._repository_id:
            self.read("lock", environment)
        return self._repository_id

    def _held_by(self, kind: MarkKind, lock: Lock) -> bool:
        held = self.read(kind, lock.environment)
        return held is not None and held.oid == lock.oid


def _tag(kind: MarkKind, record: LockRecord) -> dict[str, Any]:
    """Return the tag object that holds a record. A fixed tagger makes the same object of the same record."""
    return {
        "tag": f"slipway-{kind}-{record.environment}",
        "message": dump(record),
        "object": record.sha,
        "type": "commit",
        "tagger": {
            "name": record.actor,
            "email": f"{record.actor}@users.noreply.github.com",
            "date": record.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def _approvals(environment: str, ref: Any, what: str) -> Approvals:
    """Read the ref of an environment's approvals as GraphQL shows it."""
    if ref is None:
        return Approvals()
    with shaped(what):
        target = need(ref, "target", dict)
        entries = approvals.load(environment, text(target, "message"))
        return Approvals(oid=sha(target, "oid"), entries=entries)


def _queue(environment: str, ref: Any, what: str) -> Queue:
    """Read the ref of an environment's line as GraphQL shows it."""
    if ref is None:
        return Queue()
    with shaped(what):
        target = need(ref, "target", dict)
        return Queue(oid=sha(target, "oid"), entries=queues.load(environment, text(target, "message")))


def _lock(environment: str, ref: Any, what: str) -> Lock | None:
    """Read a ref as GraphQL shows it: None if there is none."""
    if ref is None:
        return None
    with shaped(what):
        target = need(ref, "target", dict)
        return Lock(environment=environment, oid=sha(target, "oid"), record=load(environment, text(target, "message")))
