"""Starlette's own tests of `StaticFiles` and `FileResponse`, run over `serve` and `DiskResponse`.

``python tests/suites/starlette DIRECTORY`` runs those of an unpacked source distribution of the
installed Starlette. It fails where a test fails that differences.toml does not name, and where a
test passes that it names.
"""

from __future__ import annotations

import os
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import starlette
import starlette.responses
import starlette.staticfiles

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
SUITES = ("tests/test_staticfiles.py", "tests/test_responses.py")


def replace_theirs() -> None:
    """Make the tests import ours in the place of theirs."""
    from shim import FileResponse, StaticFiles

    starlette.responses.FileResponse = FileResponse  # type: ignore[misc,assignment]
    starlette.staticfiles.StaticFiles = StaticFiles  # type: ignore[misc,assignment]
    # A fork of httpx, which Starlette's test client takes as well.
    sys.modules["httpx2"] = httpx


class Comparison:
    """A plugin that runs the tests of files, and compares them with differences.toml."""

    def __init__(self) -> None:
        table = tomllib.loads((HERE / "differences.toml").read_text())
        self._patterns = [name for each in table["difference"] for name in each["tests"]]
        self._unused = set(self._patterns)
        self._failed: set[str] = set()
        self._seen: set[str] = set()
        self.wrong: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A disk needs asyncio; the other tests of responses are not about files.
        items[:] = [
            item
            for item in items
            if ("staticfiles" in item.name or "file_response" in item.name)
            and "trio" not in item.name
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterable[Any]:
        report = yield
        name = report.nodeid.partition("::")[2].replace("[asyncio]", "").replace("[asyncio-", "[")
        self._seen.add(name)
        if report.failed and name not in self._failed:
            self._failed.add(name)
            if not self._expects(name):
                self.wrong.append(f"FAILED: {name}\n{report.longreprtext}")
        return report

    def _expects(self, name: str) -> bool:
        found = [pattern for pattern in self._patterns if fnmatchcase(name, pattern)]
        self._unused.difference_update(found)
        return bool(found)

    def finish(self) -> None:
        if not self._seen:
            self.wrong.append("No test ran: run pytest in that directory")
        passed = sorted(self._seen - self._failed)
        self.wrong += [
            f"PASSED, so it is no difference: {name}" for name in passed if self._expects(name)
        ]
        self.wrong += [f"NAMES NO TEST: {pattern}" for pattern in sorted(self._unused)]
        print(f"    {len(passed)} of {len(self._seen)} tests passed, {len(self._failed)} differ")


def main(directory: str) -> None:
    """Run the tests, and end the process with the status 1 if anything differs."""
    version = Path(directory).resolve().name.removeprefix("starlette-")
    if version != starlette.__version__:
        sys.exit(f"The tests are of Starlette {version}; {starlette.__version__} is installed")
    sys.path[:0] = [str(HERE)]
    replace_theirs()
    os.chdir(directory)
    sys.path[:0] = [""]  # their package `tests`
    comparison = Comparison()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-q", "-p", "anyio", "-p", "no:cacheprovider", "-o", "addopts="]
    # The import of ours imported it already.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    with Path(os.devnull).open("w") as nothing:
        stdout, sys.stdout = sys.stdout, nothing
        try:
            pytest.main([*options, *SUITES], plugins=[comparison])
        finally:
            sys.stdout = stdout
    comparison.finish()
    print("\n".join(comparison.wrong), end="\n" if comparison.wrong else "")
    sys.exit(1 if comparison.wrong else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
