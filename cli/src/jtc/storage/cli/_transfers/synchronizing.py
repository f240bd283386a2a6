"""The work of `sync`: the plan, the question, and what is planned."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jtc.storage import RejectedException
from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._places.targets import (
    Job,
    Kind,
    check_apart,
    kind_of,
    overlap,
    require_directory,
)
from jtc.storage.cli._terminal.output import is_terminal, printable, write_error
from jtc.storage.cli._terminal.questions import confirm
from jtc.storage.cli._transfers.filtering import Filter
from jtc.storage.cli._transfers.reporting import bytes_text, files_text
from jtc.storage.cli._transfers.transferring import (
    compare,
    directory,
    make_plan,
    report_skipped,
    run_plan,
)
from jtc.storage.driver_support.derived import closing
from jtc.storage.transfers import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.cli._places.locations import Location
    from jtc.storage.cli._transfers.reporting import Report
    from jtc.storage.cli._transfers.transferring import Choice
    from jtc.storage.sync_plan import SyncPlan

__all__ = ["synchronize"]

_NAMES = 5
"""How many of the files that are deleted a question names."""


async def synchronize(
    source: Location,
    target: Location,
    backup: Location | None,
    choice: Choice,
    report: Report,
    line: Callable[[str, str], None] | None,
    *,
    yes: bool,
) -> None:
    """Make a directory like another one.

    Args:
        source: The directory whose files are copied.
        target: The directory that gets them.
        backup: Where replaced and deleted files go.
        choice: The options.
        report: Gets the results.
        line: Writes a line of the option ``--combined``.
        yes: Ask nothing.

    Raises:
        Failed: A file failed, or the answer was no.
        UsageError: Source and target do not go together, or there is no terminal to ask on.
    """
    asks = choice.delete and not choice.dry_run and not yes
    if asks and not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError("sync --delete deletes files: without a terminal to ask on, add --yes")
    job = await _job(source, target, backup)
    if backup is not None:
        choice.backup = directory(backup.disk, backup.path)
    await report_skipped(source, choice)
    if line is not None:
        await _write_lines(job, choice, line)
    async with await _plan(job, choice) as plan:
        _warn_of_missing(choice)
        if asks and plan.counts.deleted:
            confirm(await _question(plan, target), yes=yes)
        await run_plan(plan, choice, report)
    report.finish()


def _warn_of_missing(choice: Choice) -> None:
    """Say which files of the option ``--files-from`` neither directory has."""
    if isinstance(choice.where, Filter) and (missing := choice.where.missing()):
        more = ", …" if len(missing) > _NAMES else ""
        names = ", ".join(repr(name) for name in missing[:_NAMES])
        write_error(f"--files-from lists {len(missing)} that are not there: {names}{more}")


async def _plan(job: Job, choice: Choice) -> SyncPlan:
    try:
        return await make_plan(job, choice)
    except RejectedException as error:
        if error.reason == "max_delete":
            words = str(error.args[0]).replace("max_delete permits", "--max-delete permits")
            raise RejectedException(words, reason=error.reason) from error
        if error.reason == "empty":
            raise RejectedException(
                f"The source {job.source.text!r} has no files, and all of the target would be "
                "deleted. If that is meant, add --max-delete with their number",
                reason=error.reason,
            ) from error
        raise


async def _job(source: Location, target: Location, backup: Location | None) -> Job:
    await require_directory(source)
    if await kind_of(target, prefer_directory=True) is Kind.FILE:
        raise UsageError(f"{target.text!r} is a file: name a directory")
    job = Job(source, target, target.path, is_directory=True)
    check_apart("sync", job)
    for place in (source, target):
        if backup is not None and overlap(Job(place, backup, backup.path, is_directory=True)):
            raise UsageError(
                f"--backup-dir {backup.text!r} and {place.text!r} are one directory, or one is in "
                "the other: name a directory outside"
            )
    return job


async def _write_lines(job: Job, choice: Choice, line: Callable[[str, str], None]) -> None:
    async with closing(compare(job.source, job.target, choice)) as found:
        async for difference in found:
            line(difference.state.value, difference.path)


async def _question(plan: SyncPlan, target: Location) -> str:
    counts = plan.counts
    names: list[str] = []
    async for planned in plan:
        if planned.action is Action.DELETE:
            names.append(printable(planned.path))
            if len(names) == _NAMES:
                break
    more = ", …" if counts.deleted > len(names) else ""
    deleted = f"{files_text(counts.deleted)} from {target.text!r} ({', '.join(names)}{more})"
    if not counts.new + counts.changed:
        return f"Delete {deleted}?"
    copied = f"{counts.new} new and {counts.changed} changed files, {bytes_text(counts.bytes)}"
    return f"Copy {copied}, and delete {deleted}?"
