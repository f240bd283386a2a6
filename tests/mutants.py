"""Mutation score of the conformance tests on the memory driver: `make mutants`.

mutmut changes a copy of the driver, one operator, number, text or argument at a time, and runs the
conformance tests until one fails. Mutants that no rule of the contract tells apart from the driver
are in equivalent_mutants.toml, each with its reason. Sources are copied to one folder: mutmut knows
a module's name by its path, and a namespace package of several editable installs has several.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "mutants" / "tree"
DRIVER = "src/jtc/storage/drivers/memory_driver"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
LEAST = 0.9
SURVIVED, UNTESTED = 0, 33
"""mutmut's codes. Others are of mutants that a test killed, or that did not end."""

CONFIG = f"""\
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["{DRIVER}/*.py"]
pytest_add_cli_args_test_selection = ["tests/test_memory.py"]
pytest_add_cli_args = ["-q", "-p", "no:cacheprovider"]
timeout_constant = 5.0
timeout_multiplier = 4.0

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
"""


class Mutant(NamedTuple):
    """A mutant that no test killed.

    Attributes:
        name: mutmut's.
        before: The lines that it replaces, joined.
        after: Those that it has instead.
    """

    name: str
    before: str
    after: str


def main() -> None:
    """Run the mutants, print the score, and fail below 90 %."""
    began = time.monotonic()
    _copy()
    _mutmut("run", "--max-children", sys.argv[1] if len(sys.argv) > 1 else "2")
    codes = _codes()
    left = [name for name, code in codes.items() if code in {SURVIVED, UNTESTED}]
    reasons = Counter[str]()
    survivors = []
    for mutant in map(_described, left):
        why = _reason(mutant)
        if why is None:
            survivors.append(mutant)
        else:
            reasons[why] += 1
    for mutant in survivors:
        print(f"survived: {mutant.name}\n  - {mutant.before}\n  + {mutant.after}")
    for why, number in reasons.most_common():
        print(f"equivalent: {number:3} {why}")
    counted = len(codes) - reasons.total()
    score = (counted - len(survivors)) / counted
    print(
        f"{len(codes)} mutants, {reasons.total()} of them equivalent; of the others"
        f" {counted - len(survivors)} are killed: {score:.1%}, in {time.monotonic() - began:.0f} s"
    )
    sys.exit(score < LEAST)


def _copy() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    for distribution in ("core", "drivers-memory", "testing"):
        shutil.copytree(ROOT / distribution / "src", PLACE / "src", dirs_exist_ok=True)
    (PLACE / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conformance" / "test_memory.py", PLACE / "tests")
    (PLACE / "pyproject.toml").write_text(CONFIG)


def _mutmut(*arguments: str, quiet: bool = False) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    run = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
    if run.returncode and not quiet:
        sys.exit(run.stdout[-3000:] + run.stderr[-3000:])
    return run.stdout


def _codes() -> dict[str, int | None]:
    """Return by the name of each mutant how its tests ended."""
    codes: dict[str, int | None] = {}
    for file in sorted((PLACE / "mutants" / DRIVER).glob("*.meta")):
        codes |= json.loads(file.read_text())["exit_code_by_key"]
    return codes


def _described(name: str) -> Mutant:
    lines = [
        line
        for line in _mutmut("show", name, quiet=True).splitlines()
        if line[:1] in {"-", "+"} and not line.startswith(("---", "+++"))
    ]
    sides = [" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"]
    return Mutant(name, *sides)


def _reason(mutant: Mutant) -> str | None:
    """Return why a mutant is equivalent; None where it is not."""
    kinds: list[dict[str, Any]] = tomllib.loads(EQUIVALENT.read_text())["kinds"]
    text = f"{mutant.name}: {mutant.before} -> {mutant.after}"
    for kind in kinds:
        if any(re.search(pattern, text) for pattern in kind["patterns"]):
            return str(kind["why"])
    return None


if __name__ == "__main__":
    main()
