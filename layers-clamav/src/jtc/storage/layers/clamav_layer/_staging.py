"""Direct uploads: staged files, which nothing reads through the layer, and their release."""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from typing import TYPE_CHECKING, Any

from jtc.storage.driver import METHODS
from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    StorageConfigException,
)
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["Staging"]

_ALLOWED = frozenset(
    {
        "check",
        "delete",
        "delete_directory",
        "delete_file",
        "delete_many",
        "make_directory",
        "remove_empty_directory",
        "url",  # the web integration verifies a form by it
    }
)
"""The methods that remain the inner driver's for staged files: none reads one, or lets others."""


class Staging:
    """The directory of files that were uploaded directly, and are not scanned yet.

    Args:
        directory: Its path.

    Raises:
        StorageConfigException: It is no path of a directory below the root.
    """

    def __init__(self, directory: object) -> None:
        try:
            if not isinstance(directory, str) or not directory or not directory.isascii():
                raise InvalidPathException("It is an ASCII text that is not empty")
            self.directory = check_directory(directory)
        except InvalidPathException as error:
            raise StorageConfigException(
                f"'staging' is the path of a directory, such as 'unscanned', not {directory!r}: "
                f"{error.message}"
            ) from error
        self._folded = self.directory.lower()

    def holds(self, path: object) -> bool:
        """Return whether a path is the directory or below it, in any spelling.

        Some file systems distinguish neither cases nor characters that are not seen.
        """
        if not isinstance(path, str):
            return False  # the driver refuses it
        folded = _folded(path.removeprefix("/"))
        return folded == self._folded or folded.startswith(f"{self._folded}/")

    def path_of(self, path: str) -> str:
        """Return where the direct upload of a file is staged.

        Raises:
            InvalidPathException: The path is too long, or is itself of a staged file.
        """
        if self.holds(path):
            raise InvalidPathException(
                f"The directory {self.directory!r} is reserved for direct uploads that are not "
                "scanned yet",
                path=path,
            )
        return check_path(f"{self.directory}/{check_path(path)}")

    def guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of the contract for which staged files do not exist."""
        described = METHODS[name]
        if described.paths == 0 or name in _ALLOWED:
            return method
        if name == "exists":
            wrapper = self._exists(method)
        elif described.kind == "iterator":
            wrapper = self._listing(method)
        elif described.kind == "value":
            wrapper = self._value(method)
        else:
            wrapper = self._awaitable(method, described.paths)
        return functools.wraps(method)(wrapper)

    def _refuse(self, *paths: str) -> None:
        for path in paths:
            if self.holds(path):
                raise FileNotFoundException(
                    "A direct upload that is not scanned yet is not read or changed: release() "
                    "scans and stores it",
                    path=path,
                )

    def _exists(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def exists(path: str, /) -> bool:
            return not self.holds(path) and await method(path)

        return exists

    def _value(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: str, /, *arguments: Any) -> Any:
            self._refuse(path)
            return method(path, *arguments)

        return call

    def _awaitable(self, method: Callable[..., Any], paths: int) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            self._refuse(*(arguments[0] if paths < 0 else arguments[:paths]))
            return await method(*arguments)

        return call

    def _reports(
        self, report: Callable[[str, StorageException], object]
    ) -> Callable[[str, StorageException], object]:
        def left_out(key: str, error: StorageException) -> None:
            if not self.holds(key.removesuffix("/")):
                report(key, error)

        return left_out

    def _listing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def list_entries(prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            if self.holds(prefix):
                return
            if (report := options.left_out) is not None:
                options = dataclasses.replace(options, left_out=self._reports(report))
            async with closing(method(prefix, options)) as entries:
                async for entry in entries:
                    if not self.holds(entry.path):
                        yield entry

        return list_entries


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return "".join(
        character
        for character in unicodedata.normalize("NFKD", path).casefold()
        if unicodedata.category(character) not in {"Cf", "Mn"}
    )
