"""Driver of fake disks: files in memory, and the behaviour of the driver that it replaces."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jtc.storage._capabilities import resolve
from jtc.storage.driver import CAPABILITIES, METHODS, SIGNING_METHODS, FakeTraits
from jtc.storage.exceptions import PathConflictException, UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jtc.storage._capabilities import Capabilities
    from jtc.storage._fake_failures import Failures
    from jtc.storage.driver import CopySource, DriverContent

__all__ = ["FakeDriver", "driver_to_ask", "fake_driver"]

_LIKE_MEMORY = FakeTraits(visibility=Visibility.PRIVATE, infers_types=True)
_CHECKED = SIGNING_METHODS | {"copy_file", "move_file", "update_metadata", "write_file"}


def fake_driver(
    make_memory: Callable[..., Any],
    capabilities: Capabilities | None,
    real: Any,
    base_url: str,
    failures: Failures,
) -> FakeDriver:
    """Make the driver of a fake disk.

    Args:
        make_memory: `MemoryDriver`.
        capabilities: Those of the driver that it replaces; None for all.
        real: That driver, which is asked and never used, if there is one.
        base_url: What URLs begin with if `real` cannot say.
        failures: What is requested to fail.
    """
    traits = getattr(real, "fake_traits", None) or _LIKE_MEMORY
    memory = make_memory(
        base_url=_beginning_of_urls(real) or base_url,
        secret=secrets.token_bytes(32),
        visibility=traits.visibility,
        infer_types=traits.infers_types,
    )
    return FakeDriver(memory, capabilities, real, traits, failures)


def _beginning_of_urls(driver: Any) -> str | None:
    """Return what the URLs of a driver's files begin with, if they can be served."""
    if driver is None:
        return None
    try:
        url = driver.url("x")
    except Exception:
        return None  # a driver without URLs
    served = isinstance(url, str) and url.endswith("/x") and url.startswith(("/", "http"))
    return url.removesuffix("/x") if served else None


