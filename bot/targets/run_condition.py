"""Conditions of Cloud Run resources, read and put into a sentence. Pure."""

from __future__ import annotations

from google.cloud import run_v2

State = run_v2.Condition.State


def succeeded(condition: run_v2.Condition) -> bool:
    """Whether a condition holds."""
    return condition.state == State.CONDITION_SUCCEEDED


def failed(condition: run_v2.Condition) -> bool:
    """Whether a condition failed for good (another try is a new generation)."""
    return condition.state == State.CONDITION_FAILED


def ready(revision: run_v2.Revision) -> run_v2.Condition:
    """Return a revision's ``Ready`` condition, an empty one while there is none."""
    return next((c for c in revision.conditions if c.type_ == "Ready"), run_v2.Condition())


def reason(condition: run_v2.Condition) -> str:
    """Return the provider's word for why: a common, a revision's or an execution's reason; ``""`` without one."""
    for value in (condition.revision_reason, condition.execution_reason, condition.reason):
        if int(value):
            return str(value.name)
    return ""


def sentence(condition: run_v2.Condition) -> str:
    """Return the reason and the message, each if there. Where the logs are is left out: the report brings them."""
    message = " ".join(condition.message.split()).partition(" Logs for this revision")[0]
    said = ": ".join(part for part in (reason(condition), message) if part)
    return said or "Cloud Run gave no reason"
