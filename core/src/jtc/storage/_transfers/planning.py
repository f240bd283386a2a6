"""Plans of a synchronization: what is to be done about each difference."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from jtc.storage._transfers.comparing import Comparison, check_compare, differences
from jtc.storage._transfers.filters import compile_both
from jtc.storage._transfers.places import check_apart
from jtc.storage._transfers.plan_file import PlanFile
from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import FileExistsException, InvalidPathException, RejectedException
from jtc.storage.sync_plan import PlanCounts, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jtc.storage._transfers.merging import Tree
    from jtc.storage._transfers.running import SyncTrees
    from jtc.storage.models import FileInfo
    from jtc.storage.sync_plan import Difference
    from jtc.storage.transfers import Compare

__all__ = ["SyncRules", "check_no_overlap", "make_plan"]


class SyncRules(NamedTuple):
    """What a synchronization looks at, and does about differences; see `Disk.plan_sync`."""

    include: Iterable[str]
    exclude: Iterable[str]
    where: Callable[[FileInfo], bool] | None
    compare: Compare
    existing: Literal["replace", "keep", "refuse"]
    delete: bool
    max_delete: int | None

    def check(self) -> None:
        """Check the rules.

        Raises:
            ValueError: One has a value that there is not.
            TypeError: One is not of its type.
        """
        check_compare(self.compare)
        if self.existing not in {"replace", "keep", "refuse"}:
            raise ValueError(f"existing is 'replace', 'keep' or 'refuse', not {self.existing!r}")
        most = self.max_delete
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 0):
            raise TypeError(f"max_delete is a number of files, not {most!r}")
        if self.where is not None and not callable(self.where):
            raise TypeError(f"where is a function of a FileInfo, not {type(self.where).__name__}")


async def check_no_overlap(trees: SyncTrees) -> None:
    """Check that no directory holds another one, even through two drivers.

    Raises:
        InvalidPathException: One does, or two are the same.
    """
    for (one, first), (other, second) in combinations(trees.directories.items(), 2):
        places = [(tree.disk.driver, tree.directory) for tree in (first, second)]
        try:
            overlap = await check_apart(*places)
        except InvalidPathException as error:
            raise _overlap(one, other) from error
        if overlap.inner is not None:
            raise _overlap(one, other)


def _overlap(one: str, other: str) -> InvalidPathException:
    return InvalidPathException(
        f"The {one} and the {other} are one directory, or one is within the other: files would be "
        "copied into themselves, or deleted"
    )


async def make_plan(source: Tree, target: Tree, rules: SyncRules) -> tuple[PlanFile, PlanCounts]:
    """Compare two directories, and plan what makes the target like the source.

    Raises:
        FileNotFoundException: There is no source.
        RejectedException: More files would be deleted than are permitted.
        StorageException: A listing failed, or the temporary directory is full.
        ValueError: A pattern cannot be understood.
    """
    comparison = Comparison(source, target, rules.compare, rules.existing == "keep")
    takes, enters = compile_both(rules.include, rules.exclude)
    counts = PlanCounts()
    plan = PlanFile()
    has_source = False
    try:
        found = differences(comparison, takes=takes, enters=enters, where=rules.where)
        async with closing(found) as each:
            async for difference in each:
                has_source = has_source or difference.source is not None
                await _add(plan, counts, rules, difference)
        if not plan.is_complete:
            counts.deleted = 0
            plan.drop_deletions()
        _check_deletions(counts, rules, comparison, has_source=has_source)
    except BaseException:
        plan.close()
        raise
    return plan, counts


async def _add(
    plan: PlanFile, counts: PlanCounts, rules: SyncRules, difference: Difference
) -> None:
    key, source, target = difference.path, difference.source, difference.target
    match difference.state:
        case State.SAME:
            counts.unchanged += 1
        case State.ERROR:
            counts.failed += 1
            if difference.error is not None:
                await plan.add_failure(key, difference.error)
            if source is None:  # the source's listing left it out
                plan.is_complete = False
        case State.ONLY_TARGET if target is not None and rules.delete:
            counts.deleted += 1
            await plan.add_deletion(key, target.size)
        case State.DIFFERENT if target is not None and rules.existing == "refuse":
            counts.failed += 1
            message = "The file differs, and existing='refuse' has no file replaced"
            await plan.add_failure(key, FileExistsException(message, path=target.path))
        case State.ONLY_SOURCE | State.DIFFERENT if source is not None:
            counts.new += target is None
            counts.changed += target is not None
            counts.bytes += source.size
            await plan.add_copy(key, source, target)


def _check_deletions(
    counts: PlanCounts, rules: SyncRules, comparison: Comparison, *, has_source: bool
) -> None:
    if rules.max_delete is not None and counts.deleted > rules.max_delete:
        raise RejectedException(
            f"{counts.deleted} files would be deleted, and max_delete permits "
            f"{rules.max_delete}: nothing was done",
            reason="max_delete",
            path=comparison.target.directory,
        )
    if counts.deleted and not has_source and rules.max_delete is None:
        raise RejectedException(
            f"The source has no files, and all {counts.deleted} of the target would be deleted: "
            "if that is meant, say it by max_delete",
            reason="empty",
            path=comparison.source.directory,
        )
