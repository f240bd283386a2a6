"""docs/reliability.md is made of what was measured, and hides nothing that was not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

RUN = """
import pytest

@pytest.mark.row(1)
def test_that_measures(report):
    report("66 paths, 0 escapes")

@pytest.mark.row(1)
def test_that_needs_root(report):
    pytest.skip("root is missing")

@pytest.mark.row(2)
def test_that_finds_a_fault(report):
    report("1 leak")
    assert False

@pytest.mark.row(3)
def test_that_has_no_figures():
    pass

@pytest.mark.row(4)
class TestSuite:
    def test_one(self):
        pass

    def test_two(self):
        pass

    def test_three(self):
        pytest.skip("has no such thing")

@pytest.mark.row("fuzzing")
def test_beyond(report):
    report("10 minutes | 0 findings")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    (folder / "conftest.py").write_text((ROOT / "tests/faults/conftest.py").read_text())
    (folder / "test_run.py").write_text(RUN)
    markers = "[pytest]\nmarkers =\n    row(name): a row\n"
    (folder / "pytest.ini").write_text(markers)
    result = folder / "result.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={result}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 5 passed, 2 skipped" in done.stdout
    spec = importlib.util.spec_from_file_location("page", DOCS / "generate_reliability.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written: str = generator.generate([result])
    return written


def row(page: str, name: str) -> str:
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return line


def test_figures_stand_in_their_row(page: str) -> None:
    assert "66 paths, 0 escapes |" in row(page, "1")
    assert "holds: test that has no figures" in row(page, "3")
    assert "10 minutes \\| 0 findings" in row(page, "fuzzing")


def test_a_suite_is_counted(page: str) -> None:
    assert "TestSuite: 1 not applicable, 2 passed" in row(page, "4")


def test_what_was_skipped_broken_or_not_run_is_said(page: str) -> None:
    assert "**skipped**, root is missing: test that needs root" in row(page, "1")
    assert "**broken**: test that finds a fault" in row(page, "2")
    assert "1 leak" not in row(page, "2")
    assert "**not run**" in row(page, "17")


def test_every_placeholder_is_filled(page: str) -> None:
    assert "{{" not in page


def test_the_page_that_is_kept_has_the_eighteen_promises_and_the_text_there_is_now() -> None:
    kept = (DOCS / "reliability.md").read_text(encoding="utf-8")
    promises = tomllib.loads((DOCS / "promises.toml").read_text(encoding="utf-8"))["promise"]
    assert [promise["number"] for promise in promises] == list(range(1, 19))
    for promise in promises:
        line = row(kept, str(promise["number"]))
        assert f"| {promise['text']} |" in line
        assert line.endswith(f"| {promise['peers']} |")
    for line in (DOCS / "reliability.template.md").read_text(encoding="utf-8").splitlines():
        assert "{{" in line or line in kept.splitlines()
