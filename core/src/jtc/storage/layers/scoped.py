"""`Scoped`: one directory of a driver, whose paths, in, out and in errors, begin below it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from jtc.storage.driver import DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.exceptions import InvalidPathException, StorageException
from jtc.storage.layer import Layer
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from jtc.storage.driver import DriverContent, StorageDriver
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import WriteOptions

__all__ = ["Scoped"]

T = TypeVar("T")


class _Relative:
    """Says paths as they are within a directory; as a context manager, those in errors."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._prefix = f"{directory}/"

    def path(self, path: str) -> str:
        return "" if path == self._directory else path.removeprefix(self._prefix)

    def error(self, error: Exception) -> Exception:
        if isinstance(error, StorageException) and error.path is not None:
            error.path = self.path(error.path)
        return error

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            self.error(error)


class Scoped(Layer, guards={"path"}):
    """Show one directory as if it were the whole; `Disk.scoped` makes one.

    Args:
        inner: The driver within.
        prefix: The directory's path.

    Raises:
        InvalidPathException: The prefix breaks the path policy, or is empty.
    """

    def __init__(self, inner: StorageDriver, prefix: str) -> None:
        super().__init__(inner)
        self.directory = check_path(prefix)
        self._prefix = f"{self.directory}/"
        self._relative = _Relative(self.directory)

    def inner_path(self, path: str) -> str:
        """Return the path under which the inner driver knows a file."""
        return self._prefix + path

    def _full(self, path: str) -> str:
        return check_path(self._prefix + check_path(path))

    def _inform(self, info: FileInfo) -> FileInfo:
        return dataclasses.replace(info, path=self._relative.path(info.path))

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file."""
        with self._relative:
            await self.inner.put(self._full(path), content)
        return check_path(path)

    async def get(self, path: str, /) -> bytes:
        """Return a file's content."""
        with self._relative:
            return await self.inner.get(self._full(path))

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file."""
        with self._relative:
            return await self.inner.exists(self._full(path))

    async def delete(self, path: str, /) -> bool:
        """Delete a file."""
        with self._relative:
            return await self.inner.delete(self._full(path))

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes."""
        with self._relative:
            return await self.inner.size(self._full(path))

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written."""
        with self._relative:
            return await self.inner.last_modified(self._full(path))

    def url(self, path: str, /) -> str:
        """Return the address of a file."""
        with self._relative:
            return self.inner.url(self._full(path))

    def path(self, path: str, /) -> str:
        """Return where the backend keeps a file."""
        with self._relative:
            return self.inner.path(self._full(path))

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts."""
        with self._relative:
            info = await self.inner.stat(self._full(path))
        return self._inform(info)

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
        with self._relative:
            stream = await self.inner.open_read(
                self._full(path), start=start, end=end, if_match=if_match, chunk_size=chunk_size
            )
        return ReadStream(self._inform(stream.info), self._iterate(stream), stream.aclose)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file."""
        with self._relative:
            return await self.inner.write_file(self._full(path), content, options)

    async def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory."""
        entries = self.inner.list_entries(
            self._full(prefix) if prefix else self.directory,
            recursive=recursive,
            start_after=None if start_after is None else self._prefix + start_after,
        )
        async for entry in self._iterate(entries):
            yield dataclasses.replace(entry, path=self._relative.path(entry.path))

    async def make_directory(self, path: str, /) -> None:
        """Make a directory."""
        with self._relative:
            await self.inner.make_directory(self._full(path))

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory."""
        with self._relative:
            await self.inner.delete_directory(self._full(path))

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file."""
        with self._relative:
            return await self.inner.copy_file(self._full(src), self._full(dst), options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file."""
        with self._relative:
            return await self.inner.move_file(self._full(src), self._full(dst), options)

    async def visibility(self, path: str, /) -> Visibility:
        """Tell who may read a file."""
        with self._relative:
            return await self.inner.visibility(self._full(path))

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Say who may read a file."""
        with self._relative:
            await self.inner.set_visibility(self._full(path), visibility)

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
        with self._relative:
            return await self.inner.temporary_url(
                self._full(path),
                expires_in,
                content_type=content_type,
                content_disposition=content_disposition,
            )

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a request that stores a file."""
        with self._relative:
            return await self.inner.temporary_upload_url(
                self._full(path), expires_in, content_type=content_type, size=size
            )

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        """Return a form that uploads a file."""
        with self._relative:
            return await self.inner.temporary_upload_form(
                self._full(path), expires_in, max_size=max_size, content_type=content_type
            )

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files."""
        outcome: dict[str, bool | Exception] = {}
        asked: dict[str, str] = {}
        for path in paths:
            try:
                asked[path] = self._full(path)
            except InvalidPathException as error:
                outcome[path] = self._relative.error(error)
        with self._relative:
            found = await self.inner.delete_many(list(dict.fromkeys(asked.values())))
        for path, full in asked.items():
            result = found[full]
            outcome[path] = (
                self._relative.error(result) if isinstance(result, Exception) else result
            )
        return outcome

    async def _iterate(self, items: AsyncIterable[T]) -> AsyncIterator[T]:
        with self._relative:
            async for item in items:
                yield item
