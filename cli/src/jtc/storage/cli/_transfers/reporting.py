"""What a command that writes says: a line for each file, errors, and the numbers at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jtc.storage.cli._exits import Failed
from jtc.storage.cli._terminal.output import (
    flush,
    printable,
    size_text,
    write,
    write_error,
    write_json,
    write_message,
)
from jtc.storage.transfers import Action, TransferSummary

if TYPE_CHECKING:
    from jtc.storage.exceptions import StorageException
    from jtc.storage.transfers import FileResult

__all__ = ["Report", "bytes_text", "files_text"]

_WORDS = {
    Action.PUT: "put",
    Action.GET: "got",
    Action.COPY: "copied",
    Action.MOVE: "moved",
    Action.DELETE: "deleted",
}
_SIGNS = {Action.DELETE: "-", Action.SKIP: "="}
_WOULD = {
    Action.PUT: "put",
    Action.GET: "get",
    Action.COPY: "copy",
    Action.MOVE: "move",
    Action.DELETE: "delete",
}


class Report:
    """Lines, errors and numbers of the results of a command.

    A line is a sign and a path, as of rclone: ``+`` new, ``*`` replaced, ``-`` deleted, ``=`` the
    same, ``!`` failed.

    Args:
        action: What is done with most files.
        lines: Write a line for each file to standard output.
        json: Write a line of JSON for each file instead.
        quiet: Write errors only.
        dry_run: Nothing is done.
    """

    def __init__(
        self,
        action: Action,
        *,
        lines: bool = False,
        json: bool = False,
        quiet: bool = False,
        dry_run: bool = False,
    ) -> None:
        self._action = action
        self._lines = lines or dry_run
        self._json = json
        self._quiet = quiet
        self._dry_run = dry_run
        self._began = time.monotonic()
        self.numbers = TransferSummary()
        self._noun = "file"

    @property
    def shows_lines(self) -> bool:
        """Whether each file has a line."""
        return self._lines or self._json

    def add(
        self,
        action: Action,
        path: str,
        *,
        replaces: bool | None = False,
        size: int | None = None,
        error: StorageException | None = None,
    ) -> None:
        """Count what became of a file, and write its line.

        Args:
            action: What was done, or would be done, or failed.
            path: The name to show.
            replaces: There was a file of this name.
            size: Its length in bytes, if it is known.
            error: Why it failed.
        """
        sign = _SIGNS.get(action, "*" if replaces else "+")
        if error is not None:
            sign = "!"
            self.numbers.failed += 1
            write_error(error)
        elif action is Action.SKIP:
            self.numbers.skipped += 1
        elif action is Action.DELETE:
            self.numbers.deleted += 1
        else:
            self.numbers.files += 1
            self.numbers.bytes += size or 0
        if self._json:
            self._write_json(sign, path, action, size, error)
        elif self._lines and sign != "=":
            write(f"{sign} {printable(path)}")

    def add_result(
        self, result: FileResult, *, name: str | None = None, replaces: bool | None = None
    ) -> None:
        """Count what the library says of a file, and write its line.

        Args:
            result: What it says.
            name: The name to show; None is the file's path.
            replaces: There was a file of this name; None is what the result says.
        """
        self.add(
            result.action,
            name or result.to_path or result.path,
            replaces=result.replaces if replaces is None else replaces,
            size=result.size,
            error=result.error,
        )

    def add_directory(self, name: str) -> None:
        """Count a directory that the store moved as a whole, and write its line."""
        self._noun = "directory"
        self.add(self._action, f"{name.rstrip('/')}/")

    def count_same(self, number: int) -> None:
        """Count files that were there already."""
        self.numbers.skipped += number

    def finish(self) -> None:
        """Write the numbers to standard error.

        Raises:
            Failed: A file failed, or standard output cannot be written.
        """
        if not self._quiet:
            flush()  # the lines come first, where both streams go to one file
            write_message(self._summary())
        if self.numbers.failed:
            raise Failed

    def _summary(self) -> str:
        numbers = self.numbers
        seconds = time.monotonic() - self._began
        words = _WOULD if self._dry_run else _WORDS
        parts = []
        if self._action is not Action.DELETE:
            files = f"1 {self._noun}" if numbers.files == 1 else files_text(numbers.files)
            # A store that copies by itself does not say how much.
            size = f", {bytes_text(numbers.bytes)}" if numbers.bytes else ""
            parts.append(f"{words[self._action]} {files}{size}")
        if numbers.deleted or self._action is Action.DELETE:
            parts.append(f"{words[Action.DELETE]} {numbers.deleted}")
        if numbers.skipped:
            parts.append(f"{numbers.skipped} unchanged")
        if numbers.failed:
            parts.append(f"{numbers.failed} failed")
        text = "; ".join(parts)
        if self._dry_run:
            return f"dry run, nothing is done; it would {text}"
        return f"{text}, in {seconds:.1f} s"

    def _write_json(
        self,
        sign: str,
        path: str,
        action: Action,
        size: int | None,
        error: StorageException | None,
    ) -> None:
        value: dict[str, Any] = {"action": action.value, "sign": sign, "path": path, "size": size}
        if error is not None:
            value["error"] = str(error)
        if self._dry_run:
            value["dry_run"] = True
        write_json(value)


def files_text(number: int) -> str:
    """Return a number of files in words."""
    return "1 file" if number == 1 else f"{number} files"


def bytes_text(size: int) -> str:
    """Return a number of bytes in words."""
    text = size_text(size)
    return text if not text.isdigit() else "1 byte" if size == 1 else f"{size} bytes"
