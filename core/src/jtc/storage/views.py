"""Views of a disk: one directory of it, or all of it without the writing.

A view is a driver around another one. It has the abilities of the one within, less those that the
view is there to take away.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

from jtc.storage.abilities import methods_of, resolve
from jtc.storage.contracts import ABILITIES, DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.exceptions import InvalidPathException, ReadOnlyException, StorageException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )

    from jtc.storage.abilities import ResolvedDriver
    from jtc.storage.contracts import DriverContent, StorageDriver
    from jtc.storage.files import Entry, FileInfo, SignedForm, SignedRequest, Visibility
    from jtc.storage.options import WriteOptions

__all__ = ["ReadOnlyView", "ScopedView", "ViewResolver"]

T = TypeVar("T")


class ViewResolver:
    """Finds a view's driver: made once for each driver that its disk has in turn."""

    __slots__ = ("_find", "_last", "_make")

    def __init__(
        self,
        find: Callable[[], ResolvedDriver],
        make: Callable[[ResolvedDriver], StorageDriver],
    ) -> None:
        self._find = find
        self._make = make
        self._last: tuple[ResolvedDriver | None, ResolvedDriver | None] = (None, None)

    def __call__(self) -> ResolvedDriver:
        """Return the view of the driver of this moment."""
        inner = self._find()
        seen, view = self._last
        if view is None or seen is not inner:
            view = resolve(self._make(inner), name=inner.name)
            self._last = (inner, view)  # one assignment: threads may meet here
        return view


def beneath_views(driver: StorageDriver, path: str) -> tuple[StorageDriver, str]:
    """Return the driver beneath all views, and the path under which it knows a view's file."""
    while isinstance(driver, (ReadOnlyView, ScopedView)):
        if isinstance(driver, ScopedView):
            path = f"{driver.directory}/{path}"
        driver = driver.inner
    return driver, path


class ReadOnlyView:
    """Everything that reads, and nothing that writes.

    Args:
        resolved: The driver within.
    """

    read_only = True

    def __init__(self, resolved: ResolvedDriver) -> None:
        self.inner = resolved.driver
        for ability in ("stat", "reading", "listing", "temporary_urls", "close"):
            if getattr(resolved, ability) is not None:
                for method in methods_of(ABILITIES[ability]):
                    setattr(self, method, getattr(self.inner, method))
        if resolved.visibility is not None:
            self.visibility = resolved.visibility.visibility
        self.get = self.inner.get
        self.exists = self.inner.exists
        self.size = self.inner.size
        self.last_modified = self.inner.last_modified
        self.url = self.inner.url
        self.path = self.inner.path

    async def put(self, _path: str, _content: bytes | str | BinaryIO, /) -> str:
        """Refuse."""
        self._refuse()

    async def delete(self, _path: str, /) -> bool:
        """Refuse."""
        self._refuse()

    async def set_visibility(self, _path: str, _visibility: Visibility, /) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnlyException("The disk is a read-only view")


