"""Progress of a transfer of many files, added up from that of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.transfers import Action, TransferProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.options import Progress
    from jtc.storage.transfers import FileResult

__all__ = ["Meter"]


class Meter:
    """Counts files and bytes, and calls the caller's function with the sums.

    Args:
        report: The caller's function; None to count nothing.
        total_files: The number of all files, if it is known.
        total_bytes: The number of all bytes, if it is known.

    Raises:
        TypeError: `report` cannot be called, or is an async function.
    """

    def __init__(
        self,
        report: Callable[[TransferProgress], object] | None,
        total_files: int | None = None,
        total_bytes: int | None = None,
    ) -> None:
        check_progress(report)
        self.report = report
        self.total_files = total_files
        self.total_bytes = total_bytes
        self._files = 0
        self._bytes = 0

    def file(self, path: str) -> FileMeter:
        """Return the meter of one file."""
        return FileMeter(self, path)

    def add(self, path: str, *, files: int = 0, size: int = 0) -> None:
        """Count files and bytes, and report the sums."""
        self._files += files
        self._bytes += size
        if self.report is not None:
            self.report(
                TransferProgress(
                    files=self._files,
                    bytes=self._bytes,
                    total_files=self.total_files,
                    total_bytes=self.total_bytes,
                    path=path,
                )
            )


class FileMeter:
    """Bytes of one file. A retry begins again at 0, and no byte counts twice."""

    def __init__(self, meter: Meter, path: str) -> None:
        self._meter = meter
        self._path = path
        self._most = 0

    @property
    def progress(self) -> Progress | None:
        """The option `progress` of the file's own operation; None where there is none."""
        return None if self._meter.report is None else self._count

    def end(self, result: FileResult) -> None:
        """Count the file as done."""
        if self._meter.report is None:
            return
        is_new = result.error is None and result.action is not Action.SKIP
        transferred = (result.size or 0) if is_new else 0
        self._meter.add(self._path, files=1, size=max(0, transferred - self._most))

    def _count(self, done: int, _total: int | None) -> None:
        more = done - self._most
        if more > 0:
            self._most = done
            self._meter.add(self._path, size=more)
