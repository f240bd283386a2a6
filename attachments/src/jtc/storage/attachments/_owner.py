"""Owner markers: the file of a disk that says to which database a namespace belongs.

Database and marker each have a counter of maintenance runs. A run raises that of the database
first, then writes it into the marker. So a run that is killed between the two leaves the marker
behind, which means nothing; only a database that was restored from a backup, or copied, is behind
its marker. The marker is read before the counter, so that a run of another worker between the two
does not look like that.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageConfigException,
    StorageException,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jtc.storage import Disk
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.records import Records
    from jtc.storage.attachments.registry import Registry

__all__ = [
    "Marker",
    "OwnerException",
    "Run",
    "begin_run",
    "connected",
    "declared_recipes",
    "disk_names",
    "inspect_run",
    "kept_for",
    "marker_path",
    "note_recipes",
    "read_marker",
    "recipe_key",
    "write_marker",
]

_FORMAT = 1
_MOST_CONFLICTS = 10
_LONGEST_TRANSACTION = 3600.0
_WAY_OUT = (
    "Nothing is deleted there. If the files belong to this database from now on, take them over: "
    "python -m jtc.storage.attachments adopt"
)


class OwnerException(StorageException):
    """The files of a disk belong to another database, or to a newer state of this one.

    `python -m jtc.storage.attachments adopt` takes them over.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What an owner marker says.

    Attributes:
        database: The id of the database.
        counter: The last maintenance run.
        run: Identifies the process that wrote it.
        recipes: When a run last declared a recipe, by `recipe_key`, in seconds since 1970 UTC.
        etag: The file's etag.
        written_at: When it was written, by the store's clock.
    """

    database: str
    counter: int
    run: str
    recipes: Mapping[str, float]
    etag: str | None
    written_at: float


@dataclass(slots=True)
class Run:
    """A maintenance run.

    Attributes:
        database: The database's id.
        counter: The database's counter in this run.
        name: Identifies the run in the markers that it writes.
        recipes: The keys of the recipes that are in use now.
        clocks: The store's time at the start of the run, by the name of each disk whose files
            may be deleted; this machine's where nothing was written.
        refused: Why those of other disks may not.
    """

    database: str
    counter: int
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    recipes: frozenset[str] = frozenset()
    clocks: dict[str, float] = field(default_factory=dict)
    refused: dict[str, StorageException] = field(default_factory=dict)


def connected(registry: Registry) -> Records:
    """Return the registry's records.

    Raises:
        StorageConfigException: No database is connected.
    """
    if registry.records is None:
        raise StorageConfigException(
            f"The attachments of {registry.namespace!r} have no database: connect the registry by "
            "its integration, or set 'registry.records'"
        )
    return registry.records


def kept_for(registry: Registry) -> float:
    """Return for how many seconds files are kept, the time of a transaction included.

    An entry of the outbox has the time of its statement, by the clock of that machine, and the
    commit comes later. A token may be claimed at its last moment, too.
    """
    return registry.keep + min(registry.keep, _LONGEST_TRANSACTION)


def disk_names(registry: Registry) -> list[str]:
    """Return the names of all disks that fields have or had, sorted."""
    return sorted({disk for each in registry.fields.values() for disk, _ in each.places})


def recipe_key(field: Field, variant: str, fingerprint: str) -> str:
    """Return the key of a recipe in markers."""
    return f"{field.name}/{variant}-{fingerprint}"


def declared_recipes(registry: Registry) -> frozenset[str]:
    """Return the keys of all recipes that the registry's fields have."""
    return frozenset(
        recipe_key(field, variant, recipe.fingerprint)
        for field in registry.fields.values()
        for variant, recipe in field.variants.items()
    )


def marker_path(registry: Registry) -> str:
    """Return the path of the owner marker, the same on each disk."""
    return f"{registry.namespace}/.owner"


async def inspect_run(registry: Registry, disks: Collection[str]) -> tuple[Run, dict[str, Any]]:
    """Compare the markers of disks with the database, and write nothing.

    Returns:
        A run that refuses some of the disks, and the markers of the others.
    """
    records = connected(registry)
    read: dict[str, Marker | StorageException | None] = {}
    for name in disks:
        try:
            read[name] = await read_marker(registry, registry.disk(name))
        except StorageException as error:
            read[name] = error
    run = Run(
        await records.database_id(), await records.counter(), recipes=declared_recipes(registry)
    )
    markers: dict[str, Marker | None] = {}
    for name, found in read.items():
        if isinstance(found, StorageException):
            run.refused[name] = found
        elif (objection := _objection(found, run, name)) is not None:
            run.refused[name] = objection
        else:
            markers[name] = found
            run.clocks[name] = time.time()
    return run, markers


