"""Every scenario ends in its expected state, as `slipway demo` shows it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bot.sandbox import __main__ as command_line
from bot.sandbox.demo import play, verdict
from bot.sandbox.scenarios import SCENARIOS, Play

# What the first issue names; none of them may get lost.
NAMED = {
    "success", "broken-health", "crash-on-boot", "failing-migration", "failing-build", "red-ci", "unknown-environment",
    "no-permission", "head-moved", "worker-broken", "rollback", "push", "dispatch",
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_reaches_its_end_state(name: str, tmp_path: Path) -> None:
    result, described = play(SCENARIOS[name], tmp_path)
    missed = [
        f"{finding.name}\n  expected: {finding.expected}\n  found:    {finding.found}"
        for finding in result.findings
        if not finding.holds
    ]
    said = "\n".join(each["body"] for each in described["comments"])
    assert not missed, "\n".join([*missed, "", said])


def test_every_scenario_of_the_issue_exists() -> None:
    assert set(SCENARIOS) >= NAMED


def test_every_scenario_expects_something_of_its_own() -> None:
    common = min(len(scenario.expectations) for scenario in SCENARIOS.values())
    assert common > 5
    assert len({scenario.summary for scenario in SCENARIOS.values()}) == len(SCENARIOS)


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)


def test_a_wrong_name_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--scenario", "sucess"])
    assert ended.value.code == 2
    assert "did you mean 'success'?" in capsys.readouterr().err


def test_json_tells_comments_deployments_serving_and_calls(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line.main(["--scenario", "red_ci", "--json", "--keep", str(tmp_path / "kept")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scenario"] == "red-ci"
    assert told["reached"] is True
    assert [each["author"] for each in told["comments"]] == ["dana", "github-actions[bot]"]
    assert told["deployments"] == []
    assert told["serving"] == {}
    assert told["calls"]["github"]["POST /repos/{owner}/{repo}/issues/{issue_number}/comments"] == 1
    assert (tmp_path / "kept" / "red-ci" / "github").is_dir()


def test_lines_show_the_thread_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--scenario", "typo", "--plain"]) == 0
    shown = capsys.readouterr().out
    assert "dana: /deploi staging" in shown
    assert "did you mean" in shown
    assert "typo: end state reached" in shown


def test_a_story_that_breaks_off_is_a_finding(tmp_path: Path) -> None:
    def broken(_: Play) -> None:
        raise RuntimeError("the stage collapsed")

    scenario = dataclasses.replace(SCENARIOS["typo"], name="broken", act=broken)
    result, described = play(scenario, tmp_path)
    assert not result.reached
    assert "the stage collapsed" in verdict(result).plain
    assert described["reached"] is False
