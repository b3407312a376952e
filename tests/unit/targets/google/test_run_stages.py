"""Traffic in stages, and other people's changes in between: what is sent, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.core.config import ServiceConfig
from bot.core.plan import Restore, Shift
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.target import Absent, Broken, Done, Running
from bot.errors import ConflictError

WEB = "/v2/projects/acme/locations/us-central1/services/shop-web"
OLD, OLDER, NEW = "shop-web-old", "shop-web-older", "shop-web-0123456-zz"
FOUND = (TrafficShare(revision=OLD, percent=90), TrafficShare(revision=OLDER, percent=10))


def shift(percent: int, since: int = 0) -> Shift:
    return Shift(id="shift", services=("web",), percent=percent, timeout=9.0, since={"web": since} if since else {})


def service(*shares: tuple[Any, ...], **over: Any) -> Any:
    """A service with traffic as ``(revision, percent, tag)``, changed last by Sam."""
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    traffic = [{"type": kind, "revision": r, "percent": p, "tag": (*tag, "")[0]} for r, p, *tag in shares]
    return {
        "name": WEB.removeprefix("/v2/"),
        "etag": '"1"',
        "generation": "1",
        "observedGeneration": "1",
        "ingress": "INGRESS_TRAFFIC_ALL",
        "traffic": traffic,
        "trafficStatuses": traffic,
        "lastModifier": "sam@example.com",
        "updateTime": "2026-01-02T03:04:05Z",
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        **over,
    }


def sent(call: Any) -> Any:
    return {(t["revision"], t.get("tag", "")): t.get("percent", 0) for t in call.body["traffic"]}


@pytest.fixture
def target(make_target: Any, make_spec: Any) -> Any:
    return make_target(make_spec(services={"web": ServiceConfig(ingress="internal")}))


@pytest.fixture
def began(known: Any) -> Any:
    """What a release knows that found two revisions serving."""
    state = ServiceState(service="web", traffic=FOUND, settings={"ingress": "all", "max": 4})
    return replace(known, before=Serving(services=(state,)), found=Serving(services=(state,)))


@pytest.fixture
def web(wire: Any) -> Any:
    def web(*found: Any, policy: Any = None) -> None:
        wire.on("GET", "run", WEB, *found)
        wire.on("GET", "run", f"{WEB}:getIamPolicy", policy or {})
        wire.on("PATCH", "run", WEB, {"name": "projects/acme/locations/us-central1/operations/1"})

    return web


CANDIDATE = ((OLD, 90), (OLDER, 10), (NEW, 0, "pr-7"))
AT_20 = ((OLD, 72), (OLDER, 8), (NEW, 20, "pr-7"))


def test_a_stage_takes_its_share_from_what_was_found(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(*CANDIDATE, (OLD, 0, "theirs")))
    target.apply(shift(20), began)
    (call,) = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["traffic"]  # what belongs to the service changes with the last of the traffic
    assert sent(call) == {(OLD, "theirs"): 72, (OLDER, ""): 8, (NEW, "pr-7"): 20}


def test_the_next_stage_begins_where_the_last_one_ended(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(*AT_20))
    target.apply(shift(50, since=20), began)
    assert sent(wire.made("PATCH", "shop-web")[0]) == {(OLD, ""): 45, (OLDER, ""): 5, (NEW, "pr-7"): 50}


def test_the_last_of_the_traffic_brings_the_services_own_settings(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(*AT_20))
    target.apply(shift(100, since=20), began)
    (call,) = wire.made("PATCH", "shop-web")
    assert call.query["updateMask"] == ["traffic,ingress"]
    assert sent(call) == {(NEW, "pr-7"): 100}


@pytest.mark.parametrize(
    ("live", "expected"),
    [(CANDIDATE, Absent()), (AT_20, Done()), (((NEW, 100, "pr-7"),), Absent())],
)
def test_a_stage_is_observed_by_its_share(target: Any, began: Any, web: Any, live: Any, expected: Any) -> None:
    web(service(*live))
    assert target.observe(shift(20), began) == expected


def test_a_stage_under_way(target: Any, began: Any, web: Any) -> None:
    web(service(*AT_20, reconciling=True))
    assert target.observe(shift(20), began) == Running(detail="web: traffic is moving")


@pytest.mark.parametrize(
    "live",
    [
        ((OLD, 100), (NEW, 0, "pr-7")),  # somebody took the older one away
        ((OLD, 90), (OLDER, 10)),  # somebody set the candidate back from 20 %
        (("shop-web-hotfix", 100),),
    ],
)
def test_traffic_that_somebody_else_moved_is_left_alone_and_he_is_named(
    target: Any, began: Any, web: Any, wire: Any, live: Any
) -> None:
    web(service(*live))
    with pytest.raises(ConflictError) as caught:
        target.apply(shift(50, since=20), began)
    assert "sam@example.com at 03:04:05 UTC changed the traffic of web" in caught.value.message
    assert "not 72 % on shop-web-old, 8 % on shop-web-older, 20 % on shop-web-0123456-zz" in caught.value.message
    assert not wire.made("PATCH", "shop-web")


# -- after a run that was killed ----------------------------------------------------------------------------------
def interrupted(began: Any, *shares: tuple[str, int]) -> Any:
    """What a run knows that goes on after another: the state before, and what the other has left."""
    traffic = tuple(TrafficShare(revision=revision, percent=percent) for revision, percent in shares)
    return replace(began, found=Serving(services=(ServiceState(service="web", traffic=traffic),)))


def test_a_run_that_was_killed_at_the_last_shift_goes_through_its_stages_again(
    target: Any, began: Any, web: Any, wire: Any
) -> None:
    web(service((NEW, 100, "pr-7"), (OLD, 0, "theirs")))
    target.apply(shift(20), interrupted(began, (NEW, 100)))
    assert sent(wire.made("PATCH", "shop-web")[0]) == {(OLD, "theirs"): 72, (OLDER, ""): 8, (NEW, "pr-7"): 20}


def test_a_stage_takes_the_traffic_of_a_release_that_was_killed(target: Any, began: Any, web: Any, wire: Any) -> None:
    killed = (("shop-web-killed", 50), (OLD, 50))
    web(service(*killed, (NEW, 0, "pr-7")))
    target.apply(shift(20), interrupted(began, *killed))
    assert sent(wire.made("PATCH", "shop-web")[0]) == {(OLD, ""): 72, (OLDER, ""): 8, (NEW, "pr-7"): 20}


def test_neither_as_before_nor_as_it_was_left_is_somebody_elses(target: Any, began: Any, web: Any) -> None:
    web(service(("shop-web-hotfix", 100), (NEW, 0, "pr-7")))
    with pytest.raises(ConflictError):
        target.apply(shift(20), interrupted(began, ("shop-web-killed", 100)))


def test_where_nothing_served_a_stage_is_all_of_it(target: Any, began: Any, web: Any, wire: Any) -> None:
    nothing = Serving(services=(ServiceState(service="web", exists=False),))
    known = replace(began, before=nothing, found=nothing)
    web(service((NEW, 100, "pr-7")))
    assert target.observe(shift(20), known) == Done()


def test_tags_may_change_meanwhile(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(*CANDIDATE, (OLDER, 0, "new-tag")))
    target.apply(shift(20), began)
    assert (OLDER, "new-tag") in sent(wire.made("PATCH", "shop-web")[0])


# -- the way back -----------------------------------------------------------------------------------------------------
def undo(*shares: TrafficShare, **settings: Any) -> Restore:
    state = ServiceState(service="web", traffic=shares or FOUND, settings=settings or {"ingress": "all"})
    return Restore(id="undo", to=Serving(services=(state,)), timeout=9.0)


def test_a_stage_is_taken_back(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(*AT_20))
    target.apply(undo(), began)
    assert sent(wire.made("PATCH", "shop-web")[0]) == {(OLD, ""): 90, (OLDER, ""): 10}


def test_somebody_elses_revision_is_not_taken_back(target: Any, began: Any, web: Any, wire: Any) -> None:
    web(service(("shop-web-hotfix", 100), (NEW, 0, "pr-7"), ingress="INGRESS_TRAFFIC_INTERNAL_ONLY"))
    seen = target.observe(undo(), began)
    assert isinstance(seen, Broken)
    assert "sam@example.com at 03:04:05 UTC changed the traffic of web: 100 % on shop-web-hotfix" in seen.detail
    target.apply(undo(), began)
    assert not wire.made("PATCH", "shop-web")
    assert not wire.made("POST", ":setIamPolicy")


@pytest.mark.parametrize("shares", [((OLD, 100),), ((OLD, 10), (OLDER, 90))])
def test_a_move_between_what_is_known_is_somebody_elses_too(
    target: Any, began: Any, web: Any, wire: Any, shares: Any
) -> None:
    """He has been told that it was left as it is."""
    web(service(*shares, (NEW, 0, "pr-7")))
    seen = target.observe(undo(), began)
    assert isinstance(seen, Broken)
    assert "it was left as it is" in seen.detail
    target.apply(undo(), began)
    assert not wire.made("PATCH", "shop-web")


def test_the_release_itself_is_taken_back_whoever_sent_traffic_there(
    target: Any, began: Any, web: Any, wire: Any
) -> None:
    web(service((OLD, 80), (NEW, 20, "pr-7")))
    target.apply(undo(), began)
    assert sent(wire.made("PATCH", "shop-web")[0]) == {(OLD, ""): 90, (OLDER, ""): 10}


def test_what_a_rollback_goes_back_to_is_no_stranger(target: Any, began: Any, web: Any) -> None:
    web(service(("shop-web-long-ago", 100)))
    goal = TrafficShare(revision="shop-web-long-ago", percent=100)
    state = Serving(services=(ServiceState(service="web", traffic=(goal,)),))
    assert target.observe(undo(goal), replace(began, goal=state)) == Done()
    assert target.observe(undo(), replace(began, goal=state)) == Absent()


@pytest.mark.parametrize(
    ("ingress", "mask"), [("INTERNAL_ONLY", "traffic,ingress"), ("INTERNAL_LOAD_BALANCER", "traffic")]
)
def test_a_setting_goes_back_unless_somebody_else_has_set_it(
    target: Any, began: Any, web: Any, wire: Any, ingress: str, mask: str
) -> None:
    web(service((NEW, 100, "pr-7"), ingress=f"INGRESS_TRAFFIC_{ingress}"))
    target.apply(undo(ingress="all"), began)
    assert wire.made("PATCH", "shop-web")[0].query["updateMask"] == [mask]


def test_others_are_brought_back_before_a_strangers_service_counts(
    make_target: Any, make_spec: Any, began: Any, wire: Any, web: Any
) -> None:
    worker = WEB.replace("shop-web", "shop-worker")
    state = began.before.service("web")
    both = Serving(
        services=(state, replace(state, service="worker", traffic=(TrafficShare(revision="w-1", percent=100),)))
    )
    web(service(("shop-web-hotfix", 100)))
    wire.on("GET", "run", worker, service(("shop-worker-0123456-zz", 100, "pr-7")))
    wire.on("GET", "run", f"{worker}:getIamPolicy", {})
    target = make_target(make_spec(services={"web": ServiceConfig(), "worker": ServiceConfig()}))
    known = replace(began, before=both, found=both)
    assert target.observe(Restore(id="undo", to=both, timeout=9.0), known) == Absent()


def test_a_service_that_is_no_longer_configured_is_nobodys(target: Any, began: Any, web: Any) -> None:
    web(service(*CANDIDATE[:2]))
    gone = ServiceState(service="gone", traffic=FOUND)
    step = Restore(id="undo", to=Serving(services=(began.before.service("web"), gone)), timeout=9.0)
    assert target.observe(step, began) == Done()


# -- the baseline's address ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([(OLD, 90, "sha-1"), (NEW, 10, "pr-7")], "https://sha-1---web"),
        ([(OLD, 90), (NEW, 10, "pr-7")], "https://web"),
    ],
)
def test_the_baseline_is_asked_at_a_tag_of_its_own(
    target: Any, began: Any, web: Any, shares: Any, expected: str
) -> None:
    found = service(*shares, uri="https://web/")
    found["trafficStatuses"] = [
        {**status, "uri": f"https://{status['tag']}---web/"} if status["tag"] else status for status in found["traffic"]
    ]
    web(found)
    assert target.endpoint("web", "baseline", began) == expected
    assert target.endpoint("web", "candidate", began) == "https://pr-7---web"
