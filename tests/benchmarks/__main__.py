"""Comparison of the speed with other libraries; writes docs/benchmarks.md: see ``make bench``.

python tests/benchmarks            all of it, about 45 minutes on two processors
python tests/benchmarks local s3   only these suites; nothing is written
python tests/benchmarks --smoke    small sizes, to see that it runs; nothing is written
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from goals import GOALS
from measuring import Row
from page import goal_lines, tables_of, write_page

HERE = Path(__file__).parent
SUITES = (
    "facade",
    "memory",
    "startup",
    "local",
    "s3",
    "distance",
    "web",
    "images",
    "growth",
    "cli",
)


def run(suite: str, sizes: str) -> dict[str, Row]:
    """Run a suite in a process of its own and return its rows by ``"suite/name"``, or none."""
    begun = time.perf_counter()
    print(f"==> {suite}", file=sys.stderr, flush=True)
    # Without bytecode, an import would be a compilation, which users pay once.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, HERE / f"{suite}.py", sizes],
        check=False,
        stdout=subprocess.PIPE,
        env=environment,
    )
    lines = done.stdout.splitlines()
    # Some peers abort in their own threads at a process's end, after all was measured.
    if not lines or (done.returncode and not lines[-1].startswith(b"[")):
        print(f"The suite {suite} failed", file=sys.stderr, flush=True)
        return {}
    print(f"    {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    rows = (Row(**row) for row in json.loads(lines[-1]))
    return {f"{suite}/{row.name}": row for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=", ".join(SUITES))
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.suites) - set(SUITES):
        parser.error(f"there is no suite {min(unknown)!r}: there are {', '.join(SUITES)}")
    begun = time.perf_counter()
    rows: dict[str, Row] = {}
    failed = []
    for suite in given.suites or SUITES:
        found = run(suite, "smoke" if given.smoke else "full")
        rows |= found
        failed += [] if found else [suite]
        print("\n".join(tables_of(found)), "\n", flush=True)
    if given.smoke:
        print("These are the figures of a smoke run: they only show that it runs.")
    else:
        print("\n".join(goal_lines(GOALS, rows)))
        print(f"\n{time.perf_counter() - begun:.0f} s")
    if failed:
        sys.exit(f"Nothing is written, since these suites failed: {', '.join(failed)}")
    if not given.suites and not given.smoke:
        write_page(rows, time.perf_counter() - begun)


if __name__ == "__main__":
    main()
