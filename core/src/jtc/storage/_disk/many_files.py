"""Transfers of many files by their paths."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sized
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack, overload

from jtc.storage._disk.copy_ways import Series
from jtc.storage._disk.copying import Copying
from jtc.storage._disk.read_write import ReadWrite
from jtc.storage.driver_support.content import (
    SourceFile,
    driver_content,
    length_read,
    raised_by_source,
)
from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import FileExistsException, StorageException
from jtc.storage.options import (
    DEFAULT_CONCURRENCY,
    check_concurrency,
    check_many_options,
    copy_options,
    put_options,
)
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from jtc.storage._disk import Disk
    from jtc.storage._disk.base import DiskBase
    from jtc.storage._transfers.meter import FileMeter
    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Content
    from jtc.storage.options import CopyManyOptions, PutManyOptions
    from jtc.storage.transfers import FileResult, TransferProgress, Transfers
__all__ = ["AnyItems", "ManyFiles", "Report", "with_progress"]

T = TypeVar("T")
V = TypeVar("V")

AnyItems: TypeAlias = Iterable[T] | AsyncIterable[T]
Report: TypeAlias = "Callable[[TransferProgress], object]"


class ManyFiles(ReadWrite, Copying):
    """The methods `put_many`, `get_many` and `copy_many`."""

    __slots__ = ()

    # Two signatures, so that mypy knows of a dict's values what they may be.
    @overload
    def put_many(
        self,
        files: Mapping[str, Content],
        *,
        concurrency: int = ...,
        progress: Callable[[TransferProgress], object] | None = ...,
        **options: Unpack[PutManyOptions],
    ) -> Transfers: ...

    @overload
    def put_many(
        self,
        files: Iterable[tuple[str, Content]] | AsyncIterable[tuple[str, Content]],
        *,
        concurrency: int = ...,
        progress: Callable[[TransferProgress], object] | None = ...,
        **options: Unpack[PutManyOptions],
    ) -> Transfers: ...

    def put_many(
        self,
        files: Mapping[str, Content]
        | Iterable[tuple[str, Content]]
        | AsyncIterable[tuple[str, Content]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[PutManyOptions],
    ) -> Transfers:
        """Store several files, several at once, each whole or not at all.

        Args:
            files: Contents by paths: a mapping, or pairs, which are read as their turn comes. Of
                two pairs with one path, the second is an error.
            concurrency: The number of files that are stored at once.
            progress: Called while contents are read, and as each file ends.
            **options: See `PutManyOptions`; they are those of all files.

        Returns:
            The results as the files end, or, by ``await``, their numbers: see `Transfers`. An error
            of the storage or of a content is in its file's result; one of `files` itself is raised
            once the files before it have ended.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        check_many_options(options, method="put_many")
        items = _pairs(files, "put_many")
        return self._transfers(
            "put_many",
            lambda: self._puts(items, concurrency, progress, options),
            concurrency,
            progress,
        )

    def get_many(
        self,
        paths: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
    ) -> Transfers:
        """Read several files, several at once.

        No more contents than `concurrency`, and the one that was taken last, are in memory: those
        that are read wait until their result is taken.

        Args:
            paths: The files; they are read as their turn comes.
            concurrency: The number of files that are read at once.
            progress: Called as each file ends.

        Returns:
            The results as the files end, in any order, with their `content`: see `Transfers`.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: `concurrency` is below 1.
        """
        items = _several(paths, "get_many", "an iterable of paths")
        return self._transfers(
            "get_many", lambda: self._gets(items, concurrency, progress), concurrency, progress
        )

    def copy_many(
        self,
        paths: Mapping[str, str] | Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]],
        *,
        to: Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> Transfers:
        """Copy several files, several at once, each as `copy` does.

        Args:
            paths: The paths of the copies by those of the files: a mapping, or pairs, which are
                read as their turn comes. Of two pairs with one copy, the second is an error.
            to: The disk, or the name of the disk, of the copies; None is this disk.
            concurrency: The number of files that are copied at once.
            progress: Called while files are copied, and as each one ends.
            **options: See `CopyManyOptions`; they are those of all files.

        Returns:
            The results as the files end, or, by ``await``, their numbers: see `Transfers`.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        check_many_options(options, method="copy_many")
        items = _pairs(paths, "copy_many")
        target = self._target_disk(to)
        return self._transfers(
            "copy_many",
            lambda: self._copies(items, target, concurrency, progress, options),
            concurrency,
            progress,
        )

    def _transfers(
        self,
        operation: str,
        start: Callable[[], AsyncIterator[FileResult]],
        concurrency: int,
        report: Report | None,
    ) -> Transfers:
        from jtc.storage.transfers import Transfers  # noqa: PLC0415 - only where it is used

        check_progress(report)
        check_concurrency(concurrency)
        return Transfers(start, f"{operation}() on the disk {self.name!r}")

    async def _puts(
        self,
        items: AnyItems[tuple[str, Content]],
        concurrency: int,
        report: Report | None,
        options: Mapping[str, Any],
    ) -> AsyncIterator[FileResult]:
        from jtc.storage._transfers.meter import Meter  # noqa: PLC0415 - imported where one begins
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        try:
            resolved = self._ready() or await self._load()
            resolved.check_writable()
            supported = resolved.capabilities.put_options
            put_options(options, supported, driver=resolved.name, method="put_many")
        except Exception as error:
            self._fail(error, "put_many")
        meter = Meter(report, _length(items))
        targets: set[str] = set()
        is_plain = report is None and not options

        async def put(item: tuple[str, Content]) -> FileResult:
            path, content = item
            result = FileResult(action=Action.PUT, path=path)
            counted = meter.file(path)
            source: DriverContent | None = None
            try:
                _claim(targets, path)
                if is_plain and type(content) is bytes and self._manager.hooks.active is None:
                    await self.put(path, content)  # half of the overhead
                    result.size = len(content)
                else:
                    source = driver_content(content)
                    given = with_progress(options, counted)
                    await self._put("put_many", path, source, given)
                    result.size = length_read(source)
            except Exception as error:
                result.error = self._file_error(error, "put_many", path, source)
            finally:
                if isinstance(source, SourceFile) and source is not content:
                    source.close()
            counted.end(result)
            return result

        async with closing(_bounded(items, put, concurrency)) as results:
            async for result in results:
                yield result

    async def _gets(
        self,
        items: AnyItems[str],
        concurrency: int,
        report: Report | None,
    ) -> AsyncIterator[FileResult]:
        from jtc.storage._transfers.meter import Meter  # noqa: PLC0415
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        try:
            _ = self._ready() or await self._load()
        except Exception as error:
            self._fail(error, "get_many")
        meter = Meter(report, _length(items))

        async def get(path: str) -> FileResult:
            result = FileResult(action=Action.GET, path=path)
            try:
                result.content = await self._get("get_many", path)
                result.size = len(result.content)
            except Exception as error:
                result.error = self._file_error(error, "get_many", path)
            meter.file(path).end(result)
            return result

        async with closing(_bounded(items, get, concurrency)) as results:
            async for result in results:
                yield result

    async def _copies(
        self,
        items: AnyItems[tuple[str, str]],
        target: DiskBase,
        concurrency: int,
        report: Report | None,
        options: Mapping[str, Any],
    ) -> AsyncIterator[FileResult]:
        from jtc.storage._transfers.meter import Meter  # noqa: PLC0415
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        await self._check_copies("copy_many", target, options)
        series = Series("copy_many")
        meter = Meter(report, _length(items))
        targets: set[str] = set()

        async def copy(item: tuple[str, str]) -> FileResult:
            path, to_path = item
            result = FileResult(action=Action.COPY, path=path, to_path=to_path)
            counted = meter.file(path)
            try:
                _claim(targets, to_path)
                given = with_progress(options, counted)
                copied = await self._transfer("copy", path, to_path, target, given, series)
                result.size = copied.size
            except Exception as error:
                result.error = self._file_error(error, "copy_many", path)
            counted.end(result)
            return result

        async with closing(_bounded(items, copy, concurrency)) as results:
            async for result in results:
                yield result

    async def _check_copies(
        self, operation: str, target: DiskBase, options: Mapping[str, Any]
    ) -> None:
        """Check once what is the same for all copies: drivers, options, a read-only target."""
        try:
            source = self._ready() or await self._load()
            resolved = target._ready() or await target._load()  # noqa: SLF001
            resolved.check_writable()
            supported = resolved.capabilities.put_options
            if source.driver is resolved.driver:
                supported |= source.capabilities.copy_options | source.capabilities.move_options
            copy_options(options, supported, driver=resolved.name, method=operation)
        except Exception as error:
            self._fail(error, operation)

    def _file_error(
        self, error: Exception, operation: str, path: str, source: DriverContent | None = None
    ) -> StorageException:
        """Return what goes into a file's result; raise what is a bug, and stops the transfer."""
        if isinstance(error, StorageException) or not raised_by_source(source, error):
            return self._explained(error, operation, path)
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        ours = StorageException(
            f"The content could not be read ({type(error).__name__}{why})",
            path=path,
            disk=self.name,
            operation=operation,
        )
        ours.__cause__ = error
        return ours


