"""How a commit stands on the environment that it is promoted from, by that environment's record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.config import Promotion
from bot.core.facts import Deployment, DeploymentStatus
from bot.core.outcome import Reason, Refusal
from bot.core.promotion import image_of, judge, sha_to_promote, soaking, standing, unseen
from bot.core.record import Entry, Record
from bot.core.serving import Artifact, ServiceState, Serving, TrafficShare

START = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
A, B, C = "a" * 40, "b" * 40, "c" * 40
IMAGE = "r-docker.pkg.dev/p/shop/shop"
HOUR = Promotion(environment="staging", soak=3600.0)
NO_SOAK = Promotion(environment="staging")
AGAIN = "/deploy production"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def entry(number: int, sha: str, *states: str, minutes: float | None = None, **over: Any) -> Entry:
    """A release of that number, begun that many minutes after the start; its last state came a minute later."""
    begun = number if minutes is None else minutes
    record = Record(
        id=f"{number}-1", verb="deploy", sha=sha, actor="dana", run_id=1, run_attempt=1, plan=(), before=Serving(),
        image=IMAGE,
    )  # fmt: skip
    deployment = Deployment(
        id=number, sha=sha, ref=sha, environment="staging", payload={}, created_at=at(begun),
        statuses=tuple(DeploymentStatus(state=state, created_at=at(begun + 1)) for state in states),
    )  # fmt: skip
    return Entry(deployment=deployment, record=replace(record, **over))


def left_by(made: Entry, *digests: str) -> Serving:
    """What a release leaves serving, as its revisions' labels tell: one service for each digest."""
    states = []
    for number, digest in enumerate(digests or (f"sha256:{made.record.sha}",)):
        revision = f"s{number}-{made.key}"
        states.append(
            ServiceState(
                service=f"s{number}",
                traffic=(TrafficShare(revision=revision, percent=100),),
                digests={revision: digest},
                labels={revision: {"slipway-release": made.key, "slipway-sha": made.record.sha}},
            )
        )
    return Serving(services=tuple(states))


def back_to(goal: Entry, number: int, *states: str) -> Entry:
    return entry(number, goal.record.sha, *states, verb="rollback", goal=goal.deployment.id)


VERIFIED = entry(1, A, "success")


