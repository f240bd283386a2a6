"""Options and arguments that several commands have, and the values that they take."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

import typer

from jtc.storage.cli._completion.paths import complete_location
from jtc.storage.cli._exits import UsageError

__all__ = [
    "BandwidthLimit",
    "CacheControl",
    "Concurrency",
    "Directory",
    "DryRun",
    "Exclude",
    "Human",
    "IgnoreExisting",
    "Include",
    "Json",
    "Metadata",
    "Place",
    "Places",
    "Quiet",
    "Recursive",
    "Source",
    "Sources",
    "Target",
    "Type",
    "Verbose",
    "Visible",
    "Yes",
    "duration",
    "new_file_options",
    "rate",
    "size",
    "size_with_unit",
]

Place: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        show_default=False,
        help="disk:path, or a path of this machine.",
        autocompletion=complete_location,
    ),
]
Places: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        show_default=False,
        help="disk:path, or a path of this machine.",
        autocompletion=complete_location,
    ),
]
Directory: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="[PATH]",
        help="A directory: disk:path, disk:, or one of this machine.",
        autocompletion=complete_location,
    ),
]
Sources: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        show_default=False,
        help="Files or a directory: disk:path, or a path of this machine.",
        autocompletion=complete_location,
    ),
]
Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        show_default=False,
        help="A directory: disk:path, disk:, or one of this machine.",
        autocompletion=complete_location,
    ),
]
Target: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        show_default=False,
        help="disk:path, or a path of this machine.",
        autocompletion=complete_location,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write a line of JSON for each.")]
Human: TypeAlias = Annotated[
    bool, typer.Option("--human-readable", "-h", help="Sizes for people: 1.5K, 23M.")
]
Include: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        show_default=False,
        help="Only the files that match, as for rclone; may be repeated.",
    ),
]
Exclude: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        show_default=False,
        help="Not the files that match, as for rclone; may be repeated.",
    ),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Write errors only.")]
Concurrency: TypeAlias = Annotated[
    int,
    typer.Option(
        "--transfers", min=1, max=1024, metavar="N", help="How many files are sent at once."
    ),
]
BandwidthLimit: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bwlimit",
        metavar="RATE",
        show_default=False,
        help="At most so much in a second, such as 10M.",
    ),
]

Recursive: TypeAlias = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="Take the directory, if there is a file of that path."),
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write a line for each file.")
]
IgnoreExisting: TypeAlias = Annotated[
    bool, typer.Option("--ignore-existing", help="Skip the files that are there.")
]
Type: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        show_default=False,
        help="The content type. Without it, the name says it.",
    ),
]
Visible: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--visibility", metavar="public|private", show_default=False, help="Of new files."
    ),
]
CacheControl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cache-control",
        metavar="TEXT",
        show_default=False,
        help="The header to serve the files with.",
    ),
]
Metadata: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        metavar="NAME=VALUE",
        show_default=False,
        help="Metadata of the files; may be repeated.",
    ),
]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([BKMGTPE]?)(?:iB|B)?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwMy]?)", re.ASCII)
_SECONDS = {
    "ms": 0.001,
    "": 1,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604_800,
    "M": 2_592_000,
    "y": 31_536_000,
}


def size(text: str, option: str) -> int:
    """Return the bytes that a text such as ``10M`` or ``1.5GiB`` means, in units of 1024.

    Args:
        text: The value of an option.
        option: The option, for the message.

    Raises:
        UsageError: It is no size.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} is a size such as 512, 100K, 10M or 1.5G, not {text!r}")
    factor: int = 1024 ** " KMGTPE".index(found[2].upper().replace("B", "") or " ")
    return int(float(found[1]) * factor)


def duration(text: str, option: str) -> float:
    """Return the seconds that a text such as ``90``, ``15m``, ``7d`` or ``1h30m`` means.

    The units are rclone's: ms, s, m, h, d, w, M (30 days) and y (365 days).

    Args:
        text: The value of an option.
        option: The option, for the message.

    Raises:
        UsageError: It is no duration.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{option} is a duration such as 30s, 15m, 12h, 7d or 1h30m, not {text!r}")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def size_with_unit(text: str, option: str) -> int:
    """Return the bytes that a text means, as `size` does, of options that rclone has, too.

    Raises:
        UsageError: It is no size, or has no unit: for rclone that is KiB.
    """
    if text.replace(".", "", 1).isdigit() and float(text):
        raise UsageError(f"{option} {text} needs a unit: {text}B are bytes, {text}K is in KiB")
    return size(text, option)


def rate(text: str | None) -> int | None:
    """Return the bytes a second that ``--bwlimit`` means; ``off`` and 0 are no limit.

    Raises:
        UsageError: It is no size.
    """
    return None if text in {None, "off"} else size_with_unit(str(text), "--bwlimit") or None


def new_file_options(
    kind: str | None, visibility: str | None, cache_control: str | None, metadata: list[str] | None
) -> dict[str, Any]:
    """Return the options of new files that were chosen, by the names of the library.

    Raises:
        UsageError: A value is none that there is.
    """
    if visibility not in {None, "public", "private"}:
        raise UsageError(f"--visibility is public or private, not {visibility!r}")
    texts: dict[str, str] = {}
    for each in metadata or ():
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise UsageError(f"--metadata is NAME=VALUE, not {each!r}")
        texts[name.lower()] = text
    chosen = {
        "content_type": kind,
        "visibility": visibility,
        "cache_control": cache_control,
        "metadata": texts or None,
    }
    return {name: value for name, value in chosen.items() if value is not None}
