from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from bot.core.approvals import Voices
from bot.core.commands import Command
from bot.core.facts import (
    CheckState,
    Comparison,
    Deployment,
    DeploymentStatus,
    Lock,
    LockRecord,
    Opinion,
    Permission,
    QueueEntry,
    Reviews,
)
from bot.core.outcome import Reason, Refusal
from bot.core.overrides import OVERRIDABLE, misused
from bot.core.permissions import allowed, forbidden, teams_of
from bot.core.policy import RELEASE_GATES, Facts, bypassed, judge
from bot.core.record import Entry, Record
from bot.core.serving import Artifact, Serving

SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
MERGE = "b" * 40
DEPLOY = Command(verb="deploy", environment="staging")
NAMED = replace(DEPLOY, sha=SHA[:7])
ROLLBACK = Command(verb="rollback", environment="staging")
FORKED = {"pull_head_repository": "eve/shop"}
MERGED = {"pull_merged": True, "pull_state": "closed", "pull_merge_sha": MERGE, "sha": MERGE}
COMMENTED = datetime(2026, 1, 2, 10, 0, 5, tzinfo=UTC)
RECORD = LockRecord(
    environment="staging", run_id=77, run_attempt=1, actor="lee", pull_request=12, sha="c" * 40, since=COMMENTED
)
HELD = Lock(environment="staging", oid="o", record=RECORD)


TURN = QueueEntry(
    id="1-1", verb="deploy", run_id=5, run_attempt=1, actor="dana", thread=3, sha=SHA, since=COMMENTED, ahead=1
)
CLAIM = replace(HELD, record=replace(RECORD, reason="demo", expires=COMMENTED.replace(hour=12, minute=0)))


def reviews(on: str = SHA, **states: str) -> Reviews:
    opinions = tuple(Opinion(author=name, state=state, sha=on) for name, state in states.items())
    return Reviews(pull_request=3, author="dana", head_sha=SHA, opinions=opinions)


def lacks(commits: int, *touched: str) -> Comparison:
    """Return how the default branch is ahead of a head."""
    return Comparison(ahead_by=commits, behind_by=1, touched=touched)


def checks(**states: Any) -> tuple[CheckState, ...]:
    return tuple(CheckState(name=name, state=state) for name, state in states.items())


