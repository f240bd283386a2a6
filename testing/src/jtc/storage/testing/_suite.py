"""`Suite`: the base class of all groups of tests, with the factory and the fixtures."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

import pytest
import pytest_asyncio

from jtc.storage import Capabilities, StorageManager
from jtc.storage.driver_support.derived import resolve
from jtc.storage.paths import MAX_PATH_BYTES
from jtc.storage.testing._driver_as_disk import DriverAlone
from jtc.storage.testing._expiry import expiry_of
from jtc.storage.testing._explained import explained

if TYPE_CHECKING:
    from jtc.storage import Disk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.testing._connection_faults import ConnectionFaults

__all__ = [
    "DECLARED",
    "DECLARED_AGAIN",
    "DISK_NAME",
    "Suite",
    "also_alone",
    "assert_same",
    "awaited",
    "metadata_update_options",
    "must_raise",
    "needs",
    "needs_empty_files",
]

DISK_NAME = "conformance"

_GROUPS = f"{__package__}._groups."

_THROUGH_DISK = "through Disk"
_ALONE = "alone"

DECLARED: dict[str, Any] = {
    "content_type": "text/x-old",
    "cache_control": "max-age=1",
    "content_disposition": "inline",
    "content_encoding": "gzip",
    "metadata": {"one": "1", "two": "2"},
}
"""All that can be declared of a file."""
DECLARED_AGAIN: dict[str, Any] = {
    "content_type": "text/x-new",
    "cache_control": "no-store",
    "content_disposition": "attachment",
    "content_encoding": "br",
    "metadata": {"two": "ü"},
}

T = TypeVar("T", bound=Callable[..., Any])


class Needs(NamedTuple):
    """What a driver must claim for a test to run; see `needs`."""

    capabilities: Collection[str] = ()
    put: Collection[str] = ()
    copy: Collection[str] = ()
    update: Collection[str] = ()
    options: Mapping[str, Collection[str]] = MappingProxyType({})


def needs(
    *capabilities: str,
    put: Collection[str] = (),
    copy: Collection[str] = (),
    update: Collection[str] = (),
    options: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Callable[[T], T]:
    """Run a test only for drivers that claim something.

    Args:
        *capabilities: Names of `jtc.storage.driver.CAPABILITIES`.
        put: Options of a put that the driver must support.
        copy: Options of a copy and of a move that the driver must support.
        update: Options of `Disk.set_metadata` that must be supported, by the driver or derived.
        options: Options that the driver must support, by the method of the contract.
    """

    def mark(test: T) -> T:
        test.conformance_needs = Needs(capabilities, put, copy, update, options)  # type: ignore[attr-defined]
        return test

    return mark


def needs_empty_files(test: T) -> T:
    """Run a test only for backends that store empty files."""
    test.conformance_empty_files = True  # type: ignore[attr-defined]
    return test


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


# The mark is inherited; in pytest-asyncio's auto mode it changes nothing.
@pytest.mark.asyncio
class Suite:
    """The factory, the fixtures, and what the backend does in its own way.

    Attributes:
        stands_alone: The driver promises to be as safe without `Disk`: it checks paths itself,
            and its `put` takes every kind of content. The tests of these, of errors and of reading
            in pieces then run on the driver itself too. False runs all tests through `Disk` only.
        lists_in_key_order: A listing is in the UTF-8 order of keys, where a directory's key is
            its path and ``/``. False: in an order of the backend's own, the same each time.
        files_may_shadow_directories: There may be files ``a`` and ``a/b`` at once. False: the
            second one is refused with PathConflictException, and the first one stays.
        metadata_changes_etags: A file has another etag after `set_metadata`. False: an etag names
            the content only, so that `if_match` cannot tell two updates of metadata apart.
        changes_nothing_after_cancellation: Once a put has raised CancelledError, nothing changes
            any more. False: a request that was sent already may land whole.
        keeps_visibility: A write without `visibility` keeps that of the file it replaces, and a
            copy or a moved file has its source's. False: these have the disk's default.
        gives_urls: Files have URLs. False: `url` raises UnsupportedOperationException.
        keeps_empty_files: A file may be empty. False: it is refused, with
            UnsupportedOperationException, and what was there stays.
        replaces_without_gap: A file that is replaced is there all the time. False: a reader may
            find none for a moment, and never half a file.
        max_path_bytes: The longest path, in bytes: the policy's, minus what a view puts before it.
        many_files: How many files a long listing has: more than a page of the backend.
        patience: Seconds after which a call counts as one that hangs.
        rules: The rows of the guide's table of rules that a group tests, for its messages.
    """

    stands_alone: bool = True
    lists_in_key_order: bool = True
    files_may_shadow_directories: bool = True
    metadata_changes_etags: bool = True
    changes_nothing_after_cancellation: bool = True
    keeps_visibility: bool = True
    gives_urls: bool = True
    keeps_empty_files: bool = True
    replaces_without_gap: bool = True
    max_path_bytes: int = MAX_PATH_BYTES
    many_files: int = 1_050
    patience: float = 30
    rules: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(_GROUPS):
            for name, test in list(vars(cls).items()):
                if name.startswith("test_"):
                    setattr(cls, name, explained(test, cls.rules))

    def make_driver(self) -> Any:
        """Return a driver on an empty storage: the one thing that a suite must define.

        A plain function or an ``async def``, called once a test, in the test's event loop.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define make_driver(), or a fixture named driver"
        )

    def make_failing_driver(self) -> Any:
        """Return a driver whose backend fails each request, or None to skip those tests.

        For example one with the URL of a port where nothing listens. Plain or ``async def``.
        """
        return None

    def make_networked_driver(self, faults: ConnectionFaults) -> Any:  # noqa: ARG002
        """Return a driver that reaches its server through a proxy, or None to skip those tests.

        Then the tests check that it reconnects, and ends calls to a server that stalls: its
        timeouts must be shorter than `patience`. Plain or ``async def``. For example::

            host, port = faults.through("127.0.0.1", 5432)
            return MyDriver(host, port, timeout=1)
        """
        return None

    def refuses_path(self, path: str) -> bool:  # noqa: ARG002
        """Return whether the backend cannot keep a path that the policy accepts.

        The driver then refuses it with InvalidPathException, and never keeps it under another one.
        """
        return False

    def refuses_put(self, path: str) -> bool:
        """Return whether a put to a path is refused with InvalidPathException.

        Where the backend would keep the file under another one; other methods find no file there.
        """
        return self.refuses_path(path)

    def expiry_of(self, url: str) -> float | None:
        """Return when a presigned URL ends, in seconds since 1970 UTC; None where it says nothing.

        By the usual names in its query: ``expires``, ``exp``, ``X-Amz-Expires`` and the like.
        """
        return expiry_of(url)

    @pytest_asyncio.fixture
    async def driver(self) -> Any:
        """Make the driver under test."""
        return await awaited(self.make_driver())

    @pytest.fixture
    def capabilities(self, driver: StorageDriver) -> Capabilities:
        """Return what the driver claims."""
        return resolve(driver).capabilities

    @pytest.fixture(autouse=True)
    def _chosen(self, request: pytest.FixtureRequest, capabilities: Capabilities) -> None:
        """Skip what the driver does not claim."""
        wanted: Needs = getattr(request.function, "conformance_needs", Needs())
        if (lacking := lacking_of(wanted, capabilities)) is not None:
            pytest.skip(lacking)
        needs_empty_files = getattr(request.function, "conformance_empty_files", False)
        if needs_empty_files and not self.keeps_empty_files:
            pytest.skip("the backend stores no empty files")

    def skip_refused(self, path: str) -> None:
        """Skip a test of a path that the backend cannot keep."""
        if self.refuses_put(path):
            pytest.skip(f"the backend cannot keep the path {path!r}")

    @pytest_asyncio.fixture
    async def manager(self, driver: StorageDriver) -> AsyncIterator[StorageManager]:
        """Make a manager of its own; close the driver in the end."""
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()
        resolved = resolve(driver)
        if "close" in resolved.capabilities:
            await resolved.methods.aclose()

    @pytest.fixture
    def disk(self, manager: StorageManager) -> Disk:
        """Return the driver's disk, for what only `Disk` has."""
        return manager.disk(DISK_NAME)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test of a storage through `Disk`, and some on a driver that stands alone."""
        if "storage" in metafunc.fixturenames:
            alone = self.stands_alone and hasattr(metafunc.function, "conformance_alone")
            ways = [_THROUGH_DISK, _ALONE] if alone else [_THROUGH_DISK]
            metafunc.parametrize("storage", ways, indirect=True)

    @pytest.fixture
    def storage(self, request: pytest.FixtureRequest, disk: Disk, driver: StorageDriver) -> Disk:
        """Return the disk, or the driver itself behind the same methods."""
        if request.param == _THROUGH_DISK:
            return disk
        return cast("Disk", DriverAlone(driver))


def lacking_of(wanted: Needs, capabilities: Capabilities) -> str | None:
    """Return what a driver lacks of what a test needs, as the reason of a skip; None is nothing."""
    for capability in wanted.capabilities:
        if capability not in capabilities:
            return f"the driver does not claim the capability {capability!r}"
    updates = metadata_update_options(capabilities)
    supported = [
        *(("put", option, option in capabilities.put_options) for option in wanted.put),
        *(
            ("copy", option, option in capabilities.copy_options & capabilities.move_options)
            for option in wanted.copy
        ),
        *(("set_metadata", option, option in updates) for option in wanted.update),
        *(
            (method, option, capabilities.supports(method, option))
            for method, options in wanted.options.items()
            for option in options
        ),
    ]
    for method, option, found in supported:
        if not found:
            return f"the driver does not support the option {option!r} of {method}"
    return None


def metadata_update_options(capabilities: Capabilities) -> frozenset[str]:
    """Return the options that `Disk.set_metadata` supports, by the driver or by rewriting."""
    if "metadata_update" in capabilities:
        return capabilities.options["update_metadata"]
    rewrites = "reading" in capabilities and {"if_match", "overwrite"} <= capabilities.put_options
    return capabilities.put_options if rewrites else frozenset()


async def awaited(value: Any) -> Any:
    """Return a value, awaited if it has to be."""
    return await value if inspect.isawaitable(value) else value


@contextlib.contextmanager
def must_raise(
    error: type[BaseException] | tuple[type[BaseException], ...], call: str
) -> Iterator[None]:
    """Expect an error as `pytest.raises` does, and name the call that did not raise it."""
    try:
        yield
    except error:
        return
    kinds = error if isinstance(error, tuple) else (error,)
    names = " or ".join(kind.__name__ for kind in kinds)
    pytest.fail(f"{call} must raise {names}, and raised nothing")


def assert_same(found: bytes, expected: bytes) -> None:
    """Compare long contents without pytest's diff, which takes minutes for a megabyte."""
    if found != expected:
        pairs = enumerate(zip(found, expected, strict=False))
        first = next((at for at, (a, b) in pairs if a != b), min(len(found), len(expected)))
        pytest.fail(
            f"{len(found)} bytes differ from the {len(expected)} expected, from byte {first} on"
        )
