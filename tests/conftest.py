"""What every test shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A loaded machine is slow; how fast things are is measured in tests/bench.
settings.register_profile("slipway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("slipway")
