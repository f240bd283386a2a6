"""Django's own tests of file storages and static files, run over `DiskStorage`.

``python tests/suites/django DIRECTORY DISK [TESTS…]`` runs those of an unpacked source
distribution of the installed Django, over a local, memory or s3 disk. It fails where a test fails
that differences.toml does not name, and where a test passes that it names.
"""

from __future__ import annotations

import io
import os
import runpy
import sys
import tomllib
import unittest
from contextlib import redirect_stdout
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import django

HERE = Path(__file__).parent
SUITES = ("file_storage", "staticfiles_tests")


def replace_storages(kind: str) -> None:
    """Make Django's modules, and its tests, find our storage in the place of theirs."""
    import django.core.files.storage
    from django.core.files.storage import filesystem

    theirs = django.core.files.storage.FileSystemStorage
    if kind != "local":
        # What collectstatic collects from is on the file system, and is not under test.
        import django.contrib.staticfiles.finders
    from storage import FileSystemStorage

    django.core.files.storage.FileSystemStorage = FileSystemStorage
    filesystem.FileSystemStorage = FileSystemStorage
    if kind != "local":
        from django.contrib.staticfiles.management.commands import collectstatic

        # It takes every FileSystemStorage, and no other, for one with a `location` of files.
        collectstatic.FileSystemStorage = theirs


def read_through_storage() -> None:
    """Let the tests of static files look at the collected files where these are."""
    from django.contrib.staticfiles import storage
    from staticfiles_tests.cases import CollectionTestCase

    def _get_file(_self: object, path: str) -> str:
        with storage.staticfiles_storage.open(path) as file:
            return str(file.read().decode())

    CollectionTestCase._get_file = _get_file


class Differences:
    """The tests that fail on purpose.

    Args:
        kind: The kind of disk.
        suites: Which tests run.
    """

    def __init__(self, kind: str, suites: tuple[str, ...]) -> None:
        table = tomllib.loads((HERE / "differences.toml").read_text())
        self.patterns = [
            pattern
            for difference in table["difference"]
            if kind in difference["disks"]
            for pattern in difference["tests"]
            if pattern.startswith(suites)
        ]
        self.unused = set(self.patterns)

    def expects(self, test: str) -> bool:
        found = [pattern for pattern in self.patterns if fnmatchcase(test, pattern)]
        self.unused.difference_update(found)
        return bool(found)


def compare(result: unittest.TestResult, tests: list[str], differences: Differences) -> list[str]:
    """Return a summary, and then what is not as differences.toml says, with tracebacks."""
    failed = {_id(test): trace for test, trace in result.failures + result.errors}
    skipped = {_id(test) for test, _ in result.skipped}
    wrong = []
    for test in sorted({*tests, *failed}):
        expected = differences.expects(test)
        if test in failed and not expected:
            wrong.append(f"FAILED: {test}\n{failed[test]}")
        if expected and test not in failed.keys() | skipped:
            wrong.append(f"PASSED, so it is no difference: {test}")
    wrong += [f"NAMES NO TEST: {pattern}" for pattern in sorted(differences.unused)]
    passed = len(tests) - len(failed) - len(skipped)
    return [
        f"    {passed} of {len(tests)} tests passed, {len(failed)} differ, {len(skipped)} skipped",
        *wrong,
    ]


def _id(test: Any) -> str:
    return str(getattr(test, "test_case", test).id())  # of a subtest: its test


def main(directory: str, kind: str, *suites: str) -> None:
    """Run the tests, and end the process with the status 1 if anything differs."""
    os.environ["SUITE_DISK"] = kind
    tests_directory = Path(directory).resolve() / "tests"
    version = Path(directory).resolve().name.removeprefix("django-")
    if version != django.__version__:
        sys.exit(f"The tests are of Django {version}; {django.__version__} is installed")
    sys.path[:0] = [str(tests_directory), str(HERE)]
    replace_storages(kind)
    from django.test import runner

    seen: list[str] = []
    report: list[str] = []

    class Runner(runner.DiscoverRunner):
        def get_test_runner_kwargs(self) -> dict[str, Any]:
            # Most failures are expected, and compare() returns the others.
            return {**super().get_test_runner_kwargs(), "stream": io.StringIO()}

        def run_suite(self, suite: unittest.TestSuite, **options: Any) -> Any:
            if kind != "local":
                read_through_storage()
            seen.extend(test.id() for test in suite)
            return super().run_suite(suite, **options)

        def suite_result(self, _suite: unittest.TestSuite, result: Any, **_: Any) -> int:
            report[:] = compare(result, seen, Differences(kind, suites or SUITES))
            return len(report) - 1

    runner.DiscoverRunner = Runner
    sys.argv = [
        "runtests.py",
        *(suites or SUITES),
        "--settings=test_sqlite",
        "--parallel=1",
        "--verbosity=0",
    ]
    sys.stdin = io.StringIO()  # of questions that collectstatic asks, and whose answer is no
    try:
        with redirect_stdout(io.StringIO()):
            runpy.run_path(str(tests_directory / "runtests.py"), run_name="__main__")
    finally:
        print("\n".join(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
