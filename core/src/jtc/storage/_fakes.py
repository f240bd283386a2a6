"""Disks for tests: memory behind, the capabilities of the real driver in front."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, Self

from jtc.storage._capabilities import resolve
from jtc.storage._disk import Disk
from jtc.storage._layering import unwrap_path
from jtc.storage.driver import CAPABILITIES
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._manager import StorageManager
    from jtc.storage.sync import SyncFakeDisk

__all__ = ["FakeDisk", "FakeDriver", "capabilities_of"]


class FakeDisk(Disk):
    """What `Storage.fake` returns: the faked disk, with assertions on what it holds.

    As a context manager it puts the old disks back at the end; so does `restore`. The assertions
    are plain functions, which raise `AssertionError`; they look at what the memory holds, beneath
    the disk's layers.
    """

    __slots__ = ("_restore",)

    _restore: Callable[[], None]

    def __init__(self, name: str, manager: StorageManager, restore: Callable[[], None]) -> None:
        super().__init__(name, manager, manager.disk(name)._resolved)  # noqa: SLF001
        object.__setattr__(self, "_restore", restore)

    @property
    def sync(self) -> SyncFakeDisk:
        """This disk without `await`, with its assertions."""
        from jtc.storage.sync import SyncFakeDisk  # noqa: PLC0415

        return SyncFakeDisk(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Put the disks back that were there before. Does nothing the second time."""
        self._restore()

    def disk(self, name: str) -> FakeDisk:
        """Return another one of the disks that were faked together."""
        return FakeDisk(name, self._manager(), self._restore)

    def assert_exists(self, path: str, content: bytes | str | None = None) -> None:
        """Assert that there is a file, and what it holds, where content is given.

        Raises:
            AssertionError: There is none, or it holds something else.
        """
        paths = self._memory().all_paths()
        kept_as = self._kept_as(path)
        if kept_as not in paths:
            raise AssertionError(f"There is no file {path!r} on {self}; there are: {paths}")
        if content is None:
            return
        expected = content.encode() if isinstance(content, str) else content
        found = _without_waiting(self._memory().get(kept_as))
        if found != expected:
            raise AssertionError(f"The file {path!r} on {self} holds {found!r}, not {expected!r}")

    def assert_missing(self, path: str) -> None:
        """Assert that there is no file.

        Raises:
            AssertionError: There is one.
        """
        if self._kept_as(path) in self._memory().all_paths():
            raise AssertionError(f"There is a file {path!r} on {self}")

    def assert_count(self, count: int, directory: str = "") -> None:
        """Assert how many files there are below a directory, at any depth.

        Raises:
            AssertionError: There are more or fewer.
        """
        prefix = self._kept_as(f"{directory}/x" if directory else "x").removesuffix("x")
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

    def _kept_as(self, path: str) -> str:
        return unwrap_path(self.driver, path)[1]

    def _memory(self) -> Any:
        return self.driver_as(FakeDriver).inner


class FakeDriver:
    """A memory driver that has the capabilities of another, and supports its options.

    Args:
        memory: A `MemoryDriver`.
        like: The driver that it stands for; None has all capabilities.
    """

    def __init__(self, memory: Any, like: ResolvedDriver | None) -> None:
        self.inner = memory
        self.supported_options: Mapping[str, frozenset[str]] = memory.supported_options
        self.unsupported: frozenset[str] = frozenset()
        if like is not None:
            self.unsupported = frozenset(CAPABILITIES) - like.capabilities.names
            self.supported_options = {
                "write_file": like.capabilities.put_options,
                "copy_file": like.capabilities.copy_options,
                "move_file": like.capabilities.move_options,
            }

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,  # noqa: ARG002 - the contract's
        content_disposition: str | None = None,  # noqa: ARG002
    ) -> str:
        """Return an address that says when it expires, and leads nowhere."""
        return self._address(path, expires_in)

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a request that leads nowhere."""
        headers = {}
        if content_type is not None:
            headers["content-type"] = content_type
        if size is not None:
            headers["content-length"] = str(size)
        return PresignedRequest(
            method="PUT",
            url=self._address(path, expires_in),
            headers=headers,
            expires_at=time.time() + expires_in,
        )

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        """Return a form that leads nowhere."""
        fields = {"key": path, "max-size": str(max_size)}
        if content_type is not None:
            fields["content-type"] = content_type
        return PresignedForm(
            url=self.inner.url(path), fields=fields, expires_at=time.time() + expires_in
        )

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _address(self, path: str, expires_in: float) -> str:
        return f"{self.inner.url(path)}?expires={time.time() + expires_in:.0f}"


def capabilities_of(
    factory: Callable[..., Any], options: Mapping[str, Any] | None = None
) -> ResolvedDriver | None:
    """Resolve a driver's class without making a driver: tests have no credentials for one.

    Args:
        factory: The class. Its ``unsupported_with(options)``, if it has one, says what a driver
        with
            such options withholds.
        options: What the driver would be called with, variables not yet looked up.

    Returns:
        Its capabilities; None where they are only known of an instance.
    """
    if not inspect.isclass(factory):
        return None
    try:
        driver: Any = object.__new__(factory)
        unsupported_with = getattr(factory, "unsupported_with", None)
        if options is not None and unsupported_with is not None:
            driver.unsupported = unsupported_with(options)
        return resolve(driver)
    except Exception:
        return None  # a property may need what the constructor sets


def _without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a method of the memory driver, none of which ever waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("The memory driver waited")