@pytest.mark.parametrize(
    ("later", "rule", "minutes", "reason", "said"),
    [
        # nothing has come after it
        ((), NO_SOAK, 2, None, ""),
        ((), HOUR, 62, None, ""),
        ((), HOUR, 14, Reason.PROMOTION_SOAKING, "`aaaaaaa` has soaked 12 of 60 minutes on `staging`."),
        ((), HOUR, 0, Reason.PROMOTION_SOAKING, "soaked 0 of 60 minutes"),  # clocks differ
        # another release took its place: soon, late, or it tried to
        ((entry(2, B, "success"),), NO_SOAK, 90, None, ""),
        ((entry(5, B, "success"),), HOUR, 90, Reason.PROMOTION_SOAKING, "soaked 3 of 60 minutes on `staging`: another release took its place."),
        ((entry(62, B, "success"),), HOUR, 90, None, ""),
        ((entry(5, B, "failure"),), HOUR, 90, None, ""),
        ((entry(5, B, "failure"), entry(6, B, "success")), HOUR, 90, Reason.PROMOTION_SOAKING, "soaked 4 of 60"),
        # rolled back, at any time, whatever came of it
        ((back_to(entry(0, B, "success"), 5, "success"),), NO_SOAK, 90, Reason.PROMOTION_UNVERIFIED, "`aaaaaaa` was rolled back on `staging` at 2026-01-02 10:05 UTC."),
        ((back_to(entry(0, B, "success"), 80, "success"),), HOUR, 90, Reason.PROMOTION_UNVERIFIED, "was rolled back"),
        ((back_to(entry(0, B, "success"), 5, "failure"),), NO_SOAK, 90, Reason.PROMOTION_UNVERIFIED, "was rolled back"),
        # a rollback of what had taken its place is none of it
        ((entry(5, B, "success"), back_to(entry(0, C, "success"), 6, "success")), NO_SOAK, 90, None, ""),
        # back to it: verified anew
        ((entry(5, B, "success"), back_to(VERIFIED, 6, "success")), HOUR, 90, None, ""),
        ((entry(5, B, "success"), back_to(VERIFIED, 60, "success")), HOUR, 90, Reason.PROMOTION_SOAKING, "soaked 29 of 60"),
        # released again
        ((entry(5, A, "success"),), HOUR, 64, Reason.PROMOTION_SOAKING, "soaked 58 of 60 minutes"),
        ((entry(5, A, "failure"),), NO_SOAK, 90, Reason.PROMOTION_UNVERIFIED, "A later release of `aaaaaaa` on `staging` failed, at 2026-01-02 10:05 UTC."),
        ((entry(5, A, "failure"), entry(6, A, "success")), NO_SOAK, 90, None, ""),
        ((entry(5, A, "error"),), NO_SOAK, 90, None, ""),  # cancelled: it tells nothing of the commit
        ((entry(5, A, "in_progress"),), NO_SOAK, 90, Reason.PROMOTION_UNVERIFIED, "A later release of `aaaaaaa` on `staging` has not ended."),
        ((entry(5, A),), NO_SOAK, 90, Reason.PROMOTION_UNVERIFIED, "has not ended"),
        ((entry(5, B, "in_progress"),), NO_SOAK, 90, None, ""),
    ],
)  # fmt: skip
def test_a_verified_commit(
    later: tuple[Entry, ...], rule: Promotion, minutes: float, reason: Reason | None, said: str
) -> None:
    history = (*reversed(later), VERIFIED)
    found = (judge(rule, history, A, again=AGAIN), soaking(rule, history, A, again=AGAIN, now=at(minutes)))
    assert None in found  # one of them speaks
    refusal = found[0] or found[1]
    if reason is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.reason is reason
        assert said in refusal.sentence
        assert refusal.next


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ((), "`aaaaaaa` has not been verified on `staging`."),
        ((entry(1, B, "success"),), "has not been verified on `staging`."),
        ((entry(1, A, "failure"),), "has not been verified on `staging`: its release there failed."),
        ((entry(1, A, "error"),), ": its release there failed."),
        ((entry(1, A, "in_progress"),), ": its release there has not ended."),
        ((entry(1, A, "inactive", "failure"),), ": its release there failed."),
    ],
)
def test_a_commit_that_was_never_verified(history: tuple[Entry, ...], said: str) -> None:
    assert soaking(HOUR, history, A, again=AGAIN, now=at(90)) is None
    refusal = judge(HOUR, history, A, again=AGAIN)
    assert refusal is not None
    assert refusal.reason is Reason.PROMOTION_UNVERIFIED
    assert refusal.sentence.endswith(said)
    assert refusal.next == "`/deploy staging` first, then `/deploy production`"


def test_a_success_without_a_time_is_no_evidence() -> None:
    odd = replace(VERIFIED.deployment, statuses=(DeploymentStatus(state="success"),))
    assert standing((replace(VERIFIED, deployment=odd),), A) is None


def test_a_record_that_cannot_be_read_is_a_refusal() -> None:
    assert soaking(HOUR, None, A, again=AGAIN, now=at(90)) is None
    refusal = judge(NO_SOAK, None, A, again=AGAIN)
    assert refusal is not None
    assert refusal.reason is Reason.PROMOTION_UNAVAILABLE


# -- the image ------------------------------------------------------------------------------------------------
def taken(sha: str = A, digest: str = "") -> Artifact:
    digest = digest or f"sha256:{sha}"
    return Artifact(digest=digest, reference=f"{IMAGE}@{digest}", sha=sha, reused=True)


def test_the_image_that_serves_there() -> None:
    assert image_of((VERIFIED,), A, left_by(VERIFIED), "staging") == taken()


def test_the_image_that_a_later_release_has_found() -> None:
    two = entry(2, B, "success", before=left_by(VERIFIED))
    assert image_of((two, VERIFIED), A, left_by(two), "staging") == taken()
    assert image_of((two, VERIFIED), A, Serving(), "staging") == taken()  # it could not be asked


def test_the_image_of_a_release_that_a_rollback_brought_back() -> None:
    two = entry(2, B, "success", before=left_by(VERIFIED))
    back = replace(back_to(VERIFIED, 3, "success"), record=replace(back_to(VERIFIED, 3).record, before=left_by(two)))
    assert image_of((back, two, VERIFIED), A, left_by(VERIFIED), "staging") == taken()


HAND = Serving(services=(ServiceState(service="web", traffic=(TrafficShare(revision="hand", percent=100),)),))


