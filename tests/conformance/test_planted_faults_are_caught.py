"""A test of the conformance tests: each planted fault fails the test that must catch it."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

# pytest puts "E   " before each line of an error.
_LINE = re.compile(r"^E\s+((?:Rule|Call|Written in): .*)$", re.MULTILINE)
_ROW = re.compile(r"(every method, )?`\w+`")

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_FAULTS = sorted(_HERE.glob("planted_*.py"))


def _planted(file: Path) -> list[str]:
    """Return the suites of a file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sorted(name for name in vars(module) if name.startswith("Test"))


WHOLE = "TestWithoutAFault"
SUITES = [(file.stem, suite) for file in _FAULTS for suite in _planted(file) if suite != WHOLE]


class Case(NamedTuple):
    """A test that ended.

    Attributes:
        how: passed, failure, error or skipped.
        text: What pytest wrote about it.
    """

    how: str
    text: str


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Case]]:
    """Return what became of the tests of all suites, which one of pytest's workers runs."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    report = shared / "planted-faults.xml"
    with (shared / "planted-faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            _run_all(report)
    cases: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):
        *_, module, suite = case.attrib["classname"].split(".")
        ended = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        how = Case(ended[0].tag, ended[0].text or "") if ended else Case("passed", "")
        cases[module, suite].append(how)
    return cases


def _run_all(report: Path) -> None:
    """Run all suites in one pytest of their own."""
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", f"--rootdir={_ROOT}"]
    options.append(f"--junitxml={report}")
    command = [sys.executable, "-m", "pytest", *options, *map(str, _FAULTS)]
    # Where CI is set, pytest shows differences whole, and takes minutes to find them.
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    run = subprocess.run(
        command, cwd=_ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr


def test_there_are_enough_faults() -> None:
    assert len(SUITES) >= 180


@pytest.mark.parametrize(("module", "suite"), SUITES)
def test_a_planted_fault_is_caught(
    cases: dict[tuple[str, str], list[Case]], module: str, suite: str
) -> None:
    ended = Counter(case.how for case in cases[module, suite])
    assert ended["failure"] > 0
    assert ended["error"] == 0


@pytest.mark.parametrize("module", [file.stem for file in _FAULTS])
def test_without_a_fault_the_same_tests_pass(
    cases: dict[tuple[str, str], list[Case]], module: str
) -> None:
    ended = Counter(case.how for case in cases[module, WHOLE])
    assert ended["passed"] >= 10
    assert set(ended) == {"passed", "skipped"} or set(ended) == {"passed"}
    assert ended["skipped"] <= 3, "tests that the whole driver has no capability for"


@pytest.mark.parametrize(("module", "suite"), SUITES)
def test_message_of_a_planted_fault_has_the_rule_the_call_and_where_it_is_written(
    cases: dict[tuple[str, str], list[Case]], module: str, suite: str
) -> None:
    for case in cases[module, suite]:
        if case.how == "failure":
            said = dict(line.split(": ", 1) for line in _LINE.findall(case.text))
            assert set(said) == {"Rule", "Call", "Written in"}
            assert len(said["Rule"].split()) >= 3
            assert re.search(r"[\w\]]\(", said["Call"]), said["Call"]
            row = said["Written in"].removeprefix("docs/drivers.md#rules, row ").partition(";")[0]
            assert row == "every method" or _ROW.match(row), row
