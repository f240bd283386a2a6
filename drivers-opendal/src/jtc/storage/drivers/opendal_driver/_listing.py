"""Listing: a directory at a time, in the order of keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jtc.storage.drivers.opendal_driver._errors import OpenDALError
from jtc.storage.drivers.opendal_driver._metadata import is_directory, key, modified
from jtc.storage.drivers.opendal_driver._runtime import runtime
from jtc.storage.drivers.opendal_driver._services import MAKES_DIRECTORIES
from jtc.storage.exceptions import FileNotFoundException, PathConflictException
from jtc.storage.models import DirectoryInfo, FileInfo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

    from opendal.types import Entry as OpenDALEntry

    from jtc.storage.drivers.opendal_driver._calls import Calls
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["delete_directory", "entries_of", "list_entries", "list_itself"]

_PAGE = 1000


async def list_entries(calls: Calls, prefix: str, options: ListOptions) -> AsyncIterator[Entry]:
    """Yield what is below a directory."""
    after = options.start_after
    native = {"list_with_recursive", "list_with_start_after"} <= calls.claims
    if options.recursive and not options.directories and native:
        # An object store, which has the order of keys.
        async for found in entries_of(calls, prefix, recursive=True, start_after=after):
            if not found.path.endswith("/"):
                yield _file(calls, found)
        return
    async for entry in _walk(calls, prefix, options, after):
        yield entry


async def _walk(
    calls: Calls, prefix: str, options: ListOptions, after: str | None
) -> AsyncGenerator[Entry, None]:
    base = f"{prefix}/" if prefix else ""
    after_name = (after or "").encode()
    # A key that lies within a directory comes after the directory's own.
    inside = ""
    if after is not None and after.startswith(base):
        inside = base + after.removeprefix(base).partition("/")[0] + "/"
    for name, found in await _level(calls, prefix, base):
        if not name.endswith(b"/"):
            if name > after_name:
                yield _file(calls, found)
            continue
        directory = found.path.rstrip("/")
        if name > after_name and (not options.recursive or options.directories):
            yield DirectoryInfo(path=directory)
        if options.recursive and (name > after_name or found.path == inside):
            below = after if found.path == inside else None
            async for entry in _walk(calls, directory, options, below):
                yield entry


async def _level(calls: Calls, prefix: str, base: str) -> list[tuple[bytes, OpenDALEntry]]:
    """Return the entries of a directory with their keys, sorted."""
    found = {
        entry.path: entry
        async for entry in entries_of(calls, prefix)
        # OpenDAL lists the directory itself too.
        if entry.path.startswith(base) and entry.path.strip("/") != prefix
    }
    if [*found] == [f"{base}{prefix.rpartition('/')[2]}"] and not await is_directory(calls, prefix):
        return []  # FTP lists a file as one below itself
    return sorted(((path.encode(), entry) for path, entry in found.items()), key=_name)


def _name(pair: tuple[bytes, OpenDALEntry]) -> bytes:
    return pair[0]


async def entries_of(
    calls: Calls, prefix: str, *, recursive: bool = False, start_after: str | None = None
) -> AsyncGenerator[OpenDALEntry, None]:
    """Yield OpenDAL's entries; none of a directory that is missing."""
    options = {"recursive": True} if recursive else {}
    if start_after is not None:
        options["start_after"] = start_after  # type: ignore[assignment]
    directory = key(calls, f"{prefix}/") if prefix else "/"
    try:
        lister = await calls.send(lambda operator: operator.list(directory, **options))  # type: ignore[arg-type]
        async for entry in _paged(calls, lister):
            yield entry
    except FileNotFoundException:
        return


async def _paged(
    calls: Calls, lister: AsyncIterable[OpenDALEntry]
) -> AsyncGenerator[OpenDALEntry, None]:
    """Yield entries, with one deadline for each thousand."""
    entries = aiter(lister)
    while True:
        page: list[OpenDALEntry] = []
        limit = asyncio.timeout(calls.settings.request_timeout)
        try:
            async with limit:
                while len(page) < _PAGE:
                    page.append(await runtime.noted(anext(entries)))
        except StopAsyncIteration:
            pass
        except TimeoutError:
            raise calls.late(calls.settings.request_timeout) from None
        except OpenDALError as error:
            raise calls.translated(error) from None
        for entry in page:
            yield entry
        if len(page) < _PAGE:
            return


def _file(calls: Calls, found: OpenDALEntry) -> FileInfo:
    metadata = found.metadata
    return FileInfo(
        path=found.path,
        size=metadata.content_length,
        last_modified=modified(calls, metadata),
        etag=metadata.etag if calls.has_etags else None,
    )


async def list_itself(calls: Calls, prefix: str) -> AsyncIterator[Entry]:
    """Yield a directory, if there is one."""
    if not prefix or await is_directory(calls, prefix):
        yield DirectoryInfo(path=prefix)
        return
    if calls.settings.scheme in MAKES_DIRECTORIES:
        return
    async for _ in entries_of(calls, prefix):
        yield DirectoryInfo(path=prefix)
        return


async def delete_directory(calls: Calls, path: str) -> None:
    """Delete a directory and all below it; a missing one is no error.

    Raises:
        PathConflictException: Something in it stays.
    """
    if "delete_with_recursive" in calls.claims:
        # A server may take it for a file of that name.
        if calls.settings.scheme not in MAKES_DIRECTORIES or await is_directory(calls, path):
            await calls.send(
                lambda operator: operator.delete(key(calls, f"{path}/"), recursive=True)
            )
        return
    if not await is_directory(calls, path):
        return
    await _delete_level(calls, path)
    if await is_directory(calls, path):  # an FTP server's refusal is not reported
        raise PathConflictException(
            "The directory is not empty: there are names in it that the service lists as others, "
            "or files that came meanwhile"
        )


async def _delete_level(calls: Calls, path: str) -> None:
    for name, found in await _level(calls, path, f"{path}/"):
        if name.endswith(b"/"):
            await _delete_level(calls, found.path.rstrip("/"))
        else:
            below = found.path
            await calls.send(lambda operator, below=below: operator.delete(key(calls, below)))  # type: ignore[misc]
    await calls.send(lambda operator: operator.delete(key(calls, f"{path}/")))
