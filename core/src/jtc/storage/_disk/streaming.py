"""Streams, ranges, and open files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from jtc.storage._byte_stream import ByteStream
from jtc.storage._disk.read_write import ReadWrite, given_to_read, read_content, reported_fields
from jtc.storage._open_files import OpenFile, ReadableFile, WritableFile
from jtc.storage._text_files import TextFile, binary_mode
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.derived import (
    check_version,
    derived_stat,
    is_same_version,
    open_read,
    read_all,
)
from jtc.storage.driver_support.ranges import check_range, coalesced, resolve_range
from jtc.storage.exceptions import FileExistsException, PreconditionFailedException
from jtc.storage.options import DEFAULT_CHUNK_SIZE, ReadOptions, put_options
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import BinaryIO, Unpack

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._hooks import HookedOperation
    from jtc.storage.driver import ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo
    from jtc.storage.options import PutOptions

__all__ = ["Streaming"]


class Streaming(ReadWrite):
    """Methods that read or write parts of files."""

    __slots__ = ()

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> ByteStream:
        """Read a file, or a range ``[start, end)`` of it, in chunks.

        Args:
            path: The file.
            start: The first byte; below 0, counted from the end. Beyond the end there are no bytes.
            end: The byte after the last, cut at the file's end; None is the end.
            chunk_size: The length of a chunk in bytes.
            if_match: The etag that the file must have.
            if_none_match: The etag that the file must not have, such as that of a cached copy.

        Returns:
            A stream to iterate, await or enter, which opens the file. It raises the errors of
            `get`, and `ValueError` for an invalid range.
        """

        def options() -> ReadOptions:
            return ReadOptions(
                start=start,
                end=end,
                chunk_size=chunk_size,
                if_match=if_match,
                if_none_match=if_none_match,
            )

        return self._stream("stream", path, options)

    async def get_range(
        self,
        path: str,
        start: int,
        end: int | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Return the bytes ``[start, end)`` of a file; see `stream`.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names.
            NotModifiedException: The file still is the version that `if_none_match` names.
            InvalidPathException: The path breaks the path policy.
            ValueError: The range ends before it begins.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            options = ReadOptions(
                start=start,
                end=end,
                if_match=if_match,
                if_none_match=if_none_match,
                read_ahead=True,
            )
            resolved = self._ready() or await self._load()
            if (hooks := self._manager.hooks.active) is None:
                return await read_all(await open_read(resolved, checked, options))
            async with self._operation(
                hooks, "get", "get_range", checked, resolved, options=given_to_read(options)
            ) as hooked:
                return await read_content(resolved, checked, options, hooked)
        except Exception as error:
            self._fail(error, "get_range", path)

    async def get_ranges(
        self,
        path: str,
        ranges: Iterable[tuple[int, int | None]],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> list[bytes]:
        """Return several ranges of one version of a file, such as parts of a Parquet file.

        Ranges that overlap or lie close together are read together.

        Args:
            path: The file.
            ranges: Pairs ``(start, end)``, in any order, each as for `get_range`.
            if_match: The etag that the file must have.
            if_none_match: The etag that the file must not have.

        Returns:
            The bytes of each range, in the order of `ranges`.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names, or was
                replaced between two of the reads.
            NotModifiedException: The file still is the version that `if_none_match` names.
            InvalidPathException: The path breaks the path policy.
            ValueError: A range ends before it begins.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            options = ReadOptions(if_match=if_match, if_none_match=if_none_match)
            wanted = [(start, end) for start, end in ranges]
            for start, end in wanted:
                check_range(start, end)
            resolved = self._ready() or await self._load()
            if (hooks := self._manager.hooks.active) is None:
                return (await _read_ranges(resolved, checked, wanted, options))[0]
            given = {"ranges": wanted, **given_to_read(options)}
            async with self._operation(
                hooks, "get", "get_ranges", checked, resolved, options=given
            ) as hooked:
                contents, info = await _read_ranges(resolved, checked, wanted, options)
                hooked.report(size=sum(map(len, contents)), **reported_fields(info))
                return contents
        except Exception as error:
            self._fail(error, "get_ranges", path)

    @overload
    def open(self, path: str, mode: Literal["rb"] = "rb") -> OpenFile[ReadableFile]: ...

    @overload
    def open(
        self, path: str, mode: Literal["wb", "xb"], **options: Unpack[PutOptions]
    ) -> OpenFile[WritableFile]: ...

    @overload
    def open(self, path: str, mode: Literal["ab"]) -> OpenFile[WritableFile]: ...

    @overload
    def open(
        self,
        path: str,
        mode: Literal["r", "rt", "a", "at"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> OpenFile[TextFile]: ...

    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "wt", "x", "xt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Unpack[PutOptions],
    ) -> OpenFile[TextFile]: ...

    def open(
        self,
        path: str,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Unpack[PutOptions],
    ) -> OpenFile[ReadableFile] | OpenFile[WritableFile] | OpenFile[TextFile]:
        r"""Open a file, as ``async with disk.open(path) as file`` or ``await disk.open(path)``.

        Args:
            path: The file.
            mode: ``"rb"`` reads, ``"wb"`` writes, ``"xb"`` writes a file that must not exist, and
                ``"ab"`` appends, as `append` does; ``"r"``, ``"w"``, ``"x"`` and ``"a"`` do so
                with text.
            encoding: The encoding of text; None is UTF-8.
            errors: The error handler of `codecs` for text; None is ``"strict"``.
            newline: As for the builtin `open`, but ``"\n"`` is written as it is on every system.
            **options: As for `put`, in the modes that write and do not append.

        Returns:
            A file to enter or await, which opens it and raises the errors of `get` or `put`. A
            written file is stored whole when it is closed; when the block raises, the file before
            is kept. A condition that does not hold (``"xb"``, `overwrite`, `if_match`) is an error
            at once, and again if it no longer holds at the end.

        Raises:
            ValueError: The mode is unknown, or does not go with the text options.
            LookupError: There is no such encoding or error handler.
            TypeError: There are options, in a mode that reads or appends; or `overwrite=True` or
                `if_match`, in a mode for new files.
        """
        binary, text = binary_mode(mode, encoding, errors, newline)
        if options and binary in {"rb", "ab"}:
            raise TypeError(f"open() in mode {mode!r} takes no options, not {sorted(options)}")
        if binary == "xb":
            if options.get("overwrite") or options.get("if_match") is not None:
                raise TypeError(
                    f"open() in mode {mode!r} takes neither overwrite=True nor if_match"
                )
            options["overwrite"] = False

        opened = partial(self._open, path, binary, options)

        async def opened_as_text() -> TextFile:
            return TextFile(await opened(), mode, encoding, errors, newline)

        return OpenFile(opened_as_text) if text else OpenFile(opened)

    async def _open(self, path: str, mode: str, options: PutOptions) -> Any:
        match mode:
            case "rb":
                return await self._open_to_read(path)
            case "ab":
                return await self._open_to_append(path)
        return await self._open_to_write(path, mode, options)

    async def _open_to_read(self, path: str) -> ReadableFile:
        operation = None
        stream = self._stream("open", path, ReadOptions, hooked=False)
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            if (hooks := self._manager.hooks.active) is not None:
                operation = self._operation(hooks, "get", "open", checked, resolved, options={})
                await operation.__aenter__()
        except Exception as error:
            self._fail(error, "open", path)
        if operation is None:
            return await self._readable(path, stream)
        try:
            return await self._readable(path, stream, operation)
        except BaseException as error:
            await operation.__aexit__(type(error), error, None)
            raise

    async def _readable(
        self, path: str, stream: ByteStream, operation: HookedOperation | None = None
    ) -> ReadableFile:
        info = (await stream).info
        etag = info.etag

        async def finish(size: int, error: BaseException | None) -> None:
            if operation is not None:
                operation.report(size=size, **reported_fields(info))
                await operation.__aexit__(None if error is None else type(error), error, None)

        return ReadableFile(
            stream,
            lambda start: self._stream(
                "open", path, lambda: ReadOptions(start=start, if_match=etag), hooked=False
            ),
            finish,
            path,
            "rb",
            partial(self._fail, operation="open", path=path),
        )

    async def _open_to_write(self, path: str, mode: str, options: PutOptions) -> WritableFile:
        async def put(content: Content, size: int | None) -> None:
            known: PutOptions = {} if size is None else {"size": size}
            await self._put("open", path, content, {**known, **options}, options)

        try:
            asyncio.get_running_loop()  # in which the file writes
            resolved = self._ready() or await self._load()
            checked = check_path(path)
            resolved.check_writable()
            supported = resolved.capabilities.put_options
            put_options(options, supported, driver=resolved.name, method="open")
            await _check_conditions(resolved, checked, options)
        except Exception as error:
            self._fail(error, "open", path)
        return WritableFile(put, path, mode, partial(self._fail, operation="open", path=path))

    async def _open_to_append(self, path: str) -> WritableFile:
        async def append(content: bytes | BinaryIO, _size: int | None) -> None:
            added = content if isinstance(content, bytes) else await in_thread(content.read)
            await self._extend("open", path, added)

        try:
            asyncio.get_running_loop()  # in which the file writes
            resolved = self._ready() or await self._load()
            checked = check_path(path)
            resolved.check_writable()
            try:
                before = (await derived_stat(resolved, checked)).size
            except FileNotFoundError:
                before = 0
        except Exception as error:
            self._fail(error, "open", path)
        fail = partial(self._fail, operation="open", path=path)
        return WritableFile(append, path, "ab", fail, before)

    def _stream(
        self, operation: str, path: str, options: Callable[[], ReadOptions], *, hooked: bool = True
    ) -> ByteStream:
        async def opener() -> ReadStream:
            checked = check_path(path)
            resolved, given = self._ready() or await self._load(), options()
            opened = partial(open_read, resolved, checked, given)
            if not hooked or (hooks := self._manager.hooks.active) is None:
                return await opened()
            hooked_operation = self._operation(
                hooks, "get", operation, checked, resolved, options=given_to_read(given)
            )
            return await hooked_operation.stream(opened)

        return ByteStream(opener, lambda error: self._fail(error, operation, path))


async def _check_conditions(resolved: ResolvedDriver, path: str, options: PutOptions) -> None:
    """Check the conditions of a write before anything is written. The write checks them again.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: `if_match` names another version, or there is no file.
    """
    etag = options.get("if_match")
    try:
        if options.get("overwrite") is False and await resolved.methods.exists(path):
            raise FileExistsException("There is a file already, and it must not be replaced")
        if etag is not None:
            check_version(await derived_stat(resolved, path), etag, None)
    except FileNotFoundError as error:
        raise PreconditionFailedException("There is no file, but if_match names one") from error
    except PermissionError:
        return  # a caller that may only write: the write itself checks the condition


async def _read_ranges(
    resolved: ResolvedDriver,
    path: str,
    ranges: Sequence[tuple[int, int | None]],
    options: ReadOptions,
) -> tuple[list[bytes], FileInfo]:
    """Return the bytes of each range, by as few reads as the gaps between them are worth."""
    if not ranges:
        info = await derived_stat(resolved, path)
        check_version(info, options.if_match, options.if_none_match)
        return [], info
    if "reading" not in resolved.capabilities:
        stream = await open_read(resolved, path, options)
        whole = await read_all(stream)
        size = len(whole)
        return [
            whole[slice(*resolve_range(start, end, size))] for start, end in ranges
        ], stream.info
    # The first read gives the version and the length that all others must have.
    first = await open_read(resolved, path, replace(options, start=0, end=0))
    await first.aclose()
    size, version = first.info.size, first.info.etag
    spans = [resolve_range(start, end, size) for start, end in ranges]
    same = ReadOptions(if_match=version)
    if "ranges" in resolved.capabilities:
        return list(await resolved.methods.read_ranges(path, spans, same)), first.info
    contents = [b""] * len(spans)
    for (begin, end), members in coalesced(spans):
        stream = await open_read(resolved, path, replace(same, start=begin, end=end))
        if not is_same_version(stream.info, first.info):
            await stream.aclose()
            raise PreconditionFailedException("The file was replaced between two of the reads")
        whole = await read_all(stream)
        for member in members:
            start, stop = spans[member]
            contents[member] = whole[start - begin : stop - begin]
    return contents, first.info
