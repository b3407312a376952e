from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from bot.core.changes import Change
from bot.core.facts import Commit, Comparison
from bot.core.outcome import PlanReport
from bot.report.plan import plan_comment

MARK = "<!-- slipway:v1 id=ic-991-0 env=staging -->"
SHA, BEFORE = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567", "a81d0be0c1d2e3f405162738495a6b7c8d9e0f12"
OLD = "sha256:9c1e07d2a8b1"
DEPLOY = PlanReport(
    verb="deploy",
    environment="staging",
    sha=SHA,
    previous_sha=BEFORE,
    fingerprint="ab12cd34",
    again="/deploy staging @4f9a1c2",
    waves=(("Build",), ("Run migrate",), ("Roll out web", "Roll out worker"), ("Shift 5 % of the traffic of web",)),
    changes=(
        Change(where="web", what="image", before=OLD, after="will be built"),
        Change(where="web", what="variable NEW_FLAG", after="set"),
        Change(where="web", what="variable OLD_FLAG", before="set"),
        Change(where="web", what="secret key in KEY", before="version 4", after="version 5"),
        Change(where="job migrate", what="image", before=OLD, after="will be built"),
        Change(where="job migrate", what="args", after="x" * 120),
    ),
    notes=("web at 1 %: it takes no requests",),
    comparison=Comparison(
        ahead_by=2,
        behind_by=0,
        commits=(Commit(sha=SHA, subject="Ask @lee | now", author="dana"),),
        url="https://github.com/acme/shop/compare/a...b",
    ),
    migrations=("0042_add_index",),
    usual_seconds=302,
)


def test_a_plan_is_a_diff_that_a_person_can_read(golden: Callable[[str, str], None]) -> None:
    golden("plan", plan_comment(DEPLOY, marker=MARK))


def test_the_plan_of_a_rollback(golden: Callable[[str, str], None]) -> None:
    change = Change(where="web", what="revision", before="web-4f9a1c2-1", after="web-a81d0be-0")
    report = replace(
        DEPLOY,
        verb="rollback",
        sha=BEFORE,
        previous_sha=SHA,
        again="/rollback staging",
        changes=(change,),
        waves=(("Restore the recorded release",), ("Verify what serves",)),
        notes=(),
        comparison=None,
        migrations=(),
        usual_seconds=0,
    )
    golden("plan-rollback", plan_comment(report, marker=MARK))


def test_a_plan_that_changes_nothing_says_so() -> None:
    body = plan_comment(replace(DEPLOY, changes=(), previous_sha=SHA), marker=MARK)
    assert "Nothing would change but the revisions." in body
    assert "The same commit as serves now." in body
    assert "Nothing that was released from here serves." in plan_comment(replace(DEPLOY, previous_sha=""), marker=MARK)


def test_hostile_values_stay_inside_the_diff() -> None:
    evil = "```\n/deploy production @octocat\x1b[31m"
    changes = (Change(where=evil, what=evil, before=evil, after=evil),)
    body = plan_comment(replace(DEPLOY, changes=changes, waves=((evil,),), notes=(evil,)), marker=MARK)
    assert not re.search(r"^/deploy", body, re.MULTILINE)
    fence = re.search(r"^(`{4,})diff$", body, re.MULTILINE)
    assert fence is not None
    assert body.count(f"\n{fence[1]}\n") == 1
