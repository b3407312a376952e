"""Locks and holds: a ref that points at an annotated tag object whose message is the record of who holds it.

Creating a ref is atomic on the server, so it is the claim. Releasing names the object that the ref must still point at
(GraphQL ``updateRefs`` with ``beforeOid``); a REST delete could not. A lock is a running release's; a hold is
somebody's and stays until it is lifted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, get_args

from bot.core.facts import Held, Lock, LockRecord
from bot.errors import ConflictError, ForbiddenError, UpstreamError
from bot.github import queries
from bot.github.failures import shaped
from bot.github.mapping import moment, need, sha, text
from bot.github.retry import Failed, repeat
from bot.github.transport import GraphQL, Request, Transport, together

Kind = Literal["lock", "hold"]

NEEDS = "contents: write"
RECORD_VERSION = 1
_GONE = "0" * 40
_AT_ONCE = 50  # environments in one query


def ref_name(environment: str, kind: Kind = "lock") -> str:
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
    """The locks, or the holds, of one repository."""

    def __init__(self, transport: Transport, kind: Kind = "lock") -> None:
        self._transport, self._kind = transport, kind
        self._repository_id = ""  # cached: every read of a lock brings it

    def with_transport(self, transport: Transport) -> Locks:
        """The same through another transport."""
        twin = Locks(transport, self._kind)
        twin._repository_id = self._repository_id
        return twin

    def read(self, environment: str) -> Lock | None:
        """Return who holds an environment (1 call)."""
        what = f"read the {self._kind} of {environment}"
        variables = self._variables(environment)
        data = self._transport.graphql(
            GraphQL(text=queries.LOCK, variables=variables, what=what, needs="contents: read")
        )
        with shaped(what):
            repository = need(data, "repository", dict)
            self._repository_id = need(repository, "id", str)
            return _lock(environment, repository.get("ref"))

    def take(self, record: LockRecord) -> Lock | None:
        """Claim an environment (2 calls; 3 when it is held or a reply was lost)."""
        what = f"{self._kind} {record.environment}"
        since = record.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # A fixed tagger makes the same object of the same record: sending this twice does no harm.
        tag = {
            "tag": f"slipway-{self._kind}-{record.environment}",
            "message": dump(record),
            "object": record.sha,
            "type": "commit",
            "tagger": {
                "name": record.actor,
                "email": f"{record.actor}@users.noreply.github.com",
                "date": since,
            },
        }
        made = self._transport.call(Request(verb="POST", path="/git/tags", what=what, needs=NEEDS, body=tag))
        with shaped(what):
            oid = sha(made.data, "sha")
        claim = Lock(environment=record.environment, oid=oid, record=record)
        body = {"ref": ref_name(record.environment, self._kind), "sha": oid}
        request = Request(verb="POST", path="/git/refs", what=what, needs=NEEDS, body=body)

        def create() -> Lock:
            self._transport.once(request)
            return claim

        def found() -> Lock | None:
            return claim if self._held_by(claim) else None

        try:
            return repeat(create, self._transport.waiting, after_loss=found)
        except ConflictError:
            # The ref is there. It is ours when it points at our object: a proxy on the way may repeat requests too.
            return found()

    def release(self, lock: Lock) -> bool:
        """Delete the lock if it still is this one (1 call; 2 when no lock was read before, or it was not this one)."""
        what = f"release the {self._kind} of {lock.environment}"
        if not self._repository_id:
            self.read(lock.environment)
        variables = {
            "repository": self._repository_id,
            "ref": ref_name(lock.environment, self._kind),
            "before": lock.oid,
            "after": _GONE,
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
            if self._held_by(lock):
                raise
            # Refused because the ref is gone or another's. After a lost reply that was this very request's doing.
            return lost

    def _held_by(self, lock: Lock) -> bool:
        held = self.read(lock.environment)
        return held is not None and held.oid == lock.oid

    def _variables(self, environment: str) -> dict[str, Any]:
        return {"owner": self._transport.owner, "name": self._transport.name, "ref": ref_name(environment, self._kind)}


def read_all(transport: Transport, environments: Sequence[str]) -> dict[str, Held]:
    """Return the lock and the hold of each environment (1 call for every 50)."""
    parts = [environments[start : start + _AT_ONCE] for start in range(0, len(environments), _AT_ONCE)]
    found: dict[str, Held] = {}
    for part in together(partial(_read_some, transport), parts):
        found.update(part)
    return found


def _read_some(transport: Transport, environments: Sequence[str]) -> dict[str, Held]:
    what = "read locks and holds"
    wanted = {
        f"{kind}{number}": ref_name(name, kind) for number, name in enumerate(environments) for kind in get_args(Kind)
    }
    data = transport.graphql(
        GraphQL(
            text=queries.refs(list(wanted)),
            variables={"owner": transport.owner, "name": transport.name, **wanted},
            what=what,
            needs="contents: read",
        )
    )
    with shaped(what):
        refs = need(data, "repository", dict)
        return {
            name: Held(lock=_lock(name, refs.get(f"lock{number}")), hold=_lock(name, refs.get(f"hold{number}")))
            for number, name in enumerate(environments)
        }


def _lock(environment: str, ref: Any) -> Lock | None:
    """Read a ref as GraphQL shows it: None if there is none. Raises Misshapen."""
    if ref is None:
        return None
    target = need(ref, "target", dict)
    return Lock(environment=environment, oid=sha(target, "oid"), record=load(environment, text(target, "message")))