# The facts that are changed, and the gates that then refuse, in their order.
@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, []),
        # the pull request's state
        ({"pull_state": "closed"}, [Reason.PULL_REQUEST_CLOSED]),
        ({"pull_state": "closed", "command": NAMED}, [Reason.PULL_REQUEST_CLOSED]),
        ({"pull_draft": True}, [Reason.PULL_REQUEST_DRAFT]),
        ({"pull_draft": True, "gates": "{allow_drafts: true}"}, []),
        ({"pull_mergeable": False}, [Reason.PULL_REQUEST_CONFLICTS]),
        ({"pull_mergeable": None}, []),
        ({"pull_draft": True, "pull_mergeable": False}, [Reason.PULL_REQUEST_DRAFT]),
        ({**MERGED, "pull_draft": True, "pull_mergeable": False}, []),
        # its base
        ({"pull_base_ref": "release"}, [Reason.WRONG_BASE]),
        ({**MERGED, "pull_base_ref": "release"}, [Reason.WRONG_BASE]),
        # forks
        (FORKED, [Reason.FORK]),
        ({**FORKED, "command": NAMED}, [Reason.FORK]),
        ({"pull_head_repository": ""}, [Reason.FORK]),
        ({**FORKED, "gates": "{allow_forks: true}"}, [Reason.SHA_REQUIRED]),
        ({**FORKED, "gates": "{allow_forks: true}", "command": NAMED}, []),
        ({**FORKED, "gates": "{allow_forks: true}", "command": replace(DEPLOY, sha="d" * 7)}, [Reason.HEAD_MOVED]),
        ({**FORKED, **MERGED}, []),
        ({"stray": True}, [Reason.FORK]),
        ({"stray": True, "gates": "{allow_forks: true}"}, []),
        # what was released since
        ({"newer": "d" * 40}, [Reason.SUPERSEDED]),
        # naming the sha
        ({"gates": "{require_sha: true}"}, [Reason.SHA_REQUIRED]),
        ({"gates": "{require_sha: true}", "command": NAMED}, []),
        ({"gates": "{require_sha: true}", "trigger": "push", "pull_request": None}, []),
        ({"gates": "{require_sha: true}", "trigger": "dispatch", "pull_request": None}, []),
        # binding to it
        ({"head_pushed_at": None}, [Reason.PUSH_UNKNOWN]),
        ({"commented_at": None}, [Reason.PUSH_UNKNOWN]),
        ({"head_pushed_at": COMMENTED}, [Reason.HEAD_MOVED]),
        ({"head_pushed_at": COMMENTED.replace(second=6)}, [Reason.HEAD_MOVED]),
        ({"head_pushed_at": COMMENTED.replace(second=6), "command": NAMED}, []),
        ({"head_pushed_at": None, "command": NAMED}, []),
        ({"head_pushed_at": None, "command": replace(DEPLOY, sha=SHA)}, []),
        ({"command": replace(DEPLOY, sha="d" * 40)}, [Reason.HEAD_MOVED]),
        ({"command": replace(DEPLOY, sha=SHA[:6] + "0")}, [Reason.HEAD_MOVED]),
        ({**MERGED, "head_pushed_at": None}, []),
        ({**MERGED, "command": replace(DEPLOY, sha=MERGE[:7])}, []),
        ({**MERGED, "command": NAMED}, [Reason.HEAD_MOVED]),
        ({**MERGED, "pull_merge_sha": "", "command": NAMED}, [Reason.HEAD_MOVED]),
        ({"trigger": "push", "pull_request": None, "head_pushed_at": None}, []),
        ({"trigger": "dispatch", "pull_request": None, "head_pushed_at": None}, []),
        # required checks
        ({"required": ()}, []),
        ({"required": (), "checks": checks(ci="failure")}, []),
        ({"checks": ()}, [Reason.CHECKS_MISSING]),
        ({"checks": checks(ci="pending")}, [Reason.CHECKS_PENDING]),
        ({"checks": checks(ci="failure")}, [Reason.CHECKS_FAILED]),
        ({"checks": checks(CI="success")}, [Reason.CHECKS_MISSING]),
        ({"required": ("a", "b", "c"), "checks": checks(a="failure", b="pending")}, [Reason.CHECKS_FAILED]),
        ({"required": ("a", "b", "c"), "checks": checks(a="success", b="pending")}, [Reason.CHECKS_MISSING]),
        ({"checks": (*checks(ci="success"), *checks(ci="failure"))}, [Reason.CHECKS_FAILED]),
        ({"checks": (*checks(ci="pending"), *checks(ci="success"))}, [Reason.CHECKS_PENDING]),
        ({"checks": checks(ci="success", other="failure")}, []),
        ({"trigger": "push", "pull_request": None, "checks": ()}, [Reason.CHECKS_MISSING]),
        # reviews
        ({"gates": "{reviews: 1}"}, [Reason.REVIEWS_MISSING]),  # nothing is known of them
        ({"gates": "{reviews: 1}", "reviews": reviews()}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "reviews": reviews(lee="APPROVED")}, []),
        ({"gates": "{reviews: 1}", "reviews": reviews(dana="APPROVED")}, [Reason.REVIEWS_MISSING]),  # her own
        ({"gates": "{reviews: 1}", "reviews": reviews(DANA="APPROVED")}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "reviews": reviews(lee="DISMISSED")}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "reviews": reviews(lee="APPROVED", on="d" * 40)}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "reviews": reviews(lee="APPROVED", max="CHANGES_REQUESTED")}, [Reason.CHANGES_REQUESTED]),
        ({"gates": "{reviews: 2}", "reviews": reviews(lee="APPROVED")}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 2}", "reviews": reviews(lee="APPROVED", max="APPROVED")}, []),
        ({"gates": "{reviews: 1}", "reviews": replace(reviews(lee="APPROVED"), more=True)}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "trigger": "push", "pull_request": None}, [Reason.REVIEWS_MISSING]),
        ({"gates": "{reviews: 1}", "trigger": "push", "pull_request": None, "reviews": reviews(lee="APPROVED")}, []),
        ({"reviews": reviews(max="CHANGES_REQUESTED")}, []),
        # what it lacks of the default branch
        ({"gates": "{up_to_date: true}", "lacks": lacks(0)}, []),
        ({"gates": "{up_to_date: true}", "lacks": lacks(2)}, [Reason.BEHIND_BASE]),
        ({"gates": "{up_to_date: true}"}, [Reason.BEHIND_BASE]),
        ({"gates": "{up_to_date: true}", **MERGED}, []),
        ({"gates": "{up_to_date: true}", "trigger": "push", "pull_request": None}, []),
        ({"lacks": lacks(2)}, []),
        ({"gates": "{up_to_date: [app/*]}", "lacks": lacks(2, "docs/a.md", "app")}, []),
        ({"gates": "{up_to_date: [app/*]}", "lacks": lacks(2, "docs/a.md", "app/shop/a.py")}, [Reason.BEHIND_BASE]),
        ({"gates": "{up_to_date: [app/, '!app/docs/']}", "lacks": lacks(2, "app/docs/x/a.md")}, []),
        ({"gates": "{up_to_date: ['!app/docs/', app/]}", "lacks": lacks(2, "app/docs/x/a.md")}, [Reason.BEHIND_BASE]),
        ({"gates": "{up_to_date: [app/*]}", "lacks": replace(lacks(2), touched=None)}, [Reason.BEHIND_BASE]),
        ({"gates": "{up_to_date: [app/*]}", "lacks": replace(lacks(0), touched=None)}, []),
        ({"gates": "{up_to_date: [app/*]}"}, [Reason.BEHIND_BASE]),
        # approvals
        ({"gates": "{approvals: 1}"}, [Reason.APPROVAL_MISSING]),  # nothing is known of them
        ({"gates": "{approvals: 1}", "voices": Voices(readable=False, approved=("ada",))}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 1}", "voices": Voices()}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 1}", "voices": Voices(approved=("ada",))}, []),
        ({"gates": "{approvals: 2}", "voices": Voices(approved=("ada",))}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 2}", "voices": Voices(approved=("ada", "max"))}, []),
        ({"gates": "{approvals: 1}", "voices": Voices(approved=("ada", "max"), rejected=("lee",))}, [Reason.REJECTED]),
        ({"gates": "{approvals: 1}", "voices": Voices(discounted=(("dana", "asks"),))}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 1}", "trigger": "push", "pull_request": None, "voices": Voices()}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 1}", "trigger": "dispatch", "pull_request": None, "voices": Voices()}, [Reason.APPROVAL_MISSING]),
        ({"gates": "{approvals: 1}", "command": ROLLBACK}, []),
        ({"voices": Voices(rejected=("lee",))}, []),  # not asked for
        # freezes of the configuration
        ({"gates": "{freezes: 2026-01-02 to 2026-01-03}", "now": COMMENTED}, [Reason.FROZEN]),
        ({"gates": "{freezes: 2026-01-03 to 2026-01-04}", "now": COMMENTED}, []),
        ({"gates": "{freezes: 2026-01-02 to 2026-01-03}", "now": COMMENTED, "command": ROLLBACK}, []),
        # windows; COMMENTED is a Friday
        ({"gates": "{windows: Fri 09:00-11:00}", "now": COMMENTED}, []),
        ({"gates": "{windows: ['Mon 09:00-11:00', 'Fri 10:00-10:01']}", "now": COMMENTED}, []),
        ({"gates": "{windows: Fri 11:00-12:00}", "now": COMMENTED}, [Reason.OUTSIDE_WINDOW]),
        ({"gates": "{windows: Fri 11:00-12:00}", "now": COMMENTED, "command": ROLLBACK}, []),
        # marks
        ({"freeze": CLAIM}, [Reason.FROZEN]),
        ({"freeze": replace(CLAIM, record=None)}, [Reason.FROZEN]),
        ({"claim": CLAIM, "actor": "dana", "thread": 3}, [Reason.CLAIMED]),
        ({"claim": CLAIM, "actor": "lee", "thread": 3}, [Reason.CLAIMED]),  # his, but for another pull request
        ({"claim": CLAIM, "actor": "dana", "thread": 12}, []),
        ({"claim": replace(CLAIM, record=replace(RECORD, pull_request=None)), "actor": "LEE", "thread": 3}, []),
        ({"claim": replace(CLAIM, record=replace(RECORD, pull_request=None)), "actor": "dana"}, [Reason.CLAIMED]),
        ({"claim": replace(CLAIM, record=None), "actor": "lee", "thread": 12}, [Reason.CLAIMED]),
        ({"claim": CLAIM, "freeze": CLAIM, "hold": CLAIM, "command": ROLLBACK}, []),
        ({"claim": CLAIM, "trigger": "push", "pull_request": None}, [Reason.CLAIMED]),
        # locks
        ({"lock": HELD}, [Reason.LOCKED]),
        ({"lock": HELD, "lock_alive": False}, []),
        ({"lock": HELD, "queues": True}, []),
        ({"lock": replace(HELD, record=None), "queues": True}, [Reason.LOCKED]),
        # its wait in line
        ({"turn": TURN, "now": COMMENTED.replace(hour=11)}, []),
        ({"turn": TURN, "now": COMMENTED.replace(hour=11, second=6)}, [Reason.WAITED_TOO_LONG]),
        ({"turn": TURN, "now": COMMENTED.replace(hour=12), "gates": "{queue_time: 2h}"}, []),
        ({"turn": replace(TURN, ahead=0), "now": COMMENTED.replace(hour=23)}, []),
        ({"turn": replace(TURN, dropped="cancelled", dropped_by="max")}, [Reason.DEQUEUED]),
        ({"command": ROLLBACK, "turn": replace(TURN, dropped="replaced")}, [Reason.REPLACED]),
        ({"lock": replace(HELD, record=None)}, [Reason.LOCKED]),
        ({"lock": replace(HELD, record=None), "lock_alive": False}, [Reason.LOCKED]),
        # a rollback has only the lock in its way
        ({"command": ROLLBACK, "lock": HELD}, [Reason.LOCKED]),
        ({"command": ROLLBACK, "checks": (), "pull_state": "closed", **FORKED, "gates": "{preflight: [x]}"}, []),
        # what is not done yet
        ({"gates": "{preflight: [x]}"}, [Reason.UNSUPPORTED_SETTING]),
        # everything at once
        (
            {"gates": "{require_sha: true, preflight: [x]}", "pull_draft": True, "pull_base_ref": "x", **FORKED, "checks": (), "lock": HELD},
            [Reason.UNSUPPORTED_SETTING, Reason.PULL_REQUEST_DRAFT, Reason.WRONG_BASE, Reason.FORK, Reason.SHA_REQUIRED, Reason.CHECKS_MISSING, Reason.LOCKED],
        ),
    ],
)  # fmt: skip
def test_gates(make_facts: Callable[..., Facts], over: dict[str, Any], expected: list[Reason]) -> None:
    refusals = judge(make_facts(**over))
    assert [refusal.reason for refusal in refusals] == expected
    for refusal in refusals:
        assert refusal.sentence.endswith(".")
        assert refusal.next
        assert refusal.gate in {gate.__name__ for gate in RELEASE_GATES}


