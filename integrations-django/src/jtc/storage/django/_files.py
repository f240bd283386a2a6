"""`DiskFile`: a file that `DiskStorage` opened."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.files import File

from jtc.storage.sync import SyncReadableFile, SyncWritableFile

if TYPE_CHECKING:
    from types import TracebackType

    from jtc.storage.options import PutOptions
    from jtc.storage.sync import SyncDisk

__all__ = ["DiskFile"]

_READING = {"rb", "r", "rt"}


class DiskFile(File):  # type: ignore[type-arg] # generic for type checkers only
    """A file of a disk. It is open at first, and `open` opens it again after it was closed.

    Args:
        disk: The disk.
        name: The file's path on the disk.
        mode: ``"rb"``, ``"wb"`` and ``"xb"``, or ``"r"``, ``"w"`` and ``"x"`` for UTF-8 text.
        options: The options of a file that is written.

    Raises:
        FileNotFoundException: There is no file to read.
        FileExistsException: There is a file, in the modes ``"xb"`` and ``"x"``.
        StorageException: The storage failed.
        ValueError: The mode is another one.
    """

    mode: str

    def __init__(
        self, disk: SyncDisk, name: str, mode: str, options: PutOptions | None = None
    ) -> None:
        self._disk = disk
        self._options: PutOptions = options or {}
        self._raw, file = _opened(disk, name, mode, self._options)
        super().__init__(file, name)
        self.mode = mode

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride] # cached there
        """The file's length in bytes; of a file being written, the bytes written so far."""
        return self._raw.tell() if isinstance(self._raw, SyncWritableFile) else self._raw.info.size

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> DiskFile:
        """Seek to the beginning, or open the file again where it is closed; return this object.

        A file that is open for reading may be opened again in another mode for reading.

        Raises:
            StorageException: The storage failed.
            ValueError: There is no such mode, or the file is open in another one.
        """
        mode = mode or self.mode
        if not self.closed and mode != self.mode and {mode, self.mode} <= _READING:
            self.close()
        if self.closed:
            self._raw, self.file = _opened(self._disk, cast("str", self.name), mode, self._options)
            self.mode = mode
        elif mode != self.mode:
            raise ValueError(
                f"The file {self.name!r} is open in the mode {self.mode!r}: close it before you "
                f"open it in the mode {mode!r}"
            )
        elif self.seekable():
            self.seek(0)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an exception the file may be incomplete: the one before stays.
        if exc_type is not None and isinstance(self._raw, SyncWritableFile):
            self._raw.abort()
        self.close()


def _opened(
    disk: SyncDisk, name: str, mode: str, options: PutOptions
) -> tuple[SyncReadableFile | SyncWritableFile, IO[Any]]:
    raw: SyncReadableFile | SyncWritableFile
    match mode.replace("t", ""):
        case "rb" | "r":
            raw = disk.open(name)
        case "wb" | "w":
            raw = disk.open(name, "wb", **options)
        case "xb" | "x":
            raw = disk.open(name, "xb", **options)
        case _:
            raise ValueError(
                f"A file on a disk is opened in the modes 'rb', 'wb' and 'xb', or 'r', 'w' and "
                f"'x', not {mode!r}: it can only be replaced as a whole"
            )
    return raw, raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")
