"""What every test shares."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is slow; how fast things are is measured in tests/bench.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")
