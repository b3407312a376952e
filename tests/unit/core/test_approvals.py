"""Whose word counts for a commit, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.approvals import Voices, added, in_force, proved, weigh
from bot.core.facts import Approval, PullRequest, Remark

A, B = "a" * 40, "b" * 40
SAID_AT = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
HOUR = 3600.0
ADAS = Approval(verdict="approve", actor="ada", sha=A, since=SAID_AT, comment="IC_1")
MAXS = replace(ADAS, actor="max", comment="IC_2")
NO = replace(ADAS, verdict="reject")
SAID = Remark(author="ada", body="/approve staging", created_at=SAID_AT, edited=False, pull_request=7)
PULL = PullRequest(
    number=7, title="T", author="dana", state="open", merged=False, draft=False, mergeable=True, head_sha=A,
    head_ref="b", head_repository="acme/shop", base_ref="main", base_repository="acme/shop",
)  # fmt: skip
PUSHED = SAID_AT - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("entry", "after", "holds"),
    [
        (ADAS, timedelta(0), True),
        (ADAS, timedelta(minutes=59, seconds=59), True),
        (ADAS, timedelta(hours=1), False),
        (NO, timedelta(hours=1), True),
        (NO, timedelta(days=29, hours=23), True),
        (NO, timedelta(days=30), False),
    ],
)
def test_how_long_a_word_holds(entry: Approval, after: timedelta, *, holds: bool) -> None:
    assert in_force([entry], now=SAID_AT + after, seconds=HOUR) == ((entry,) if holds else ())


@pytest.mark.parametrize(
    ("there", "new", "expected"),
    [
        ((), ADAS, (ADAS,)),
        ((ADAS,), MAXS, (ADAS, MAXS)),
        ((ADAS,), ADAS, (ADAS,)),  # delivered twice
        ((ADAS,), replace(ADAS, sha=B), (ADAS, replace(ADAS, sha=B))),
        ((ADAS,), replace(NO, since=SAID_AT + timedelta(seconds=1)), (replace(NO, since=SAID_AT + timedelta(seconds=1)),)),
        ((replace(NO, actor="ADA", since=PUSHED),), ADAS, (ADAS,)),
        ((replace(ADAS, since=SAID_AT - timedelta(hours=2), actor="lee"),), ADAS, (ADAS,)),  # tidied
    ],
)  # fmt: skip
def test_a_persons_newer_word_on_a_commit_replaces_the_older(there: Any, new: Approval, expected: Any) -> None:
    assert added(there, new, now=SAID_AT, seconds=HOUR) == expected


def test_an_older_word_brings_nothing_back() -> None:
    newer = replace(NO, since=SAID_AT + timedelta(minutes=1))
    assert added((MAXS, newer), ADAS, now=SAID_AT + timedelta(minutes=2), seconds=HOUR) == newer


@pytest.mark.parametrize(
    ("said", "pull", "pushed", "counts"),
    [
        ({}, {}, PUSHED, True),
        ({"author": "ADA"}, {}, PUSHED, True),
        ({"body": "fine\n\n/approve staging\n"}, {}, PUSHED, True),
        # not what was written down
        ({"author": "dana"}, {}, PUSHED, False),
        ({"author": ""}, {}, PUSHED, False),
        ({"edited": True}, {}, PUSHED, False),
        ({"created_at": SAID_AT - timedelta(seconds=1)}, {}, PUSHED, False),
        ({"body": "/approve production"}, {}, PUSHED, False),
        ({"body": "/reject staging"}, {}, PUSHED, False),
        ({"body": "> /approve staging"}, {}, PUSHED, False),
        ({"body": "/help"}, {}, PUSHED, False),
        # a head that its author did not see, or which is none any more
        ({}, {"head_sha": B}, PUSHED, False),
        ({}, {}, SAID_AT, False),
        ({}, {}, None, False),
        ({}, {"merged": True, "merge_sha": A}, PUSHED, False),
        ({}, {"head_repository": "eve/shop"}, PUSHED, False),
        ({}, None, PUSHED, False),
        # named
        ({"body": f"/approve staging @{A[:7]}"}, None, None, True),
        ({"body": f"/approve staging @{A}"}, {"head_sha": B}, None, True),
        ({"body": f"/approve staging @{B[:7]}"}, {}, PUSHED, False),
        ({"body": f"/approve staging @{B[:7]}\n/approve staging @{A[:7]}"}, {}, PUSHED, True),
    ],
)
def test_an_approval_counts_while_its_comment_says_so(said: Any, pull: Any, pushed: Any, *, counts: bool) -> None:
    where = replace(PULL, **pull) if pull is not None else None
    assert proved(ADAS, replace(SAID, **said), "staging", where, pushed) is counts


def test_an_approval_without_its_comment_is_none() -> None:
    assert not proved(ADAS, None, "staging", PULL, PUSHED)


@pytest.mark.parametrize(
    ("entries", "over", "expected"),
    [
        ((), {}, Voices()),
        ((ADAS,), {}, Voices(approved=("ada",))),
        ((ADAS, MAXS), {}, Voices(approved=("ada", "max"))),
        ((ADAS, replace(ADAS, comment="IC_3")), {}, Voices(approved=("ada",))),
        ((ADAS,), {"requesters": ("Ada",)}, Voices(discounted=(("ada", "asks for the release"),))),
        ((ADAS,), {"authors": ("ADA",)}, Voices(discounted=(("ada", "has opened the pull request"),))),
        ((ADAS,), {"entitled": ()}, Voices(discounted=(("ada", "may not approve"),))),
        ((ADAS,), {"proofs": ()}, Voices(discounted=(("ada", "has no comment any more that says so"),))),
        ((ADAS, replace(NO, actor="max")), {}, Voices(approved=("ada",), rejected=("max",))),
        # a rejection counts whoever says it, and without proof: it is on the safe side
        ((NO,), {"requesters": ("ada",), "entitled": (), "proofs": ()}, Voices(rejected=("ada",))),
    ],
)
def test_whose_word_counts(entries: Any, over: Any, expected: Voices) -> None:
    defaults: Any = {
        "requesters": ("dana",), "authors": ("lee",), "proofs": entries, "entitled": ("ada", "max"),
    }  # fmt: skip
    assert weigh(entries, **{**defaults, **over}) == expected