async def begin_run(registry: Registry, disks: Collection[str]) -> Run:
    """Begin a maintenance run: check the markers of disks, and advance database and markers.

    A disk that has no marker gets one.

    Raises:
        StorageConfigException: No database is connected.
    """
    run, markers = await inspect_run(registry, disks)
    if not markers:
        return run
    run.counter = await connected(registry).advance()
    for name, marker in markers.items():
        try:
            run.clocks[name] = await _advance(registry, name, marker, run)
        except StorageException as error:
            del run.clocks[name]
            run.refused[name] = error
    return run


async def read_marker(registry: Registry, disk: Disk) -> Marker | None:
    """Return the marker of a disk; None where there is none.

    Raises:
        OwnerException: There is a file of that name which is no marker.
    """
    path = marker_path(registry)
    try:
        async with disk.stream(path) as stream:
            content = b"".join([chunk async for chunk in stream])
            info = stream.info
    except FileNotFoundException:
        return None
    try:
        values = json.loads(content)
        if values["v"] != _FORMAT:
            raise ValueError(values["v"])
        return Marker(
            database=str(values["database"]),
            counter=int(values["counter"]),
            run=str(values["run"]),
            recipes={str(key): float(time_) for key, time_ in values["recipes"].items()},
            etag=info.etag,
            written_at=info.last_modified,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OwnerException(
            f"The owner marker cannot be read: another version wrote it, or it is damaged. "
            f"{_WAY_OUT}",
            path=path,
            disk=disk.name,
        ) from error


async def write_marker(
    registry: Registry,
    disk: Disk,
    run: Run,
    *,
    etag: str | None,
    recipes: Mapping[str, float],
) -> float:
    """Write a marker in the place of the version that was read.

    Args:
        registry: The registry.
        disk: The disk.
        run: What to write.
        etag: The etag of the marker to replace; None where there is none.
        recipes: Those of the marker to replace.

    Returns:
        When it was written, by the store's clock.

    Raises:
        PreconditionFailedException: Another process wrote it meanwhile.
    """
    path = marker_path(registry)
    values = {
        "v": _FORMAT,
        "database": run.database,
        "counter": run.counter,
        "run": run.name,
        "recipes": {**recipes, **dict.fromkeys(sorted(run.recipes), time.time())},
    }
    content = json.dumps(values).encode()
    supported = disk.capabilities.put_options
    if etag is not None and "if_match" in supported:
        await disk.put(path, content, if_match=etag)
    elif etag is None and "overwrite" in supported:
        await disk.put(path, content, overwrite=False)
    else:
        await disk.put(path, content)
    return await disk.last_modified(path)


async def note_recipes(registry: Registry, name: str, keys: Collection[str]) -> None:
    """Write into a disk's marker that recipes which no run has declared were found now."""
    disk = registry.disk(name)
    for _ in range(_MOST_CONFLICTS):
        marker = await read_marker(registry, disk)
        if marker is None:
            return  # the next run writes one
        run = Run(marker.database, marker.counter, name=marker.run)
        recipes = {**dict.fromkeys(sorted(keys), time.time()), **marker.recipes}
        with suppress(PreconditionFailedException, FileNotFoundException):
            await write_marker(registry, disk, run, etag=marker.etag, recipes=recipes)
            return


async def _advance(registry: Registry, name: str, marker: Marker | None, run: Run) -> float:
    """Write the run into the marker, unless a later run of this database has; return the time."""
    disk = registry.disk(name)
    records = connected(registry)
    for _ in range(_MOST_CONFLICTS):
        try:
            return await write_marker(
                registry,
                disk,
                run,
                etag=None if marker is None else marker.etag,
                recipes={} if marker is None else marker.recipes,
            )
        except (PreconditionFailedException, FileNotFoundException):
            marker = await read_marker(registry, disk)
        if marker is None:
            continue
        if marker.run == run.name:
            return marker.written_at  # it was written, and the answer was lost
        now = Run(run.database, await records.counter())
        # Of one database, no two runs have the same number.
        objection = _objection(marker, now, name, same_number=run.counter)
        if objection is not None:
            raise objection
        if marker.counter > run.counter:
            return marker.written_at
    raise PreconditionFailedException(
        "The owner marker changes all the time", path=marker_path(registry), disk=name
    )


def _objection(
    marker: Marker | None, run: Run, disk: str, *, same_number: int | None = None
) -> OwnerException | None:
    """Return why a database may not delete the files of a marker; None if it may."""
    if marker is None:
        return None
    if marker.database != run.database:
        return OwnerException(
            f"The files of this namespace belong to the database {marker.database!r}, and this one "
            f"is {run.database!r}. {_WAY_OUT}",
            disk=disk,
        )
    if marker.counter > run.counter or marker.counter == same_number:
        return OwnerException(
            f"The database is older than its files: its maintenance run is {run.counter}, and that "
            f"of the owner marker is {marker.counter}. It is a restored backup, whose newer files "
            "have no rows, or a copy, beside which another database uses the same files. "
            f"{_WAY_OUT}",
            disk=disk,
        )
    return None
