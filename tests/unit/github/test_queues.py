"""The line in front of an environment on the wire. How such a ref is moved is shown by test_approvals.py."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Queue, QueueEntry
from bot.github import queues
from bot.github.api import Api

OID = "d" * 40
FIRST = QueueEntry(
    id="9-1", verb="deploy", run_id=5, run_attempt=1, actor="dana", thread=7, sha="a" * 40,
    since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), comment_id=11, ahead=1,
)  # fmt: skip
SECOND = replace(FIRST, id="8-1", since=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC), sha="b" * 40, dropped="cancelled",
                 dropped_by="max")  # fmt: skip
MESSAGE = queues.dump("staging", (FIRST, SECOND))


def there(oid: str, message: str = MESSAGE) -> Any:
    ref = {"target": {"oid": oid, "message": message}} if oid else None
    return {"repository": {"id": "R_1", "queue0": ref, "mark": ref}}


def test_entries_survive_the_trip() -> None:
    assert queues.load("staging", MESSAGE + "\n") == (FIRST, SECOND)
    assert queues.load("staging", queues.dump("staging", ())) == ()


def entry(**over: Any) -> dict[str, Any]:
    return {"queue": [json.loads(MESSAGE)["queue"][0] | over]}


@pytest.mark.parametrize(
    "over",
    [
        {"version": 2},
        {"environment": "production"},
        {"queue": None},
        {"queue": ["dana"]},
        entry(run_id="5"),
        entry(sha="abc"),
        entry(since="now"),
        entry(dropped="perhaps"),
        entry(comment_id=None),
    ],
)
def test_one_odd_entry_makes_all_of_it_unreadable(over: Any) -> None:
    assert queues.load("staging", json.dumps(json.loads(MESSAGE) | over)) is None


@pytest.mark.parametrize("message", ["", "hello", "[]", "null", "{}"])
def test_a_message_that_is_no_record(message: str) -> None:
    assert queues.load("staging", message) is None


@pytest.mark.parametrize(
    ("oid", "message", "expected"),
    [
        ("", "", Queue()),
        (OID, MESSAGE, Queue(oid=OID, entries=(FIRST, SECOND))),
        (OID, "scribble", Queue(oid=OID, entries=None)),
    ],
)
def test_it_is_read_with_the_marks(wire: Any, api: Api, oid: str, message: str, expected: Queue) -> None:
    wire.graphql(there(oid, message))
    assert api.held(("staging",))["staging"].queue == expected
    assert wire.body(0)["variables"]["queue0"] == "refs/slipway/queues/staging"


def test_writing(wire: Any, api: Api) -> None:
    wire.graphql(there(""))
    read = api.held(("staging",))["staging"].queue
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.graphql({"updateRefs": {"clientMutationId": None}})
    assert api.put_queue("staging", read, (FIRST, SECOND), "dana") is True
    assert wire.body(1) == {
        "tag": "slipway-queue-staging",
        "message": MESSAGE,
        "object": "b" * 40,
        "type": "commit",
        "tagger": {"name": "dana", "email": "dana@users.noreply.github.com", "date": "2026-01-02T03:04:06Z"},
    }
    assert wire.body(2)["variables"] == {
        "repository": "R_1", "ref": "refs/slipway/queues/staging", "before": "0" * 40, "after": OID,
    }  # fmt: skip


def test_writing_none_takes_the_ref_away(wire: Any, api: Api) -> None:
    wire.graphql({"repository": {"id": "R_1", "mark": None}})
    wire.graphql({"updateRefs": {"clientMutationId": None}})
    assert api.put_queue("staging", Queue(oid=OID), (), "dana") is True
    assert wire.body(1)["variables"]["after"] == "0" * 40
