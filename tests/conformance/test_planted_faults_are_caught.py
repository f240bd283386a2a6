"""A test of the conformance tests: each planted fault fails the test that must catch it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from types import ModuleType

_FAULTS = Path(__file__).with_name("planted_faults.py")
_ROOT = _FAULTS.parents[2]


def _planted() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_faults", _FAULTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SUITES = sorted(_planted().SUITES)


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """Run all suites in one pytest of their own; return by suite how many tests ended how."""
    report = tmp_path_factory.mktemp("faults") / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={_ROOT}", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, str(_FAULTS)]
    # Where CI is set, pytest shows differences whole, and takes minutes to find them.
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    run = subprocess.run(
        command, cwd=_ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for case in ET.parse(report).iter("testcase"):
        suite = case.attrib["classname"].rpartition(".")[2]
        ended = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcomes[suite][ended.pop() if ended else "passed"] += 1
    return outcomes


def test_there_are_enough_faults() -> None:
    assert len(SUITES) >= 20


@pytest.mark.parametrize("suite", SUITES)
def test_a_planted_fault_is_caught(outcomes: dict[str, Counter[str]], suite: str) -> None:
    assert outcomes[suite]["failure"] > 0
    assert outcomes[suite]["error"] == 0


def test_without_a_fault_the_same_tests_pass(outcomes: dict[str, Counter[str]]) -> None:
    ended = outcomes["TestWithoutAFault"]
    assert ended["passed"] > 200
    assert ended["failure"] == ended["error"] == ended["skipped"] == 0
