"""Correct drivers of a few lines; like those of third parties, they raise builtins."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from jtc.storage import FileInfo, PreconditionFailedException, ReadStream, WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import ReadOptions


class EightMethods:
    """A driver that has the eight methods and nothing else."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, path: str, content: Any, /) -> str:
        self.kept[path] = content if isinstance(content, bytes) else content.read()
        return path

    async def get(self, path: str, /) -> bytes:
        return self._file(path)

    async def exists(self, path: str, /) -> bool:
        return path in self.kept

    async def delete(self, path: str, /) -> bool:
        return self.kept.pop(path, None) is not None

    async def size(self, path: str, /) -> int:
        return len(self._file(path))

    async def last_modified(self, path: str, /) -> float:
        self._file(path)
        return 1_700_000_000.0

    def url(self, path: str, /) -> str:
        return f"eight://{path}"

    def path(self, path: str, /) -> str:
        return f"/eight/{path}"

    def _file(self, path: str) -> bytes:
        try:
            return self.kept[path]
        except KeyError:
            raise FileNotFoundError(path) from None


class Closable(EightMethods):
    """Counts how often it was closed."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.closed = 0
        self.failure = failure

    async def aclose(self) -> None:
        self.closed += 1
        if self.failure is not None:
            raise self.failure


class Streaming(EightMethods):
    """Streams what it has, and counts what is open. Can fail after some chunks, or run short."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.closed = 0
        self.fail_after: int | None = None
        self.failure: Exception = ConnectionResetError("gone")
        self.short = 0

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        content = self._file(path)
        info = FileInfo(path=path, size=len(content), last_modified=1.0, etag=etag_of(content))
        if options.if_match is not None and options.if_match != info.etag:
            raise PreconditionFailedException("Another version")
        first, last, _ = slice(options.start, options.end).indices(len(content))
        self.opened += 1
        content = content[first : last - self.short]
        return ReadStream(info, self._chunks(content, options.chunk_size), self._close)

    async def _chunks(self, content: bytes, size: int) -> AsyncIterator[bytes]:
        for number, at in enumerate(range(0, len(content), size)):
            if number == self.fail_after:
                raise self.failure
            yield content[at : at + size]

    async def _close(self) -> None:
        self.closed += 1


class Writing(EightMethods):
    """Takes options, and keeps those it was given last. Writes whole or not at all."""

    supported_options: ClassVar = {
        "write_file": frozenset({"content_type", "overwrite", "if_match"})
    }

    def __init__(self) -> None:
        super().__init__()
        self.options = WriteOptions()

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        self.options = options
        if options.overwrite is False and path in self.kept:
            raise FileExistsError(path)
        if isinstance(content, bytes):
            self.kept[path] = content
        elif hasattr(content, "__anext__"):
            self.kept[path] = b"".join([chunk async for chunk in content])
        else:
            self.kept[path] = content.read()
        return None


class Versioned(EightMethods):
    """Gives each content an etag, by `stat`, and reads whole files only."""

    async def stat(self, path: str, /) -> FileInfo:
        content = self._file(path)
        return FileInfo(
            path=path, size=len(content), last_modified=1_700_000_000.0, etag=etag_of(content)
        )


def etag_of(content: bytes) -> str:
    """Return an etag that two files have in common only where their content is the same."""
    return hashlib.sha256(content).hexdigest()[:16]
