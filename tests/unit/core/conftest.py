"""Factories: a configuration in a few lines, an environment of it, and the facts a release is decided on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.core.commands import Command
from bot.core.config_file import load
from bot.core.facts import CheckState, PullRequest
from bot.core.policy import Facts
from bot.core.resolve import Environment, resolve

SHA = "4f9a1c2d3e5f60718293a4b5c6d7e8f901234567"
CONFIG = """\
version: 1
app: shop
{top}
targets:
  gcp:
    type: cloud_run
    project: p
    region: r
    {target}
    services: {{web: {web}, worker: {worker}}}
    jobs: {jobs}
    verify: {verify}
  heroku: {{type: heroku, app: 'shop-{{env}}', verify: [{{http: /health/}}], build_timeout: 9m, release_timeout: 8m}}
environments:
  staging: {{target: gcp, {staging}}}
  production: {{target: gcp, {production}}}
  legacy: {{target: heroku, {legacy}}}
"""
EMPTY = {"web": "{}", "worker": "{}", "jobs": "{}", "verify": "[]"}


@pytest.fixture
def make_config() -> Callable[..., Any]:
    """Return a factory of configurations: each argument fills one place of :data:`CONFIG`."""

    def make(**over: str) -> Any:
        places = dict.fromkeys(("top", "target", "staging", "production", "legacy"), "")
        return load(CONFIG.format(**{**places, **EMPTY, **over}), file="s.yml")

    return make


@pytest.fixture
def make_environment(make_config: Callable[..., Any]) -> Callable[..., Environment]:
    def make(name: str = "staging", *, version: str = "", variables: Any = None, **over: str) -> Environment:
        config = make_config(**over)
        return resolve(config, name, repository="acme/shop", sha=SHA, variables=variables or {}, version=version)

    return make


@pytest.fixture
def make_facts(make_environment: Callable[..., Environment]) -> Callable[..., Facts]:
    """Return a factory of facts that pass every gate; arguments change the facts, or (``pull_…``) the pull request."""
    environments: dict[str, Environment] = {}

    def make(*, gates: str = "{}", environment: Environment | None = None, **over: Any) -> Facts:
        if gates not in environments:
            environments[gates] = make_environment(top=f"gates: {gates}")
        pull: dict[str, Any] = {
            "number": 3,
            "title": "T",
            "author": "dana",
            "state": "open",
            "merged": False,
            "draft": False,
            "mergeable": True,
            "head_sha": SHA,
            "head_ref": "feature",
            "head_repository": "acme/shop",
            "base_ref": "main",
            "base_repository": "Acme/shop",
        }
        pull |= {
            key.removeprefix("pull_"): over.pop(key)
            for key in list(over)
            if key.startswith("pull_") and key != "pull_request"
        }
        facts: dict[str, Any] = {
            "trigger": "comment",
            "command": Command(verb="deploy", environment="staging"),
            "environment": environment or environments[gates],
            "sha": SHA,
            "default_branch": "main",
            "pull_request": PullRequest(**pull),
            "commented_at": datetime(2026, 1, 2, 10, 0, 5, tzinfo=UTC),
            "head_pushed_at": datetime(2026, 1, 2, 10, 0, 4, tzinfo=UTC),
            "checks": (CheckState(name="ci", state="success"),),
            "required": ("ci",),
        }
        return Facts(**{**facts, **over})

    return make
