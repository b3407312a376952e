from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.facts import Deployment, DeploymentStatus
from bot.core.outcome import Reason, Refusal
from bot.core.record import Entry, Record
from bot.core.rollback import Goal, before, keys_of, made, named
from bot.core.serving import ServiceState, Serving, TrafficShare

START = datetime(2026, 1, 2, tzinfo=UTC)
A, B, C, D = "a" * 40, "b" * 40, "1234567" + "c" * 33, "d" * 40
Made = Callable[..., Entry]


@pytest.fixture
def make_entry() -> Made:
    """Make a release: its number, its sha, what it found, and how it ended."""

    def make(number: int, sha: str, found: Serving, state: str = "success", **over: Any) -> Entry:
        record = Record(
            id=f"{number}-1", verb="deploy", sha=sha, actor="dana", run_id=1, run_attempt=1, plan=(), before=found
        )
        deployment = Deployment(
            id=number,
            sha=sha,
            ref=sha,
            environment="staging",
            payload={},
            created_at=START,
            statuses=(DeploymentStatus(state=state, created_at=START),),
        )
        return Entry(deployment=deployment, record=replace(record, **over))

    return make


def left_by(entry: Entry) -> Serving:
    """What a release leaves serving, as its revisions' labels tell."""
    revision = f"shop-web-{entry.record.sha[:7]}-{entry.key}"
    state = ServiceState(
        service="web",
        traffic=(TrafficShare(revision=revision, percent=100),),
        labels={revision: {"slipway-release": entry.key, "slipway-sha": entry.record.sha}},
    )
    return Serving(services=(state,))


def split(one: Entry, percent: int, other: Entry) -> Serving:
    """What serves while one release has a percentage of the traffic and another one the rest."""
    (first,), (second,) = left_by(one).services, left_by(other).services
    shares = ((first.revision, percent), (second.revision, 100 - percent))
    traffic = tuple(TrafficShare(revision=revision, percent=share) for revision, share in shares)
    return Serving(services=(replace(first, traffic=traffic, labels={**first.labels, **second.labels}),))


BY_HAND = Serving(services=(ServiceState(service="web", traffic=(TrafficShare(revision="hand", percent=100),)),))


def test_what_was_verified_before(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one))
    goal = before((two, one), made((two, one), left_by(two)), "staging")
    assert goal == Goal(state=left_by(one), sha=A, entry=one)


def test_failed_releases_in_between_are_passed_over(make_entry: Made) -> None:
    """Their way back failed too, so that each found what the one before it left."""
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one), "failure")
    three = make_entry(3, C, left_by(two))
    goal = before((three, two, one), three, "staging")
    assert goal == Goal(state=left_by(one), sha=A, entry=one)


def test_what_somebody_made_by_hand_counts_as_it_was_found(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND, before_sha=B)
    assert before((one,), one, "staging") == Goal(state=BY_HAND, sha=B, entry=None)


@pytest.mark.parametrize(
    ("current", "said"),
    [
        (None, "was not released from here"),
        ("first", "was the first release on `staging`"),
        ("broken", "Nothing that served on `staging` before `1234567` was verified."),
    ],
)
def test_nothing_to_go_back_to(make_entry: Made, current: str | None, said: str) -> None:
    first = make_entry(1, C, Serving())
    failed = make_entry(1, A, Serving(), "failure")
    broken = make_entry(2, C, left_by(failed))
    entry = {"first": first, "broken": broken}.get(current or "")
    refusal = before((broken, failed), entry, "staging")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOTHING_TO_ROLL_BACK_TO
    assert said in refusal.sentence


def test_a_stage_that_was_interrupted_is_taken_back(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one))
    three = make_entry(3, C, left_by(two), "in_progress")
    past = (three, two, one)
    assert before(past, made(past, split(two, 75, three)), "staging") == Goal(state=left_by(two), sha=B, entry=two)


def test_what_somebody_mixed_was_never_verified(make_entry: Made) -> None:
    """The newest in the mixture is brought back as it was whole, if that is known; else what was before it."""
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one))
    three = make_entry(3, C, split(one, 60, two))
    assert before((three, two, one), three, "staging") == Goal(state=left_by(one), sha=A, entry=one)
    four = make_entry(4, C, left_by(two), "failure")
    assert before((four, three, two, one), three, "staging") == Goal(state=left_by(two), sha=B, entry=two)


def test_records_in_a_circle_end(make_entry: Made) -> None:
    """A record can be damaged, or written by somebody else."""
    one = make_entry(1, A, Serving(), "failure")
    one = replace(one, record=replace(one.record, before=left_by(one)))
    assert isinstance(before((one,), one, "staging"), Refusal)


