"""Memory of a plan, which does not grow with the number of files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "sync_memory.py"
KEYS = 200_000
MOST = 40
"""MiB. Ten million keys take 150 more than these: ``python tests/benchmarks/sync_memory.py``."""


def test_plan_sync_of_many_files_takes_little_memory() -> None:
    said = subprocess.run(
        [sys.executable, str(BENCHMARK), str(KEYS), "here"],
        check=True,
        capture_output=True,
        text=True,
    )
    peak, before, _, counts = said.stdout.split(maxsplit=3)
    assert counts.strip() == "2000 new, 2000 changed, 196000 unchanged"
    assert float(peak) - float(before) < MOST
