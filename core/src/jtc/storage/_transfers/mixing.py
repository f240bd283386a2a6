"""Large files beside small ones: in the order of keys, the last large ones would be left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage._transfers.bounded import bounded
from jtc.storage.driver_support.derived import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jtc.storage._transfers.plan_file import PlanFile, PlannedCopy
    from jtc.storage.transfers import FileResult

__all__ = ["copied"]

_SHARE = 4
"""One of this number of files that are under way at once may be large. Its parts take as many
connections as carry more, while the small ones wait for round trips."""


def copied(
    plan: PlanFile, copy: Callable[[PlannedCopy], Awaitable[FileResult]], concurrency: int
) -> AsyncIterator[FileResult]:
    """Copy what is planned, and yield the results as the copies end; see `bounded`.

    Args:
        plan: The plan.
        copy: Copies one file.
        concurrency: The number of files that are copied at once.
    """
    mixed = _Mixed(plan, copy, max(1, concurrency // _SHARE))
    return bounded(mixed.order(), mixed.copy, concurrency)


class _Mixed:
    """An order of copies in which some large ones are always under way."""

    def __init__(
        self, plan: PlanFile, copy: Callable[[PlannedCopy], Awaitable[FileResult]], most: int
    ) -> None:
        self._plan, self._copy, self._most = plan, copy, most
        self._under_way = 0

    async def order(self) -> AsyncIterator[PlannedCopy]:
        """Yield large files as they may begin, small ones in between, and the rest at the end."""
        large, copies = self._plan.large_copies(), self._plan.copies()
        async with closing(large), closing(copies):
            first = await anext(large, None)
            async for planned in copies:
                while first is not None and self._under_way < self._most:
                    self._under_way += 1  # not only when its task begins
                    yield first
                    first = await anext(large, None)
                if not planned.is_large:
                    yield planned
            while first is not None:
                self._under_way += 1
                yield first
                first = await anext(large, None)

    async def copy(self, planned: PlannedCopy) -> FileResult:
        """Copy one file."""
        try:
            return await self._copy(planned)
        finally:
            self._under_way -= planned.is_large
