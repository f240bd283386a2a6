"""`File`, the base class of files that `Disk.open` opened, and the warning for those left open."""

from __future__ import annotations

import asyncio
import io
import operator
import os
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Self

from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["File", "Position", "warn_unclosed"]


class Position(int):
    """A position in a file, which may be awaited too, as what aiofiles' ``tell`` returns."""

    def __await__(self) -> Generator[None, None, int]:
        yield from ()
        return int(self)


class File(ABC):
    """What binary files have that are open for reading or writing.

    Attributes:
        name: The file's path.
        mode: The mode in which it was opened.
    """

    _closed = True

    def __init__(self, name: str, mode: str, fail: Callable[[Exception], NoReturn]) -> None:
        self.name = name
        self.mode = mode
        self._fail = fail
        self._process = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._closed

    def readable(self) -> bool:
        """Return whether the file is open for reading."""
        return False

    def writable(self) -> bool:
        """Return whether the file is open for writing."""
        return False

    def seekable(self) -> bool:
        """Return whether `seek` works."""
        return True

    def isatty(self) -> bool:
        """Return False: a file on a disk is no terminal."""
        self._check_open()
        return False

    def fileno(self) -> NoReturn:
        """Refuse: a file on a disk has no descriptor.

        Raises:
            io.UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation(
            f"{self.name!r} is a file on a disk and has no descriptor: read and write it by its "
            "methods, or copy it to a temporary file"
        )

    def tell(self) -> Position:
        """Return the position of the next read or write. Awaiting it is allowed, not needed.

        Raises:
            ValueError: The file is closed.
        """
        self._check_open()
        return Position(self._where())

    async def flush(self) -> None:
        """Do nothing: a written file is stored by `close`.

        Raises:
            ValueError: The file is closed.
        """
        self._check_open()

    @abstractmethod
    async def close(self) -> None:
        """Close the file. Does nothing the second time."""

    @abstractmethod
    async def abort(self) -> None:
        """Close the file without storing it."""

    @abstractmethod
    def abandon(self) -> None:
        """Close the file without storing it or waiting, from any thread."""

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        await (self.close() if exc_type is None else self.abort())

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<{type(self).__name__} name={self.name!r} mode={self.mode!r}{closed}>"

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError(
            f"An open file cannot be pickled: pass the path {self.name!r}, and open it there"
        )

    def __del__(self) -> None:
        # In a forked child, its loop and its connections are the parent's.
        if not self._closed and self._process == os.getpid():
            try:
                warn_unclosed(self, self)
            finally:
                self.abandon()

    @abstractmethod
    def _where(self) -> int: ...

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"I/O operation on the closed file {self.name!r}")

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            outcome = "was not stored" if self.writable() else "is not read"
            self._fail(
                StorageException(
                    f"The file {outcome}: its event loop ended before close(), or another loop "
                    "uses it. Open, use and close it in the same one"
                )
            )

    def _target(self, offset: int, whence: int, end: int) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._where(), io.SEEK_END: end}
        if whence not in bases:
            raise ValueError(f"whence is SEEK_SET, SEEK_CUR or SEEK_END, not {whence!r}")
        target = bases[whence] + operator.index(offset)  # no float, as of every file
        if target < 0:
            raise ValueError("The position lies before the file's beginning")
        return target


def warn_unclosed(file: File, source: object) -> None:
    """Warn that a file was dropped without being closed.

    Args:
        file: The file.
        source: The object that was dropped, for the place where it was made.
    """
    lost = ", so what was written is not stored" if file.writable() else ""
    warnings.warn(
        f"unclosed file {file.name!r} of mode {file.mode!r}{lost}: use 'with', or close it",
        ResourceWarning,
        stacklevel=3,
        source=source,
    )
