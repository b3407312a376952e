"""``action.yml`` agrees with the code that it starts, and its own commands do what they say."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import sysconfig
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from bot import settings
from bot.core.outcome import Decision, Outcome, Reason
from bot.core.registry import REGISTRY
from bot.report import summary

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
NAME = re.compile(r"(?:GITHUB|SLIPWAY|HEROKU|ACTIONS|RUNNER)_[A-Z_]+")


def steps(action: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step.get("id", step["name"]): step for step in action["runs"]["steps"]}


def names_read(path: pathlib.Path) -> set[str]:
    """Return every environment variable that a module names as a string literal."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and NAME.fullmatch(value)}


def expressions(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (match.strip() for match in EXPRESSION.findall(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from expressions(item)


def test_it_is_fit_for_the_marketplace(action: dict[str, Any]) -> None:
    assert action["name"]
    assert action["author"]
    assert set(action["branding"]) == {"icon", "color"}
    assert 20 < len(action["description"]) <= 125  # the marketplace cuts longer ones


def test_inputs_have_words_and_string_defaults(action: dict[str, Any]) -> None:
    for name, given in action["inputs"].items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert given["description"], name
        assert isinstance(given["default"], str), name
    for name, given in action["outputs"].items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert given["description"], name


def test_every_input_is_used_and_every_used_one_exists(action: dict[str, Any]) -> None:
    used = {match[1] for text in expressions(action["runs"]) for match in re.finditer(r"inputs\.([a-z-]+)", text)}
    assert used == set(action["inputs"])


def test_what_the_action_sets_is_what_the_code_reads(action: dict[str, Any], root: pathlib.Path) -> None:
    for step, module in (("triage", "triage.py"), ("act", "settings.py")):
        assert set(steps(action)[step]["env"]) <= names_read(root / "bot" / module), step


def test_every_setting_of_ours_can_be_given(action: dict[str, Any], root: pathlib.Path) -> None:
    read = {name for name in names_read(root / "bot" / "settings.py") if name.startswith(("SLIPWAY_", "HEROKU_"))}
    assert read - {"HEROKU_API_URL", "SLIPWAY_CALL_TIMEOUT"} == set(steps(action)["act"]["env"]) - {"GITHUB_TOKEN"}


def test_defaults_are_those_of_the_settings(action: dict[str, Any]) -> None:
    fields = settings.Settings.__dataclass_fields__
    for name in ("config-path", "phase", "log-level"):
        assert action["inputs"][name]["default"] == fields[name.replace("-", "_")].default


def test_phases_and_commands_are_described(action: dict[str, Any]) -> None:
    for phase in typing.get_args(settings.Phase):
        assert f"{phase}:" in action["inputs"]["phase"]["description"]
    for verb in REGISTRY:
        assert verb in action["inputs"]["command"]["description"]
    for decision in Decision:
        assert decision.value in action["outputs"]["decision"]["description"]


def test_outputs_are_those_of_the_bot(action: dict[str, Any]) -> None:
    written = summary.outputs(Outcome(decision=Decision.IGNORED, reason=Reason.NOT_A_COMMAND))
    assert set(action["outputs"]) == set(written)
    for name, output in action["outputs"].items():
        [expression] = expressions(output["value"])
        assert expression.split(" || ")[0] == f"steps.act.outputs.{name}"


def test_what_triage_says_is_in_the_closed_sets(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    event, output = tmp_path / "event.json", tmp_path / "output"
    event.write_text("{}", encoding="utf-8")
    run(["-I", "-S", str(root / "bot" / "triage.py")], {"GITHUB_EVENT_PATH": str(event), "GITHUB_OUTPUT": str(output)})
    said = outputs(output)
    assert Decision(said["decision"]) is Decision.IGNORED
    assert Reason(said["reason"]) is Reason.NOT_A_COMMAND
    assert said["ours"] == "false"


def test_only_triage_runs_for_an_event_that_is_not_ours(action: dict[str, Any]) -> None:
    first, *others = action["runs"]["steps"]
    assert first["id"] == "triage"
    assert "if" not in first
    assert [step["if"] for step in others] == ["steps.triage.outputs.ours == 'true'"] * len(others)


def test_scripts_hold_no_expressions_and_actions_are_pinned(action: dict[str, Any], root: pathlib.Path) -> None:
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert ("run" in step) == (step.get("shell") == "bash")
    pins = re.findall(r"uses: (\S+)@(\S+) # (v\S+)", (root / "action.yml").read_text(encoding="utf-8"))
    assert len(pins) == sum("uses" in step for step in action["runs"]["steps"])
    for _, sha, version in pins:
        assert re.fullmatch(r"[0-9a-f]{40}", sha)
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version)


def run(arguments: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=env, timeout=60, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def outputs(path: pathlib.Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    return {match[1]: match[3] for match in re.finditer(r"(?ms)^([\w-]+)<<(\S+)\n(.*?)\n\2$", text)}


# A uv that needs no index: it makes the environment by venv, and lends it the packages of the test's own.
UV = """\
#!{python} -I
import json, os, pathlib, subprocess, sys
with open({log!r}, "a", encoding="utf-8") as log:
    print(json.dumps({{"args": sys.argv[1:], "env": {{k: v for k, v in os.environ.items() if k[:2] in ("UV", "PY", "VI")}}}}), file=log)
if sys.argv[1] == "venv":
    subprocess.run([{python!r}, "-I", "-m", "venv", "--without-pip", sys.argv[-1]], check=True)
else:
    python = sys.argv[sys.argv.index("--python") + 1]
    site = next(pathlib.Path(python).parents[1].glob("lib/python*/site-packages"))
    (site / "lent.pth").write_text({packages!r} + "\\n", encoding="utf-8")
"""


class Job:
    """A job on a runner whose workspace would like to be run in the action's place."""

    def __init__(self, root: pathlib.Path, folder: pathlib.Path) -> None:
        self.root, self.folder, self.log = root, folder, folder / "uv.log"
        self.workspace, self.temp = folder / "workspace", folder / "temp"
        hostile = self.workspace / "bot"
        for made in (hostile, self.temp, folder / "bin"):
            made.mkdir(parents=True)
        (hostile / "__init__.py").write_text("raise SystemExit(99)\n", encoding="utf-8")
        uv = folder / "bin" / "uv"
        packages = sysconfig.get_path("purelib")
        uv.write_text(UV.format(python=sys.executable, log=str(self.log), packages=packages), encoding="utf-8")
        uv.chmod(uv.stat().st_mode | stat.S_IXUSR)

    def start(self, step: dict[str, Any], event: object, **env: str) -> subprocess.Popen[str]:
        """Start a step's script as the runner does, with the action's defaults in its variables."""
        (self.folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
        (self.folder / "run.sh").write_text(step["run"], encoding="utf-8")
        given = {name: value for name, value in step["env"].items() if "${{" not in value}
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.folder / "run.sh")],
            cwd=self.workspace,
            env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(self.workspace),
                "VIRTUAL_ENV": "/nowhere",
                "UV_INDEX_STRATEGY": "unsafe-best-match",
                "UV_CONFIG_FILE": "/nowhere/uv.toml",
                "UV_CACHE_DIR": str(self.temp / "cache"),
                "GITHUB_ACTION_PATH": str(self.root),
                "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
                "GITHUB_OUTPUT": str(self.folder / "output"),
                "GITHUB_REPOSITORY": "acme/shop",
                "GITHUB_RUN_ID": "1",
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "GITHUB_TOKEN": "t0ken",
                "RUNNER_TEMP": str(self.temp),
                **given,
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def job(root: pathlib.Path, tmp_path: pathlib.Path) -> Job:
    return Job(root, tmp_path)


def test_the_act_step_runs_our_bot_in_an_environment_of_its_own(action: dict[str, Any], job: Job) -> None:
    process = job.start(steps(action)["act"], {"action": "opened"}, GITHUB_EVENT_NAME="pull_request")
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, "")
    said = outputs(job.folder / "output")
    assert (said["decision"], said["reason"]) == ("ignored", "event_not_supported")
    assert json.loads(said["result"])["version"] == 1
    made, installed = job.calls()
    assert made["args"][0] == "venv"
    assert {"--require-hashes", "--no-config"} <= set(installed["args"])
    assert installed["args"][-1] == str(job.root / "requirements" / "run.txt")
    for call in (made, installed):
        assert set(call["env"]) == {"UV_CACHE_DIR"}
    [site] = job.temp.glob("slipway.*/venv/lib/python*/site-packages")
    assert list((site / "bot" / "__pycache__").glob("cli.*.pyc"))


@pytest.mark.parametrize(
    ("phase", "lock"), [("all", "run"), ("command", "command"), ("release", "run"), ("ask", "run"), ("", "run")]
)
def test_the_job_without_rights_installs_no_cloud_library(
    action: dict[str, Any], job: Job, phase: str, lock: str
) -> None:
    process = job.start(
        steps(action)["act"], {"action": "opened"}, GITHUB_EVENT_NAME="pull_request", SLIPWAY_PHASE=phase
    )
    process.communicate(timeout=120)
    _, installed = job.calls()
    assert installed["args"][-1] == str(job.root / "requirements" / f"{lock}.txt")


def test_a_failed_install_fails_the_step(action: dict[str, Any], job: Job) -> None:
    (job.folder / "bin" / "uv").write_text("#!/bin/sh\nexit 2\n", encoding="utf-8")
    process = job.start(steps(action)["act"], {}, GITHUB_EVENT_NAME="push")
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert not (job.folder / "output").exists()


def test_a_signal_reaches_the_bot_itself(action: dict[str, Any], job: Job) -> None:
    """The script ends in exec: its process is the bot, so that cancelling the job cancels the bot."""
    step = dict(steps(action)["act"])
    last = step["run"].rstrip().splitlines()[-1]
    assert last == 'exec "$python" -I -m bot act'
    waiting = """exec "$python" -I -c 'import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); """
    step["run"] = (
        step["run"].rstrip().removesuffix(last) + waiting + """print("ready", flush=True); signal.pause()'\n"""
    )
    process = job.start(step, {}, GITHUB_EVENT_NAME="push")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 7


def test_the_triage_step_needs_nothing_installed(action: dict[str, Any], job: Job) -> None:
    process = job.start(steps(action)["triage"], {"action": "opened"}, GITHUB_EVENT_NAME="pull_request")
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert outputs(job.folder / "output")["decision"] == "ignored"
    assert not job.log.exists()
