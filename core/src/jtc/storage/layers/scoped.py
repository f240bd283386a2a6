"""Layer of `Disk.scoped`, which shows one directory as a whole disk."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.driver import METHODS, ReadStream
from jtc.storage.driver_support.derived import closing
from jtc.storage.driver_support.standalone import checked_bulk
from jtc.storage.exceptions import StorageException
from jtc.storage.layer import Layer
from jtc.storage.models import FileInfo
from jtc.storage.paths import check_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence

    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions, ReadOptions

__all__ = ["Scoped"]

T = TypeVar("T")


class Scoped(Layer, guards={"path"}, passes=METHODS):
    """Show one directory as a whole disk; `Disk.scoped` makes one.

    Paths begin below the directory: those of arguments, of results and of errors. Every method of
    the contract, of later versions too, is wrapped according to `METHODS`.

    Args:
        inner: The inner driver.
        prefix: The directory's path.

    Raises:
        InvalidPathException: The prefix breaks the path policy, or is empty.
    """

    def __init__(self, inner: StorageDriver, prefix: str) -> None:
        self.directory = check_path(prefix)
        self._prefix = f"{self.directory}/"
        super().__init__(inner)
        self.lists_in_key_order: bool = getattr(inner, "lists_in_key_order", False)

    def inner_path(self, path: str) -> str:
        """Return the inner driver's path of a file."""
        return self._prefix + path

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with the directory prepended to its paths."""
        described = METHODS[name]
        if described.paths == 0:
            return method
        if described.paths < 0:
            wrapper = self._bulk(method, described.operation)
        elif described.kind == "value":
            wrapper = self._value(method)
        elif described.kind == "stream":
            wrapper = self._stream(method)
        elif described.kind == "iterator":
            wrapper = self._listing(method)
        else:
            wrapper = self._awaitable(method, described.paths, stores=name == "put")
        return functools.wraps(method)(wrapper)

    def _value(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: str, /) -> Any:
            with self._errors():
                return method(self._full(path))

        return call

    def _awaitable(
        self, method: Callable[..., Any], paths: int, *, stores: bool
    ) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            with self._errors():
                full = map(self._full, arguments[:paths])
                result = await method(*full, *arguments[paths:])
            if stores:
                return self._relative(result)
            return self._described(result) if isinstance(result, FileInfo) else result

        return call

    def _stream(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def open_read(path: str, options: ReadOptions, /) -> ReadStream:
            with self._errors():
                stream: ReadStream = await method(self._full(path), options)
            return ReadStream(
                self._described(stream.info),
                self._items(stream),
                stream.aclose,
                duplicate=stream.duplicate,
            )

        return open_read

    def _listing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def list_entries(prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            if options.start_after is not None:
                options = dataclasses.replace(
                    options, start_after=self._prefix + options.start_after
                )
            if options.left_out is not None:
                options = dataclasses.replace(options, left_out=self._reports(options.left_out))
            directory = self._full(prefix) if prefix else self.directory
            async with closing(self._items(method(directory, options))) as entries:
                async for entry in entries:
                    path = self._relative(entry.path)
                    if not is_reserved(path):
                        if isinstance(entry, FileInfo):
                            yield _file_at(entry, path)
                        else:
                            yield dataclasses.replace(entry, path=path)

        return list_entries

    def _reports(
        self, report: Callable[[str, StorageException], object]
    ) -> Callable[[str, StorageException], object]:
        def left_out(key: str, error: StorageException) -> None:
            report(key.removeprefix(self._prefix), self._relative_error(error))

        return left_out

    def _bulk(self, method: Callable[..., Any], operation: str) -> Callable[..., Any]:
        async def delete_many(paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
            async def delete(checked: list[str]) -> dict[str, bool | Exception]:
                found = await method([self._prefix + path for path in checked])
                return {path: self._relative_error(found[self._prefix + path]) for path in checked}

            with self._errors():
                return await checked_bulk(delete, paths, operation)

        return delete_many

    async def _items(self, items: AsyncIterable[T]) -> AsyncIterator[T]:
        with self._errors():
            async with closing(aiter(items)) as each:
                async for item in each:
                    yield item

    def _full(self, path: str) -> str:
        return check_path(self._prefix + check_path(path))

    def _relative(self, path: str) -> str:
        return "" if path == self.directory else path.removeprefix(self._prefix)

    def _described(self, info: FileInfo) -> FileInfo:
        return _file_at(info, self._relative(info.path))

    def _errors(self) -> _RelativeErrors:
        return _RelativeErrors(self)

    def _relative_error(self, result: T) -> T:
        if isinstance(result, StorageException) and result.path is not None:
            result.path = self._relative(result.path)
        return result


def _file_at(info: FileInfo, path: str) -> FileInfo:
    """Return a file's metadata with another path; for listings, which have thousands."""
    if type(info) is not FileInfo:
        return dataclasses.replace(info, path=path)
    # dataclasses.replace() takes ten times as long.
    return FileInfo(
        path=path,
        size=info.size,
        last_modified=info.last_modified,
        etag=info.etag,
        content_type=info.content_type,
        cache_control=info.cache_control,
        content_disposition=info.content_disposition,
        content_encoding=info.content_encoding,
        metadata=info.metadata,
        checksums=info.checksums,
        last_modified_ns=info.last_modified_ns,
    )


class _RelativeErrors:
    """A block whose errors have paths within a scope."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scoped) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._scope._relative_error(error)  # noqa: SLF001 - a part of Scoped
