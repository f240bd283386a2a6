"""Names that a driver's listing leaves out, reported to its caller or logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jtc.storage.exceptions import StoragePermissionException

if TYPE_CHECKING:
    from jtc.storage.exceptions import InvalidPathException
    from jtc.storage.options import ListOptions

__all__ = ["LeftOut"]

_logger = logging.getLogger("jtc.storage")

_EXAMPLES = 5
"""How many of the directories that may not be read a warning names."""


class LeftOut:
    """What one listing leaves out; for `ListOptions.left_out`, or else for one warning at its end.

    Args:
        prefix: The directory that is listed.
        options: Those of the listing.
    """

    def __init__(self, prefix: str, options: ListOptions) -> None:
        self._prefix = prefix
        self._report = options.left_out
        self._names = 0
        self._directories = 0
        self._examples: list[str] = []

    def add_name(self, key: str, error: InvalidPathException) -> None:
        """Leave out a file or a directory whose path breaks the path policy.

        Args:
            key: A file's path, or a directory's path and ``/``.
            error: The rule that it breaks.
        """
        if self._report is None:
            self._names += 1
            return
        error.path = key.removesuffix("/")
        self._report(key, error.with_traceback(None))

    def add_directory(self, path: str, error: OSError) -> None:
        """Leave out a directory that may not be read."""
        if self._report is None:
            self._directories += 1
            if len(self._examples) < _EXAMPLES:
                self._examples.append(path)
            return
        why = error.strerror or "permission denied"
        message = f"The directory cannot be read, and the files below it are left out: {why}"
        self._report(f"{path}/", StoragePermissionException(message, path=path))

    def log(self) -> None:
        """Log what was not reported."""
        if self._names:
            _logger.warning(
                "Left out %d names below %r that break the path policy", self._names, self._prefix
            )
        if self._directories:
            _logger.warning(
                "Left out %d directories below %r that may not be read: %s",
                self._directories,
                self._prefix,
                ", ".join(map(repr, self._examples)),
            )
