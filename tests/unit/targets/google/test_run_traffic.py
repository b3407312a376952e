from typing import Any

import pytest
from google.cloud import run_v2

from bot.core.serving import TrafficShare
from bot.targets.run_traffic import (
    REVISION,
    asked,
    has_percent,
    is_wanted,
    matches,
    restored,
    shares,
    shifted,
    targets,
    with_candidate,
)

LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST


def share(revision: Any, percent: Any = 0, tag: Any = "") -> Any:
    return TrafficShare(revision=revision, percent=percent, tag=tag)


def service(*statuses: Any, wanted: Any = ()) -> Any:
    return run_v2.Service(
        latest_ready_revision="projects/p/locations/l/services/s/revisions/s-9",
        traffic_statuses=[run_v2.TrafficTargetStatus(**status) for status in statuses],
        traffic=[run_v2.TrafficTarget(**target) for target in wanted],
    )


def test_a_latest_status_is_resolved_to_the_revision_that_serves() -> None:
    found = shares(service({"type_": LATEST, "percent": 100}, {"revision": "s-2", "tag": "qa", "uri": "https://qa/"}))
    assert found == (share("s-9", 100), TrafficShare(revision="s-2", percent=0, tag="qa", url="https://qa"))


def test_a_service_without_any_ready_revision_serves_nothing() -> None:
    assert shares(run_v2.Service(traffic_statuses=[run_v2.TrafficTargetStatus(type_=LATEST, percent=100)])) == ()


def test_targets_always_name_a_revision() -> None:
    assert [t.type_ for t in targets((share("a", 100), share("b", 0, "t")))] == [REVISION, REVISION]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((share("old", 100),), (share("old", 100), share("new", 0, "pr-7"))),
        ((), (share("new", 100, "pr-7"),)),
        # The tag moves to the new candidate; the revision that had it keeps its traffic.
        ((share("old", 100, "pr-7"),), (share("old", 100), share("new", 0, "pr-7"))),
        ((share("old", 100), share("older", 0, "pr-7")), (share("old", 100), share("new", 0, "pr-7"))),
        # Somebody else's tag stays.
        ((share("old", 100), share("x", 0, "qa")), (share("old", 100), share("x", 0, "qa"), share("new", 0, "pr-7"))),
    ],
)
def test_a_candidate_gets_its_tag_and_no_traffic(now: Any, expected: Any) -> None:
    assert with_candidate(now, "new", "pr-7") == expected


@pytest.mark.parametrize(
    ("now", "percent", "expected"),
    [
        ((share("old", 100), share("new", 0, "pr-7")), 100, (share("new", 100, "pr-7"),)),
        ((share("old", 100), share("new", 0, "pr-7")), 5, (share("old", 95), share("new", 5, "pr-7"))),
        ((share("old", 100, "qa"), share("new", 0, "pr-7")), 100, (share("old", 0, "qa"), share("new", 100, "pr-7"))),
        (
            (share("a", 50), share("b", 50), share("new", 0, "pr-7")),
            25,
            (share("a", 38), share("b", 37), share("new", 25, "pr-7")),
        ),
        ((share("new", 100, "pr-7"),), 10, (share("new", 100, "pr-7"),)),
        (
            (share("old", 95), share("new", 5, "pr-7"), share("new", 0, "mine")),
            25,
            (share("old", 75), share("new", 0, "mine"), share("new", 25, "pr-7")),
        ),
    ],
)
def test_traffic_shifts_and_adds_up(now: Any, percent: Any, expected: Any) -> None:
    found = shifted(now, "new", "pr-7", percent)
    assert found == expected
    assert sum(s.percent for s in found) == 100
    assert shifted(found, "new", "pr-7", percent) == found  # safe to repeat


@pytest.mark.parametrize(
    ("now", "recorded", "expected"),
    [
        ((share("new", 100, "pr-7"),), (share("old", 100),), (share("old", 100),)),
        (
            (share("new", 100, "pr-7"), share("x", 0, "qa")),
            (share("a", 60), share("b", 40)),
            (share("a", 60), share("b", 40), share("x", 0, "qa")),
        ),
        # A tag that was there at the record and is gone now was taken off by its owner.
        ((share("new", 100, "pr-7"),), (share("old", 100, "qa"),), (share("old", 100),)),
        # The candidate's tag goes back to the serving revision it was taken from.
        ((share("old", 100), share("new", 0, "pr-7")), (share("old", 100, "pr-7"),), (share("old", 100, "pr-7"),)),
        # Somebody else tagged the candidate meanwhile.
        (
            (share("new", 100, "pr-7"), share("new", 0, "qa")),
            (share("old", 100),),
            (share("old", 100), share("new", 0, "qa")),
        ),
    ],
)
def test_restoring_gives_the_recorded_traffic_with_todays_tags(now: Any, recorded: Any, expected: Any) -> None:
    found = restored(now, recorded, "pr-7")
    assert found == expected
    assert restored(found, recorded, "pr-7") == expected


def test_what_serves_is_judged_by_statuses_and_what_is_asked_by_targets() -> None:
    wanted = (share("new", 100, "pr-7"),)
    target = {"type_": REVISION, "revision": "new", "percent": 100, "tag": "pr-7"}
    moving = service({"revision": "old", "percent": 100}, wanted=[target])
    assert is_wanted(asked(moving), wanted)
    assert not matches(shares(moving), wanted)
    moved = service(
        {"revision": "new", "percent": 60, "tag": "pr-7"}, {"revision": "new", "percent": 40}, wanted=[target]
    )
    assert matches(shares(moved), wanted)
    assert not matches(shares(moved), (share("new", 100),))
    assert not is_wanted(asked(service(wanted=[{"type_": LATEST, "percent": 100}])), wanted)
    assert asked(service(wanted=[{"type_": LATEST, "percent": 100}])) == ()


@pytest.mark.parametrize(
    ("found", "percent", "expected"),
    [
        ((share("new", 100),), 100, True),
        ((share("new", 100),), 10, False),
        ((share("new", 10), share("old", 90)), 10, True),
        ((share("new", 10), share("old", 90)), 25, False),
        ((share("old", 100),), 100, False),
        ((), 100, False),
    ],
)
def test_a_revision_has_its_share(found: Any, percent: Any, expected: Any) -> None:
    assert has_percent(found, "new", percent) is expected
