import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from bot.core.facts import Held, Lock, LockRecord
from bot.errors import ForbiddenError, UpstreamError
from bot.github import locks
from bot.github.api import Api

OID, OTHER = "d" * 40, "e" * 40
RECORD = LockRecord(
    environment="staging",
    run_id=11,
    run_attempt=2,
    actor="dana",
    pull_request=7,
    sha="a" * 40,
    since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    reason="größer",
    expires=datetime(2026, 1, 2, 4, 0, tzinfo=UTC),
)
LOCK = Lock(environment="staging", oid=OID, record=RECORD)


def held(oid: Any, message: Any = None) -> Any:
    target = {"oid": oid} | ({"message": message} if message is not None else {})
    return {"repository": {"id": "R_1", "mark": {"target": target}}}


FREE = {"repository": {"id": "R_1", "mark": None}}


@pytest.mark.parametrize("record", [RECORD, replace(RECORD, pull_request=None, expires=None, sticky=True, reason="")])
def test_records_survive_the_trip(record: Any) -> None:
    assert locks.load("staging", locks.dump(record) + "\n") == record


def test_a_time_in_another_zone_survives_too() -> None:
    record = replace(RECORD, since=RECORD.since.astimezone(timezone(timedelta(hours=2))))
    assert locks.load("staging", locks.dump(record)) == RECORD


@pytest.mark.parametrize(
    "over",
    [
        {"version": 2},
        {"version": None},
        {"environment": "production"},
        {"run_id": "11"},
        {"sha": "abc"},
        {"since": "now"},
        {"actor": None},
        {"pull_request": "7"},
        {"expires": "soon"},
    ],
)
def test_a_record_that_is_none_of_ours(over: Any) -> None:
    assert locks.load("staging", json.dumps(json.loads(locks.dump(RECORD)) | over)) is None


@pytest.mark.parametrize("message", ["", "hello", "[]", "null", "{}"])
def test_a_message_that_is_no_record(message: Any) -> None:
    assert locks.load("staging", message) is None


def test_a_free_environment(wire: Any, api: Api) -> None:
    wire.graphql(FREE)
    assert api.lock("staging") is None
    assert wire.body(0)["variables"] == {"owner": "acme", "name": "shop", "mark": "refs/slipway/locks/staging"}


def test_what_is_on_many_environments(wire: Any, api: Api) -> None:
    names = [f"e{number}" for number in range(60)]
    theirs = {"target": {"oid": OID, "message": locks.dump(replace(RECORD, environment="e7"))}}

    def answer(request: Any) -> Any:
        asked = json.loads(request.body)["variables"]
        first = asked["lock0"] == "refs/slipway/locks/e0"
        marks = {"lock7": theirs, "hold8": {"target": {"oid": OTHER}}, "freeze9": None} if first else {}
        return 200, {}, json.dumps({"data": {"repository": {"id": "R_1", **marks}}})

    wire.add_callback("POST", "https://api.github.com:443/graphql", answer)
    found = api.held(names)
    assert list(found) == names
    assert found["e7"] == Held(lock=Lock(environment="e7", oid=OID, record=replace(RECORD, environment="e7")))
    assert found["e8"] == Held(hold=Lock(environment="e8", oid=OTHER, record=None))
    assert {found[name] for name in names[9:]} == {Held()}
    bodies = [wire.body(number) for number in range(2)]
    assert sorted(len(body["variables"]) for body in bodies) == [2 + 10 * 7, 2 + 50 * 7]
    for body in bodies:
        assert "$lock4: String!" in body["query"]
        assert "cancel4: ref(qualifiedName: $cancel4)" in body["query"]


@pytest.mark.parametrize("kind", ["hold", "claim", "freeze", "cancel"])
def test_marks_are_refs_as_locks_are(wire: Any, api: Api, kind: Any) -> None:
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.rest("POST", "/git/refs", {}, status=201)
    wire.graphql({"repository": {"id": "R_1", "mark": None}})
    wire.graphql({"updateRefs": {}})
    mark = api.put_mark(kind, RECORD)
    assert mark == LOCK
    assert wire.body(1) == {"ref": f"refs/slipway/{kind}s/staging", "sha": OID}
    assert api.lift_mark(kind, LOCK) is True
    assert wire.body(3)["variables"]["ref"] == f"refs/slipway/{kind}s/staging"