@pytest.mark.parametrize(
    ("over", "says", "then"),
    [
        ({"gates": "{preflight: [x]}"}, "`gates.preflight`", ".github/slipway.yml"),
        ({"pull_mergeable": False}, "conflicts with `main`", "Merge `main`"),
        ({"pull_base_ref": "next"}, "into `next`, not into `main`", "to `main`"),
        ({"gates": "{require_sha: true}"}, "`staging` wants the sha named", "`/deploy staging @4f9a1c2`"),
        ({"head_pushed_at": None}, "no record of when `4f9a1c2` was pushed", "`/deploy staging @4f9a1c2`"),
        ({"head_pushed_at": COMMENTED}, "pushed at 10:00:05 UTC, the comment is of 10:00:05 UTC", "`/deploy staging @4f9a1c2`"),
        ({"command": replace(DEPLOY, sha="d" * 40)}, "`ddddddd` is not the head of this pull request, which is `4f9a1c2`", "@4f9a1c2`"),
        ({**MERGED, "command": NAMED}, "`4f9a1c2` is not the merge commit of this pull request, which is `bbbbbbb`", "@bbbbbbb`"),
        ({"required": ("a", "b"), "checks": checks(a="failure", b="failure")}, "on `4f9a1c2`: `a` and `b`", "`/deploy staging`"),
        ({"checks": ()}, "have not reported on `4f9a1c2`: `ci`", "gates.required_checks"),
        ({"gates": "{reviews: 2}", "reviews": reviews(lee="APPROVED", on="d" * 40)}, "`4f9a1c2` has 0 of 2 approving reviews (lee's is of `ddddddd`).", "other than dana"),
        ({"gates": "{reviews: 1}", "reviews": reviews(lee="CHANGES_REQUESTED")}, "Changes were asked for by `lee`", "`/deploy staging`"),
        ({"gates": "{reviews: 1}"}, "no pull request brought it", "from a pull request"),
        ({"gates": "{up_to_date: true}", "lacks": lacks(2)}, "`4f9a1c2` lacks 2 commits of `main`", "Merge `main`"),
        ({"gates": "{up_to_date: app/*}", "lacks": lacks(1, "app/a", "b", "app/c")}, "lacks 1 commit of `main`, with changes to `app/a` and `app/c`.", "Merge `main`"),
        ({"gates": "{up_to_date: app/*}", "lacks": lacks(1, *[f"app/{n}" for n in range(9)])}, "with changes to `app/0`, `app/1`, `app/2` and 6 more.", "Merge `main`"),
        ({"gates": "{up_to_date: app/*}", "lacks": replace(lacks(1), touched=None)}, "with more changes than can be looked through", "Merge `main`"),
        ({"gates": "{up_to_date: true}"}, "cannot be compared with `main`", "Merge `main`"),
        ({"gates": "{freezes: 2026-01-01 to 2026-01-02 Europe/Berlin (a fair)}", "now": COMMENTED}, "is frozen until 2026-01-02 23:00 UTC (a fair). Rollbacks are still possible.", "Come back at Fri 2026-01-02 23:00 UTC"),
        ({"gates": "{windows: Mon 11:00-12:00 Europe/Berlin}", "now": COMMENTED}, "at `Mon 11:00-12:00 Europe/Berlin`, and it is Fri 10:00 UTC", "Mon 2026-01-05 10:00 UTC"),
        ({"freeze": CLAIM}, "`staging` is frozen by lee until 2026-01-02 12:00 UTC: demo.", "`/unfreeze staging`"),
        ({"claim": CLAIM}, "`staging` is locked for #12 by lee until 2026-01-02 12:00 UTC: demo.", "`/unlock staging --force`"),
        ({"gates": "{approvals: 2}", "voices": Voices(approved=("ada",), discounted=(("dana", "asks for the release"),))}, "`4f9a1c2` has 1 of 2 approvals for `staging` (by ada); dana's does not count: dana asks for the release.", "Somebody else who may (`admin`) says `/approve staging @4f9a1c2`, then `/deploy staging`"),
        ({"gates": "{approvals: 1}", "voices": Voices(rejected=("lee",))}, "`4f9a1c2` was rejected for `staging` by lee.", "taken back by lee: `/approve staging @4f9a1c2`"),
        ({"gates": "{approvals: 1}", "voices": Voices(readable=False)}, "cannot be read", "refs/slipway/approvals/staging"),
        ({"checks": checks(ci="pending")}, "still running on `4f9a1c2`: `ci`", "Wait"),
        ({"lock": HELD}, "`staging` is held by lee for #12 since 10:00:05 UTC (run 77, `ccccccc`)", "Wait"),
        ({"lock": replace(HELD, record=replace(RECORD, pull_request=None))}, "held by lee since", "Wait"),
        ({"lock": replace(HELD, record=None)}, "record cannot be read", "refs/slipway/locks/staging"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_and_what_then(
    make_facts: Callable[..., Facts], over: dict[str, Any], says: str, then: str
) -> None:
    (refusal,) = judge(make_facts(**over))
    assert says in refusal.sentence
    assert then in refusal.next


# -- overriding -----------------------------------------------------------------------------------------------
def overriding(*gates: str, command: Command = DEPLOY) -> Command:
    return replace(command, flags={"override": ",".join(gates), "reason": "the shop is down"})


STANDS_IN_THE_WAY: dict[str, dict[str, Any]] = {
    "required_checks": {"checks": checks(ci="failure")},
    "reviewed": {"gates": "{reviews: 1}", "reviews": reviews()},
    "up_to_date": {"gates": "{up_to_date: true}", "lacks": lacks(2)},
    "approvals": {"gates": "{approvals: 1}", "voices": Voices(rejected=("lee",))},
    "in_window": {"gates": "{windows: Fri 11:00-12:00}", "now": COMMENTED},
    "not_frozen": {"freeze": CLAIM},
    "not_claimed": {"claim": CLAIM},
    # and what nobody gets past
    "supported": {"gates": "{preflight: [x]}"},
    "pull_request_state": {"pull_draft": True},
    "base": {"pull_base_ref": "release"},
    "fork": FORKED,
    "own_branch": {"stray": True},
    "named_sha": {"gates": "{require_sha: true}"},
    "sha_binding": {"head_pushed_at": COMMENTED},
    "newest_push": {"newer": "d" * 40},
    "not_on_hold": {"hold": CLAIM, "trigger": "push", "pull_request": None},
    "lock_free": {"lock": HELD},
    "still_wanted": {"turn": replace(TURN, dropped="replaced", dropped_by="dana")},
}


@pytest.mark.parametrize(
    ("reviewers", "reviews", "gate"),
    [
        ("", None, ""),
        ("", (), ""),
        ("prod", None, ""),  # where it is let through, nobody can have approved the run yet
        ("prod", ("lee",), ""),
        ("prod", (), "run_reviewed"),
    ],
)
def test_a_reviewer_of_the_github_environment_has_approved_the_run(
    make_facts: Callable[..., Facts], make_environment: Any, reviewers: str, reviews: Any, gate: str
) -> None:
    environment = replace(make_environment(), reviewers=reviewers)
    refusals = judge(make_facts(environment=environment, run_reviews=reviews))
    assert [one.gate for one in refusals] == ([gate] if gate else [])
    assert "run_reviewed" not in OVERRIDABLE


@pytest.mark.parametrize(("services", "gate"), [((), ""), (("web", "worker"), ""), (("web", "api"), "known_services")])
def test_a_service_that_is_named_is_there(
    make_facts: Callable[..., Facts], services: tuple[str, ...], gate: str
) -> None:
    facts = make_facts(command=replace(DEPLOY, services=services))
    assert [one.gate for one in judge(facts)] == ([gate] if gate else [])
    assert "known_services" not in OVERRIDABLE


@pytest.mark.parametrize(("name", "over"), STANDS_IN_THE_WAY.items())
def test_a_gate_that_is_overridden_is_skipped_and_told_of(
    make_facts: Callable[..., Facts], name: str, over: dict[str, Any]
) -> None:
    (refusal,) = judge(make_facts(**over))
    assert refusal.gate == name
    facts = make_facts(**over, command=overriding(name))
    if name in OVERRIDABLE:
        assert misused(facts.command) is None
        assert judge(facts) == ()
        assert [one.reason for one in bypassed(facts)] == [refusal.reason]
    else:
        wrong = misused(facts.command)
        assert wrong is not None
        assert wrong.sentence == f"`{name}` cannot be overridden."
    others = [one for one in OVERRIDABLE if one != name]
    facts = make_facts(**over, command=overriding(*others))
    assert [one.gate for one in judge(facts)] == [name]
    assert bypassed(facts) == ()


def test_each_gate_either_stands_in_the_way_here_or_belongs_to_promotion() -> None:
    apart = {"promotion", "soaked", "known_services", "run_reviewed"}  # the last one is about the very command
    assert set(STANDS_IN_THE_WAY) | apart == {gate.__name__ for gate in RELEASE_GATES}
    assert set(OVERRIDABLE) <= {gate.__name__ for gate in RELEASE_GATES}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, ""),
        ({"reason": "x"}, ""),
        ({"override": "required_checks", "reason": "down"}, ""),
        ({"override": "Required_Checks, in_window", "reason": "down"}, ""),
        ({"override": "required_checks"}, "wants a reason"),
        ({"override": "required_checks", "reason": " "}, "wants a reason"),
        ({"override": ",", "reason": "down"}, "No gate was named."),
        ({"override": "everything", "reason": "down"}, "`everything` cannot be overridden."),
        ({"override": "in_window,fork,base", "reason": "down"}, "`fork` and `base` cannot be overridden."),
        ({"override": "authorization", "reason": "down"}, "`authorization` cannot be overridden."),
        ({"override": "promotion", "reason": "down"}, "`promotion` cannot be overridden."),
    ],
)
def test_what_may_be_overridden(flags: dict[str, str], says: str) -> None:
    refusal = misused(replace(DEPLOY, flags=flags))
    if not says:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.reason is Reason.BAD_ARGUMENTS
        assert says in refusal.sentence
        assert "required_checks" in refusal.next


