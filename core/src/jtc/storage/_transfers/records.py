"""Records in a temporary file without a name, which stays in memory while it is short."""

from __future__ import annotations

import contextlib
import json
import threading
import weakref
from typing import IO, Any, NamedTuple, TypeAlias, cast

from jtc.storage.driver_support.error_translation import temporary_file_errors

__all__ = ["Block", "Record", "Records"]

Record: TypeAlias = "list[Any]"
"""Values that JSON has."""

_MEMORY = 4 * 1024 * 1024


class Block(NamedTuple):
    """Where some records are in the file."""

    start: int
    length: int


class Records:
    """A file of records, which are written and read in blocks. All methods block.

    One thread at a time writes or reads; `close` waits for it, since a task that is cancelled
    leaves its thread behind.

    Attributes:
        close: Removes the file, as the garbage collector does; a later call of another method is a
            ValueError.
    """

    def __init__(self) -> None:
        import tempfile  # noqa: PLC0415 - imported only where it is used

        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115 - see `close`
        self._lock = threading.Lock()
        self._end = 0
        # Not by `__del__`: of objects that refer to one another, the file's may run first.
        self.close = weakref.finalize(self, _close, cast("IO[bytes]", self._file), self._lock)

    def append(self, records: list[Record]) -> Block:
        """Write a block of records.

        Raises:
            StorageFullException: The temporary directory is full.
            StorageUnavailableException: It cannot be used.
        """
        line = json.dumps(records, ensure_ascii=False, separators=(",", ":"))
        content = line.encode("utf-8", "surrogatepass")
        with self._lock, temporary_file_errors():
            self._file.seek(self._end)
            self._file.write(content)
            self._file.flush()
            block = Block(self._end, len(content))
            self._end += len(content)
        return block

    def read(self, block: Block) -> list[Record]:
        """Return the records of a block."""
        with self._lock, temporary_file_errors():
            self._file.seek(block.start)
            content = self._file.read(block.length)
        records: list[Record] = json.loads(content.decode("utf-8", "surrogatepass"))
        return records


def _close(file: IO[bytes], lock: threading.Lock) -> None:
    with lock, contextlib.suppress(OSError):  # it writes what it could not write before
        file.close()