@pytest.mark.parametrize("name", ["1", A[:7], "@" + A[:12].upper(), "shop-web-aaaaaaa-1", "1234567"])
def test_a_release_is_named_by_its_number_its_sha_or_a_revision(make_entry: Made, name: str) -> None:
    number = 1234567 if name == "1234567" else 1
    one = make_entry(number, A, BY_HAND)
    two = make_entry(number + 1, B, left_by(one))
    three = make_entry(number + 2, C, left_by(two))  # its sha begins as a number does: the number goes first
    assert named((three, two, one), left_by(three), name, "staging") == Goal(state=left_by(one), sha=A, entry=one)


def test_of_releases_of_one_sha_the_newest_that_was_verified_is_meant(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one))
    failed = make_entry(3, A, left_by(two), "failure")
    goal = named((failed, two, one), left_by(two), A[:7], "staging")
    assert isinstance(goal, Goal)
    assert goal.entry == one


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense", "No recorded release of `staging` is called `nonsense`."),
        ("aaaa", "is called `aaaa`"),  # too short for a sha
        ("3", "Deployment 3 (`1234567`) was never verified on `staging`."),
        ("2", "Deployment 2 (`bbbbbbb`) serves on `staging` already."),
        ("9", "There is no record of what deployment 9 (`bbbbbbb`) left serving on `staging`."),
    ],
)
def test_a_release_that_cannot_be_brought_back(make_entry: Made, name: str, said: str) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, left_by(one))
    three = make_entry(3, C, left_by(two), "failure")
    nine = make_entry(9, B, BY_HAND)
    refusal = named((nine, three, two, one), left_by(two), name, "staging")
    assert isinstance(refusal, Refusal)
    assert said in refusal.sentence
    assert refusal.next


def test_a_rollback_is_no_release_to_go_back_to(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    back = make_entry(5, A, left_by(one), verb="rollback")
    assert isinstance(named((back, one), BY_HAND, "5", "staging"), Refusal)


def test_who_made_what_serves(make_entry: Made) -> None:
    one = make_entry(36, A, BY_HAND)
    assert keys_of(left_by(one)) == {"10"}
    assert keys_of(BY_HAND) == set()
    assert made((one,), left_by(one)) == one
    assert made((one,), BY_HAND) is None


# -- releases of some services ----------------------------------------------------------------------------------------
def both(web: Entry, worker: Entry) -> Serving:
    """What serves where the web is of one release and the worker of another."""
    return Serving(
        services=tuple(
            replace(left_by(entry).services[0], service=name) for name, entry in (("web", web), ("worker", worker))
        )
    )


def test_what_a_release_of_some_services_left_is_known_to_be_good(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, both(one, one), services=("web",))
    three = make_entry(3, C, both(two, one))
    past = (three, two, one)
    assert before(past, made(past, both(three, three)), "staging") == Goal(state=both(two, one), sha=B, entry=two)
    assert named(past, both(three, three), B[:7], "staging") == Goal(state=both(two, one), sha=B, entry=two)


def test_a_release_of_some_services_is_taken_back_by_what_was_before_it(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, both(one, one), services=("web",))
    past = (two, one)
    assert before(past, made(past, both(two, one)), "staging") == Goal(state=both(one, one), sha=A, entry=one)
    refusal = named(past, both(two, one), B[:7], "staging")
    assert isinstance(refusal, Refusal)
    assert "serves on `staging` already" in refusal.sentence


def test_a_mixture_that_no_release_has_left_is_not_gone_back_to(make_entry: Made) -> None:
    """The worker had been put back by hand to an older release, before the next one came."""
    zero = make_entry(9, D, BY_HAND)
    one = make_entry(1, A, both(zero, zero))
    two = make_entry(2, B, both(one, one), services=("web",))
    three = make_entry(3, C, both(two, zero))
    past = (three, two, one, zero)
    goal = before(past, made(past, both(three, three)), "staging")
    assert goal == Goal(state=both(one, one), sha=A, entry=one)


def test_a_failed_release_of_some_services_is_not_gone_back_to(make_entry: Made) -> None:
    one = make_entry(1, A, BY_HAND)
    two = make_entry(2, B, both(one, one), "failure", services=("web",))
    three = make_entry(3, C, both(two, one))
    past = (three, two, one)
    assert before(past, made(past, both(three, three)), "staging") == Goal(state=both(one, one), sha=A, entry=one)
