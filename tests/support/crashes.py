"""The states that a power cut may leave of a traced write, found in the way of ALICE.

https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai

What was synced is on the disk. Of everything else each call may have reached it or not, whatever
the order of the calls was, and a write of content also by half. Each such state is made in a
directory, to be looked at like the disk after the machine has come up again.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from victim import SystemCall

_AT = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "([^"]*)"')

LOST, HALF, WHOLE = 0, 1, 2


@dataclass
class Step:
    """One call that changes the disk, or that makes changes last.

    A change lasts once the places that it is in were synced: directories, or the file's content.
    """

    kind: str
    places: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    start: int = 0
    length: int = 0


@dataclass
class Disk:
    """A directory tree in memory: names in directories, and one new file."""

    content: bytearray = field(default_factory=bytearray)
    directories: set[str] = field(default_factory=set)
    files: dict[str, bytes | None] = field(default_factory=dict)  # None is the new file

    def make(self, root: Path) -> None:
        """Make it in an empty directory; what is in a directory that is lost, is lost."""
        for directory in sorted(self.directories):
            if (root / directory).parent.is_dir():
                (root / directory).mkdir()
        for path, content in self.files.items():
            if (root / path).parent.is_dir():
                (root / path).write_bytes(bytes(self.content) if content is None else content)


def steps_of(calls: list[SystemCall], root: Path) -> list[Step]:
    """Return what a trace did below a root."""
    steps: list[Step] = []
    written = 0
    for call in calls:
        if call.result < 0:
            continue
        if call.name == "write":
            steps.append(Step("write", ("content",), (), written, call.result))
            written += call.result
        elif call.name == "fsync":
            opened = call.arguments.partition("<")[2].partition(">")[0]
            place = f"in {_below(opened, root)}" if Path(opened).is_dir() else "content"
            steps.append(Step("sync", (place,)))
        else:
            at = [(_below(place, root), name) for place, name in _AT.findall(call.arguments)]
            steps.extend(_naming(call, at))
    return steps


def _naming(call: SystemCall, at: list[tuple[str, str]]) -> Iterator[Step]:
    """Yield what a call does to the names in directories; `at` are those that it names."""
    if call.name in {"renameat", "renameat2"}:
        (source, old), (target, new) = at
        yield Step("rename", (f"in {source}", f"in {target}"), (source, old, target, new))
    elif call.name == "mkdirat":
        yield Step("mkdir", (f"in {at[-1][0]}",), at[-1])
    elif call.name == "linkat" or "O_CREAT" in call.arguments:
        yield Step("name", (f"in {at[-1][0]}",), at[-1])
    assert call.name != "unlinkat", f"A put that succeeds deletes nothing: {call}"


def _below(path: str, root: Path) -> str:
    return "" if path == str(root) else os.path.relpath(path, root)


def crashes(steps: list[Step], before: dict[str, bytes], new: bytes) -> Iterator[tuple[int, Disk]]:
    """Yield every state that a power cut may leave, and how many steps were done by then.

    Args:
        steps: What the write did.
        before: The files that there were, by path.
        new: The new file's content.
    """
    there = _directories_named(steps)
    for done in range(len(steps) + 1):
        past = steps[:done]
        choices = []
        for at, step in enumerate(past):
            if step.kind == "sync":
                choices.append((LOST,))
            elif _lasts(step, past[at + 1 :]):
                choices.append((WHOLE,))
            else:
                choices.append((LOST, HALF, WHOLE) if step.kind == "write" else (LOST, WHOLE))
        for fate in itertools.product(*choices):
            yield done, _after(list(zip(past, fate, strict=True)), before, new, there)


def _lasts(step: Step, later: list[Step]) -> bool:
    synced = {place for each in later if each.kind == "sync" for place in each.places}
    return set(step.places) <= synced


def _directories_named(steps: list[Step]) -> set[str]:
    """Return the directories that were there before: those that steps name and do not make."""
    made = {_path(*step.names) for step in steps if step.kind == "mkdir"}
    return {directory for step in steps for directory in step.names[::2]} - made - {""}


def _after(
    fates: list[tuple[Step, int]], before: dict[str, bytes], new: bytes, there: set[str]
) -> Disk:
    disk = Disk(directories=set(there), files=dict(before))
    for path in before:
        disk.directories |= {str(parent) for parent in Path(path).parents} - {"."}
    for step, fate in fates:
        if fate == LOST:
            continue
        if step.kind == "write":
            kept = step.length if fate == WHOLE else step.length // 2
            disk.content.extend(bytes(max(0, step.start + kept - len(disk.content))))
            disk.content[step.start : step.start + kept] = new[step.start : step.start + kept]
        elif step.kind == "mkdir":
            disk.directories.add(_path(*step.names))
        elif step.kind == "name":
            disk.files[_path(*step.names)] = None
        elif step.kind == "rename":
            source, old, target, name = step.names
            disk.files.pop(_path(source, old), None)
            disk.files[_path(target, name)] = None
    return disk


def _path(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