class FakeDriver:
    """A memory driver that behaves as another driver, and fails on request.

    Args:
        memory: A `MemoryDriver`.
        capabilities: Those of the driver that it replaces; None for all.
        real: That driver, for its URLs and paths, if there is one.
        traits: How it differs from memory.
        failures: What is requested to fail.
    """

    def __init__(
        self,
        memory: Any,
        capabilities: Capabilities | None,
        real: Any,
        traits: FakeTraits,
        failures: Failures,
    ) -> None:
        self.inner = memory
        self.failures = failures
        self.supported_options: Mapping[str, frozenset[str]] = memory.supported_options
        self.unsupported: frozenset[str] = frozenset()
        if capabilities is not None:
            self.unsupported = frozenset(CAPABILITIES) - capabilities.names
            self.supported_options = capabilities.options
        if getattr(real, "__dict__", {}).get("signer", ...) is None:
            self.signer = None  # for the message, which names the option
        if hasattr(real, "default_visibility"):
            self.default_visibility = real.default_visibility
        self._real = real
        self._traits = traits
        self._directories: set[str] = set()
        for name in METHODS:
            if (method := getattr(self, name, None)) is not None:
                setattr(self, name, self.failures.wrap(name, self._checked(name, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def url(self, path: str, /) -> str:
        """Return the URL that the real driver returns."""
        result: str = (self.inner if self._real is None else self._real).url(path)
        return result

    def path(self, path: str, /) -> str:
        """Return the place that the real driver returns."""
        result: str = (self.inner if self._real is None else self._real).path(path)
        return result

    async def put(self, path: str, content: DriverContent, /) -> str:
        """Store a file with the visibility that the real driver gives it."""
        # Of the class: failures and delays are those of one call.
        await FakeDriver.write_file(self, path, content, WriteOptions())
        return path

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file with the visibility that the real driver gives it."""
        await self._check_place(path)
        options = self._with_visibility(options)
        etag: str | None = await self.inner.write_file(path, content, options)
        await self._make_parents(path)
        return etag

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with the visibility that the real driver gives the copy."""
        if await self.inner.exists(src):
            await self._check_place(dst)
        options = self._with_visibility(options)
        etag: str | None = await self.inner.copy_file(src, dst, options)
        await self._make_parents(dst)
        return etag

    async def copy_from(
        self,
        dst: str,  # noqa: ARG002
        source: CopySource,  # noqa: ARG002
        options: WriteOptions,  # noqa: ARG002
        /,
    ) -> str | None:
        """Have the file read and written: both may be fakes of different stores, all in memory."""
        raise UnsupportedOperationException("A fake copies nothing by itself from another disk")

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file."""
        if await self.inner.exists(src):
            await self._check_place(dst)
        etag: str | None = await self.inner.move_file(src, dst, options)
        await self._make_parents(dst)
        return etag

    async def make_directory(self, path: str, /) -> None:
        """Make a directory."""
        await self._check_place(f"{path}/x")
        await self.inner.make_directory(path)
        await self._make_parents(f"{path}/x")

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory."""
        await self.inner.delete_directory(path)
        below = f"{path}/"
        self._directories = {
            each for each in self._directories if each != path and not each.startswith(below)
        }

    async def move_directory(self, src: str, dst: str, /) -> None:
        """Move a directory."""
        if above := dst.rpartition("/")[0]:
            await self._check_place(f"{above}/x")
        await self.inner.move_directory(src, dst)
        moved = {each for each in self._directories if each == src or each.startswith(f"{src}/")}
        self._directories -= moved
        self._directories.update(dst + each.removeprefix(src) for each in moved)
        await self._make_parents(dst)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Remove a directory if it is empty."""
        removed: bool = await self.inner.remove_empty_directory(path)
        self._directories.discard(path)
        return removed

    async def check(self, path: str, /) -> None:
        """Find nothing wrong: memory keeps all that is promised."""

    async def aclose(self) -> None:
        """Do nothing: a fake holds no resources."""

    def _checked(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        check = self._traits.check
        if check is None or name not in _CHECKED:
            return method

        @functools.wraps(method)
        async def checked(*arguments: Any) -> Any:
            check(name, arguments[METHODS[name].paths - 1], arguments[-1])
            return await method(*arguments)

        return checked

    def _with_visibility(self, options: WriteOptions) -> WriteOptions:
        if options.visibility is not None or self._traits.keeps_visibility:
            return options
        return dataclasses.replace(options, visibility=self._traits.visibility)

    async def _check_place(self, path: str) -> None:
        """Check that a file may be made, on a driver that has directories."""
        if not self._traits.has_directories:
            return
        if path in self._directories:
            raise PathConflictException("There is a directory where a file is needed")
        for parent in _parents(path):
            if await self.inner.exists(parent):
                raise PathConflictException("There is a file where a directory is needed")

    async def _make_parents(self, path: str) -> None:
        if self._traits.has_directories and (parents := _parents(path)):
            self._directories.update(parents)
            await self.inner.make_directory(parents[-1])


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def driver_to_ask(
    factory: Callable[..., Any], options: Mapping[str, Any] | None
) -> tuple[Capabilities | None, Any]:
    """Return a driver's capabilities, and one that can be asked, without making a real one.

    Args:
        factory: The driver's class, or function. Its ``for_fake(options)`` makes one to ask.
        options: The disk's options, as far as their variables are set; None where the environment
            configures the disk.

    Returns:
        None for what only a real driver has.
    """
    make = getattr(factory, "for_fake", None)
    if make is not None:
        for each in (options, None):
            # The options may be such that the real driver refuses them too.
            with suppress(Exception, SystemExit):
                driver = make(each)
                return resolve(driver).capabilities, driver
    if inspect.isclass(factory):
        # A property may need attributes of the constructor.
        with suppress(Exception, SystemExit):
            return resolve(object.__new__(factory)).capabilities, None
    return None, None
