"""How much the fuzz tests try."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

__all__ = ["fuzzed"]

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
"""`make fuzz` sets it: so many times as much as `make faults`."""


def fuzzed(count: int) -> settings:
    """Return how often a random example is tried: afresh in each run, but for CI's brief ones."""
    return settings(
        max_examples=count * TIMES,
        derandomize=count < 1000,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