# -- promotion ------------------------------------------------------------------------------------------------
PROMOTE = Command(verb="promote", environment="production")
RELEASED = Entry(
    deployment=Deployment(
        id=1, sha=SHA, ref=SHA, environment="staging", payload={}, created_at=COMMENTED,
        statuses=(DeploymentStatus(state="success", created_at=COMMENTED.replace(second=4)),),
    ),
    record=Record(
        id="1-1", verb="deploy", sha=SHA, actor="dana", run_id=1, run_attempt=1, plan=(), before=Serving(), image="r"
    ),
)  # fmt: skip
IMAGE = Artifact(digest="sha256:1", reference="r@sha256:1", sha=SHA)
NO_IMAGE = Refusal(reason=Reason.PROMOTION_UNAVAILABLE, sentence="It is gone.", next="`/deploy staging`")


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, []),
        ({"promoted": IMAGE}, []),
        ({"promoted": NO_IMAGE}, [Reason.PROMOTION_UNAVAILABLE]),
        ({"source": ()}, [Reason.PROMOTION_UNVERIFIED]),
        ({"source": (), "promoted": NO_IMAGE}, [Reason.PROMOTION_UNVERIFIED]),
        ({"source": None}, [Reason.PROMOTION_UNAVAILABLE]),
        ({"now": COMMENTED}, [Reason.PROMOTION_SOAKING]),
        ({"now": COMMENTED, "command": overriding("soaked", command=PROMOTE)}, []),
        ({"source": (), "command": overriding("soaked", command=PROMOTE)}, [Reason.PROMOTION_UNVERIFIED]),
        ({"command": replace(PROMOTE, verb="rollback"), "source": None}, []),
        # what was verified in the second of the comment, or after it, was not seen by its author
        ({"command": PROMOTE, "commented_at": COMMENTED.replace(second=4)}, [Reason.HEAD_MOVED]),
        ({"command": replace(PROMOTE, sha=SHA[:7]), "commented_at": COMMENTED.replace(second=4)}, []),
        ({"command": PROMOTE, "trigger": "dispatch", "commented_at": None}, []),
        # nothing about the pull request matters to what was verified elsewhere
        ({"command": PROMOTE, "pull_draft": True, "pull_base_ref": "x", **FORKED, "head_pushed_at": None}, []),
        ({"command": PROMOTE, "checks": ()}, [Reason.CHECKS_MISSING]),
        ({"command": PROMOTE, "lock": HELD}, [Reason.LOCKED]),
        ({"command": PROMOTE, "source": None, "lock": HELD, "checks": checks(ci="failure")}, [Reason.CHECKS_FAILED, Reason.PROMOTION_UNAVAILABLE, Reason.LOCKED]),
    ],
)  # fmt: skip
def test_gates_of_a_promotion(
    make_facts: Callable[..., Facts], make_environment: Callable[..., Any], over: dict[str, Any], expected: list[Reason]
) -> None:
    environment = make_environment("production", production="promote_from: {environment: staging, soak: 1h}")
    facts: dict[str, Any] = {
        "command": replace(DEPLOY, environment="production"),
        "source": (RELEASED,),
        "now": COMMENTED.replace(hour=12),
    }
    refusals = judge(make_facts(environment=environment, **{**facts, **over}))
    assert [refusal.reason for refusal in refusals] == expected
    assert all(refusal.sentence and refusal.next and refusal.gate for refusal in refusals)


