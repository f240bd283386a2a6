"""Fake disks for tests, with files in memory and the capabilities of the real driver."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, Self

from jtc.storage._capabilities import resolve
from jtc.storage._disk import Disk
from jtc.storage.driver import CAPABILITIES
from jtc.storage.layer import unwrap_path
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._disk.base import Manager
    from jtc.storage.options import SignOptions
    from jtc.storage.sync._disks import SyncFakeDisk

__all__ = ["FakeDisk", "FakeDriver", "capabilities_of"]


class FakeDisk(Disk):
    """The faked disk that `Storage.fake` returns, with assertions on its files.

    As a context manager it restores the old disks at the end; so does `restore`. The assertions
    are not async and raise `AssertionError`; they check the files in memory, below the disk's
    layers.
    """

    __slots__ = ("_restore",)

    _restore: Callable[[], None]

    def __init__(self, name: str, manager: Manager, restore: Callable[[], None]) -> None:
        super().__init__(name, manager, manager.disk(name)._resolved)  # noqa: SLF001
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
        """Return another one of the disks that were faked together."""
        return FakeDisk(name, self._manager, self._restore)

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

    def _memory(self) -> Any:
        return self.driver_as(FakeDriver).inner


class FakeDriver:
    """A memory driver that has the capabilities of another, and supports its options.

    Args:
        memory: A `MemoryDriver`.
        like: The driver that it replaces; with None it has all capabilities.
    """

    def __init__(self, memory: Any, like: ResolvedDriver | None) -> None:
        self.inner = memory
        self.supported_options: Mapping[str, frozenset[str]] = memory.supported_options
        self.unsupported: frozenset[str] = frozenset()
        if like is not None:
            self.unsupported = frozenset(CAPABILITIES) - like.capabilities.names
            self.supported_options = like.capabilities.options

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def check(self, path: str, /) -> None:
        """Find nothing wrong: memory keeps all that is promised."""

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a URL with its expiry that nothing serves."""
        return self._url(path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a request that nothing accepts."""
        headers = {}
        if options.content_type is not None:
            headers["content-type"] = options.content_type
        if options.size is not None:
            headers["content-length"] = str(options.size)
        return PresignedRequest(
            method="PUT",
            url=self._url(path, options),
            headers=headers,
            expires_at=time.time() + options.expires_in,
        )

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a form that nothing accepts."""
        fields = {"key": path, "max-size": str(options.max_size)}
        if options.min_size is not None:
            fields["min-size"] = str(options.min_size)
        if options.content_type is not None:
            fields["content-type"] = options.content_type
        return PresignedForm(
            url=self.inner.url(path), fields=fields, expires_at=time.time() + options.expires_in
        )

    async def aclose(self) -> None:
        """Do nothing: a fake holds no resources."""

    def _url(self, path: str, options: SignOptions) -> str:
        start = time.time()
        if options.stable_for is not None:
            start = (start // options.stable_for + 1) * options.stable_for
        return f"{self.inner.url(path)}?expires={start + options.expires_in:.0f}"


def capabilities_of(
    factory: Callable[..., Any], options: Mapping[str, Any] | None = None
) -> ResolvedDriver | None:
    """Resolve a driver's class without making a driver: tests have no credentials for one.

    Args:
        factory: The class. Its ``unsupported_with(options)``, if it has one, returns the
            capabilities that a driver with these options lacks.
        options: The options of the driver, before variables are looked up.

    Returns:
        Its capabilities; None if only an instance has them.
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
        return None  # a property may need attributes of the constructor


def _without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a method of the memory driver, which never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("The memory driver waited")
