"""The command `find`: files by name, size, age."""

import re
import time
from collections.abc import Callable
from typing import Annotated

import typer

from jtc.storage import DirectoryInfo, Entry, FileInfo
from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import Directory, Json, duration, size
from jtc.storage.cli._places.listing import entries_at, entry_as_json
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import printable, write, write_bytes, write_json

EXAMPLES = (
    "jtc-storage find s3:photos --name '*.jpg' --size +1M",
    "jtc-storage find s3:logs --older 30d -0 | xargs -0 jtc-storage rm",
)

_Test = Callable[[Entry], bool]


def command(
    path: Directory = ".",
    *,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", show_default=False, help="The last part of the path; may be repeated."
        ),
    ] = None,
    size_: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="SIZE",
            show_default=False,
            help="Files of this size: +1M is larger, -1M smaller.",
        ),
    ] = None,
    newer: Annotated[
        str | None,
        typer.Option(metavar="AGE", show_default=False, help="Files changed since then: 7d, 12h."),
    ] = None,
    older: Annotated[
        str | None,
        typer.Option(metavar="AGE", show_default=False, help="Files not changed since then."),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", metavar="f|d", show_default=False, help="Files or directories."),
    ] = None,
    json: Json = False,
    zero: Annotated[
        bool, typer.Option("--print0", "-0", help="End each path with a zero byte, for xargs -0.")
    ] = False,
) -> None:
    """List what is below a directory and passes all tests, by paths that other commands take."""
    tests = _tests(name, size_, newer, older, type_)
    location = locate(path)

    def show(entry: Entry) -> None:
        text = location.text_of(location.relative(entry.path))
        if json:
            write_json({**entry_as_json(location, entry), "path": text})
        elif zero:
            write_bytes(text.encode(errors="surrogateescape") + b"\0")
        else:
            write(printable(text))

    of_files = type_ == "f" or size_ or newer or older
    run(_find(location, tests, show, directories=not of_files))


def _tests(
    names: list[str] | None,
    size_: str | None,
    newer: str | None,
    older: str | None,
    type_: str | None,
) -> list[_Test]:
    """Return the tests that an entry has to pass."""
    now = time.time()
    tests: list[_Test] = []
    if type_ not in {None, "f", "d"}:
        raise UsageError(f"--type is f or d, not {type_!r}")
    if type_ is not None:
        wanted = FileInfo if type_ == "f" else DirectoryInfo
        tests.append(lambda entry: isinstance(entry, wanted))
    if names:
        tests.append(_name_test(names))
    if size_ is not None:
        tests.append(_size_test(size_))
    if newer is not None:
        since = now - duration(newer, "--newer")
        tests.append(lambda entry: isinstance(entry, FileInfo) and entry.last_modified >= since)
    if older is not None:
        until = now - duration(older, "--older")
        tests.append(lambda entry: isinstance(entry, FileInfo) and entry.last_modified < until)
    return tests


def _name_test(globs: list[str]) -> _Test:
    from fnmatch import translate  # noqa: PLC0415 - imported only where it is used

    matches = re.compile("|".join(translate(glob) for glob in globs)).match
    return lambda entry: matches(entry.path.rpartition("/")[2]) is not None


def _size_test(text: str) -> _Test:
    limit = size(text.lstrip("+-"), "--size")
    if text.startswith("+"):
        return lambda entry: isinstance(entry, FileInfo) and entry.size > limit
    if text.startswith("-"):
        return lambda entry: isinstance(entry, FileInfo) and entry.size < limit
    return lambda entry: isinstance(entry, FileInfo) and entry.size == limit


async def _find(
    location: Location, tests: list[_Test], show: Callable[[Entry], None], *, directories: bool
) -> None:
    async for entry in entries_at(location, recursive=True, directories=directories):
        if all(test(entry) for test in tests):
            show(entry)
