"""The job without rights to the clouds runs on requirements/command.txt: no command of it needs a cloud's library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot.core.registry import REGISTRY
from bot.sandbox.runtime import InstantRuntime
from bot.sandbox.world import World

# What the bot's process sees as Python: without what requirements/run.txt has beyond requirements/command.txt.
PYTHON = """\
#!{python} -I
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"google", "grpc", "heroku3", "proto", "slack_sdk", "standardwebhooks", "six"}}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Absent())
if sys.argv[-1].endswith(".py"):
    runpy.run_path(sys.argv[-1], run_name="__main__")
else:
    sys.argv = ["bot", "act"]
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
"""
SAID = {
    "lock": '/lock staging --reason="demo"',
    "freeze": "/freeze staging --reason=fair",
    "preview": "/preview create",
    "whoami": "/whoami",
    "doctor": "/doctor",
    "help": "/help",
    "status": "/status",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    made = World(root=tmp_path / "world", runtime=InstantRuntime())
    made.python = str(python)
    return made


def test_every_command_and_refusal_does_without(world: World) -> None:
    with world:
        world.branch("feature")
        number = world.repository.open_pull_request(head="feature", title="t", author="dana", base="main")
        for body in [*(SAID.get(verb, f"/{verb} staging") for verb in REGISTRY), "/deploy nowhere", "/deploi staging"]:
            ran = world.comment(number, body, author="lee", extra={"SLIPWAY_PHASE": "command"})
            assert "not installed here" not in ran.stderr + ran.stdout, body
            assert ran.exit_code == 0, (body, ran.stderr)
            assert ran.outputs["decision"] in {"release", "refused", "answered", "done", "ask", "preview"}, body


def test_a_release_needs_them(world: World) -> None:
    """So the test above is able to fail."""
    with world:
        world.branch("feature")
        number = world.repository.open_pull_request(head="feature", title="t", author="dana", base="main")
        ran = world.comment(number, "/deploy staging")
        assert ran.exit_code == 1
        assert "not installed here" in ran.stderr