class ScopedView:
    """One directory of a driver: paths, in, out and in errors, begin below it.

    Args:
        resolved: The driver within.
        prefix: The directory's path, checked.
    """

    def __init__(self, resolved: ResolvedDriver, prefix: str) -> None:
        self.inner = resolved.driver
        self.read_only = getattr(resolved.driver, "read_only", False)
        self.withheld = frozenset(ABILITIES) - resolved.capabilities.abilities
        self.honours: Mapping[str, frozenset[str]] = {
            "write_file": resolved.capabilities.put_options,
            "copy_file": resolved.capabilities.copy_options,
            "move_file": resolved.capabilities.move_options,
        }
        self.directory = prefix
        self._prefix = f"{prefix}/"
        # Each of these methods is called only where `withheld` leaves the ability.
        self._in: Any = resolved.driver

    def _full(self, path: str) -> str:
        return check_path(self._prefix + check_path(path))

    def _within(self, path: str) -> str:
        return "" if path == self.directory else path.removeprefix(self._prefix)

    def _inform(self, info: FileInfo) -> FileInfo:
        return dataclasses.replace(info, path=self._within(info.path))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except StorageException as error:
            self._relative(error)
            raise

    def _relative(self, error: Exception) -> Exception:
        if isinstance(error, StorageException) and error.path is not None:
            error.path = self._within(error.path)
        return error

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file."""
        with self._errors():
            await self._in.put(self._full(path), content)
        return check_path(path)

    async def get(self, path: str, /) -> bytes:
        """Return a file's content."""
        with self._errors():
            content: bytes = await self._in.get(self._full(path))
        return content

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file."""
        with self._errors():
            found: bool = await self._in.exists(self._full(path))
        return found

    async def delete(self, path: str, /) -> bool:
        """Delete a file."""
        with self._errors():
            found: bool = await self._in.delete(self._full(path))
        return found

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes."""
        with self._errors():
            size: int = await self._in.size(self._full(path))
        return size

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written."""
        with self._errors():
            time: float = await self._in.last_modified(self._full(path))
        return time

    def url(self, path: str, /) -> str:
        """Return the address of a file."""
        with self._errors():
            return str(self._in.url(self._full(path)))

    def path(self, path: str, /) -> str:
        """Return where the backend keeps a file."""
        with self._errors():
            return str(self._in.path(self._full(path)))

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts."""
        with self._errors():
            return self._inform(await self._in.stat(self._full(path)))

    async def open_read(
        self,
        path: str,
        /,
        *,
        start: int = 0,
        end: int | None = None,
        if_match: str | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ReadStream:
        """Open a file for reading."""
        with self._errors():
            stream: ReadStream = await self._in.open_read(
                self._full(path), start=start, end=end, if_match=if_match, chunk_size=chunk_size
            )
        return ReadStream(self._inform(stream.info), self._iterate(stream), stream.aclose)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file."""
        with self._errors():
            etag: str | None = await self._in.write_file(self._full(path), content, options)
        return etag

    async def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory."""
        entries = self._in.list_entries(
            self._full(prefix) if prefix else self.directory,
            recursive=recursive,
            start_after=None if start_after is None else self._prefix + start_after,
        )
        async for entry in self._iterate(entries):
            yield dataclasses.replace(entry, path=self._within(entry.path))

    async def make_directory(self, path: str, /) -> None:
        """Make a directory."""
        with self._errors():
            await self._in.make_directory(self._full(path))

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory."""
        with self._errors():
            await self._in.delete_directory(self._full(path))

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file."""
        with self._errors():
            etag: str | None = await self._in.copy_file(self._full(src), self._full(dst), options)
        return etag

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file."""
        with self._errors():
            etag: str | None = await self._in.move_file(self._full(src), self._full(dst), options)
        return etag

    async def visibility(self, path: str, /) -> Visibility:
        """Tell who may read a file."""
        with self._errors():
            visibility: Visibility = await self._in.visibility(self._full(path))
        return visibility

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Say who may read a file."""
        with self._errors():
            await self._in.set_visibility(self._full(path), visibility)

    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
    ) -> str:
        """Return an address that reads a file for a while."""
        with self._errors():
            return str(
                await self._in.temporary_url(
                    self._full(path),
                    expires_in,
                    content_type=content_type,
                    content_disposition=content_disposition,
                )
            )

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> SignedRequest:
        """Return a request that stores a file."""
        with self._errors():
            request: SignedRequest = await self._in.temporary_upload_url(
                self._full(path), expires_in, content_type=content_type, size=size
            )
        return request

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> SignedForm:
        """Return a form that uploads a file."""
        with self._errors():
            form: SignedForm = await self._in.temporary_upload_form(
                self._full(path), expires_in, max_size=max_size, content_type=content_type
            )
        return form

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files."""
        outcome: dict[str, bool | Exception] = {}
        asked: dict[str, str] = {}
        for path in paths:
            try:
                asked[path] = self._full(path)
            except InvalidPathException as error:
                outcome[path] = self._relative(error)
        with self._errors():
            found = await self._in.delete_many(list(dict.fromkeys(asked.values())))
        for path, full in asked.items():
            result = found[full]
            outcome[path] = self._relative(result) if isinstance(result, Exception) else result
        return outcome

    async def aclose(self) -> None:
        """Let go of what the driver within holds."""
        await self._in.aclose()

    async def _iterate(self, items: AsyncIterable[T]) -> AsyncIterator[T]:
        with self._errors():
            async for item in items:
                yield item
