"""The command `check`: a comparison of two directories."""

from collections import Counter
from collections.abc import Callable
from typing import Annotated

import typer

from jtc.storage.cli._exits import Failed
from jtc.storage.cli._options import Exclude, Include, Json, Quiet, Source, Target
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._places.targets import require_directory
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import (
    printable,
    write,
    write_error,
    write_json,
    write_message,
)
from jtc.storage.cli._transfers.combined import Combined, combined_lines
from jtc.storage.cli._transfers.filtering import (
    Checksum,
    FilesFrom,
    MaxAge,
    MaxSize,
    MinAge,
    MinSize,
    SizeOnly,
    check_patterns,
    comparison,
    make_filter,
)
from jtc.storage.cli._transfers.transferring import Choice, compare, report_skipped
from jtc.storage.driver_support.derived import closing
from jtc.storage.sync_plan import Difference, State

EXAMPLES = (
    "jtc-storage check ./site cdn:www",
    "jtc-storage check --one-way --checksum s3:photos backup:photos",
    "jtc-storage check --combined - ./site cdn:www",
)


def command(
    source: Source,
    target: Target,
    *,
    one_way: Annotated[
        bool, typer.Option("--one-way", help="Files that only the target has do not count.")
    ] = False,
    checksum: Checksum = False,
    size_only: SizeOnly = False,
    include: Include = None,
    exclude: Exclude = None,
    files_from: FilesFrom = None,
    min_size: MinSize = None,
    max_size: MaxSize = None,
    min_age: MinAge = None,
    max_age: MaxAge = None,
    combined: Combined = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the files of two directories, and write those that differ. Exit status 1: some do.

    A line has a sign and a path: + only in the source, - only in the target, * different, ! an
    error.
    """
    check_patterns(include, exclude)
    choice = Choice(
        include=include or (),
        exclude=exclude or (),
        where=make_filter(min_size, max_size, min_age, max_age, files_from),
        compare=comparison(checksum=checksum, size_only=size_only),
    )
    one, other = locate(source), locate(target)
    with combined_lines(combined) as line:
        shown = _Shown(line, one_way=one_way, json=json)
        run(_check(one, other, choice, shown, quiet=quiet))


class _Shown:
    """Lines of the files that differ, and their numbers.

    Args:
        line: Writes a line of the option ``--combined``.
        one_way: Files that only the target has do not count.
        json: Write lines of JSON.
    """

    def __init__(
        self, line: Callable[[str, str], None] | None, *, one_way: bool, json: bool
    ) -> None:
        self._line = line
        self._one_way = one_way
        self._json = json
        self.numbers = Counter[State]()

    def add(self, found: Difference) -> None:
        """Count a file, and write its line if it differs."""
        if found.state is State.ONLY_TARGET and self._one_way:
            return
        self.numbers[found.state] += 1
        if found.error is not None:
            write_error(found.error)
        if self._line is not None:
            self._line(found.state.value, found.path)
        elif found.state is State.SAME:
            return
        elif self._json:
            write_json(_as_json(found))
        else:
            write(f"{found.state.value} {printable(found.path)}")

    @property
    def differ(self) -> int:
        """How many files differ, or could not be compared."""
        return self.numbers.total() - self.numbers[State.SAME]

    def summary(self) -> str:
        """Return the numbers in words."""
        numbers = self.numbers
        return (
            f"{numbers[State.SAME]} the same; {numbers[State.DIFFERENT]} different, "
            f"{numbers[State.ONLY_SOURCE]} only in the source, {numbers[State.ONLY_TARGET]} only "
            f"in the target, {numbers[State.ERROR]} not compared"
        )


def _as_json(found: Difference) -> dict[str, object]:
    return {
        "sign": found.state.value,
        "path": found.path,
        "source_size": None if found.source is None else found.source.size,
        "target_size": None if found.target is None else found.target.size,
        "error": None if found.error is None else str(found.error),
    }


async def _check(
    source: Location, target: Location, choice: Choice, shown: _Shown, *, quiet: bool
) -> None:
    for place in (source, target):
        await require_directory(place)
        await report_skipped(place, choice)
    async with closing(compare(source, target, choice)) as found:
        async for difference in found:
            shown.add(difference)
    if not quiet:
        write_message(shown.summary())
    if shown.differ:
        raise Failed
