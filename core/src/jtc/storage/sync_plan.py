"""Plans of a synchronization: which files differ, and what is done about each.

Two files of one path are compared (``compare=``) without being read, and are the same

* by ``"auto"`` if a checksum that the metadata of both has is the same; else, if they have the same
  length and modification time, within a microsecond; else, if the target keeps none, and is not
  older than the source. A file keeps its source's modification time as metadata ``mtime``, in
  seconds since 1970 as rclone writes it on S3 (its form of other stores, RFC 3339, is read too);
  that of others is when they were written. Etags are never compared;
* by ``"mtime"`` likewise, without checksums;
* by ``"size"`` if they have the same length;
* by ``"checksum"`` if their contents have the same checksum: files whose metadata has none are
  read.

A pattern (``include=``, ``exclude=``) means what it means to rclone, https://rclone.org/filtering/:
``*.html`` matches at any depth, ``/*.html`` in the directory itself. ``*`` and ``?`` do not match a
``/``, and ``**`` does; there are ``{a,b}``, ``[a-z]``, ``[^a-z]`` and ``{{regular expression}}``.
To exclude a directory, ``.git/`` is enough. A file that a pattern excludes is left out, whatever
others include.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self, Unpack

from jtc.storage.options import check_many_options
from jtc.storage.transfers import (
    DEFAULT_CONCURRENCY,
    Action,
    FileResult,
    TransferProgress,
    Transfers,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from jtc.storage._transfers.plan_file import PlanFile
    from jtc.storage._transfers.running import SyncTrees
    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyManyOptions

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
        path: The path below both directories. That of a directory ends in ``/``: one that may not
            be read is an error, and of the files in it nothing is said.
        source: The source's metadata, if it has the file.
        target: The target's metadata, if it has the file.
        error: Why they could not be compared, or why a listing leaves the file or directory out.
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
        failed: Files that could not be compared, or differ where `existing` is ``"refuse"``; and
            what the source's listing leaves out.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: int = 0


class SyncPlan:
    """What `Disk.plan_sync` found to do, kept in a temporary file: any number of files fits.

    Iteration yields what is planned, copies first, and changes nothing. A plan is run once; what is
    left after a run that was stopped, another plan finds. ``async with``, `aclose` and the garbage
    collector remove its temporary file.

    Args:
        trees: The directories.
        contents: What is planned.
        counts: Its numbers.

    Attributes:
        counts: The numbers of files.
    """

    def __init__(self, trees: SyncTrees, contents: PlanFile, counts: PlanCounts) -> None:
        self.counts = counts
        self._trees = trees
        self._contents = contents
        self._state = "planned"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._what} {self.counts}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[PlannedAction]:
        """Return what is planned: the copies, then the deletions, each in the order of keys.

        Files that could not be compared are no part of it: `failures` has their results.
        """
        self._check_open()
        return self._actions()

    def run(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        max_rate: float | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> Transfers:
        """Do what is planned: the copies first, large files beside small ones, then the deletions.

        A file of the source, or one that is replaced, that changed after it was planned is an error
        in its result, and stays as it is; one that was copied meanwhile is skipped. A file that
        failed, here or in the plan, cancels all deletions: their results have an error.

        Args:
            concurrency: The number of files that are copied at once.
            progress: Called while files are copied, and as each file ends.
            max_rate: The number of bytes per second that are read, of all files together. Copies
                within one disk do not count.
            **options: See `CopyManyOptions`; they are those of all files that are copied.

        Returns:
            The results as the files end, or, by ``await``, their numbers: see `Transfers`.

        Raises:
            RuntimeError: The plan was run already, or is closed.
            TypeError: An argument has a wrong type.
            ValueError: An argument is invalid.
        """
        from jtc.storage._transfers import running  # noqa: PLC0415 - imported where one begins

        self._check_open()
        running.check_run(concurrency, progress, max_rate)
        check_many_options(options, method="run")
        self._begin()
        counts = self.counts

        def start() -> AsyncIterator[FileResult]:
            return running.run_plan(
                self._trees,
                self._contents,
                total_files=counts.failed + counts.new + counts.changed + counts.deleted,
                total_bytes=counts.bytes,
                concurrency=concurrency,
                report=progress,
                max_rate=max_rate,
                options=options,
            )

        return Transfers(start, f"the run of {self._what}")

    async def aclose(self) -> None:
        """Remove the plan's temporary file; nothing can be done with the plan any more."""
        self._state = "closed"
        self._contents.close()

    @property
    def is_complete(self) -> bool:
        """Whether the source could be listed whole. If not, the plan has no deletions."""
        return self._contents.is_complete

    async def failures(self) -> AsyncIterator[FileResult]:
        """Yield what cannot be done, as a run does: the files and directories that failed.

        Raises:
            RuntimeError: The plan is closed.
        """
        from jtc.storage._transfers import running  # noqa: PLC0415 - imported where one begins

        self._check_open()
        async for key, error in self._contents.failures():
            yield running.failed_result(self._trees, key, error)

    @property
    def _what(self) -> str:
        source, target = self._trees.source, self._trees.target
        names = (f"{tree.disk.name}:{tree.directory}" for tree in (source, target))
        return "plan_sync() from {!r} to {!r}".format(*names)

    def _begin(self) -> None:
        if self._state == "run":
            raise RuntimeError("This plan was run already: call plan_sync() for another one")
        self._state = "run"

    def _check_open(self) -> None:
        if self._state == "closed":
            raise RuntimeError("This plan is closed: call plan_sync() for another one")

    async def _actions(self) -> AsyncIterator[PlannedAction]:
        async for copy in self._contents.copies():
            yield PlannedAction(
                action=Action.COPY,
                path=copy.key,
                size=copy.source.size,
                replaces=copy.target is not None,
            )
        async for batch in self._contents.deletions():
            for key, size in batch:
                yield PlannedAction(action=Action.DELETE, path=key, size=size)


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
