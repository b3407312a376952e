"""The job summary, and the action's outputs."""

from __future__ import annotations

import json
from typing import Any

from bot.core.outcome import Outcome, ReleaseReport, StepResult
from bot.report.comment import release_body

_RESULT_VERSION = 1
_LOG_LINES = 10_000


def job_summary(report: ReleaseReport) -> str:
    """Return a release for the job summary: its comment with every log in full.

    So nothing that was cut from the comment is lost. The runner's own limit, 1 MiB for a step, is kept where the
    summary is written.
    """
    return release_body(report, log_lines=_LOG_LINES)


def outputs(outcome: Outcome) -> dict[str, str]:
    """Return the action's outputs by name. What is not known is an empty string."""
    return {
        "decision": outcome.decision.value,
        "reason": outcome.reason.value,
        "environment": outcome.environment,
        "environments": _compact(list(outcome.environments)),
        "sha": outcome.sha,
        "deployment-id": str(outcome.deployment_id or ""),
        "url": outcome.url,
        "comment-id": str(outcome.comment_id or ""),
        "result": _compact(outcome.result or result_json(None, outcome)),
    }


def result_json(report: ReleaseReport | None, outcome: Outcome) -> dict[str, Any]:
    """Return the value of the output ``result``. Its ``version`` rises when a field changes its meaning or goes."""
    result: dict[str, Any] = {
        "version": _RESULT_VERSION,
        "decision": outcome.decision.value,
        "reason": outcome.reason.value,
        "message": outcome.message,
        "environment": outcome.environment,
        "environments": list(outcome.environments),
        "sha": outcome.sha,
        "deployment_id": outcome.deployment_id or None,
        "url": outcome.url,
    }
    if report is not None:
        result["release"] = _release(report)
    return result


def _release(report: ReleaseReport) -> dict[str, Any]:
    return {
        "verb": report.verb,
        "state": report.state,
        "only": list(report.only),
        "previous_sha": report.previous_sha,
        "digest": report.digest,
        "restored": report.restored,
        "exposed_seconds": round(report.exposed_seconds, 1),
        "not_undone": list(report.not_undone),
        "behind_by": report.behind_by,
        "seconds": round(max(0.0, report.now - report.started), 1),
        "steps": [_step(step, report.now) for step in report.steps],
        "services": [
            {
                "service": line.service,
                "before": line.before,
                "tried": line.tried,
                "now": line.now,
                "now_percent": line.now_percent,
                "healthy": line.healthy,
                "url": line.url,
            }
            for line in report.services
        ],
    }


def _step(step: StepResult, now: float) -> dict[str, Any]:
    seconds = (step.ended or now) - step.started if step.started else 0.0
    return {
        "id": step.id,
        "kind": step.kind,
        "state": step.state,
        "seconds": round(max(0.0, seconds), 1),
        "checks": [
            {"name": check.name, "passed": check.passed, "expected": check.expected, "found": check.found}
            for check in step.checks
        ],
    }


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
