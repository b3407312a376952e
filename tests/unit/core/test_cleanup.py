"""Which tags and revisions go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.cleanup import YOUNG, deletable, needed, pointless, previews_of, tags_of, until_of, why_over
from bot.core.facts import Deployment, DeploymentStatus
from bot.core.previews import Kept, PreviewRecord
from bot.core.record import Entry, Record, base36
from bot.core.serving import ServiceState, Serving, TrafficShare
from bot.core.upkeep import Holding, Made

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOW = START.timestamp()
OLD = NOW - 3 * YOUNG


def share(revision: str, percent: int = 0, tag: str = "") -> TrafficShare:
    return TrafficShare(revision=revision, percent=percent, tag=tag)


def made(number: int, *, age: float = 3 * YOUNG, preview: int = 0, until: float = 0.0) -> Made:
    """Make the revision of deployment ``number``: ``r-<number>``."""
    return Made(
        name=f"r-{number}",
        created=NOW - age,
        release=base36(number),
        sha=f"{number:040x}",
        preview=preview,
        until=until,
    )


def holding(*shares: TrafficShare, of: Any = (), latest: str = "", asked: Any = None) -> Holding:
    return Holding(
        service="web", serving=shares, asked=shares if asked is None else asked, made=tuple(of), latest=latest
    )


def entry(
    number: int, state: str = "success", *, before: str = "", pull: int = 0, goal: int = 0, verb: Any = "deploy"
) -> Entry:
    """Make the record of deployment ``number``, which found ``before`` serving."""
    found = (ServiceState(service="web", traffic=(share(before, 100),)),) if before else ()
    record = Record(
        id=f"{number}", verb=verb, sha=f"{number:040x}", actor="dana", run_id=1, run_attempt=1, plan=(),
        before=Serving(services=found), pull_request=pull, goal=goal,
    )  # fmt: skip
    deployment = Deployment(
        id=number, sha=record.sha, ref="x", environment="staging", payload={}, created_at=START,
        statuses=(DeploymentStatus(state=state, created_at=START),),
    )  # fmt: skip
    return Entry(deployment=deployment, record=record)


def preview_record(number: int, until: float, state: str = "success") -> Kept:
    record = PreviewRecord(
        id="x", number=number, environment="staging", sha="a" * 40, actor="dana", run_id=1, run_attempt=1, until=until
    )
    statuses = (DeploymentStatus(state=state, created_at=START),)
    deployment = Deployment(
        id=1, sha="a" * 40, ref="x", environment=f"staging/pr-{number}", payload={}, created_at=START, statuses=statuses
    )
    return Kept(deployment=deployment, record=record)


# -- what is there ----------------------------------------------------------------------------------------------------
def test_a_tag_leads_where_it_is_or_else_where_it_is_asked_to() -> None:
    one = holding(share("r-1", 100), share("r-2", 0, "pr-7"), asked=(share("r-3", 0, "pr-7"), share("r-4", 0, "pr-8")))
    assert one.tags == {"pr-7": "r-2", "pr-8": "r-4"}
    assert one.leads("pr-9") == ""
    assert one.used == {"r-1", "r-2", "r-3", "r-4"}


# -- previews ---------------------------------------------------------------------------------------------------------
def test_previews_are_known_by_their_own_labels_and_tags() -> None:
    services = [
        holding(
            share("r-1", 100, "sha-0000001"), share("r-7", 0, "pr-7"), share("r-8", 0, "mine"), share("by-hand", 0, "pr-9"),
            of=[made(1), made(7, preview=7), made(8, preview=8)],
        ),
        holding(share("r-71", 0, "pr-7"), of=[made(71, preview=7)]),
    ]  # fmt: skip
    found = previews_of(services)
    assert {number: [one.name for one in revisions] for number, revisions in found.items()} == {7: ["r-7", "r-71"]}


@pytest.mark.parametrize(
    ("state", "until", "expected"),
    [
        ("open", NOW + 1, None),
        ("open", NOW, "expired"),
        ("open", NOW - 1, "expired"),
        ("open", 0.0, None),  # not known
        ("closed", NOW + 1, "closed"),
        ("closed", 0.0, "closed"),
        ("", NOW + 1, None),  # the pull request cannot be read
        ("", NOW - 1, "expired"),
    ],
)
def test_when_a_preview_is_over(state: str, until: float, expected: str | None) -> None:
    assert why_over(state=state, until=until, now=NOW) == expected


@pytest.mark.parametrize(
    ("revisions", "records", "expected"),
    [
        ([10.0], [], 10.0),
        ([10.0, 12.0], [], 12.0),
        ([10.0], [(7, 20.0, "success")], 20.0),  # extended
        ([30.0], [(7, 20.0, "success")], 30.0),
        ([10.0], [(7, 20.0, "inactive")], 10.0),  # of one before it
        ([10.0], [(8, 20.0, "success")], 10.0),
        ([], [], 0.0),
    ],
)
def test_until_when_a_preview_lives(revisions: list[float], records: list[Any], expected: float) -> None:
    of = [made(1, preview=7, until=until) for until in revisions]
    told = [preview_record(number, until, state) for number, until, state in records]
    assert until_of(7, of, told) == expected


def test_only_a_previews_own_tag_goes_with_it() -> None:
    one = holding(
        share("r-7", 0, "pr-7"), share("r-7", 0, "demo"), share("r-8", 0, "pr-8"), share("by-hand", 0, "pr-9"),
        of=[made(7, preview=7), made(8, preview=8)],
    )  # fmt: skip
    assert tags_of(one, {7, 9}) == {"pr-7": ""}


# -- tags of releases -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shares", "history", "expected"),
    [
        # a newer release serves
        ([share("r-2", 100, "sha-0000000"), share("r-1", 0, "sha-0000000")], [], {}),
        ([share("r-2", 100), share("r-1", 0, "pr-7")], [entry(1, pull=7)], {"pr-7": ""}),
        ([share("r-2", 100), share("r-1", 0, "sha-0000000")], [entry(1)], {"sha-0000000": ""}),
        ([share("r-2", 100), share("r-1", 0, "pr-7")], [entry(1, "failure", pull=7)], {"pr-7": ""}),
        # the tag of what serves is where the next release looks for it
        ([share("r-1", 100, "pr-7")], [entry(1, pull=7)], {}),
        ([share("r-1", 100), share("r-1", 0, "pr-7")], [entry(1, pull=7)], {}),
        ([share("r-1", 5), share("r-2", 95), share("r-1", 0, "pr-7")], [entry(1, pull=7)], {}),
        # one that is under way
        ([share("r-2", 100), share("r-1", 0, "pr-7")], [entry(1, "in_progress", pull=7)], {}),
        # somebody else's
        ([share("r-2", 100), share("r-1", 0, "demo")], [entry(1, pull=7)], {}),
        ([share("r-2", 100), share("r-1", 0, "pr-8")], [entry(1, pull=7)], {}),
        ([share("r-2", 100), share("by-hand", 0, "pr-7")], [entry(1, pull=7)], {}),
        ([share("r-2", 100), share("r-1", 0, "pr-7")], [], {}),  # nothing is recorded of it
        # a preview's
        ([share("r-2", 100), share("r-9", 0, "pr-7")], [entry(9, pull=7)], {}),
    ],
)
def test_pointless_tags(shares: list[TrafficShare], history: list[Entry], expected: dict[str, str]) -> None:
    one = holding(*shares, of=[made(1), made(2), made(9, preview=7)])
    assert pointless(one, history) == expected


# -- revisions --------------------------------------------------------------------------------------------------------
def test_what_the_last_releases_served_is_needed() -> None:
    history = [
        entry(5, before="r-3"),
        entry(4, "failure", before="r-3"),
        entry(3, before="r-2"),
        entry(2, before="r-1"),
    ]
    assert needed(history, 10) == frozenset({"5", "3", "2", "0", "r-3", "r-2", "r-1"})
    assert needed(history, 2) == frozenset({"5", "3", "0", "r-3", "r-2"})
    assert needed(history, 1) == frozenset({"5", "0", "r-3"})


def test_a_rollback_needs_what_it_went_back_to() -> None:
    history = [entry(9, before="r-8", goal=3, verb="rollback"), entry(8, before="r-3")]
    found = needed(history, 1)
    assert found is not None
    assert "3" in found


def test_what_is_under_way_is_needed() -> None:
    found = needed([entry(9, "in_progress", before="r-8"), entry(8)], 1)
    assert found is not None
    assert {"9", "8", "r-8"} <= found


@pytest.mark.parametrize("history", [[], [entry(1, "failure")], [entry(1, "in_progress")]])
def test_without_a_success_nothing_is_known(history: list[Entry]) -> None:
    assert needed(history, 10) is None


ALL = frozenset({"none of these"})


@pytest.mark.parametrize(
    ("one", "over", "expected"),
    [
        (holding(of=[made(1, preview=7)]), {"needed": frozenset({"r-1"}), "ended": (7,)}, ()),  # it served once
        (holding(of=[made(1), made(2, age=4 * YOUNG)]), {}, ("r-2", "r-1")),  # oldest first
        # what serves, has a tag, is asked for, or is the latest
        (holding(share("r-1", 1), share("r-2", 0, "x"), of=[made(3), made(2), made(1)]), {}, ("r-3",)),
        (holding(of=[made(2), made(1)], asked=(share("r-2", 0, "pr-7"),)), {}, ("r-1",)),
        (holding(of=[made(2), made(1)], latest="r-2"), {}, ("r-1",)),
        # the newest, the needed, the young
        (holding(of=[made(3), made(2), made(1)]), {"keep": 2}, ("r-1",)),
        (holding(of=[made(3), made(2, preview=7), made(1)]), {"keep": 2}, ("r-2",)),  # previews do not count
        (holding(of=[made(3), made(2), made(1)]), {"needed": frozenset({"3", "r-1"})}, ("r-2",)),
        (holding(of=[made(2, age=YOUNG - 1), made(1, age=YOUNG)]), {}, ("r-1",)),
        (holding(of=[made(1, age=-float("inf"))]), {}, ()),  # nobody knows how old it is
        # nothing is known
        (holding(of=[made(1)]), {"needed": None}, ()),
        # previews
        (holding(of=[made(1, preview=7)]), {"needed": None, "keep": 9}, ("r-1",)),
        (holding(of=[made(1, preview=7, age=5)]), {}, ()),
        (holding(of=[made(1, preview=7, age=5)]), {"ended": (7,)}, ("r-1",)),
        (holding(share("r-1", 0, "pr-7"), of=[made(1, preview=7)]), {"ended": (7,)}, ()),
    ],
)
def test_which_revisions_go(one: Holding, over: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert deletable(one, **{"needed": ALL, "keep": 0, "now": NOW, **over}) == expected


REVISIONS = st.lists(
    st.builds(
        lambda number, age, preview: made(number, age=age, preview=preview),
        st.integers(1, 30),
        st.floats(0, 9 * YOUNG),
        st.sampled_from([0, 0, 0, 7, 8]),
    ),
    max_size=12,
    unique_by=lambda one: one.name,
)


@given(
    REVISIONS,
    st.lists(
        st.builds(share, st.integers(1, 30).map("r-{}".format), st.sampled_from([0, 50]), st.sampled_from(["", "x"]))
    ),
    st.integers(0, 4),
    st.none() | st.frozensets(st.integers(1, 30).map("r-{}".format)),
)
def test_what_anybody_can_reach_never_goes(of: list[Made], shares: Any, keep: int, kept: frozenset[str] | None) -> None:
    ordered = sorted(of, key=lambda one: one.created, reverse=True)
    gone = deletable(holding(*shares, of=ordered), needed=kept, keep=keep, now=NOW, ended=(7,))
    used = {one.revision for one in shares if one.percent or one.tag}
    releases = [one for one in ordered if not one.preview]
    assert not set(gone) & used
    assert not set(gone) & {one.name for one in releases[:keep]}
    assert not set(gone) & (kept or frozenset())
    assert not {one.name for one in releases if one.name in gone and (kept is None or NOW - one.created < YOUNG)}
