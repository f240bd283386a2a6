"""Number of examples of the fuzz tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

__all__ = ["fuzzed"]

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
"""`make fuzz` sets it: a multiple of what `make faults` tries."""


def fuzzed(count: int) -> settings:
    """Return settings for `count` random examples: new ones in each run, except in brief runs."""
    return settings(
        max_examples=count * TIMES,
        derandomize=count < 1000,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