def _pairs(items: Any, operation: str) -> Any:
    """Return the items of a mapping, or pairs as they are."""
    if isinstance(items, Mapping):
        return items.items()
    return _several(items, operation, "a mapping, or an iterable of pairs")


def _several(items: T, operation: str, what: str) -> T:
    if not isinstance(items, (Iterable, AsyncIterable)) or isinstance(items, (str, bytes)):
        raise TypeError(f"{operation}() takes {what}, not {type(items).__name__}")
    return items


def _bounded(
    items: AnyItems[T], work: Callable[[T], Coroutine[Any, Any, V]], concurrency: int
) -> AsyncIterator[V]:
    from jtc.storage._transfers.bounded import bounded  # noqa: PLC0415

    return bounded(items, work, concurrency)


def _length(items: object) -> int | None:
    return len(items) if isinstance(items, Sized) else None


def _claim(targets: set[str], path: str) -> None:
    """Refuse a path that another file of the same call has."""
    checked = check_path(path)
    if checked in targets:
        raise FileExistsException("Another file of this call has the same path", path=path)
    targets.add(checked)


def with_progress(options: Mapping[str, Any], counted: FileMeter) -> Mapping[str, Any]:
    """Return the options of one file, which counts its bytes if the caller asked for progress."""
    progress = counted.progress
    return options if progress is None else {**options, "progress": progress}
