from __future__ import annotations

import json
from dataclasses import replace

from bot.core.outcome import Decision, Outcome, Reason, ReleaseReport
from bot.core.target import Diagnosis
from bot.report.answers import answer_body
from bot.report.summary import job_summary, outputs, result_json


def test_a_summary_has_every_log_line_and_no_marker(reports: dict[str, ReleaseReport]) -> None:
    report = reports["verification-failed-restored"]
    lines = tuple(f"log line {number}" for number in range(900))
    steps = tuple(
        replace(step, diagnosis=Diagnosis(tail=lines)) if step.state == "failed" else step for step in report.steps
    )
    summary = job_summary(replace(report, steps=steps))
    assert summary.startswith("### 🔴")
    assert "<!--" not in summary
    assert all(f"\n{line}\n" in summary for line in lines)
    assert "```mermaid" in summary


def test_an_answer_in_the_summary_has_its_overflow_and_no_marker() -> None:
    assert answer_body("<!-- slipway:v1 id=1 -->\nNo.\n", "more") == "No.\n\nmore\n"
    assert answer_body("No.\n") == "No.\n"


def test_outputs_have_the_names_of_the_action_and_are_empty_when_unknown() -> None:
    given = outputs(Outcome(decision=Decision.IGNORED, reason=Reason.NOT_A_COMMAND))
    result = given.pop("result")
    assert given == {
        "decision": "ignored",
        "reason": "not_a_command",
        "environment": "",
        "environments": "[]",
        "sha": "",
        "deployment-id": "",
        "url": "",
        "comment-id": "",
    }
    assert json.loads(result)["version"] == 1
    assert "release" not in json.loads(result)


def test_outputs_of_a_release(reports: dict[str, ReleaseReport]) -> None:
    report = reports["verification-failed-restored"]
    outcome = Outcome(
        decision=Decision.FAILED,
        reason=Reason.VERIFICATION_FAILED,
        environment="staging",
        environments=("staging", "é"),
        sha=report.sha,
        deployment_id=1204,
        url=report.url,
        comment_id=9,
    )
    result = result_json(report, outcome)
    given = outputs(replace(outcome, result=result))
    assert given["environments"] == '["staging","é"]'
    assert (given["deployment-id"], given["comment-id"]) == ("1204", "9")
    assert json.loads(given["result"]) == result
    assert "\n" not in given["result"]
    release = result["release"]
    assert release["restored"] is True
    assert release["exposed_seconds"] == 57.6
    assert release["seconds"] == 287.0
    assert [step["id"] for step in release["steps"] if step["state"] == "failed"] == ["verify-live"]
    assert release["steps"][-2]["checks"][1] == {
        "name": "web `/healthz`",
        "passed": False,
        "expected": "200, 5 times",
        "found": "500",
    }
    assert [line["now"] for line in release["services"]] == ["web-a81d0be-0", "worker-a81d0be-0"]


def test_a_step_that_never_began_took_no_time(reports: dict[str, ReleaseReport]) -> None:
    report = reports["build-failed"]
    result = result_json(report, Outcome(decision=Decision.FAILED, reason=Reason.BUILD_FAILED))
    assert [step["seconds"] for step in result["release"]["steps"]] == [0.9, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
