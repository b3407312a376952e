"""The random walk: a short one holds, and what should not be is seen."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAULTS = Path(__file__).parents[2] / "tests/faults"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python; what it starts is killed on purpose, and has nothing to tell the coverage."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=240, check=False, env=environ, cwd=folder
    )


def test_a_short_walk_holds(tmp_path: Path) -> None:
    done = run(
        str(FAULTS / "walk.py"), "--steps", "20", "--length", "10", "--seed", "11", "--jobs", "1", folder=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 11\n")
    assert re.search(r"(?m)^2\d steps, 0 walks broken, \d+ s, seed 11$", done.stdout), done.stdout


PLANTED = {
    "traffic": (
        ("name, revision = 'shop-web-staging', list(world.cloud.run.run_services.all['shop-web-staging'].revisions)[-1]\n"
        "world.console.shift(name, {revision: 100})"),
        "traffic on what was not verified",
    ),
    "lock": (
        ("sha = world.repository.resolve('main')\n"
        "world.repository.git.update_refs([RefUpdate(name='refs/slipway/locks/staging', after=sha)])"),
        "still locked: staging",
    ),
    "comment": (
        "world.repository.add_comment(1, '### 🟡 Deploying `0000000` to **staging**', author=BOT)",
        "a comment says for ever",
    ),
    "status": (
        "world.repository.set_deployment_status(invariants.deployments(self.stage)[-1], 'failure', creator=BOT)",
        "has 2 final states",
    ),
    "secret": ("world.repository.add_comment(1, TOKEN, author='dana')", "GitHub token can be read in comment"),
    "tag": (
        ("world.console.drop_tag('shop-web-staging', self.tags['shop-web-staging'].popitem()[0])\n"
        "self.tags['shop-web-staging']['sam-2'] = 'gone'"),
        "has lost the tag",
    ),
}  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"what": "tag", "number": 2},
    {"what": "deploy", "number": 1},  # of what is ill before it has traffic
    {"what": "scale"},
    {"what": "unlock"},
]
PLAY = """
import json, sys
sys.path.insert(0, {faults!r})
import company, invariants, walk
from bot.sandbox.github.gitobjects import RefUpdate
from bot.sandbox.scenarios.model import BOT
from bot.sandbox.world import TOKEN

def plant(code):
    def planted(self, environment, number):
        exec(code, globals(), {{"self": self, "world": self.stage.world}})
        return "as if the bot had done it"
    company.Company._scale = planted

theatre, told = walk.Theatre(), {{}}
try:
    for name, code in {planted!r}.items():
        plant(code)
        told[name] = theatre.play({{"steps": {steps!r}}})["broken"]
finally:
    theatre.close()
print(json.dumps(told))
"""


def test_the_judges_are_not_blind(tmp_path: Path) -> None:
    planted = {name: code for name, (code, _) in PLANTED.items()}
    done = run("-c", PLAY.format(faults=str(FAULTS), planted=planted, steps=STEPS), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    for name, (_, words) in PLANTED.items():
        (walk,) = told[name]
        assert [entry["step"]["what"] for entry in walk] == [step["what"] for step in STEPS]
        assert any(words in problem for problem in walk[-1]["problems"]), (name, walk[-1])


def test_a_failure_is_cut_down_to_the_steps_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FAULTS))
    walk = importlib.import_module("walk")

    def play(steps: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        broken = {1, 7}.issubset(step["n"] for step in steps)
        walked = [{"step": step, "problems": [f"web-{len(steps)} is wrong"]} for step in steps]
        return [walked] if broken else []

    whole = play([{"n": number} for number in range(8)])[0]
    assert [entry["step"] for entry in walk.shrink(play, whole)] == [{"n": 1}, {"n": 7}]
