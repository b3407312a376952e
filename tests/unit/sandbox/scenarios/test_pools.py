"""The sample's configuration with a worker pool is one that the bot takes, and no other text is changed in silence."""

from __future__ import annotations

import pytest

from bot.core.config import CloudRunTarget
from bot.core.config_file import load
from bot.sandbox.sample import HEAD
from bot.sandbox.scenarios.pools import as_pool

SAMPLE = (HEAD / ".github/slipway.yml").read_text()


def test_the_worker_becomes_a_worker_pool() -> None:
    target = load(as_pool(SAMPLE), file="slipway.yml").targets["gcp"]
    assert isinstance(target, CloudRunTarget)
    assert [service.kind for service in target.services.values()] == [None, "worker_pool"]
    assert [getattr(check, "service", None) for check in target.verify] == ["web", "web", None]


@pytest.mark.parametrize("text", ["", as_pool(SAMPLE), SAMPLE + SAMPLE])
def test_another_configuration_is_not_changed(text: str) -> None:
    with pytest.raises(ValueError, match="wanted once"):
        as_pool(text)
