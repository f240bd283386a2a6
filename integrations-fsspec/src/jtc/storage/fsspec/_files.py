"""Open files, with the methods that fsspec's users know."""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
from typing import TYPE_CHECKING, Any, Self

from jtc.storage.fsspec._blocking import run
from jtc.storage.fsspec._untyped import AbstractBufferedFile

if TYPE_CHECKING:
    from jtc.storage.files import WritableFile

__all__ = ["CompressedFile", "ReadFile", "TextFile", "WriteFile"]

_CALLERS = 4
"""How many callers of `close` are looked at for an ``__exit__``; `fsspec.open`'s is the second."""


class ReadFile(AbstractBufferedFile):
    """A file open for reading: all of it is of the version that was there when it was opened.

    Args:
        fs: The file system.
        path: The file.
        block_size: How many bytes are read ahead.
        size: The file's length, where it is known: then the file is not looked up before a read.
        if_match: The etag that the file must have, where it is known.
        **options: Those of fsspec's buffered files: ``cache_type``, ``cache_options``.

    Raises:
        FileNotFoundException: There is no file.
        IsADirectoryError: It is a directory.
    """

    DEFAULT_BLOCK_SIZE = 16 * 1024 * 1024
    path: str

    def __init__(
        self,
        fs: Any,
        path: str,
        block_size: int | str | None = None,
        size: int | None = None,
        if_match: str | None = None,
        **options: Any,
    ) -> None:
        details = None
        if size is None:
            details = fs.info(path)
            if details["type"] == "directory":
                raise IsADirectoryError(errno.EISDIR, "It is a directory", path)
            size, if_match = details["size"], if_match or details["etag"]
        # Some caches read at once. The last keyword is kept in `kwargs`, which pickle passes on.
        super().__init__(fs, path, "rb", block_size, size=size, if_match=if_match, **options)
        if details is not None:
            self.details = details

    def _fetch_range(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        etag = self.kwargs["if_match"]
        content: bytes = run(self.fs, lambda: self.fs.read_range(self.path, start, end, etag))
        return content


class WriteFile(AbstractBufferedFile):
    """A file open for writing, which is stored whole when it is closed.

    It is not stored if it is closed because of an exception, or dropped without being closed.

    Args:
        fs: The file system.
        path: The file.
        mode: ``"wb"``, ``"xb"`` or ``"ab"``.
        block_size: How many bytes are collected before they are passed on.
        autocommit: Whether `close` stores the file, and not `commit`.
        **options: See `jtc.storage.options.PutOptions`.

    Raises:
        FileExistsException: There is a file, in mode ``"xb"``.
    """

    def __init__(
        self,
        fs: Any,
        path: str,
        mode: str,
        block_size: int | str | None = None,
        autocommit: bool = True,
        **options: Any,
    ) -> None:
        self.buffer: io.BytesIO
        super().__init__(fs, path, mode, block_size, autocommit=autocommit)
        self._file: WritableFile = run(fs, lambda: fs.open_async(path, mode, **options))
        self.loc = int(self._file.tell())

    def write(self, data: Any) -> int:
        """Write bytes; return how many.

        Raises:
            ValueError: The file is closed.
            StorageException: The storage failed; the file before the write is kept.
        """
        if self.closed:
            raise ValueError("I/O operation on a closed file")
        view = memoryview(data)
        if view.nbytes < self.blocksize:
            return int(super().write(data))
        held: bytes = self.buffer.getvalue()
        self.buffer = io.BytesIO()
        run(self.fs, lambda: self._send(held, view))
        self.loc += view.nbytes
        return view.nbytes

    def _upload_chunk(self, final: bool = False) -> None:
        held = self.buffer.getvalue()
        run(self.fs, lambda: self._send(held, close=final and self.autocommit))

    async def _send(self, *chunks: bytes | memoryview, close: bool = False) -> None:
        async with self.fs.os_errors(self.path):
            for chunk in chunks:
                await self._file.write(chunk)
            if close:
                await self._file.close()

    def close(self) -> None:
        """Store the file, unless the ``with`` block that it belongs to has raised.

        Raises:
            StorageException: The storage failed; the file before the write is kept.
        """
        if self.closed:
            return
        if _left_by_exception():
            self.discard()
            return
        try:
            super().close()
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Store the file, at the end of a transaction.

        Raises:
            StorageException: The storage failed; the file before the write is kept.
        """
        self.close()
        run(self.fs, lambda: self._send(close=True))

    def discard(self) -> None:
        """Discard what was written; the file before the write is kept."""
        self.closed = True
        with contextlib.suppress(Exception):
            run(self.fs, self._file.abort)

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        pass  # the disk's own file warns that it was not closed, and is not stored


class CompressedFile(io.BufferedIOBase):
    """A file that is compressed while it is written.

    Args:
        file: The file that is stored.
        compressor: Writes to it.
    """

    def __init__(self, file: WriteFile, compressor: Any) -> None:
        self._file = file
        self._compressor = compressor

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._file.path)

    def writable(self) -> bool:
        """Return whether the file is open."""
        return not self.closed

    def write(self, data: Any, /) -> int:
        """Write bytes; return how many."""
        return int(self._compressor.write(data))

    def flush(self) -> None:
        """Pass on what is compressed already."""
        if not self.closed:
            self._compressor.flush()

    def close(self) -> None:
        """Store the file, as `WriteFile.close` does."""
        if self.closed:
            return
        if _left_by_exception():
            self.discard()
            return
        try:
            self._compressor.close()
            self._file.close()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Discard what was written; the file before the write is kept."""
        with contextlib.suppress(Exception):
            self._compressor.close()  # else it would write its end when it is dropped
        self._file.discard()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return bool(self._file.closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        pass  # as of a WriteFile


class TextFile(io.TextIOWrapper):
    """Text of a `WriteFile` or `CompressedFile`, which is not stored if its block raises."""

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.buffer.discard()  # type: ignore[attr-defined] # see above

    def __del__(self) -> None:
        pass  # as of a WriteFile


def _left_by_exception() -> bool:
    """Return whether an ``__exit__`` that an exception was passed to closes a file.

    `fsspec.open`, pandas, `contextlib` and others only call `close` there.
    """
    frame = inspect.currentframe()
    for _ in range(_CALLERS + 2):  # this function, and `close`
        if frame is None:
            return False
        if frame.f_code.co_name == "__exit__":
            passed = inspect.getargvalues(frame)
            given = [passed.locals.get(name) for name in passed.args[1:2]]
            given += passed.locals.get(passed.varargs or "", ())[:1]
            return bool(given) and given[0] is not None
        frame = frame.f_back
    return False
