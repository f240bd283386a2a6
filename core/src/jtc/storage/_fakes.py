"""Fake disks for tests, with files in memory and the behaviour of the real driver."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from jtc.storage._disk import Disk
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layer import unwrap_path

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._disk.base import Manager
    from jtc.storage._fake_driver import FakeDriver
    from jtc.storage.sync._disks import SyncFakeDisk

__all__ = ["FakeDisk", "Fakes", "begun_here"]

_begun: ContextVar[tuple[Fakes, ...]] = ContextVar("jtc.storage.fakes", default=())
"""The fakes that were begun in this context, a later one within an earlier one."""


class Fakes:
    """Disks that were faked together.

    Args:
        names: Their names; None for all disks.
        own: The drivers in memory, by the names of the disks.
        make: Makes and keeps another one.

    Attributes:
        replaced: Drivers that `set_driver` put in their places meanwhile.
        outer: The fakes within which these were begun.
    """

    def __init__(
        self,
        names: frozenset[str] | None,
        own: dict[str, ResolvedDriver],
        make: Callable[[str], ResolvedDriver],
    ) -> None:
        self.names = names
        self.own = own
        self.replaced: dict[str, ResolvedDriver] = {}
        self.ended = False
        self._make = make
        self.outer = tuple(each for each in _begun.get() if not each.ended)
        _begun.set((*self.outer, self))

    def covers(self, name: str) -> bool:
        """Return whether a disk is faked."""
        return self.names is None or name in self.names

    def find(self, name: str) -> ResolvedDriver:
        """Return a disk's driver in memory.

        Raises:
            StorageConfigException: The disk is not faked here.
        """
        if not self.covers(name):
            there = ", ".join(sorted(self.names or ()))
            raise StorageConfigException(f"The disk {name!r} is not one of these fakes: {there}")
        resolved = self.own.get(name)
        return self._make(name) if resolved is None else resolved


def begun_here(fakes: Sequence[Fakes]) -> Fakes:
    """Return the fake that the caller means, of several that fake one disk at a time.

    It is the newest one that was begun within a fake of this context, and so by this thread or task
    or for it; where this context began none, the newest of all.

    Args:
        fakes: All that fake the disk, in the order in which they were begun; one at least.
    """
    own = [each for each in _begun.get() if each in fakes]
    if not own:
        return fakes[-1]
    return next(each for each in reversed(fakes) if each is own[-1] or own[-1] in each.outer)


class FakeDisk(Disk):
    """The faked disk that `Storage.fake` returns, with assertions on its files.

    As a context manager it restores the old disks at the end; so does `restore`. This object keeps
    its own files, also afterwards, and whatever else is faked. The assertions are not async and
    raise `AssertionError`; they check the files in memory, below the disk's layers.
    """

    __slots__ = ("_fakes", "_restore")

    _fakes: Fakes
    _restore: Callable[[], None]

    def __init__(
        self, name: str, manager: Manager, fakes: Fakes, restore: Callable[[], None]
    ) -> None:
        super().__init__(name, manager, partial(fakes.find, name))
        object.__setattr__(self, "_fakes", fakes)
        object.__setattr__(self, "_restore", restore)

    @property
    def sync(self) -> SyncFakeDisk:
        """This disk without `await`, with its assertions."""
        from jtc.storage.sync._disks import SyncFakeDisk  # noqa: PLC0415

        return SyncFakeDisk(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Restore the disks that were faked. Does nothing the second time."""
        self._restore()

    def disk(self, name: str) -> FakeDisk:
        """Return another one of the disks that were faked together.

        Its first operation or assertion raises, where it was not.
        """
        return FakeDisk(name, self._manager, self._fakes, self._restore)

    def fail(
        self,
        operation: str,
        times: int | None = None,
        error: BaseException | type[BaseException] | None = None,
        *,
        paths: str | None = None,
    ) -> Self:
        """Let an operation fail.

        It does so below the disk's layers: a layer such as `retry` gets the error. An operation
        that is made of others fails with them: ``"put"`` also stops `append`, ``"list"`` also
        `files`. In `delete_many`, ``"delete"`` is the error of each file, as ``"put"`` is in
        `put_many`; other transfers of many files have the errors of what they are made of, too.

        Args:
            operation: The name of a method of `Disk`.
            times: How often; None for always.
            error: An exception, or its class; by default a StorageUnavailableException.
            paths: Only for paths that match this pattern, as for `glob`.

        Returns:
            This disk.

        Raises:
            ValueError: There is no such operation, or `times` is below 1.
        """
        self._driver().failures.fail(operation, times, error, paths)
        return self

    def delay(
        self,
        operation: str,
        seconds: float,
        times: int | None = None,
        *,
        paths: str | None = None,
    ) -> Self:
        """Let each call of an operation wait before it begins.

        Args:
            operation: The name of an async method of `Disk`, as for `fail`.
            seconds: How long.
            times: How often; None for always.
            paths: Only for paths that match this pattern, as for `glob`.

        Returns:
            This disk.

        Raises:
            ValueError: There is no such operation, it is not async, or a number is out of range.
        """
        self._driver().failures.delay(operation, seconds, times, paths)
        return self

    def reset(self) -> None:
        """Remove all failures and delays of this disk; its files stay."""
        self._driver().failures.clear()

    def assert_exists(self, path: str, content: bytes | str | None = None) -> None:
        """Assert that there is a file, and its content where `content` is passed.

        Raises:
            AssertionError: There is none, or it has other content.
        """
        paths = self._memory().all_paths()
        stored_as = self._stored_as(path)
        if stored_as not in paths:
            raise AssertionError(f"There is no file {path!r} on {self}; there are: {paths}")
        if content is None:
            return
        expected = content.encode() if isinstance(content, str) else content
        found = _without_waiting(self._memory().get(stored_as))
        if found != expected:
            raise AssertionError(
                f"The file {path!r} on {self} contains {found!r}, not {expected!r}"
            )

    def assert_missing(self, path: str) -> None:
        """Assert that there is no file.

        Raises:
            AssertionError: There is one.
        """
        if self._stored_as(path) in self._memory().all_paths():
            raise AssertionError(f"There is a file {path!r} on {self}")

    def assert_count(self, count: int, directory: str = "") -> None:
        """Assert how many files there are below a directory, at any depth.

        Raises:
            AssertionError: There are more or fewer.
        """
        prefix = self._stored_as(f"{directory}/x" if directory else "x").removesuffix("x")
        paths = [path for path in self._memory().all_paths() if path.startswith(prefix)]
        if len(paths) != count:
            raise AssertionError(
                f"There are {len(paths)} files, not {count}, in {directory!r} on {self}: {paths}"
            )

    def assert_empty(self, directory: str = "") -> None:
        """Assert that there are no files below a directory.

        Raises:
            AssertionError: There are some.
        """
        self.assert_count(0, directory)

    def _stored_as(self, path: str) -> str:
        return unwrap_path(self.driver, path)[1]

    def _driver(self) -> FakeDriver:
        from jtc.storage._fake_driver import FakeDriver  # noqa: PLC0415 - for tests only

        return self.driver_as(FakeDriver)

    def _memory(self) -> Any:
        return self._driver().inner


def _without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a method of the memory driver, which never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("The memory driver waited")
