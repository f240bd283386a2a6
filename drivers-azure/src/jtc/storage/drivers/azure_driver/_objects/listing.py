"""Directory listings: the store's pages, as entries in one fixed order."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._transport.operations import check_name
from jtc.storage.drivers.azure_driver._transport.xml import read_page
from jtc.storage.http_support.key_listing import check_below, entries_of_keys, key_before
from jtc.storage.http_support.requests import Refusal
from jtc.storage.http_support.transfers.answers import quoted
from jtc.storage.models import DirectoryInfo, listed_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.drivers.azure_driver._transport.xml import ListedBlob, Page
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["PAGE", "is_marked", "list_entries", "list_itself", "list_pages"]

PAGE = 5000
"""Names in an answer: Azure's limit."""

_BAD_REQUEST = 400


async def list_itself(transport: Transport, directory: str) -> AsyncGenerator[Entry, None]:
    """Yield a directory if there is one: a name below it, or what marks it."""
    if await _has_directory(transport, directory):
        yield DirectoryInfo(path=directory)


async def _has_directory(transport: Transport, directory: str) -> bool:
    """Return whether there is a directory."""
    # A page may be empty though there is another one.
    async with aclosing(list_pages(transport, f"{directory}/", delimiter="/", most=1)) as pages:
        async for page in pages:
            if page.blobs or page.directories:
                return True
    return await is_marked(transport, directory)


async def is_marked(transport: Transport, directory: str) -> bool:
    """Return whether a blob of a directory's name stands for it."""
    try:
        blob = await transport.send(transport.requests.get_properties(directory))
    except exceptions.FileNotFoundException:
        return False
    return blob.is_directory


def list_entries(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory."""
    return entries_of_keys(prefix, options, _ordered_pages(transport, prefix, options), _file)


async def _ordered_pages(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[list[tuple[str, ListedBlob | None]], None]:
    start_after = key_before(prefix, options, _place)
    if start_after is None:
        return
    below, delimiter = f"{prefix}/" if prefix else "", "" if options.recursive else "/"
    after = _place(start_after)
    pages = list_pages(transport, below, delimiter=delimiter, start_after=start_after)
    async with aclosing(pages):
        async for page in pages:
            keys = _in_order(page, recursive=options.recursive)
            # A service that cannot begin at a name begins at the first.
            yield [each for each in keys if _place(each[0]) > after] if after else keys


def _file(path: str, listed: ListedBlob) -> Entry:
    return listed_file(path, listed.size, listed.last_modified, quoted(listed.etag))


def _in_order(page: Page, *, recursive: bool) -> list[tuple[str, ListedBlob | None]]:
    """Return a page's keys, directories (without a blob) and files, in the store's order."""
    keys: dict[str, ListedBlob | None] = {}
    for each in page.blobs:
        if each.is_directory and each.name[-1:] != "/":
            # By levels, what marks a directory is the directory.
            keys[f"{each.name}/"] = each if recursive else None
        else:
            keys[each.name] = each
    keys |= dict.fromkeys(page.directories)
    entries = list(keys.items())
    if page.directories or any(each.is_directory for each in page.blobs):
        entries.sort(key=lambda entry: _place(entry[0]))
    return entries


def _place(key: str) -> bytes:
    """Return by what the store orders a key: UTF-16, which differs for rare letters only."""
    return key.encode("utf-16-be")


async def list_pages(
    transport: Transport,
    prefix: str,
    *,
    delimiter: str = "",
    start_after: str = "",
    most: int | None = None,
) -> AsyncGenerator[Page, None]:
    """Yield the store's pages of the names below a prefix, whatever they look like."""
    check_name(prefix)
    start_from = "" if transport.starts_listings is False else start_after

    def request(marker: str) -> asyncio.Task[bytes]:
        listed = transport.requests.list_blobs(
            prefix, delimiter=delimiter, marker=marker, start_from=start_from, most=most or PAGE
        )
        return asyncio.get_running_loop().create_task(transport.send(listed))

    coming = request("")
    number, milestone = 0, ""
    try:
        while True:
            try:
                content = await coming
            except exceptions.StorageException as error:
                if not start_from or not _is_unknown(error):
                    raise
                transport.starts_listings, start_from = False, ""
                coming = request("")
                continue
            page = await _page_below(prefix, content)
            if (marker := page.next_marker) and marker == milestone:
                raise _circle()
            # A reader of two pages mostly wants all: from the second on, the next one arrives while
            # each is used.
            is_requested = bool(marker) and number > 0
            if is_requested:
                coming = request(marker)
                # It begins when this task waits, which a page's readers need not do.
                await asyncio.sleep(0)
            yield page
            if not marker:
                return
            number += 1
            if number.bit_count() == 1:
                milestone = marker  # A circle of any length comes by one of these again.
            if not is_requested:
                coming = request(marker)
    finally:
        _give_up(coming)


async def _page_below(prefix: str, content: bytes) -> Page:
    page = await read_page(content)
    check_below(prefix, (*page.directories, *(each.name for each in page.blobs)))
    return page


def _circle() -> exceptions.StorageUnavailableException:
    return exceptions.StorageUnavailableException("The store's listing goes round in a circle")


def _give_up(coming: asyncio.Task[bytes]) -> None:
    # Not waited for: a loop that ends closes all generators at the same time, and one that waits
    # then cannot be closed by the one around it.
    coming.cancel()
    coming.add_done_callback(lambda task: task.cancelled() or task.exception())


def _is_unknown(error: exceptions.StorageException) -> bool:
    """Return whether a service is too old to begin a listing at a name."""
    refusal = error.__cause__
    return isinstance(refusal, Refusal) and refusal.status == _BAD_REQUEST
