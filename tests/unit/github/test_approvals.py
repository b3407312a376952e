"""Approvals on the wire: one ref that is moved by compare-and-swap, and the comments that prove them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from bot.core.facts import Approval, Approvals, Remark
from bot.errors import ForbiddenError, UpstreamError
from bot.github import approvals
from bot.github.api import Api

OID, OTHER = "d" * 40, "e" * 40
ENTRY = Approval(
    verdict="approve", actor="ada", sha="a" * 40, since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), comment="IC_1"
)
NO = replace(ENTRY, verdict="reject", actor="eva", comment="IC_2")
MESSAGE = approvals.dump("staging", (ENTRY, NO))
MOVED = {"updateRefs": {"clientMutationId": None}}
STALE = [{"type": "STALE_DATA", "message": "Expected refs/slipway/approvals/staging to point at …"}]


def there(oid: str, message: str = MESSAGE) -> Any:
    ref = {"target": {"oid": oid, "message": message}} if oid else None
    return {"repository": {"id": "R_1", "approvals0": ref, "mark": ref}}


def test_entries_survive_the_trip() -> None:
    assert approvals.load("staging", MESSAGE + "\n") == (ENTRY, NO)
    assert approvals.load("staging", approvals.dump("staging", ())) == ()


@pytest.mark.parametrize(
    "over",
    [
        {"version": 2},
        {"environment": "production"},
        {"approvals": None},
        {"approvals": ["ada"]},
        {"approvals": [{"verdict": "approve"}]},
        {"approvals": [json.loads(MESSAGE)["approvals"][0] | {"verdict": "perhaps"}]},
        {"approvals": [json.loads(MESSAGE)["approvals"][0] | {"sha": "abc"}]},
        {"approvals": [json.loads(MESSAGE)["approvals"][0] | {"since": "now"}]},
    ],
)
def test_one_odd_entry_makes_all_of_it_unreadable(over: Any) -> None:
    assert approvals.load("staging", json.dumps(json.loads(MESSAGE) | over)) is None


@pytest.mark.parametrize("message", ["", "hello", "[]", "null", "{}"])
def test_a_message_that_is_no_record(message: str) -> None:
    assert approvals.load("staging", message) is None


@pytest.mark.parametrize(
    ("oid", "message", "expected"),
    [
        ("", "", Approvals()),
        (OID, MESSAGE, Approvals(oid=OID, entries=(ENTRY, NO))),
        (OID, "scribble", Approvals(oid=OID, entries=None)),
    ],
)
def test_they_are_read_with_the_marks(wire: Any, api: Api, oid: str, message: str, expected: Approvals) -> None:
    wire.graphql(there(oid, message))
    assert api.held(("staging",))["staging"].approvals == expected
    assert wire.body(0)["variables"]["approvals0"] == "refs/slipway/approvals/staging"


@pytest.mark.parametrize("before", ["", OTHER])
def test_writing(wire: Any, api: Api, before: str) -> None:
    wire.graphql(there(before))
    read = api.held(("staging",))["staging"].approvals
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.graphql(MOVED)
    assert api.put_approvals("staging", read, (ENTRY, NO), "ada") is True
    assert wire.body(1) == {
        "tag": "slipway-approvals-staging",
        "message": MESSAGE,
        "object": "a" * 40,
        "type": "commit",
        "tagger": {"name": "ada", "email": "ada@users.noreply.github.com", "date": "2026-01-02T03:04:05Z"},
    }
    assert wire.body(2)["variables"] == {
        "repository": "R_1",
        "ref": "refs/slipway/approvals/staging",
        "before": before or "0" * 40,
        "after": OID,
    }
    assert "force: true" in wire.body(2)["query"]


def test_writing_none_takes_the_ref_away(wire: Any, api: Api) -> None:
    wire.graphql({"repository": {"id": "R_1", "mark": None}})
    wire.graphql(MOVED)
    assert api.put_approvals("staging", Approvals(oid=OTHER), (), "ada") is True
    assert wire.body(1)["variables"]["after"] == "0" * 40


def test_writing_what_is_there_moves_nothing(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    assert api.put_approvals("staging", Approvals(oid=OID), (ENTRY,), "ada") is True
    assert api.put_approvals("staging", Approvals(), (), "ada") is True
    assert wire.asked == ["POST /git/tags"]


@pytest.mark.parametrize(("now", "ours"), [(OTHER, False), (OID, True)])
def test_somebody_was_faster(wire: Any, api: Api, now: str, *, ours: bool) -> None:
    wire.graphql(there(""))
    read = api.held(("staging",))["staging"].approvals
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.graphql(None, errors=STALE)
    wire.graphql(there(now))
    assert api.put_approvals("staging", read, (ENTRY,), "ada") is ours


def test_a_refusal_for_another_reason_is_raised(wire: Any, api: Api) -> None:
    wire.graphql(there(""))
    read = api.held(("staging",))["staging"].approvals
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.graphql(None, errors=[{"type": "UNPROCESSABLE", "message": "Reference update failed"}])
    wire.graphql(there(""))
    with pytest.raises(UpstreamError, match="Reference update failed"):
        api.put_approvals("staging", read, (ENTRY,), "ada")


def test_a_token_that_may_not(wire: Any, api: Api) -> None:
    wire.graphql(there(""))
    read = api.held(("staging",))["staging"].approvals
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.graphql(None, errors=[{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}])
    with pytest.raises(ForbiddenError):
        api.put_approvals("staging", read, (ENTRY,), "ada")


def test_a_lost_reply_is_settled_by_the_ref(wire: Any, api: Api) -> None:
    wire.graphql(there(""))
    read = api.held(("staging",))["staging"].approvals
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.add("POST", "https://api.github.com:443/graphql", body=requests.ConnectionError("reset"))
    wire.graphql(None, errors=STALE)
    wire.graphql(there(OID))
    assert api.put_approvals("staging", read, (ENTRY,), "ada") is True


# -- comments -------------------------------------------------------------------------------------------------
NODE: dict[str, Any] = {
    "author": {"login": "ada"},
    "body": "/approve staging",
    "createdAt": "2026-01-02T03:04:05Z",
    "lastEditedAt": None,
    "repository": {"id": "R_1"},
    "pullRequest": {"number": 7},
}
SAID = Remark(author="ada", body="/approve staging", created_at=ENTRY.since, edited=False, pull_request=7)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, SAID),
        ({"lastEditedAt": "2026-01-02T03:05:00Z"}, replace(SAID, edited=True)),
        ({"pullRequest": None}, replace(SAID, pull_request=0)),
        ({"author": None}, replace(SAID, author="")),
        ({"repository": {"id": "R_2"}}, None),  # of another repository
    ],
)
def test_a_comment_by_its_node_id(wire: Any, api: Api, over: Any, expected: Remark | None) -> None:
    wire.graphql({"repository": {"id": "R_1"}, "c0": NODE | over})
    assert api.remarks(("IC_1", "IC_1")) == ({"IC_1": expected} if expected else {})
    assert wire.body(0)["variables"] == {"owner": "acme", "name": "shop", "c0": "IC_1"}


def test_a_comment_that_is_gone_or_no_comment_is_left_out(wire: Any, api: Api) -> None:
    gone = [{"type": "NOT_FOUND", "path": ["c0"], "message": "Could not resolve to a node"}]
    wire.graphql({"repository": {"id": "R_1"}, "c0": None, "c1": {}, "c2": NODE}, errors=gone)
    assert api.remarks(("IC_0", "PR_1", "IC_2")) == {"IC_2": SAID}


def test_no_comments_are_not_asked_for(wire: Any, api: Api) -> None:
    assert api.remarks(()) == {}
    assert wire.asked == []


def test_comments_that_cannot_be_read_raise(wire: Any, api: Api) -> None:
    wire.graphql({"repository": {"id": "R_1"}, "c0": NODE | {"createdAt": "soon"}})
    with pytest.raises(UpstreamError):
        api.remarks(("IC_1",))