def test_a_promotion_names_its_own_command(make_facts: Callable[..., Facts], make_environment: Any) -> None:
    over = {"production": "promote_from: staging, gates: {require_sha: true}"}
    facts = make_facts(environment=make_environment("production", **over), command=PROMOTE, source=())
    named, unverified = judge(facts)
    assert named.next == "`/promote production @4f9a1c2`"
    assert unverified.next == "`/deploy staging` first, then `/promote production`"


def test_without_promotion_nothing_else_is_looked_at(make_facts: Callable[..., Facts]) -> None:
    assert judge(make_facts(source=None, promoted=NO_IMAGE)) == ()


PERMISSIONS: tuple[Permission, ...] = get_args(Permission)


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        (("read",), "read triage write maintain admin"),
        (("triage",), "triage write maintain admin"),
        (("write",), "write maintain admin"),
        (("maintain",), "maintain admin"),
        (("admin",), "admin"),
        (("admin", "write"), "write maintain admin"),
        ((), ""),
        (("@dana",), "read triage write maintain admin"),
        (("@Dana", "admin"), "read triage write maintain admin"),
        (("@lee",), ""),
        (("@dan",), ""),
        (("@acme/dana",), ""),
        (("@acme/core",), "read triage write maintain admin"),
        (("@acme/other", "admin"), "admin"),
        (("dana",), ""),
    ],
)
def test_who_may(rules: tuple[str, ...], may: str) -> None:
    granted = [one for one in PERMISSIONS if allowed("dana", one, rules, frozenset({"@acme/core"}))]
    assert granted == may.split()


def test_teams_are_those_with_an_organization() -> None:
    assert teams_of(("write", "@dana", "@acme/core", "@acme/a.b")) == (("acme", "core"), ("acme", "a.b"))


def test_forbidden_names_who_may() -> None:
    refusal = forbidden("dana", DEPLOY, ("admin", "@acme/core"))
    assert refusal.reason is Reason.FORBIDDEN
    assert refusal.sentence == "`deploy staging` needs `admin` or `acme/core`, and dana has not got it."
    assert forbidden("dana", Command(verb="status"), ("read",)).sentence.startswith("`status` needs `read`")
