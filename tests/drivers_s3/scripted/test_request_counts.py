"""The requests of each method: the table of the driver's README."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import disk_calls
from disk_calls import IN_PARTS, fill
from jtc.storage import PreconditionFailedException

if TYPE_CHECKING:
    from jtc.storage import Disk
    from scripted_store import ScriptedStore

MakeDisk = Callable[..., "Disk"]

CALLS: dict[str, Callable[[Disk], Awaitable[object]]] = {
    **disk_calls.CALLS,
    "size": lambda disk: disk.size("a"),
    "entry": lambda disk: disk.entry("a"),
    "entry of a directory": lambda disk: disk.entry("d"),
    "usage": lambda disk: disk.usage("d"),
    "copy if new": lambda disk: disk.copy("a", "new", overwrite=False),
    "delete missing": lambda disk: disk.delete("missing"),
    "delete_directory missing": lambda disk: disk.delete_directory("missing"),
    "delete if_match": lambda disk: disk.delete("a", if_match='"0"'),
    "temporary_url": lambda disk: disk.temporary_url("a", 60),
    "temporary_urls": lambda disk: disk.temporary_urls(["a", "large"], 60),
}


def documented() -> dict[str, tuple[list[str], list[str]]]:
    """Return the table: the requests of a call at first, and after a check."""
    page = (Path(__file__).parents[3] / "drivers-s3" / "README.md").read_text()
    table = page.partition("## Requests\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`,? ?([^|]*) \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    found = {}
    for name, detail, first, later in rows:
        one = sorted(re.findall(r"[A-Z]\w+", first))
        other = sorted(re.findall(r"[A-Z]\w+", later))
        found[f"{name} {detail}".strip()] = (one, one if later == "the same" else other)
    return found


TABLE = documented()


def test_table_of_requests_has_every_call() -> None:
    assert TABLE.keys() == CALLS.keys()


@pytest.mark.parametrize("is_checked", [False, True], ids=["at first", "after a check"])
async def test_requests_of_each_method_are_those_of_the_table(
    store: ScriptedStore, make_disk: MakeDisk, *, is_checked: bool
) -> None:
    disk = make_disk(store, **IN_PARTS)
    if is_checked:
        await disk.check()
    found = {}
    for name, call in CALLS.items():
        fill(store)
        store.requests.clear()
        try:
            await call(disk)
        except PreconditionFailedException:
            assert name == "delete if_match"
        found[name] = sorted(request.operation for request in store.requests)
    assert found == {name: requests[is_checked] for name, requests in TABLE.items()}
