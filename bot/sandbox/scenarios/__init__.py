"""Scenarios: stories that end in a known state, for the demo, for the tests, and for anybody who changes the bot."""

from __future__ import annotations

from bot.sandbox.scenarios import (
    answers,
    approvals,
    builds,
    failures,
    faults,
    heroku,
    interruptions,
    marks,
    partial,
    plans,
    pools,
    previews,
    questions,
    queueing,
    refusals,
    releases,
    rollbacks,
    rollouts,
    signing,
)
from bot.sandbox.scenarios.model import Expectation, Finding, Play, Scenario

__all__ = ["SCENARIOS", "Expectation", "Finding", "Play", "Scenario"]

THEMES = (
    releases,
    partial,
    builds,
    failures,
    rollouts,
    pools,
    rollbacks,
    plans,
    refusals,
    answers,
    questions,
    marks,
    queueing,
    approvals,
    faults,
    interruptions,
    heroku,
    previews,
    signing,
)
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for theme in THEMES for scenario in theme.SCENARIOS}
