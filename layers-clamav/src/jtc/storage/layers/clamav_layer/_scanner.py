"""The Protocol of scanners, and the error of an absent one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

__all__ = ["Scanner", "ScannerAbsentException"]


class ScannerAbsentException(StorageUnavailableException):
    """The scanner cannot be reached. It has got nothing of the file.

    A scanner that fails after it has got a part of the file raises a StorageUnavailableException:
    the file may be the reason, and is refused whatever `when_absent` says.
    """


@runtime_checkable
class Scanner(Protocol):
    """Judges whole files. One object serves several event loops and threads."""

    async def scan(self, content: AsyncIterable[bytes], size: int, /) -> str | None:
        """Judge a file.

        Args:
            content: The file's bytes, to be iterated to the end.
            size: Their number.

        Returns:
            The name of what was found; None if the file is clean.

        Raises:
            ScannerAbsentException: The scanner cannot be reached.
            RejectedException: The file exceeds what the scanner looks at.
            StorageUnavailableException: The scanner failed. So does an OSError.
        """
        ...

    async def check(self) -> None:
        """Check that the scanner works and looks at all that the layer passes to it.

        Raises:
            StorageException: It does not.
        """
        ...
