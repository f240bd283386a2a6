"""Transactions: files that appear together at the end of a block."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fsspec.transaction import Transaction

from jtc.storage.fsspec._blocking import run

if TYPE_CHECKING:
    from jtc.storage.files import WritableFile

__all__ = ["DiskTransaction", "StagedFile"]


class DiskTransaction(Transaction):
    """Files that are stored when the block ends, and not if it raises.

    Raises:
        NotImplementedError: The file system is asynchronous: the end of a block cannot wait.
    """

    def __init__(self, fs: Any, **options: Any) -> None:
        if fs.asynchronous:
            raise NotImplementedError(
                "A file system with asynchronous=True has no transactions, whose end waits: "
                "write with open_async(), and close() or abort() each file"
            )
        self.fs: Any
        super().__init__(fs, **options)

    def complete(self, commit: bool = True) -> None:
        """Store all files, or discard them; the transaction ends in any case.

        Args:
            commit: Store them.

        Raises:
            StorageException: A file could not be stored; those after it are discarded.
        """
        fs = self.fs
        try:
            super().complete(commit)
        finally:
            # Older versions of fsspec leave it open after a failure: what is written then would
            # never be stored.
            while self.files:
                with suppress(Exception):
                    self.files.popleft().discard()
            fs.forget_transaction()
            self.fs = None


class StagedFile:
    """A file that was written whole within a transaction.

    Args:
        fs: The file system, in whose loop it was written.
        path: Its path.
        file: The file, which is not stored before it is closed.
    """

    def __init__(self, fs: Any, path: str, file: WritableFile) -> None:
        self._fs = fs
        self._path = path
        self._file = file

    def commit(self) -> None:
        """Store the file.

        Raises:
            StorageException: The storage failed; the file before the write is kept.
        """
        run(self._fs, self._store)

    def discard(self) -> None:
        """Discard the file; the one before is kept."""
        run(self._fs, self._file.abort)

    async def _store(self) -> None:
        async with self._fs.os_errors(self._path):
            await self._file.close()
