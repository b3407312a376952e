"""What the bot has made on Cloud Run, on the wire: what is asked, what is sent, what becomes of the answers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bot.core.plan import Rollout
from bot.core.previews import moment
from bot.core.serving import TrafficShare
from bot.core.spec import CloudRunSpec
from bot.core.upkeep import Holding, Made
from bot.errors import CancelledError, ConflictError, ForbiddenError, UpstreamError

LOCATION = "/v2/projects/acme/locations/us-central1"
WEB = f"{LOCATION}/services/shop-web"
OLD, NEW, PREVIEW = "shop-web-bbbbbbb-x", "shop-web-0123456-zz", "shop-web-aaaaaaa-y"
LATEST = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}
OPERATION = {"name": "projects/acme/locations/us-central1/operations/1"}
UNTIL = "2026-03-05T12:00:00Z"
READY = [{"type": "Ready", "state": "CONDITION_SUCCEEDED"}]
ROLLOUT = Rollout(id="rollout-web", service="web", timeout=60)


def target_of(revision: str, percent: int = 0, tag: str = "") -> dict[str, Any]:
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    return {"type": kind, "revision": revision, "percent": percent, "tag": tag}


SERVES = [target_of(OLD, 100)]
TAGGED = [*SERVES, target_of(PREVIEW, 0, "pr-7"), target_of("theirs", 0, "demo")]


def service(traffic: Any = SERVES, **over: Any) -> dict[str, Any]:
    return {
        "name": WEB.removeprefix("/v2/"),
        "etag": '"1"',
        "generation": "1",
        "observedGeneration": "1",
        "template": {"revision": OLD, "containers": [{"image": "old"}]},
        "traffic": traffic,
        "trafficStatuses": traffic,
        "latestReadyRevision": f"{WEB.removeprefix('/v2/')}/revisions/{OLD}",
        "latestCreatedRevision": f"{WEB.removeprefix('/v2/')}/revisions/{PREVIEW}",
        **over,
    }


def revision(name: str, labels: Any = None, **over: Any) -> dict[str, Any]:
    release, sha = ("x", "b" * 40) if name == OLD else ("y", "a" * 40)
    ours = {"slipway-release": release, "slipway-sha": sha, "slipway-environment": "staging"}
    return {
        "name": f"{WEB.removeprefix('/v2/')}/revisions/{name}",
        "labels": ours if labels is None else {**ours, **labels},
        "createTime": "2026-03-02T12:00:00Z",
        "conditions": READY,
        **over,
    }


def sent(call: Any) -> list[tuple[str, int, str]]:
    return [(one["revision"], one.get("percent", 0), one.get("tag", "")) for one in call.body["traffic"]]


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    return make_target(make_spec())


@pytest.fixture
def upkeep(target: Any) -> Any:
    return target.upkeep


# -- looking ----------------------------------------------------------------------------------------------------------
def test_what_the_bot_made_is_known_by_its_labels(wire: Any, upkeep: Any) -> None:
    wire.on("GET", "run", WEB, service([*TAGGED, LATEST]))
    pages = [
        {
            "revisions": [
                revision(OLD),
                {**revision("theirs"), "labels": {"team": "blue"}},
                revision("shop-web-00007-abc"),  # edited by hand: it took the labels along
            ],
            "nextPageToken": "2",
        },
        {
            "revisions": [
                revision(PREVIEW, {"slipway-environment": "production"}),
                revision(PREVIEW, {"slipway-preview": "7"}, annotations={"slipway-until": UNTIL}, createTime="2026-03-02T13:00:00Z"),
            ]
        },
    ]  # fmt: skip
    wire.on("GET", "run", f"{WEB}/revisions", *pages)
    [found] = upkeep.holdings()
    at = moment("2026-03-02T12:00:00Z")
    until = moment(UNTIL)
    assert found == Holding(
        service="web",
        serving=(
            TrafficShare(revision=OLD, percent=100),
            TrafficShare(revision=PREVIEW, percent=0, tag="pr-7"),
            TrafficShare(revision="theirs", percent=0, tag="demo"),
            TrafficShare(revision=OLD, percent=100),  # what is newest and ready
        ),
        asked=(
            TrafficShare(revision=OLD, percent=100),
            TrafficShare(revision=PREVIEW, percent=0, tag="pr-7"),
            TrafficShare(revision="theirs", percent=0, tag="demo"),
        ),
        made=(
            Made(name=PREVIEW, created=at + 3600, release="y", sha="a" * 40, preview=7, until=until),
            Made(name=OLD, created=at, release="x", sha="b" * 40),
        ),
        latest=PREVIEW,
    )
    assert wire.made("GET", "/revisions")[0].query["pageSize"] == ["100"]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"createTime": None}, {"created": math.inf}),
        ({"labels": {"slipway-preview": "seven"}}, {"preview": 0}),
        ({"annotations": {"slipway-until": "soon"}}, {"until": 0.0}),
        ({"annotations": {"slipway-until": "2026-03-05T12:00:00"}}, {"until": 0.0}),  # no time zone
    ],
)
def test_labels_that_cannot_be_read_say_nothing(wire: Any, upkeep: Any, over: Any, expected: Any) -> None:
    wire.on("GET", "run", WEB, service())
    found = revision(PREVIEW, over.pop("labels", None), **over)
    wire.on("GET", "run", f"{WEB}/revisions", {"revisions": [found]})
    [made] = upkeep.holdings()[0].made
    assert {name: getattr(made, name) for name in expected} == expected


def test_a_service_that_does_not_exist_holds_nothing(wire: Any, upkeep: Any, api_error: Any) -> None:
    wire.on("GET", "run", WEB, api_error(404, "NOT_FOUND"))
    wire.on("GET", "run", f"{WEB}/revisions", api_error(404, "NOT_FOUND"))
    assert upkeep.holdings() == ()


def test_worker_pools_are_left_out(wire: Any, make_target: Any, make_spec: Any) -> None:
    from bot.core.config import ServiceConfig  # noqa: PLC0415

    spec: CloudRunSpec = make_spec(services={"worker": ServiceConfig(kind="worker_pool")})
    assert make_target(spec).upkeep.holdings() == ()
    assert wire.calls == []


# -- tags -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("traffic", "tags", "expected"),
    [
        (TAGGED, {"pr-7": ""}, [(OLD, 100, ""), ("theirs", 0, "demo")]),
        (TAGGED, {"pr-7": "new"}, [(OLD, 100, ""), ("theirs", 0, "demo"), ("new", 0, "pr-7")]),
        ([target_of(OLD, 100, "pr-7")], {"pr-7": ""}, [(OLD, 100, "")]),
        ([target_of(OLD, 100, "pr-7")], {"pr-7": "new"}, [(OLD, 100, ""), ("new", 0, "pr-7")]),
    ],
)
def test_tags_change_and_nothing_else(wire: Any, upkeep: Any, traffic: Any, tags: Any, expected: Any) -> None:
    wire.on("GET", "run", WEB, service(traffic))
    wire.on("PATCH", "run", WEB, OPERATION)
    upkeep.retag({"web": tags})
    [call] = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["traffic"]
    assert call.body["etag"] == '"1"'
    assert sent(call) == expected


def test_somebody_who_follows_the_latest_revision_goes_on_doing_so(wire: Any, upkeep: Any) -> None:
    wire.on("GET", "run", WEB, service([LATEST, target_of(PREVIEW, 0, "pr-7")]))
    wire.on("PATCH", "run", WEB, OPERATION)
    upkeep.retag({"web": {"pr-7": ""}})
    [call] = wire.made("PATCH", "shop-web")
    assert call.body["traffic"] == [{"type": 1, "percent": 100}]


@pytest.mark.parametrize("tags", [{"pr-8": ""}, {"pr-7": PREVIEW}, {}])
def test_what_is_so_already_is_not_sent(wire: Any, upkeep: Any, tags: Any) -> None:
    wire.on("GET", "run", WEB, service(TAGGED))
    upkeep.retag({"web": tags})
    assert not wire.made("PATCH", "shop-web")


def test_a_service_that_is_gone_has_no_tags(wire: Any, upkeep: Any, api_error: Any) -> None:
    wire.on("GET", "run", WEB, api_error(404, "NOT_FOUND"))
    upkeep.retag({"web": {"pr-7": ""}})
    assert [call.method for call in wire.calls] == ["GET"]


def test_the_change_is_awaited(wire: Any, upkeep: Any) -> None:
    on_its_way = service(TAGGED, reconciling=True, generation="2")
    given_up = service(TAGGED, generation="2", terminalCondition={"state": "CONDITION_FAILED"})
    wire.on("GET", "run", WEB, service(TAGGED), on_its_way, on_its_way, given_up)
    wire.on("PATCH", "run", WEB, OPERATION)
    upkeep.retag({"web": {"pr-7": ""}})
    assert wire.slept == [0.3, 0.3]


def test_a_change_that_never_comes_is_told(wire: Any, upkeep: Any) -> None:
    wire.on("GET", "run", WEB, service(TAGGED, reconciling=True))
    wire.on("PATCH", "run", WEB, OPERATION)
    with pytest.raises(UpstreamError, match="did not change within 60 s"):
        upkeep.retag({"web": {"pr-7": ""}})


def test_a_run_that_is_being_stopped_waits_for_nothing(wire: Any, make_target: Any, make_spec: Any) -> None:
    target = make_target(make_spec())

    def stop(_seconds: float) -> None:
        raise CancelledError("The run was asked to stop.")

    target._google.sleep = stop
    wire.on("GET", "run", WEB, service(TAGGED, reconciling=True))
    wire.on("PATCH", "run", WEB, OPERATION)
    target.upkeep.retag({"web": {"pr-7": ""}})


def test_tags_that_come_and_go_meanwhile_are_no_conflict(wire: Any, upkeep: Any, api_error: Any) -> None:
    newer = service([*TAGGED, target_of("x", 0, "pr-9")], etag='"2"')
    wire.on("GET", "run", WEB, service(TAGGED), newer)
    wire.on("PATCH", "run", WEB, api_error(409, "ABORTED"), OPERATION)
    upkeep.retag({"web": {"pr-7": ""}})
    second = wire.made("PATCH", "shop-web")[1]
    assert second.body["etag"] == '"2"'
    assert sent(second) == [(OLD, 100, ""), ("theirs", 0, "demo"), ("x", 0, "pr-9")]


def test_traffic_that_moves_meanwhile_is_left_where_it_went(wire: Any, upkeep: Any, api_error: Any) -> None:
    moved = service([target_of("theirs", 100), target_of("x", 0, "pr-7")], etag='"2"')
    wire.on("GET", "run", WEB, service(TAGGED), moved)
    wire.on("PATCH", "run", WEB, api_error(409, "ABORTED"), OPERATION)
    upkeep.retag({"web": {"pr-7": ""}})
    assert sent(wire.made("PATCH", "shop-web")[1]) == [("theirs", 100, "")]


# -- revisions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, "", True),
        (404, "NOT_FOUND", True),
        (400, "FAILED_PRECONDITION", False),  # it can receive traffic, or is the latest
        (409, "ABORTED", False),
    ],
)
def test_a_revision_is_deleted(wire: Any, upkeep: Any, api_error: Any, status: int, code: str, expected: bool) -> None:
    wire.on("DELETE", "run", f"{WEB}/revisions/{PREVIEW}", OPERATION if status == 200 else api_error(status, code))
    assert upkeep.delete("web", PREVIEW) is expected
    assert len(wire.made("DELETE", PREVIEW)) == 1


@pytest.mark.parametrize(("status", "kind"), [(403, ForbiddenError), (500, UpstreamError)])
def test_what_keeps_a_revision_from_being_deleted_is_told(
    wire: Any, upkeep: Any, api_error: Any, status: int, kind: type[Exception]
) -> None:
    wire.on("DELETE", "run", f"{WEB}/revisions/{PREVIEW}", api_error(status, "X"))
    with pytest.raises(kind):
        upkeep.delete("web", PREVIEW)


# -- previews ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def previewing(known: Any) -> Any:
    from dataclasses import replace  # noqa: PLC0415

    return replace(known, release=replace(known.release, preview=7, until=UNTIL))


def test_a_preview_stands_beside_what_serves(wire: Any, target: Any, previewing: Any) -> None:
    template = {
        "revision": OLD,
        "containers": [{"image": "old"}],
        "scaling": {"minInstanceCount": 2, "maxInstanceCount": 9},
        "annotations": {"team": "blue"},
    }
    wire.on("GET", "run", WEB, service(TAGGED, template=template))
    wire.on("PATCH", "run", WEB, OPERATION)
    target.apply(ROLLOUT, previewing)
    [call] = wire.made("PATCH", "shop-web")
    assert sent(call) == [(OLD, 100, ""), ("theirs", 0, "demo"), (NEW, 0, "pr-7")]
    assert call.query["updateMask"] == ["template,traffic"]
    made = call.body["template"]
    assert made["labels"]["slipway-preview"] == "7"
    assert made["labels"]["slipway-release"] == "zz"
    assert made["annotations"] == {"team": "blue", "slipway-until": UNTIL}
    assert made["scaling"] == {"maxInstanceCount": 9}  # nobody pays for instances that nobody asks


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "web serves nothing yet"),
        (service([target_of(OLD, 0, "x")]), "web serves nothing yet"),
        (service([LATEST]), "web sends its traffic to whatever is newest"),
        (service([target_of(OLD, 50), {**LATEST, "percent": 50}]), "web sends its traffic to whatever is newest"),
        (service([], trafficStatuses=[LATEST]), "web sends its traffic to whatever is newest"),
    ],
)
def test_a_preview_that_would_get_traffic_is_not_made(
    wire: Any, target: Any, previewing: Any, api_error: Any, found: Any, says: str
) -> None:
    wire.on("GET", "run", WEB, api_error(404, "NOT_FOUND") if found is None else found)
    with pytest.raises(ConflictError, match=says):
        target.apply(ROLLOUT, previewing)
    assert [call.method for call in wire.calls] == ["GET"]


def test_a_preview_takes_its_place_beside_what_came_meanwhile(
    wire: Any, target: Any, previewing: Any, api_error: Any
) -> None:
    moved = service([target_of("theirs", 100), target_of(OLD, 0, "demo")], etag='"2"')
    wire.on("GET", "run", WEB, service(TAGGED), moved)
    wire.on("PATCH", "run", WEB, api_error(409, "ABORTED"), OPERATION)
    target.apply(ROLLOUT, previewing)
    assert sent(wire.made("PATCH", "shop-web")[1]) == [("theirs", 100, ""), (OLD, 0, "demo"), (NEW, 0, "pr-7")]


def test_a_preview_is_not_made_when_it_would_get_traffic_by_now(
    wire: Any, target: Any, previewing: Any, api_error: Any
) -> None:
    wire.on("GET", "run", WEB, service(TAGGED), service([LATEST], etag='"2"'))
    wire.on("GET", "run", f"{WEB}/revisions/{NEW}", api_error(404, "NOT_FOUND"))
    wire.on("PATCH", "run", WEB, api_error(409, "ABORTED"))
    with pytest.raises(ConflictError, match="whatever is newest"):
        target.apply(ROLLOUT, previewing)
    assert len(wire.made("PATCH", "shop-web")) == 1


def test_a_preview_that_was_cut_short_gets_its_tag(wire: Any, target: Any, previewing: Any, api_error: Any) -> None:
    wire.on("GET", "run", WEB, service(TAGGED))
    wire.on("GET", "run", f"{WEB}/revisions/{NEW}", revision(NEW, labels={"slipway-release": "zz"}))
    wire.on("PATCH", "run", WEB, api_error(409, "ALREADY_EXISTS"), OPERATION)
    target.apply(ROLLOUT, previewing)
    last = wire.made("PATCH", "shop-web")[1]
    assert last.query["updateMask"] == ["traffic"]
    assert sent(last) == [(OLD, 100, ""), ("theirs", 0, "demo"), (NEW, 0, "pr-7")]


def test_the_template_of_what_serves_is_put_back(wire: Any, target: Any, previewing: Any) -> None:
    before = service(TAGGED, template={"revision": OLD, "containers": [{"image": "old"}], "labels": {"team": "blue"}})
    after = service(
        TAGGED, template={"revision": NEW, "labels": {"slipway-preview": "7"}, "containers": [{"image": "new"}]}
    )
    wire.on("GET", "run", WEB, before, after)
    wire.on("GET", "run", f"{WEB}/revisions/{OLD}", revision(OLD))
    wire.on("PATCH", "run", WEB, OPERATION)
    target.apply(ROLLOUT, previewing)
    target.upkeep.put_back_templates()
    second = wire.made("PATCH", "shop-web")[1]
    assert second.query["updateMask"] == ["template"]
    assert second.body["template"] == {"revision": OLD, "containers": [{"image": "old"}], "labels": {"team": "blue"}}
    target.upkeep.put_back_templates()  # once is enough
    assert len(wire.made("PATCH", "shop-web")) == 2


@pytest.mark.parametrize(
    ("template", "there", "now"),
    [
        ({"containers": [{"image": "old"}]}, True, "7"),  # it names no revision: one would be made
        (
            {"revision": OLD, "containers": [{"image": "old"}]},
            False,
            "7",
        ),  # its revision is gone: it would be made anew
        ({"revision": OLD, "containers": [{"image": "old"}]}, True, ""),  # somebody was faster
    ],
)
def test_a_template_that_would_make_a_revision_is_left(
    wire: Any, target: Any, previewing: Any, api_error: Any, template: Any, there: bool, now: str
) -> None:
    labels = {"slipway-preview": now} if now else {}
    after = service(TAGGED, template={"revision": NEW, "labels": labels, "containers": [{"image": "new"}]})
    wire.on("GET", "run", WEB, service(TAGGED, template=template), after)
    wire.on("GET", "run", f"{WEB}/revisions/{OLD}", revision(OLD) if there else api_error(404, "NOT_FOUND"))
    wire.on("PATCH", "run", WEB, OPERATION)
    target.apply(ROLLOUT, previewing)
    target.upkeep.put_back_templates()
    assert len(wire.made("PATCH", "shop-web")) == 1


def test_a_template_that_cannot_be_put_back_is_left(wire: Any, target: Any, previewing: Any, api_error: Any) -> None:
    after = service(
        TAGGED, template={"revision": NEW, "labels": {"slipway-preview": "7"}, "containers": [{"image": "new"}]}
    )
    wire.on("GET", "run", WEB, service(TAGGED), after)
    wire.on("GET", "run", f"{WEB}/revisions/{OLD}", revision(OLD))
    wire.on("PATCH", "run", WEB, OPERATION, api_error(409, "ALREADY_EXISTS"))
    target.apply(ROLLOUT, previewing)
    target.upkeep.put_back_templates()
    assert wire.made("PATCH", "shop-web")[1].query["updateMask"] == ["template"]


def test_a_release_after_a_preview_bears_no_mark_of_it(wire: Any, target: Any, known: Any) -> None:
    marked = {
        "revision": PREVIEW,
        "labels": {"slipway-preview": "7", "team": "blue"},
        "annotations": {"slipway-until": UNTIL, "slipway-managed": '{"env":["MODE"],"mounts":[]}'},
        "containers": [{"image": "old", "env": [{"name": "MODE", "value": "preview"}, {"name": "KEPT", "value": "1"}]}],
    }
    wire.on("GET", "run", WEB, service(TAGGED, template=marked))
    wire.on("PATCH", "run", WEB, OPERATION)
    target.apply(ROLLOUT, known)
    made = wire.made("PATCH", "shop-web")[0].body["template"]
    assert "slipway-preview" not in made["labels"]
    assert made["labels"]["team"] == "blue"
    assert "slipway-until" not in made["annotations"]
    assert [variable["name"] for variable in made["containers"][0]["env"]] == ["KEPT"]
