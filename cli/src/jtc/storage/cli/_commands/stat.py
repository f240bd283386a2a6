"""The command `stat`: metadata of files."""

from collections.abc import Iterator
from typing import Any

from jtc.storage import DirectoryInfo, FileInfo
from jtc.storage.cli._options import Json, Places
from jtc.storage.cli._places.listing import file_as_json
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import for_each, run
from jtc.storage.cli._terminal.output import printable, size_text, time_text, write, write_json

EXAMPLES = (
    "jtc-storage stat media:photos/1.jpg",
    "jtc-storage stat --json s3:a.txt s3:b.txt",
)


def command(paths: Places, *, json: Json = False) -> None:
    """Show the metadata of files: size, time, type, etag, checksums."""

    async def show(location: Location) -> None:
        found = await _metadata(location)
        if json:
            write_json(found)
        else:
            for line in _lines(found):
                write(line)

    run(for_each([locate(path) for path in paths], show))


async def _metadata(location: Location) -> dict[str, Any]:
    found = await location.disk.entry(location.path) if location.path else DirectoryInfo(path="")
    if found is None:
        raise location.missing("stat")
    text = location.text
    return (
        file_as_json(found, text)
        if isinstance(found, FileInfo)
        else {"path": text, "type": "directory"}
    )


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        title = name.replace("_", " ")
        if name == "size":
            people = f" ({size_text(value)})" if value >= 1024 else ""  # noqa: PLR2004
            yield f"{title:>20}: {value}{people}"
        elif name == "last_modified":
            yield f"{title:>20}: {time_text(value)}"
        elif isinstance(value, dict):
            for key, each in value.items():
                yield f"{title:>20}: {printable(f'{key} = {each}')}"
        else:
            yield f"{title:>20}: {printable(str(value))}"
