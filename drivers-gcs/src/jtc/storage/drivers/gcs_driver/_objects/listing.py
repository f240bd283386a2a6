"""Directory listings: Google's pages, as entries in the order of their keys."""

from __future__ import annotations

import asyncio
import functools
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects.conditions import etag_of
from jtc.storage.drivers.gcs_driver._objects.metadata import written_at
from jtc.storage.drivers.gcs_driver._transport.operations import get_folder, list_objects
from jtc.storage.http_support.key_listing import check_below, entries_of_keys, key_before
from jtc.storage.models import DirectoryInfo, listed_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.drivers.gcs_driver._transport.operations import ListedPage
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["list_entries", "list_itself", "list_pages"]

_PAGE = 1000
"""Keys in an answer: https://cloud.google.com/storage/docs/json_api/v1/objects/list."""


async def list_itself(transport: Transport, directory: str) -> AsyncGenerator[Entry, None]:
    """Yield a directory if there is one: a key below it, such as that of its marker."""
    if transport.settings.hierarchical_namespace and await _is_folder(transport, directory):
        yield DirectoryInfo(path=directory)
        return
    first = list_objects(transport.settings.bucket, f"{directory}/", delimiter="/", limit=1)
    page = await transport.send(first)
    if page.items or page.prefixes:
        yield DirectoryInfo(path=directory)


async def _is_folder(transport: Transport, directory: str) -> bool:
    """Return whether there is a folder."""
    try:
        await transport.send(get_folder(transport.settings.bucket, f"{directory}/"))
    except exceptions.FileNotFoundException:
        return False
    return True


def list_entries(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory."""
    return entries_of_keys(prefix, options, _ordered_pages(transport, prefix, options), _file)


async def _ordered_pages(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[list[tuple[str, dict[str, Any] | None]], None]:
    start = key_before(prefix, options)
    if start is None:
        return
    if not options.recursive and start[-1:] == "/":
        # The first page begins with the key itself: on to what follows a directory's slash.
        start = f"{start[:-1]}0"
    below, delimiter = f"{prefix}/" if prefix else "", "" if options.recursive else "/"
    async with aclosing(list_pages(transport, below, delimiter=delimiter, start=start)) as pages:
        async for page in pages:
            yield _in_order(page)


def _file(path: str, item: dict[str, Any]) -> Entry:
    try:
        return listed_file(path, int(item["size"]), written_at(item), etag_of(item))
    except (KeyError, ValueError) as error:
        message = f"The store's answer cannot be understood: it lacks {error}"
        raise exceptions.StorageUnavailableException(message, retryable=False) from error


def _in_order(page: ListedPage) -> list[tuple[str, dict[str, Any] | None]]:
    """Return a page's keys, directories (without an object) and files, by their UTF-8."""
    files: list[tuple[str, dict[str, Any] | None]] = [(each["name"], each) for each in page.items]
    if not page.prefixes:
        return files
    directories: list[tuple[str, dict[str, Any] | None]] = [(each, None) for each in page.prefixes]
    return sorted((*files, *directories), key=lambda entry: entry[0].encode())


async def list_pages(
    transport: Transport, prefix: str, *, delimiter: str = "", start: str = ""
) -> AsyncGenerator[ListedPage, None]:
    """Yield the pages of the keys below a prefix, whatever they look like."""
    listed = functools.partial(
        list_objects,
        transport.settings.bucket,
        prefix,
        delimiter=delimiter,
        start=start,
        limit=_PAGE,
        folders=transport.settings.hierarchical_namespace,
    )
    request, loop = listed(), asyncio.get_running_loop()
    coming = loop.create_task(transport.send(request))
    number, milestone = 0, ""
    try:
        while True:
            page = await coming
            check_below(prefix, (*page.prefixes, *(each["name"] for each in page.items)))
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
                coming = loop.create_task(transport.send(request))
            yield page
            if number == 1:
                coming = loop.create_task(transport.send(request))
    finally:
        # Not waited for: a loop that ends closes all generators at the same time, and one that
        # waits then cannot be closed by the one around it.
        coming.cancel()
        coming.add_done_callback(lambda task: task.cancelled() or task.exception())
