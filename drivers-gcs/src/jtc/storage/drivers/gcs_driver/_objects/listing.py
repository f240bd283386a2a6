"""Directory listings: Google's pages, as entries in the order of their keys."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects.metadata import written_at
from jtc.storage.drivers.gcs_driver._objects.versions import etag_of
from jtc.storage.drivers.gcs_driver._transport.operations import get_folder, list_objects
from jtc.storage.models import DirectoryInfo, listed_file
from jtc.storage.paths import check_listed_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from jtc.storage.drivers.gcs_driver._transport.operations import ListedPage
    from jtc.storage.drivers.gcs_driver._transport.store import Store
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["list_entries", "list_itself", "list_pages"]

logger = logging.getLogger("jtc.storage")

_PAGE = 1000
"""Keys in an answer: https://cloud.google.com/storage/docs/json_api/v1/objects/list."""


async def list_itself(store: Store, directory: str) -> AsyncGenerator[Entry, None]:
    """Yield a directory if there is one: a key below it, such as that of its marker."""
    if store.settings.hierarchical_namespace and await _is_folder(store, directory):
        yield DirectoryInfo(path=directory)
        return
    first = list_objects(store.settings.bucket, f"{directory}/", delimiter="/", limit=1)
    page = await store.send(first)
    if page.items or page.prefixes:
        yield DirectoryInfo(path=directory)


async def _is_folder(store: Store, directory: str) -> bool:
    """Return whether there is a folder."""
    try:
        await store.send(get_folder(store.settings.bucket, f"{directory}/"))
    except exceptions.FileNotFoundException:
        return False
    return True


async def list_entries(
    store: Store, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory."""
    below = f"{prefix}/" if prefix else ""
    start = _start(below, options)
    if start is None:
        return
    delimiter = "" if options.recursive else "/"
    walks = options.recursive and options.directories
    previous = options.start_after or below
    refused = 0
    try:
        async with aclosing(list_pages(store, below, delimiter=delimiter, start=start)) as pages:
            async for page in pages:
                for key, item in _in_order(page):
                    # The first page begins with the key itself; a directory comes back after each
                    # key that is in it, and on several pages.
                    if key == previous or previous.startswith(key):
                        continue
                    for directory in _entered(previous, key) if walks else ():
                        yield directory
                    previous = key
                    # A marker's key is a directory's, which it makes visible, as a prefix.
                    if item is not None and key[-1:] == "/":
                        continue
                    entry = _entry(key, item)
                    if entry is None:
                        refused += 1
                    else:
                        yield entry
    finally:
        if refused:
            logger.warning(
                "%d names below %r break the path policy and are left out of the listing",
                refused,
                prefix,
            )


def _start(below: str, options: ListOptions) -> str | None:
    """Return the first key that a listing may begin with; None where none may come."""
    start_after = options.start_after or ""
    if not start_after.startswith(below):
        return "" if start_after.encode() <= below.encode() else None
    if options.recursive or not start_after:
        return start_after
    # What lies in a directory comes after that directory: on to what follows its slash.
    name, slash, _ = start_after[len(below) :].partition("/")
    return f"{below}{name}{'0' if slash else ''}"


def _entered(previous: str, key: str) -> Iterator[DirectoryInfo]:
    """Yield the directories of a key that the one before it is not in."""
    end = key.find("/")
    while end >= 0:
        if not previous.startswith(key[: end + 1]) and _is_listed(key[:end]):
            yield DirectoryInfo(path=key[:end])
        end = key.find("/", end + 1)


def _entry(key: str, item: dict[str, Any] | None) -> Entry | None:
    """Return what a key stands for, or None where the path policy refuses the name."""
    path = key if item is not None else key[:-1]
    if not _is_listed(path):
        return None
    if item is None:
        return DirectoryInfo(path=path)
    try:
        return listed_file(path, int(item["size"]), written_at(item), etag_of(item))
    except (KeyError, ValueError) as error:
        message = f"The store's answer cannot be understood: it lacks {error}"
        raise exceptions.StorageUnavailableException(message, retryable=False) from error


def _is_listed(path: str) -> bool:
    try:
        # The check drops one leading "/", but with it the key is another file's.
        return check_listed_path(path) == path
    except exceptions.InvalidPathException:
        return False


def _in_order(page: ListedPage) -> list[tuple[str, dict[str, Any] | None]]:
    """Return a page's keys, directories (without an object) and files, by their UTF-8."""
    files: list[tuple[str, dict[str, Any] | None]] = [(each["name"], each) for each in page.items]
    if not page.prefixes:
        return files
    directories: list[tuple[str, dict[str, Any] | None]] = [(each, None) for each in page.prefixes]
    return sorted((*files, *directories), key=lambda entry: entry[0].encode())


async def list_pages(
    store: Store, prefix: str, *, delimiter: str = "", start: str = ""
) -> AsyncGenerator[ListedPage, None]:
    """Yield the pages of the keys below a prefix, whatever they look like."""
    listed = functools.partial(
        list_objects,
        store.settings.bucket,
        prefix,
        delimiter=delimiter,
        start=start,
        limit=_PAGE,
        folders=store.settings.hierarchical_namespace,
    )
    request, loop = listed(), asyncio.get_running_loop()
    coming = loop.create_task(store.send(request))
    number, milestone = 0, ""
    try:
        while True:
            page = await coming
            if not page.token:
                yield page
                return
            if page.token == milestone:
                message = "The store's listing goes round in a circle"
                raise exceptions.StorageUnavailableException(message)
            number += 1
            if number.bit_count() == 1:
                milestone = page.token  # A circle of any length comes by one of these again.
            request = listed(token=page.token)
            # A reader of two pages mostly wants all: the third arrives while the second is used.
            if number > 1:
                coming = loop.create_task(store.send(request))
            yield page
            if number == 1:
                coming = loop.create_task(store.send(request))
    finally:
        # Not waited for: a loop that ends closes all generators at the same time, and one that
        # waits then cannot be closed by the one around it.
        coming.cancel()
        coming.add_done_callback(lambda task: task.cancelled() or task.exception())
