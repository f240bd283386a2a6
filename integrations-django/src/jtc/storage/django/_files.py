"""The files that the backend opens."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.files import File

from jtc.storage.sync import ReadableFile, WritableFile

if TYPE_CHECKING:
    from types import TracebackType

    from jtc.storage.sync import SyncDisk

__all__ = ["DiskFile"]

_READING = {"rb", "r", "rt"}


class DiskFile(File):  # type: ignore[type-arg] # generic for type checkers only
    """A file of a disk, open from the beginning, and again by `open` after it was closed.

    Args:
        disk: Where it is.
        name: Its path there.
        mode: ``"rb"`` and ``"wb"``, or ``"r"`` and ``"w"`` for UTF-8 text.

    Raises:
        FileNotFoundException: There is no file to read.
        StorageException: The storage failed.
        ValueError: There is no such mode.
    """

    mode: str

    def __init__(self, disk: SyncDisk, name: str, mode: str) -> None:
        self._disk = disk
        self._raw, file = _opened(disk, name, mode)
        super().__init__(file, name)
        self.mode = mode

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride] # cached there
        """The file's length in bytes; while it is written, so many as were."""
        return self._raw.tell() if isinstance(self._raw, WritableFile) else self._raw.info.size

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> DiskFile:
        """Go to the beginning, or open the file again where it is closed; return this object.

        A file that is read may be opened again in the other mode that reads.

        Raises:
            StorageException: The storage failed.
            ValueError: There is no such mode, or it is open in another one.
        """
        mode = mode or self.mode
        if not self.closed and mode != self.mode and {mode, self.mode} <= _READING:
            self.close()
        if self.closed:
            self._raw, self.file = _opened(self._disk, cast("str", self.name), mode)
            self.mode = mode
        elif mode != self.mode:
            raise ValueError(f"The file {self.name!r} is open in the mode {self.mode!r}")
        elif self.seekable():
            self.seek(0)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What was written until the error is not the file that was meant.
        if exc_type is not None and isinstance(self._raw, WritableFile):
            self._raw.abort()
        self.close()


def _opened(disk: SyncDisk, name: str, mode: str) -> tuple[ReadableFile | WritableFile, IO[Any]]:
    raw: ReadableFile | WritableFile
    match mode.replace("t", ""):
        case "rb" | "r":
            raw = disk.open(name)
        case "wb" | "w":
            raw = disk.open(name, "wb")
        case _:
            raise ValueError(
                f"A file on a disk is opened in the modes 'rb', 'r', 'wb' and 'w', not {mode!r}: "
                "it is replaced as a whole"
            )
    return raw, raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")
