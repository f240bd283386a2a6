"""Suites of conformance tests for drivers with one planted fault each.

Each driver is the memory driver with one fault, and its suite has only the test that must catch it.
One more suite has all those tests and no fault.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.testing import ConnectionFaults, DriverConformance
from remote_memory import RemoteMemory, RemoteMemoryDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Unreachable", "caught_by", "planted_in", "replaced"]

T = TypeVar("T", bound="Callable[..., Any]")

_SUITES: dict[str, dict[str, type[DriverConformance]]] = defaultdict(dict)
_CAUGHT_BY: dict[str, set[str]] = defaultdict(set)


class Unreachable(MemoryDriver):
    """The memory driver when its memory cannot be reached."""

    @property
    def _files(self) -> Any:
        raise ConnectionError("refused")

    @_files.setter
    def _files(self, files: Any) -> None:
        pass

    @property
    def _directories(self) -> Any:
        raise ConnectionError("refused")

    @_directories.setter
    def _directories(self, directories: Any) -> None:
        pass


class _SuiteOfFaults(DriverConformance):
    patience = 2

    faulty: Callable[..., Any] = MemoryDriver
    failing: Callable[..., Any] = Unreachable
    connected: Callable[..., Any] = RemoteMemoryDriver

    def make_driver(self) -> Any:
        return self.faulty(base_url="https://files.test/storage", secret="s" * 32)

    def make_failing_driver(self) -> Any:
        return self.failing()

    @pytest.fixture
    def networked_driver(self, faults: ConnectionFaults) -> Iterator[Any]:
        with RemoteMemory() as server:
            yield self.connected(*faults.through(*server.server_address[:2]))


def caught_by(
    test: str, *, when_failing: bool = False, when_networked: bool = False
) -> Callable[[T], T]:
    """Make a suite for a faulty driver, of the one test that must fail.

    Args:
        test: The name of the test.
        when_failing: The fault shows where the backend fails.
        when_networked: The fault is that of a `RemoteMemoryDriver`.
    """

    def plant(driver: T) -> T:
        which = "failing" if when_failing else "connected" if when_networked else "faulty"
        suite = {which: staticmethod(driver), **_without_all_but({test})}
        name, module = f"Test{driver.__name__}", driver.__module__
        _SUITES[module][name] = type(name, (_SuiteOfFaults,), suite)
        _CAUGHT_BY[module].add(test)
        return driver

    return plant


def planted_in(module: str) -> dict[str, type[DriverConformance]]:
    """Return the suites of a module's faults by name, and one of the same tests without a fault."""
    suite = type("TestWithoutAFault", (_SuiteOfFaults,), _without_all_but(_CAUGHT_BY[module]))
    return {**_SUITES[module], "TestWithoutAFault": suite}


def replaced(driver: MemoryDriver, path: str, **fields: Any) -> None:
    """Change the stored record of a file."""
    driver._files[path] = driver._files[path]._replace(**fields)


def _without_all_but(tests: set[str]) -> dict[str, None]:
    """Return the attributes that remove all other tests from a suite."""
    names = {name for name in dir(DriverConformance) if name.startswith("test_")}
    assert tests <= names, tests - names
    return dict.fromkeys(names - tests)
