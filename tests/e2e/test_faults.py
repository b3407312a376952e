"""The fault matrix: a small sample of its cells holds, and its page counts what its tables show."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")
FAULTS = [
    "refused", "400", "500", "502", "503", "429", "403", "stall", "lost", "malformed", "outage", "kill-r", "kill-n", "done-kill-r",
    "done-kill-n",
]  # fmt: skip
TABLES = dict(re.findall(r"(?ms)^## ([a-z-]+)\n\n.+?\n\n(\|.+?)\n\n", PAGE))


def rows(story: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLES[story].splitlines()]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python; what it starts is killed on purpose, and has nothing to tell the coverage."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environ
    )


@pytest.mark.parametrize(("story", "seed"), [("success", 1), ("ill-live", 2)])
def test_a_sample_of_the_cells_holds(story: str, seed: int) -> None:
    matrix = str(ROOT / "tests/faults/matrix.py")
    done = run(matrix, "--scenario", story, "--sample", "4", "--seed", str(seed), "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(?m)^(\d+) cells, \1 hold", done.stdout), done.stdout


def test_secrets_that_an_error_brings_along_are_shown_nowhere() -> None:
    """Every error that a server answers is full of credentials of others, of each published shape."""
    matrix = str(ROOT / "tests/faults/matrix.py")
    done = run(matrix, "--scenario", "success", "--fault", "400", "--sample", "6", "--seed", "3", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 cells, 6 hold" in done.stdout


def test_a_story_that_does_not_end_as_it_should_is_seen() -> None:
    """The stories are told with faults, so the judges must not be blind: here one is told that another sha should serve."""
    code = (
        "import dataclasses, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'tests/faults')!r})\n"
        "import matrix\n"
        "story = matrix.STORIES['rollback']\n"
        "matrix.STORIES['rollback'] = dataclasses.replace(story, serves='feature')\n"
        "sys.argv = ['matrix', '--scenario', 'rollback', '--call', 'run PATCH services/web #1', '--fault', 'lost',"
        " '--sample', '1', '--jobs', '1']\n"
        "sys.exit(matrix.main())\n"
    )
    done = run("-c", code)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "serve instead of" in done.stdout


NEW, OLD = ("4f9a1c2", "1"), ("a81d0be", "0")
CLAIMS = {
    "released": NEW, "released-behind": NEW, "rolled-back": OLD, "rollback-failed": NEW, "build-failed": OLD,
    "job-failed": OLD, "rollout-failed": OLD, "verification-failed-before-traffic": OLD, "timed-out": OLD,
    "verification-failed-restored": OLD, "upstream-failed": OLD, "cancelled": OLD,
}  # fmt: skip


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tests/faults"))
    return importlib.import_module("invariants")


def serve(judges: Any, web: tuple[str, str], worker: tuple[str, str], percent: int = 100) -> list[Any]:
    return [
        judges.Served(service=name, revision=f"{name}-{sha}-{number}", percent=percent, sha=sha)
        for name, (sha, number) in (("web", web), ("worker", worker))
    ]


@pytest.mark.parametrize(("name", "claim"), CLAIMS.items())
def test_a_comment_is_held_to_what_it_says(judges: Any, name: str, claim: tuple[str, str]) -> None:
    body = (ROOT / f"tests/golden/{name}.md").read_text("utf-8")
    before = judges.Before(revisions=frozenset({"web-a81d0be-0", "worker-a81d0be-0"}))
    other = OLD if claim == NEW else NEW
    assert list(judges.judged(body, serve(judges, claim, claim), before)) == []
    for wrong in (serve(judges, other, other), serve(judges, claim, other), serve(judges, claim, claim, 90)):
        assert list(judges.judged(body, wrong, before)) != []


def test_a_release_of_one_service_is_held_to_that_one(judges: Any) -> None:
    body = (ROOT / "tests/golden/released-one-service.md").read_text("utf-8")
    before = judges.Before(revisions=frozenset({"web-a81d0be-0", "worker-a81d0be-0"}))
    assert list(judges.judged(body, serve(judges, NEW, OLD), before)) == []
    for wrong in (serve(judges, OLD, OLD), serve(judges, NEW, NEW)):
        assert list(judges.judged(body, wrong, before)) != []


@pytest.mark.parametrize(
    ("web", "worker", "well"),
    [
        (("9", "web-new"), ("8", "worker-old"), True),
        (("8", "web-old"), ("8", "worker-old"), False),
        (("9", "web-new"), ("9", "worker-new"), False),
        (("9", "web-new"), ("7", "worker-older"), False),
    ],
)
def test_what_a_release_of_one_service_leaves(
    judges: Any, web: tuple[str, str], worker: tuple[str, str], well: bool
) -> None:
    shares = [{"revision": "worker-old", "percent": 100}, {"revision": "worker-older", "percent": 0}]
    payload = {"services": ["web"], "before": {"services": [{"service": "worker", "traffic": shares}]}}
    served = [
        judges.Served(service=name, revision=revision, percent=100, sha="", labels={"slipway-release": release})
        for name, (release, revision) in (("web", web), ("worker", worker))
    ]
    assert judges.left_by(types.SimpleNamespace(id=9, payload=payload), served) is well
    assert judges.left_by(types.SimpleNamespace(id=9, payload={**payload, "services": []}), served) is False


def test_an_alarm_may_not_be_false_and_a_refusal_changes_nothing(judges: Any) -> None:
    before = judges.Before(revisions=frozenset({"web-a81d0be-0", "worker-a81d0be-0"}))
    alarm = (ROOT / "tests/golden/restore-failed.md").read_text("utf-8")
    assert list(judges.judged(alarm, serve(judges, OLD, NEW), before)) == []
    assert list(judges.judged(alarm, serve(judges, OLD, OLD), before)) != []
    nothing = (ROOT / "tests/golden/first-release-failed.md").read_text("utf-8")
    assert list(judges.judged(nothing, [], before)) == []
    assert list(judges.judged(nothing, serve(judges, NEW, NEW), before)) != []
    for name in ("refused-locked", "problem-upstream-failed-before-anything"):
        said = (ROOT / f"tests/golden/{name}.md").read_text("utf-8")
        assert list(judges.judged(said, serve(judges, OLD, OLD), before)) == []
        assert list(judges.judged(said, serve(judges, OLD, NEW), before)) != []


@pytest.mark.parametrize("story", TABLES)
def test_a_table_has_a_row_for_each_call_and_a_column_for_each_fault(story: str) -> None:
    head, ruler, *body = rows(story)
    assert head == ["#", "Call", *FAULTS]
    assert len(ruler) == len(head)
    assert [row[0] for row in body] == [str(number) for number in range(1, len(body) + 1)]
    assert len({row[1] for row in body}) == len(body) > 5
    for row in body:
        assert len(row) == len(head)
        assert re.fullmatch(r"`[a-z]+ [A-Z]+ [^`]+ #\d+`", row[1])
        assert set(row[2:]) <= {"✅", "❌", "–", ""}
        assert bool(row[2 + FAULTS.index("403")]) is row[1].startswith("`github ")


def test_the_page_counts_what_its_tables_show() -> None:
    title, _, first = PAGE.split("\n")[:3]
    assert title == "# Reliability"
    counted = re.fullmatch(r"(\d+) cells, (\d+) hold", first)
    assert counted
    signs = [sign for story in TABLES for row in rows(story)[2:] for sign in row[2:]]
    assert [int(number) for number in counted.groups()] == [signs.count("✅") + signs.count("❌"), signs.count("✅")]
    assert signs.count("✅") > 1000
    assert set(TABLES) >= {"success", "ill-candidate", "ill-live", "rollback", "push"}


def test_the_page_explains_each_fault_and_how_to_play_a_cell_again() -> None:
    assert re.findall(r"(?m)^\| ([\w-]+) \| [^|]+ \|$", PAGE.partition("\n## ")[0])[1:] == FAULTS
    again = re.search(r'python tests/faults/matrix\.py --scenario (\S+) --call "([^"]+)" --fault (\S+)', PAGE)
    assert again
    assert f"`{again[2]}`" in [row[1] for row in rows(again[1])]
    assert again[3] in FAULTS
