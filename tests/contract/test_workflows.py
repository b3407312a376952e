"""The workflows and the examples: least rights, pinned actions, no expressions in scripts, and the action's own names."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bot.app.reading import SWEEP
from bot.core.registry import REGISTRY

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("docs/examples/*.yml")])
EXAMPLES = {path.stem: path for path in FILES if path.parent.name == "examples"}
SHELLCHECK = pathlib.Path(sysconfig.get_path("scripts")) / "shellcheck"


def load(path: pathlib.Path) -> dict[str, Any]:
    """Read a workflow. YAML 1.1 reads the key ``on`` as true; give it its name back."""
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    loaded["on"] = loaded.pop(True)
    return loaded


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def scripts() -> Iterator[tuple[str, str]]:
    for path in FILES:
        for number, step in enumerate(steps(load(path))):
            if "run" in step:
                yield f"{path.stem}-{number}", step["run"]
    for step in yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]:
        if "run" in step:
            yield f"action-{step['id']}", step["run"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rights_and_time_are_bounded(path: pathlib.Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 60, name
        assert isinstance(job["permissions"], dict), name
        assert "latest" not in str(job["runs-on"]), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_and_leave_no_credentials(path: pathlib.Path) -> None:
    for step in steps(load(path)):
        assert "${{" not in step.get("run", "")
        used = step.get("uses", "$/")
        assert used == "$/" or re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used)
        if used.startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_one_pin_for_each_action() -> None:
    pins: dict[str, set[str]] = {}
    for path in [*FILES, ROOT / "action.yml"]:
        for name, pin in re.findall(r"uses: (\S+)@(\S+ # \S+)", path.read_text(encoding="utf-8")):
            pins.setdefault(name, set()).add(pin)
    assert {name for name, found in pins.items() if len(found) > 1} == set()


@pytest.mark.parametrize(("name", "script"), list(scripts()), ids=[name for name, _ in scripts()])
def test_scripts_pass_shellcheck(name: str, script: str) -> None:
    done = subprocess.run(
        [SHELLCHECK, "--shell=bash", "-"], input=script, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), name


@pytest.mark.parametrize("path", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_examples_use_the_action_as_it_is(path: pathlib.Path, action: dict[str, Any]) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"steps\.slipway\.outputs\.([\w-]+)", text)) <= set(action["outputs"])
    for step in steps(load(path)):
        assert set(step["with"]) <= set(action["inputs"])
        assert "/slipway@" in step["uses"]
        assert step["with"]["vars"] == "${{ toJSON(vars) }}"


def test_the_two_jobs() -> None:
    workflow = load(EXAMPLES["two-jobs"])
    command, release = workflow["jobs"]["command"], workflow["jobs"]["release"]
    assert "id-token" not in command["permissions"]
    assert {name for name, right in command["permissions"].items() if right == "write"} == {
        "actions", "contents", "issues", "pull-requests",
    }  # fmt: skip
    assert release["permissions"]["id-token"] == "write"
    assert release["needs"] == "command"
    assert release["if"] == "needs.command.outputs.decision == 'release'"
    assert release["environment"] == "${{ matrix.environment }}"
    assert release["concurrency"] == {
        "group": "slipway-${{ matrix.environment }}",
        "cancel-in-progress": False,
        "queue": "max",
    }
    assert release["strategy"]["fail-fast"] is False
    used = set(re.findall(r"needs\.command\.outputs\.([\w-]+)", EXAMPLES["two-jobs"].read_text(encoding="utf-8")))
    assert used == set(command["outputs"])
    [first] = command["steps"]
    [second] = release["steps"]
    assert (first["with"]["phase"], second["with"]["phase"]) == ("command", "release")


def test_a_question_waits_for_nobody_and_may_change_nothing() -> None:
    job = load(EXAMPLES["two-jobs"])["jobs"]["ask"]
    assert job["needs"] == "command"
    assert job["if"] == "needs.command.outputs.decision == 'ask'"
    assert not {"environment", "concurrency", "strategy"} & set(job)
    assert {name for name, right in job["permissions"].items() if right == "write"} == {
        "id-token", "issues", "pull-requests",
    }  # fmt: skip
    [step] = job["steps"]
    assert step["with"]["phase"] == "ask"


def test_the_dispatch_form_offers_every_command_that_wants_no_pull_request() -> None:
    inputs = load(EXAMPLES["two-jobs"])["on"]["workflow_dispatch"]["inputs"]
    assert set(inputs["command"]["options"]) == set(REGISTRY) - {
        "preview",
        "approve",
        "reject",
    }  # a comment proves those
    [step] = load(EXAMPLES["two-jobs"])["jobs"]["command"]["steps"]
    for name in inputs:
        assert step["with"][name] == f"${{{{ inputs.{name} }}}}"


def test_a_preview_keeps_no_release_waiting() -> None:
    jobs = load(EXAMPLES["two-jobs"])["jobs"]
    preview, release = jobs["preview"], jobs["release"]
    assert preview["if"] == "needs.command.outputs.decision == 'preview'"
    assert preview["concurrency"]["group"] == "slipway-preview-${{ github.event.issue.number }}"
    assert not preview["concurrency"]["cancel-in-progress"]
    assert not release["concurrency"]["group"].startswith("slipway-preview")
    assert preview["environment"]["deployment"] is False
    assert preview["steps"][0]["with"]["phase"] == "release"
    assert (
        "format('-preview-{0}', github.event.issue.number)"
        in (load(EXAMPLES["one-job"])["jobs"]["slipway"]["concurrency"]["group"])
    )


def test_what_becomes_of_previews() -> None:
    workflow = load(EXAMPLES["previews"])
    assert workflow["on"] == {
        "pull_request_target": {"types": ["synchronize", "closed"]},
        "schedule": [{"cron": "23 * * * *"}],
        "workflow_dispatch": None,
    }
    [job] = workflow["jobs"].values()
    assert "head.repo.full_name == github.repository" in job["if"]
    # The same line as the commands of the same pull request.
    assert job["concurrency"]["group"] == "slipway-preview-${{ github.event.pull_request.number || 'sweep' }}"
    [step] = job["steps"]
    assert step["with"]["command"] == SWEEP
    assert all(right == "write" or name == "actions" for name, right in job["permissions"].items())


@pytest.mark.parametrize("name", ["one-job", "two-jobs"])
def test_examples_listen_to_new_comments_only(name: str) -> None:
    listened = load(EXAMPLES[name])["on"]
    assert listened["issue_comment"] == {"types": ["created"]}
    assert listened["push"] == {"branches": ["main"]}
    assert "pull_request_target" not in listened
