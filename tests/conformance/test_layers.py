"""The conformance tests on every layer of the core, around memory.

A layer is a driver, and keeps what a driver promises. It never asks which driver is below it, so
that another one would show the same. `Scoped` has a file of its own beside this.

All of them together pass all tests; each by itself those in which it does more than to call the
driver, and all of them, too, where ``FAULT_ROUNDS=full``.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any

import pytest

from jtc.storage import Layer
from jtc.storage._capabilities import methods_of
from jtc.storage.driver import CAPABILITIES, StorageDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layer import METHODS
from jtc.storage.layers.clamav_layer import ClamAV
from jtc.storage.layers.limit import Limit
from jtc.storage.layers.otel_layer import OpenTelemetry
from jtc.storage.layers.read_only import ReadOnly
from jtc.storage.layers.retry import Retry
from jtc.storage.layers.scoped import Scoped
from jtc.storage.layers.timeout import Timeout
from jtc.storage.layers.validate import Validate
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.cancellation import CancellationTests
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.contents import ContentTests
from jtc.storage.testing._groups.errors import ErrorTests
from jtc.storage.testing._groups.streams import StreamTests
from jtc.storage.testing._groups.whole_files import WholeFileTests
from jtc.storage.testing._suite import Suite

FULL = os.environ.get("FAULT_ROUNDS") == "full"

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


def test_each_official_layer_is_here_or_has_a_file_of_its_own_beside_this() -> None:
    here = {Limit, ReadOnly, Retry, Timeout, Validate}
    installed = {
        entry.name: entry.load()
        for entry in entry_points(group="jtc.storage.layers")
        if entry.value.startswith("jtc.storage.layers.")
    }
    beside = {installed.pop("scoped"), installed.pop("otel"), installed.pop("clamav")}
    assert beside == {Scoped, OpenTelemetry, ClamAV}
    assert set(installed.values()) == here


class MoreThanCalls(
    WholeFileTests,
    StreamTests,
    ContentTests,
    ConditionalWriteTests,
    ErrorTests,
    CancellationTests,
    CapabilityTests,
): ...


class AroundMemory(Suite):
    stands_alone = False  # all of them together do, below

    def around(self, driver: Any) -> Any:
        raise NotImplementedError

    def make_driver(self) -> Any:
        return self.around(MemoryDriver())


class OnMemory(AroundMemory, DriverConformance if FULL else MoreThanCalls):  # type: ignore[misc]
    ...


class AroundWithRetry:
    def around(self, driver: Any) -> Any:
        return Retry(driver)


class AroundWithTimeout:
    def around(self, driver: Any) -> Any:
        return Timeout(driver, total=60)


class AroundWithLimit:
    def around(self, driver: Any) -> Any:
        return Limit(driver, operations=3, bytes_per_second=1_000_000_000)


class AroundWithValidate:
    def around(self, driver: Any) -> Any:
        return Validate(driver, max_size=1_000_000_000, predicate=lambda _path, _head: None)


class AroundWithAll:
    """As an application may have them: the way through all of them is the driver's still."""

    def around(self, driver: Any) -> Any:
        for layer in (AroundWithTimeout, AroundWithRetry, AroundWithLimit, AroundWithValidate):
            driver = layer().around(driver)
        return driver


class WrittenBelow(Layer):
    """What reads goes through a read-only layer, what writes goes to the driver below it.

    So the tests can arrange their files, and sees them as a reader does.
    """

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        reader = ReadOnly(driver)
        for protocol in (StorageDriver, *CAPABILITIES.values()):
            for name in methods_of(protocol):
                if "write" not in METHODS[name].effects and hasattr(reader, name):
                    setattr(self, name, getattr(reader, name))
        assert not any(
            hasattr(reader, name)
            for name in ("write_file", "copy_file", "move_file", "delete_many", "make_directory")
        )


class AroundWithReadOnly:
    def around(self, driver: Any) -> Any:
        return WrittenBelow(driver)


class TestRetryOnMemory(AroundWithRetry, OnMemory): ...


class TestTimeoutOnMemory(AroundWithTimeout, OnMemory): ...


class TestLimitOnMemory(AroundWithLimit, OnMemory): ...


class TestValidateOnMemory(AroundWithValidate, OnMemory): ...


class TestReadOnlyOnMemory(AroundWithReadOnly, AroundMemory, DriverConformance): ...


class TestAllOnMemory(AroundWithAll, AroundMemory, DriverConformance):
    stands_alone = True
