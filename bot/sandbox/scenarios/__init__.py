"""Scenarios: stories that end in a known state, for the demo, for the tests, and for anybody who changes the bot."""

from __future__ import annotations

from bot.sandbox.scenarios import answers, builds, failures, faults, heroku, refusals, releases
from bot.sandbox.scenarios.model import Expectation, Finding, Play, Scenario

__all__ = ["SCENARIOS", "Expectation", "Finding", "Play", "Scenario"]

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for theme in (releases, builds, failures, refusals, answers, faults, heroku)
    for scenario in theme.SCENARIOS
}
