"""Text files of `Disk.open`, and the checks of its mode and text options."""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, NoReturn, Self, SupportsIndex

from jtc.storage._file_base import Position
from jtc.storage._open_files import ReadableFile, WritableFile
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TextFile", "binary_mode"]

_LINE_BREAKS = {None: "\n", "": "\r\n|\r|\n", "\n": "\n", "\r": "\r", "\r\n": "\r\n"}
_POSITION_BITS = 64


def binary_mode(
    mode: str, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> tuple[str, bool]:
    """Check the mode and the text options of `open`.

    Returns:
        The mode of the binary file: "rb", "wb", "xb" or "ab"; and whether it is read or written as
        text.

    Raises:
        ValueError: There is no such mode or line break, or a binary file has text options.
        LookupError: There is no such encoding or error handler.
        TypeError: The mode is not a `str`.
    """
    if not isinstance(mode, str):
        raise TypeError(f"open() takes the mode as a str, not {type(mode).__name__}")
    kinds = set(mode) if len(mode) == len(set(mode)) else {""}
    if "+" in kinds:
        raise ValueError(
            f"open() has no mode {mode!r}: a file on a disk is read, or replaced as a whole. Read "
            "it in the mode 'rb', and write it in the mode 'wb'; add to its end in the mode 'ab'; "
            "or change it in io.BytesIO() or tempfile.TemporaryFile(), and put() that"
        )
    direction = kinds - {"b", "t"}
    if len(direction) != 1 or not direction <= set("rwxa") or {"b", "t"} <= kinds:
        raise ValueError(
            "open() has the modes 'rb', 'wb', 'xb' and 'ab', and for text 'r', 'w', 'x' and 'a', "
            f"not {mode!r}"
        )
    text = "b" not in kinds
    if not text and (encoding, errors, newline) != (None, None, None):
        raise ValueError(
            f"open() in the mode {mode!r} takes no encoding, errors or newline: text is read and "
            "written in the modes 'r', 'w', 'x' and 'a'"
        )
    if text:
        io.TextIOWrapper(io.BytesIO(), encoding or "utf-8", errors, newline)  # checks them
        codecs.lookup_error(errors or "strict")
    return f"{direction.pop()}b", text


class TextFile:
    r"""A text file, open for reading or writing, with the methods of aiofiles' text files.

    As in the builtin `open`, line breaks are read as ``\n`` unless `newline` is given. They are
    written as they are on every system, and the encoding is UTF-8 by default: a file does not
    depend on the computer that writes it.

    Args:
        buffer: The binary file.
        mode: The mode in which it was opened.
        encoding: The encoding; None is UTF-8.
        errors: The error handler of `codecs`; None is ``"strict"``.
        newline: As for the builtin `open`.

    Attributes:
        buffer: The binary file.
        mode: The mode in which it was opened.
        encoding: The encoding.
        errors: The error handler.
        line_buffering: False.
    """

    line_buffering = False

    def __init__(
        self,
        buffer: ReadableFile | WritableFile,
        mode: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> None:
        self.buffer = buffer
        self.mode = mode
        self.encoding = encoding or "utf-8"
        self.errors = errors or "strict"
        self._newline = newline
        self._line_break = re.compile(_LINE_BREAKS[newline])
        # It never divides \r\n, also where it does not translate it.
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder(self.encoding)(self.errors), translate=newline is None
        )
        self._encoder = codecs.getincrementalencoder(self.encoding)(self.errors)
        if isinstance(buffer, WritableFile) and buffer.tell():
            self._encoder.setstate(0)  # no second byte order mark
        self._text = ""
        self._start = 0  # of what is left of the text
        self._snapshot = (0, 0)  # the position and the decoder's flags where the text begins

    @property
    def name(self) -> str:
        """The file's path."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self.buffer.closed

    @property
    def newlines(self) -> str | tuple[str, ...] | None:
        """The kinds of line breaks that were read so far."""
        return self._decoder.newlines

    def readable(self) -> bool:
        """Return whether the file is open for reading."""
        return self.buffer.readable()

    def writable(self) -> bool:
        """Return whether the file is open for writing."""
        return self.buffer.writable()

    def seekable(self) -> bool:
        """Return whether `seek` works."""
        return self.buffer.seekable()

    def isatty(self) -> bool:
        """Return False: a file on a disk is no terminal."""
        return self.buffer.isatty()

    def fileno(self) -> NoReturn:
        """Refuse: a file on a disk has no descriptor.

        Raises:
            io.UnsupportedOperation: Always.
        """
        self.buffer.fileno()

    async def read(self, size: int | None = -1, /) -> str:
        """Return at most `size` characters; all that are left if it is None or below 0.

        Raises:
            io.UnsupportedOperation: The file is open for writing.
            UnicodeDecodeError: The content is not in this encoding.
            ValueError: The file is closed.
            StorageException: The storage failed, or the file was replaced meanwhile.
        """
        file = self._source()
        if size is not None and size >= 0:
            return await self._collect(size)
        content = await file.read()
        return self._take(len(self._text)) + self._decode(content, final=True)

    async def readline(self, size: int | None = -1, /) -> str:
        """Return the next line with its break; nothing at the end. It raises as `read` does.

        Args:
            size: The most characters to return; no limit if it is None or below 0.
        """
        self._source()
        unlimited = size is None or size < 0
        if unlimited and (found := self._line_break.search(self._text, self._start)):
            return self._take(found.end())
        return await self._collect(-1 if size is None else size, one_line=True)

    async def readlines(self, hint: int | None = -1, /) -> list[str]:
        """Return the lines that are left. It raises as `read` does.

        Args:
            hint: End after the line by which this many characters are reached; no limit if it is
                None or not above 0.
        """
        lines: list[str] = []
        length = 0
        while line := await self.readline():
            lines.append(line)
            length += len(line)
            if hint is not None and 0 < hint <= length:
                break
        return lines

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        found = self._line_break.search(self._text, self._start)
        if found and not self.buffer.closed:
            return self._take(found.end())
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def write(self, text: str, /) -> int:
        """Write text, after waiting for a slow storage; return the number of its characters.

        A write that is cancelled has written nothing, and can be retried.

        Raises:
            io.UnsupportedOperation: The file is open for reading.
            TypeError: It is not a `str`.
            UnicodeEncodeError: The encoding does not have a character.
            ValueError: The file is closed.
            StorageException: The storage failed; the file before the write is kept.
        """
        file = self._target()
        if not isinstance(text, str):
            raise TypeError(f"write() takes a str in mode {self.mode!r}, not {type(text).__name__}")
        broken = text.replace("\n", self._newline) if self._newline else text
        state = self._encoder.getstate()
        try:
            await file.write(self._encoder.encode(broken))
        except BaseException:
            self._encoder.setstate(state)
            raise
        return len(text)

    async def writelines(self, lines: Iterable[str], /) -> None:
        """Write several texts, without adding line breaks. It raises as `write` does."""
        for line in lines:
            await self.write(line)

    def tell(self) -> Position:
        """Return the position, for `seek`: a number that means nothing else, as in `io`.

        Raises:
            ValueError: The file is closed.
        """
        position = self.buffer.tell()
        if self.buffer.writable():
            return position
        if self._start == len(self._text):
            pending, flags = self._decoder.getstate()
            begin, skipped = position - len(pending), 0
        else:
            (begin, flags), skipped = self._snapshot, self._start
        if not begin and not skipped:
            return Position(0)
        return Position(begin | flags << _POSITION_BITS | skipped << 2 * _POSITION_BITS)

    async def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; return it.

        Args:
            offset: A result of `tell`, or 0.
            whence: `io.SEEK_SET`; or `io.SEEK_CUR` or `io.SEEK_END` with the offset 0.

        Raises:
            io.UnsupportedOperation: Another offset from the position or the end, or the file
                cannot seek.
            ValueError: The offset is below 0, or the file is closed.
            StorageException: The storage failed.
        """
        if whence != io.SEEK_SET and offset != 0:
            raise io.UnsupportedOperation("A text file seeks to a result of tell(), or to its end")
        if whence == io.SEEK_CUR:
            offset, whence = self.tell(), io.SEEK_SET
        mask = (1 << _POSITION_BITS) - 1
        flags, skipped = offset >> _POSITION_BITS & mask, offset >> 2 * _POSITION_BITS
        position = await self.buffer.seek(offset if offset < 0 else offset & mask, whence)
        self._text, self._start = "", 0
        self._decoder.reset()
        if offset:
            self._decoder.setstate((b"", flags))
        self._encoder.reset()
        if position:
            self._encoder.setstate(0)  # no second byte order mark
        while skipped and await self._fill():
            skipped -= len(self._take(min(skipped, len(self._text))))
        # As in `io`: the same position has several numbers.
        return self.tell() if whence == io.SEEK_END else offset

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend the file to a length in bytes; see `WritableFile.truncate`."""
        return await self.buffer.truncate(size)

    async def flush(self) -> None:
        """Do nothing: a written file is stored by `close`.

        Raises:
            ValueError: The file is closed.
        """
        await self.buffer.flush()

    async def close(self) -> None:
        """Close the file; store it if it was written. See `WritableFile.close`."""
        await self.buffer.close()

    async def abort(self) -> None:
        """Close the file without storing it."""
        await self.buffer.abort()

    async def __aenter__(self) -> Self:
        await self.flush()
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        await (self.close() if exc_type is None else self.abort())

    def __repr__(self) -> str:
        return f"<TextFile name={self.name!r} mode={self.mode!r} encoding={self.encoding!r}>"

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        self.buffer.__reduce_ex__(protocol)

    def _source(self) -> ReadableFile:
        self.buffer.isatty()  # raises where it is closed
        if isinstance(self.buffer, WritableFile):
            raise io.UnsupportedOperation(f"{self.name!r} is open for writing, and not readable")
        return self.buffer

    def _target(self) -> WritableFile:
        self.buffer.isatty()
        if isinstance(self.buffer, ReadableFile):
            raise io.UnsupportedOperation(f"{self.name!r} is open for reading, and not writable")
        return self.buffer

    async def _collect(self, size: int, *, one_line: bool = False) -> str:
        """Read `size` characters, or less at the end of the file or of a line."""
        before = self._text[: self._start], self._start, self._snapshot
        taken = []
        try:
            while size and await self._fill():
                found = self._line_break.search(self._text, self._start) if one_line else None
                end = found.end() if found else len(self._text)
                piece = self._take(end if size < 0 else min(end, self._start + size))
                taken.append(piece)
                size -= len(piece) if size > 0 else 0
                if found:
                    break
        except BaseException:
            consumed, self._start, self._snapshot = before  # so that the read can be repeated
            self._text = consumed + "".join(taken)
            raise
        return "".join(taken)

    def _take(self, end: int) -> str:
        start, self._start = self._start, end
        return self._text[start:end]

    async def _fill(self) -> bool:
        """Decode more if no text is left; return False at the end of the file."""
        file = self._source()
        while self._start == len(self._text):
            data = await file.read1(DEFAULT_CHUNK_SIZE)
            self._text, self._start = self._decode(data, final=not data), 0
            if not data:
                return bool(self._text)
        return True

    def _decode(self, data: bytes, *, final: bool) -> str:
        pending, flags = self._decoder.getstate()
        self._snapshot = (self.buffer.tell() - len(data) - len(pending), flags)
        return self._decoder.decode(data, final=final)
