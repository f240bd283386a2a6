"""Reading piece by piece: streams, ranges, and files opened as aiofiles opens them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, overload

from jtc.storage._byte_stream import ByteStream
from jtc.storage._disk.read_write import WholeFiles
from jtc.storage._open_files import OpenFile, ReadableFile, WritableFile
from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.derived import open_read, read_all
from jtc.storage.driver_support.ranges import check_range
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from jtc.storage._hooks import Operation
    from jtc.storage.driver import ReadStream
    from jtc.storage.options import PutOptions

__all__ = ["Reading"]


class Reading(WholeFiles):
    """stream, get_range and open."""

    __slots__ = ()

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ByteStream:
        """Read a file, or a range ``[start, end)`` of it, piece by piece.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end. Past the end: no bytes.
            end: The byte after the last, cut at the file's end; None is the end.
            chunk_size: The length of a piece in bytes.

        Returns:
            What one iterates, awaits or enters. Nothing happens before; then it raises as `get`
            does, and `ValueError` for what is no range.
        """
        return self._stream("stream", path, start=start, end=end, chunk_size=chunk_size)

    async def get_range(self, path: str, start: int, end: int | None = None) -> bytes:
        """Return the bytes ``[start, end)`` of a file; see `stream`.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: It is no range.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            check_range(start, end)
            resolved = self._resolved()
            if (hooks := self._manager().hooks.active) is None:
                return await read_all(await open_read(resolved, checked, start=start, end=end))
            async with self._operation(hooks, "get", "get_range", checked, resolved) as told:
                content = await read_all(await open_read(resolved, checked, start=start, end=end))
                told(size=len(content))
                return content
        except Exception as error:
            self._fail(error, "get_range", path)

    @overload
    def open(self, path: str, mode: Literal["rb"] = "rb") -> OpenFile[ReadableFile]: ...

    @overload
    def open(
        self, path: str, mode: Literal["wb", "xb"], **options: Unpack[PutOptions]
    ) -> OpenFile[WritableFile]: ...

    def open(
        self, path: str, mode: str = "rb", **options: Unpack[PutOptions]
    ) -> OpenFile[ReadableFile] | OpenFile[WritableFile]:
        """Open a file, as ``async with disk.open(path) as file`` or ``await disk.open(path)``.

        Args:
            path: The file.
            mode: ``"rb"`` reads, ``"wb"`` writes, ``"xb"`` writes a file that must not be there.
            **options: As for `put`, in the modes that write.

        Returns:
            What one enters or awaits; only then something happens, and it raises as `get` or
            `put` does. A written file appears when it is closed, whole; when the block raises,
            the one before stays.

        Raises:
            ValueError: There is no such mode.
            TypeError: Options were given for reading.
        """
        match mode:
            case "rb" if not options:
                return OpenFile(lambda: self._open_to_read(path))
            case "rb":
                raise TypeError(f"open() in mode 'rb' takes no options, not {sorted(options)}")
            case "wb":
                return OpenFile(lambda: self._open_to_write(path, options))
            case "xb":
                options["overwrite"] = False
                return OpenFile(lambda: self._open_to_write(path, options))
        raise ValueError(f"open() has the modes 'rb', 'wb' and 'xb', not {mode!r}")

    async def _open_to_read(self, path: str) -> ReadableFile:
        stream = self._stream("open", path, told=False)
        if (hooks := self._manager().hooks.active) is None:
            return await self._readable(path, stream)
        try:
            checked = check_path(path)
            operation = self._operation(hooks, "get", "open", checked, self._resolved())
            await operation.__aenter__()
        except Exception as error:
            self._fail(error, "open", path)
        try:
            return await self._readable(path, stream, operation)
        except BaseException as error:
            await operation.__aexit__(type(error), error, None)
            raise

    async def _readable(
        self, path: str, stream: ByteStream, operation: Operation | None = None
    ) -> ReadableFile:
        etag = (await stream).info.etag

        async def finish(size: int, error: BaseException | None) -> None:
            if operation is not None:
                operation(size=size)
                await operation.__aexit__(None if error is None else type(error), error, None)

        return ReadableFile(
            stream,
            lambda start: self._stream("open", path, start=start, if_match=etag, told=False),
            finish,
        )

    async def _open_to_write(self, path: str, options: PutOptions) -> WritableFile:
        async def put(chunks: AsyncIterator[bytes]) -> None:
            await self._put("open", path, chunks, options)

        try:
            check_path(path)
            self._resolved().check_writable()
        except Exception as error:
            self._fail(error, "open", path)
        return WritableFile(put)

    def _stream(
        self,
        operation: str,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        if_match: str | None = None,
        told: bool = True,
    ) -> ByteStream:
        async def opener() -> ReadStream:
            checked = check_path(path)
            check_range(start, end)
            if chunk_size < 1:
                raise ValueError(f"A chunk has one byte at least, not {chunk_size}")
            resolved = self._resolved()
            opened = partial(
                open_read,
                resolved,
                checked,
                start=start,
                end=end,
                chunk_size=chunk_size,
                if_match=if_match,
            )
            if not told or (hooks := self._manager().hooks.active) is None:
                return await opened()
            return await self._operation(hooks, "get", operation, checked, resolved).stream(opened)

        return ByteStream(opener, lambda error: self._fail(error, operation, path))
