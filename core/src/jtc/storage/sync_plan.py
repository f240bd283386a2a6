"""Plans of a synchronization: which files differ, and what is done about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action, TransferProgress, Transfers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import FileInfo

__all__ = ["Difference", "PlanCounts", "PlannedAction", "State", "SyncPlan", "path_filter"]


class State(StrEnum):
    """How a file of the source compares with the target's; the values are rclone's signs."""

    SAME = "="
    ONLY_SOURCE = "+"
    ONLY_TARGET = "-"
    DIFFERENT = "*"
    ERROR = "!"


@dataclass(slots=True, kw_only=True)
class Difference:
    """Two files of one path, compared.

    Attributes:
        state: How they compare.
        path: The path below both directories.
        source: The source's metadata, if it has the file.
        target: The target's metadata, if it has the file.
        error: Why they could not be compared.
    """

    state: State
    path: str
    source: FileInfo | None = None
    target: FileInfo | None = None
    error: StorageException | None = None


@dataclass(slots=True, kw_only=True)
class PlannedAction:
    """What a plan does with one file.

    Attributes:
        action: `Action.COPY` or `Action.DELETE`.
        path: The path below both directories.
        size: Its length in bytes.
        replaces: The target has a file of this path.
    """

    action: Action
    path: str
    size: int
    replaces: bool = False


@dataclass(slots=True, kw_only=True)
class PlanCounts:
    """Numbers of a plan.

    Attributes:
        new: Files that only the source has.
        changed: Files that differ.
        unchanged: Files that are the same.
        deleted: Files that only the target has, and that are deleted.
        bytes: The bytes that are copied.
        failed: Files that could not be compared.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: int = 0


class SyncPlan:
    """What `Disk.plan_sync` found to do, kept in a temporary file: any number of files fits.

    Attributes:
        counts: The numbers of files.
    """

    counts: PlanCounts

    def __aiter__(self) -> AsyncIterator[PlannedAction]:
        """Return what is planned, in the order in which it is done."""
        raise NotImplementedError

    def run(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        max_rate: float | None = None,
    ) -> Transfers:
        """Do what is planned: the copies first, then the deletions."""
        raise NotImplementedError


def path_filter(
    include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> Callable[[str], bool] | None:
    """Return what judges paths by patterns, as `Disk.plan_sync` does.

    Args:
        include: Patterns of the paths that are taken; without any, all are.
        exclude: Patterns of paths that are left out.

    Returns:
        A function that returns whether a path is taken; None where all are.

    Raises:
        ValueError: A pattern is invalid.
        TypeError: It is no iterable of texts.
    """
    from jtc.storage._transfers.filters import compile_filters  # noqa: PLC0415 - only where used

    return compile_filters(include, exclude)