@pytest.mark.parametrize(
    ("history", "serving", "said"),
    [
        ((VERIFIED,), HAND, "what `aaaaaaa` left serving there is not on record"),
        ((VERIFIED,), Serving(), "what `aaaaaaa` left serving there is not on record"),
        ((VERIFIED,), left_by(VERIFIED, "sha256:" + "1" * 64, "sha256:" + "2" * 64), "its services run different images: `s0` 111111111111, `s1` 222222222222"),
        ((VERIFIED,), left_by(VERIFIED, "sha256:" + "1" * 64, ""), "`s1` an unknown one"),
        ((VERIFIED,), left_by(VERIFIED, ""), "which image `aaaaaaa` runs there is not on record"),
        ((replace(VERIFIED, record=replace(VERIFIED.record, image="")),), left_by(VERIFIED), "which image `aaaaaaa` runs"),
        ((back_to(entry(9, A), 3, "success"),), left_by(VERIFIED), "no release there has made what serves of `aaaaaaa`"),
        ((), left_by(VERIFIED), "no release there has made what serves of `aaaaaaa`"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_known(history: tuple[Entry, ...], serving: Serving, said: str) -> None:
    refusal = image_of(history, A, serving, "staging")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.PROMOTION_UNAVAILABLE
    assert said in refusal.sentence
    assert "`/deploy staging`" in refusal.next


# -- what `/promote` means --------------------------------------------------------------------------------------
HISTORY = (entry(4, C, "failure"), entry(3, B, "success"), entry(2, A, "success"))
Meant = Callable[..., str | Refusal]


@pytest.fixture
def meant() -> Meant:
    def meant(history: tuple[Entry, ...] = HISTORY, named: str = "", pinned: str = "") -> str | Refusal:
        return sha_to_promote(history, NO_SOAK, named=named, pinned=pinned, again="/promote production")

    return meant


def test_what_serves_there_is_promoted(meant: Meant) -> None:
    assert meant() == B
    assert meant(named=B[:7]) == B
    assert meant(pinned=B) == B
    assert meant(pinned=A) == A  # what was let through stays what is meant
    assert meant((back_to(HISTORY[2], 5, "success"), *HISTORY)) == A


@pytest.mark.parametrize(
    ("over", "reason", "said", "then"),
    [
        ({"named": A[:7]}, Reason.HEAD_MOVED, "`aaaaaaa` is not what `staging` serves, which is `bbbbbbb`.", "`/promote production @bbbbbbb`"),
        ({"pinned": C}, Reason.PROMOTION_UNVERIFIED, "`ccccccc` has not been verified on `staging`.", "`/deploy staging` first"),
        ({"history": ()}, Reason.PROMOTION_UNVERIFIED, "Nothing has been verified on `staging` yet.", "`/deploy staging` first, then `/promote production`"),
        ({"history": HISTORY[:1]}, Reason.PROMOTION_UNVERIFIED, "Nothing has been verified", "`/deploy staging`"),
    ],
)  # fmt: skip
def test_what_cannot_be_promoted(meant: Meant, over: dict[str, Any], reason: Reason, said: str, then: str) -> None:
    refusal = meant(**over)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.sentence) == (reason, said) if said.endswith(".") else said in refusal.sentence
    assert then in refusal.next


@pytest.mark.parametrize(("commented", "seen"), [(at(2.5), True), (at(2), False), (at(1), False), (None, False)])
def test_a_comment_means_what_was_verified_before_it(commented: datetime | None, seen: bool) -> None:
    refusal = unseen(NO_SOAK, (VERIFIED,), A, commented, named="/promote production @aaaaaaa")
    assert (refusal is None) == seen
    if refusal is not None:
        assert refusal.reason is Reason.HEAD_MOVED
        assert "was verified there at 10:02:00 UTC" in refusal.sentence
        assert "`/promote production @aaaaaaa`" in refusal.next


def test_what_was_never_verified_is_not_judged_by_its_time() -> None:
    assert unseen(NO_SOAK, (), A, at(1), named="/promote production @aaaaaaa") is None


def test_what_ran_in_some_services_only_was_not_verified_as_a_release() -> None:
    part = entry(2, B, "success", services=("web",))
    past = (part, entry(1, A, "success"))
    refusal = judge(NO_SOAK, past, B, again=AGAIN)
    assert refusal is not None
    assert refusal.reason is Reason.PROMOTION_UNVERIFIED
    assert refusal.sentence == f"`{B[:7]}` has not been verified on `staging`: only `web` of it was released there."
    back = entry(4, B, "success", verb="rollback", goal=2, services=("web",))
    assert judge(NO_SOAK, (back, *past), B, again=AGAIN) is not None
    whole = entry(3, B, "success")
    assert judge(NO_SOAK, (whole, *past), B, again=AGAIN) is None