def test_a_held_environment(wire: Any, api: Api) -> None:
    wire.graphql(held(OID, locks.dump(RECORD)))
    assert api.lock("staging") == LOCK


@pytest.mark.parametrize("message", [None, "", "scribble"])
def test_a_lock_without_a_readable_record_is_held(wire: Any, api: Api, message: Any) -> None:
    wire.graphql(held(OID, message))
    assert api.lock("staging") == Lock(environment="staging", oid=OID, record=None)


@pytest.mark.parametrize("data", [{}, {"repository": None}, held("short"), {"repository": {"id": "R", "mark": {}}}])
def test_a_lock_that_cannot_be_read_raises(wire: Any, api: Api, data: Any) -> None:
    wire.graphql(data)
    with pytest.raises(UpstreamError):
        api.lock("staging")


def test_taking(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.rest("POST", "/git/refs", {"ref": "x"}, status=201)
    assert api.take_lock(RECORD) == LOCK
    assert wire.asked == ["POST /git/tags", "POST /git/refs"]
    tag = wire.body(0)
    assert locks.load("staging", tag.pop("message")) == RECORD
    assert tag == {
        "tag": "slipway-lock-staging",
        "object": "a" * 40,
        "type": "commit",
        "tagger": {"name": "dana", "email": "dana@users.noreply.github.com", "date": "2026-01-02T03:04:05Z"},
    }
    assert wire.body(1) == {"ref": "refs/slipway/locks/staging", "sha": OID}


TAKEN = {"message": "Reference already exists"}


def test_a_lock_that_somebody_else_holds(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.rest("POST", "/git/refs", TAKEN, status=422)
    wire.graphql(held(OTHER))
    assert api.take_lock(RECORD) is None


@pytest.mark.parametrize("loss", [requests.ConnectionError("reset"), requests.ReadTimeout("slow"), 502])
@pytest.mark.parametrize("kept", [True, False])
def test_a_claim_whose_reply_was_lost_is_settled_by_the_ref(wire: Any, api: Api, loss: Any, kept: Any) -> None:
    refs: list[str] = []
    posts = []

    def create(request: Any) -> Any:
        posts.append(request)
        first = len(posts) == 1
        if refs:
            return 422, {}, json.dumps(TAKEN)
        if kept or not first:
            refs.append(json.loads(request.body)["sha"])
        if first and isinstance(loss, BaseException):
            raise loss
        return loss if first else 201, {}, "{}"

    def read(request: Any) -> Any:
        return 200, {}, json.dumps({"data": held(refs[0]) if refs else FREE})

    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.add_callback("POST", "https://api.github.com:443/repos/acme/shop/git/refs", create)
    wire.add_callback("POST", "https://api.github.com:443/graphql", read)
    assert api.take_lock(RECORD) == LOCK
    assert refs == [OID]


def test_a_claim_lost_to_somebody_else_while_the_reply_was_lost(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.fail("POST", "/git/refs", requests.ConnectionError("reset"))
    wire.rest("POST", "/git/refs", TAKEN, status=422)
    wire.graphql(held(OTHER))
    assert api.take_lock(RECORD) is None


def test_the_tag_object_may_be_made_twice(wire: Any, api: Api, slept: list[float]) -> None:
    wire.fail("POST", "/git/tags", requests.ConnectionError("reset"))
    wire.rest("POST", "/git/tags", {"sha": OID}, status=201)
    wire.rest("POST", "/git/refs", {}, status=201)
    assert api.take_lock(RECORD) == LOCK
    assert wire.body(0) == wire.body(1)


@pytest.mark.parametrize("answer", [{}, {"sha": "x"}])
def test_a_tag_object_without_an_id(wire: Any, api: Api, answer: Any) -> None:
    wire.rest("POST", "/git/tags", answer, status=201)
    with pytest.raises(UpstreamError, match="lock staging"):
        api.take_lock(RECORD)


def test_a_token_that_may_not_write_refs(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"message": "Resource not accessible by integration"}, status=403)
    with pytest.raises(ForbiddenError) as caught:
        api.take_lock(RECORD)
    assert "contents: write" in caught.value.hint


def test_releasing_compares(wire: Any, api: Api) -> None:
    wire.graphql(FREE)
    wire.graphql({"updateRefs": {"clientMutationId": None}})
    assert api.release_lock(LOCK) is True
    assert wire.body(1)["variables"] == {
        "repository": "R_1",
        "ref": "refs/slipway/locks/staging",
        "before": OID,
        "after": "0" * 40,
    }


def test_releasing_after_a_read_is_one_call(wire: Any, api: Api) -> None:
    wire.graphql(held(OID))
    wire.graphql({"updateRefs": {}})
    api.lock("staging")
    assert api.uninterrupted().release_lock(LOCK) is True
    assert len(wire.calls) == 2


REFUSED = [{"type": "UNPROCESSABLE", "message": "expected beforeOid to match"}]


@pytest.mark.parametrize("now", [FREE, held(OTHER)])
def test_a_lock_that_is_no_longer_this_one_is_left_alone(wire: Any, api: Api, now: Any) -> None:
    wire.graphql(held(OID))
    wire.graphql(None, errors=REFUSED)
    wire.graphql(now)
    assert api.release_lock(LOCK) is False


def test_a_refusal_while_it_still_is_this_one_raises(wire: Any, api: Api) -> None:
    wire.graphql(held(OID))
    wire.graphql(None, errors=REFUSED)
    wire.graphql(held(OID))
    with pytest.raises(UpstreamError, match="beforeOid"):
        api.release_lock(LOCK)


def test_a_release_that_is_forbidden_raises(wire: Any, api: Api) -> None:
    wire.graphql(held(OID))
    wire.graphql(None, errors=[{"type": "FORBIDDEN", "message": "no"}])
    with pytest.raises(ForbiddenError):
        api.release_lock(LOCK)


def test_a_release_whose_reply_was_lost_did_release(wire: Any, api: Api) -> None:
    wire.graphql(held(OID))
    wire.fail("POST", "https://api.github.com:443/graphql", requests.ConnectionError("reset"))
    wire.graphql(None, errors=REFUSED)
    wire.graphql(FREE)
    assert api.release_lock(LOCK) is True


# -- renewing -------------------------------------------------------------------------------------------------
MOVED = {"updateRefs": {"clientMutationId": None}}
STALE = [{"type": "STALE_DATA", "message": "Expected refs/slipway/claims/staging to point at …"}]


def test_renewing_moves_the_ref_at_once(wire: Any, api: Api) -> None:
    wire.rest("POST", "/git/tags", {"sha": OTHER}, status=201)
    wire.graphql({"repository": {"id": "R_1", "mark": None}})
    wire.graphql(MOVED)
    moved = api.move_mark("claim", LOCK, RECORD)
    assert moved == replace(LOCK, oid=OTHER)
    assert wire.body(2)["variables"] == {
        "repository": "R_1", "ref": "refs/slipway/claims/staging", "before": OID, "after": OTHER,
    }  # fmt: skip


@pytest.mark.parametrize(("now", "ours"), [("f" * 40, False), (OTHER, True)])
def test_renewing_what_has_moved_meanwhile(wire: Any, api: Api, now: str, *, ours: bool) -> None:
    """By somebody who was faster, or by a request of our own whose reply was lost."""
    wire.rest("POST", "/git/tags", {"sha": OTHER}, status=201)
    wire.graphql({"repository": {"id": "R_1", "mark": None}})
    wire.graphql(None, errors=STALE)
    wire.graphql(held(now))
    assert (api.move_mark("claim", LOCK, RECORD) is not None) is ours
