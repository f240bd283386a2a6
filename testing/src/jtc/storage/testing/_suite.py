"""What all groups of tests stand on: the factory, the fixtures, and which tests are run."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
import pytest_asyncio

from jtc.storage import Capabilities, StorageManager
from jtc.storage.driver_support.derived import resolve
from jtc.storage.paths import MAX_PATH_BYTES
from jtc.storage.testing._driver_as_disk import DriverAlone

if TYPE_CHECKING:
    from jtc.storage import Disk
    from jtc.storage.driver import StorageDriver

__all__ = ["DISK_NAME", "Suite", "also_alone", "assert_same", "needs"]

DISK_NAME = "kit"

_THROUGH_DISK = "through Disk"
_ALONE = "alone"

T = TypeVar("T", bound=Callable[..., Any])


def needs(*needed: str, put: Collection[str] = (), copy: Collection[str] = ()) -> Callable[[T], T]:
    """Run a test only for drivers that claim something.

    Args:
        *needed: Names of `jtc.storage.driver.CAPABILITIES`.
        put: Options of a put that the driver must support.
        copy: Options of a copy and of a move that the driver must support.
    """

    def mark(test: T) -> T:
        test.kit_needs = (needed, put, copy)  # type: ignore[attr-defined]
        return test

    return mark


def also_alone(tests: T) -> T:
    """Run a test, or each test of a group, on a driver alone too.

    Only where `Disk` stands in for the driver: it checks paths, converts content and ends calls
    early. What it only passes on, a second run would test again.

    Args:
        tests: A test of a storage, or a class of tests.

    Returns:
        The same test or class.
    """
    group: Any = tests
    for test in vars(group).values() if inspect.isclass(group) else (group,):
        if inspect.isfunction(test):
            test.conformance_alone = True  # type: ignore[attr-defined]
    return tests


# The mark is inherited; in pytest-asyncio's auto mode it says nothing new.
@pytest.mark.asyncio
class Suite:
    """The factory, and what the backend does in its own way.

    Attributes:
        stands_alone: The driver promises to be as safe without `Disk`: it checks paths itself,
            and its `put` takes every kind of content. The tests of these, of errors and of reading
            in pieces then run on the driver itself too. False runs all tests through `Disk` only.
        lists_in_key_order: A listing is in the UTF-8 order of keys, where a directory's key is
            its path and ``/``. False: in an order of the backend's own, the same each time.
        files_may_shadow_directories: There may be files ``a`` and ``a/b`` at once. False: the
            second one is refused with PathConflictException, and the first one stays.
        changes_nothing_after_cancellation: Once a put has raised CancelledError, nothing changes
            any more. False: a request that was sent already may land whole.
        gives_urls: Files have addresses. False: `url` raises UnsupportedOperationException.
        max_path_bytes: The longest path, in bytes: the policy's, less what a view puts before it.
    """

    stands_alone: bool = True
    lists_in_key_order: bool = True
    files_may_shadow_directories: bool = True
    changes_nothing_after_cancellation: bool = True
    gives_urls: bool = True
    max_path_bytes: int = MAX_PATH_BYTES

    def make_driver(self) -> Any:
        """Return a driver on an empty storage: the one thing to be given.

        A plain function or an ``async def``, called once a test, in the test's event loop.
        """
        raise NotImplementedError(f"{type(self).__name__} gives make_driver(), or a fixture driver")

    def make_failing_driver(self) -> Any:
        """Return a driver whose backend fails each request, or None where that cannot be had.

        Such as one with an address where nobody listens. Plain or ``async def``.
        """
        return None

    @pytest_asyncio.fixture
    async def driver(self) -> Any:
        """Make the driver under test."""
        return await awaited(self.make_driver())

    @pytest.fixture
    def capabilities(self, driver: StorageDriver) -> Capabilities:
        """Tell what the driver claims."""
        return resolve(driver).capabilities

    @pytest.fixture(autouse=True)
    def _chosen(self, request: pytest.FixtureRequest, capabilities: Capabilities) -> None:
        """Skip what the driver does not claim."""
        needed, put, copy = getattr(request.function, "kit_needs", ((), (), ()))
        for capability in needed:
            if capability not in capabilities:
                pytest.skip(f"the driver does not claim the capability {capability!r}")
        for option in put:
            if option not in capabilities.put_options:
                pytest.skip(f"the driver does not support the option {option!r} of a put")
        for option in copy:
            if not option_of_copies(option, capabilities):
                pytest.skip(f"the driver does not support the option {option!r} of a copy")

    @pytest_asyncio.fixture
    async def manager(self, driver: StorageDriver) -> AsyncIterator[StorageManager]:
        """Make a manager of its own; close in the end what the driver has open."""
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()
        resolved = resolve(driver)
        if resolved.close is not None:
            await resolved.close.aclose()

    @pytest.fixture
    def disk(self, manager: StorageManager) -> Disk:
        """Give the driver's disk, for what only `Disk` has."""
        return manager.disk(DISK_NAME)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test of a storage through `Disk`, and some on a driver that stands alone."""
        if "storage" in metafunc.fixturenames:
            alone = self.stands_alone and hasattr(metafunc.function, "conformance_alone")
            ways = [_THROUGH_DISK, _ALONE] if alone else [_THROUGH_DISK]
            metafunc.parametrize("storage", ways, indirect=True)

    @pytest.fixture
    def storage(self, request: pytest.FixtureRequest, disk: Disk, driver: StorageDriver) -> Disk:
        """Give the disk, or the driver itself behind the same methods."""
        if request.param == _THROUGH_DISK:
            return disk
        return cast("Disk", DriverAlone(driver))


def option_of_copies(option: str, capabilities: Capabilities) -> bool:
    """Tell whether both copies and moves within the disk support an option."""
    return option in capabilities.copy_options and option in capabilities.move_options


async def awaited(value: Any) -> Any:
    """Return a value, awaited if it has to be."""
    return await value if inspect.isawaitable(value) else value


def assert_same(found: bytes, expected: bytes) -> None:
    """Compare long contents without pytest's diff, which takes minutes for a megabyte."""
    if found != expected:
        pairs = enumerate(zip(found, expected, strict=False))
        first = next((at for at, (a, b) in pairs if a != b), min(len(found), len(expected)))
        pytest.fail(
            f"{len(found)} bytes differ from the {len(expected)} expected, from byte {first} on"
        )
