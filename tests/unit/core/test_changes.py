from __future__ import annotations

from dataclasses import replace

import pytest

from bot.core.changes import Change, Preview, differences, fingerprint, migrations, pull_requests
from bot.core.plan import Build, Plan, Shift, Verify
from bot.core.serving import Artifact
from bot.core.titles import order

PLAN = Plan(steps=(Build(), Shift(id="shift", services=("web",), percent=100, timeout=1.0, needs=("build",))))
PREVIEW = Preview(
    artifact=Artifact(digest="sha256:1", reference="r"),
    changes=(Change(where="web", what="memory", before="1Gi", after="2Gi"),),
    pins={"key": "1"},
)


def test_differences_come_in_the_order_of_what_will_be() -> None:
    assert differences("web", {"a": "1", "gone": "x", "same": "s"}, {"new": "n", "same": "s", "a": "2"}) == (
        Change(where="web", what="new", after="n"),
        Change(where="web", what="a", before="1", after="2"),
        Change(where="web", what="gone", before="x"),
    )


def test_a_plan_keeps_its_name_while_nothing_changes() -> None:
    name = fingerprint("a" * 40, PLAN, PREVIEW)
    assert len(name) == 8
    assert name == fingerprint("a" * 40, PLAN, replace(PREVIEW, changes=tuple(reversed(PREVIEW.changes))))


@pytest.mark.parametrize(
    ("sha", "plan", "preview"),
    [
        ("b" * 40, PLAN, PREVIEW),
        ("a" * 40, Plan(steps=PLAN.steps[:1]), PREVIEW),
        ("a" * 40, PLAN, replace(PREVIEW, artifact=None)),
        ("a" * 40, PLAN, replace(PREVIEW, changes=())),
        ("a" * 40, PLAN, replace(PREVIEW, pins={"key": "2"})),
    ],
)
def test_whatever_was_shown_is_part_of_its_name(sha: str, plan: Plan, preview: Preview) -> None:
    assert fingerprint(sha, plan, preview) != fingerprint("a" * 40, PLAN, PREVIEW)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["shop/migrations/0042_add_index.py", "shop/models.py"], ("0042_add_index",)),
        (["shop/migrations/__init__.py", "migrations", "docs/migrations/"], ()),
        (["db/migrate/20260101_x.rb", "alembic/versions/ab12_y.py"], ("20260101_x", "ab12_y")),
        (["b/migrations/0001_x.py", "a/migrations/0001_x.py"], ("0001_x",)),
    ],
)
def test_migrations_among_files(files: list[str], expected: tuple[str, ...]) -> None:
    assert migrations(files) == expected


def test_steps_that_run_at_the_same_time_stand_together() -> None:
    steps = (
        *PLAN.steps,
        Shift(id="shift@eu", services=("web@eu",), percent=100, timeout=1.0, needs=("build",)),
        Verify(id="v", phase="live", checks=(), needs=("shift", "shift@eu")),
    )
    assert order(steps) == (
        ("Build",),
        ("Shift 100 % of the traffic", "Shift 100 % of the traffic in eu"),
        ("Verify what serves",),
    )


def test_a_step_that_waits_for_nothing_there_is_shown_all_the_same() -> None:
    assert order((Build(needs=("nowhere",)),)) == (("Build",),)


@pytest.mark.parametrize(
    ("subjects", "numbers"),
    [
        ((), ()),
        (("Sell more (#412)", "Merge pull request #398 from dana/cart", "Sell more still (#412)"), (412, 398)),
        (("See #12", "(#3) first", "Merge branch 'main'", "(#)", "(#1234567890)", "Revert (#7) again"), ()),
    ],
)
def test_pull_requests_by_the_subjects_of_commits(subjects: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    assert pull_requests(subjects) == numbers
