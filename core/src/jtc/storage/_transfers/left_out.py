"""What the listing of a directory leaves out, as differences."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from jtc.storage.exceptions import StorageException
from jtc.storage.sync_plan import Difference, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage._transfers.merging import Tree

__all__ = ["LeftOut"]

_MOST = 10_000
"""How many are named: a store may have any number of names that break the path policy."""


class LeftOut:
    """What a listing leaves out: it grows while the directory is listed.

    Args:
        tree: The directory.
        takes: Returns whether a file of this path below the directory matters.
        enters: Returns whether a directory may have files that matter.
    """

    def __init__(
        self,
        tree: Tree,
        takes: Callable[[str], bool] | None = None,
        enters: Callable[[str], bool] | None = None,
    ) -> None:
        self._tree = tree
        self._takes, self._enters = takes, enters
        self._seen: set[str] = set()
        self._directories: set[str] = set()
        self._waiting: deque[Difference] = deque()
        self._more = 0

    def add(self, key: str, error: StorageException) -> None:
        """Add what a listing reports; see `ListOptions.left_out`."""
        below = key[len(self._tree.path("")) :]
        is_directory = below.endswith("/")
        judge = self._enters if is_directory else self._takes
        if below in self._seen or not (judge is None or judge(below)):
            return
        if len(self._seen) == _MOST:
            self._more += 1
            return
        self._seen.add(below)
        if is_directory:
            self._directories.add(below)
        self._waiting.append(Difference(state=State.ERROR, path=below, error=error))

    def hides(self, path: str) -> bool:
        """Return whether a file may be there, in a directory that is left out."""
        if not self._directories:
            return False
        end = path.find("/")
        while end >= 0:
            if path[: end + 1] in self._directories:
                return True
            end = path.find("/", end + 1)
        return False

    def take(self, *, at_end: bool = False) -> Iterator[Difference]:
        """Yield what was not yielded before, and at the end of the listing the number of others."""
        while self._waiting:
            yield self._waiting.popleft()
        if at_end and self._more:
            message = f"{self._more} more names are left out: they break the path policy, or may"
            error = StorageException(
                f"{message} not be read",
                path=self._tree.directory,
                disk=self._tree.disk.name,
                operation="list",
            )
            yield Difference(state=State.ERROR, path="", error=error)
