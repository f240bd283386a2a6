"""Directory listings: the store's pages, as entries in one fixed order."""

from __future__ import annotations

import asyncio
import functools
from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._transport.operations import list_objects
from jtc.storage.drivers.s3_driver._transport.xml import continuation_of, read_page
from jtc.storage.http_support.key_listing import check_below, entries_of_keys, key_before
from jtc.storage.http_support.transfers.answers import quoted
from jtc.storage.models import DirectoryInfo, listed_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.drivers.s3_driver._transport.xml import ListedObject, Page
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["PAGE", "list_entries", "list_itself", "list_pages"]

PAGE = 1000
"""Keys in an answer, and in a DeleteObjects request: S3's limit for both."""


async def list_itself(transport: Transport, directory: str) -> AsyncGenerator[Entry, None]:
    """Yield a directory if there is one: a key below it, such as that of its marker."""
    first = list_objects(f"{directory}/", delimiter="/", max_keys=1)
    page = await read_page(await transport.send(first))
    if page.objects or page.directories:
        yield DirectoryInfo(path=directory)


def list_entries(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory."""
    pages = _ordered_pages(transport, prefix, options)
    return entries_of_keys(prefix, options, pages, _file)


async def _ordered_pages(
    transport: Transport, prefix: str, options: ListOptions
) -> AsyncGenerator[list[tuple[str, ListedObject | None]], None]:
    start_after = key_before(prefix, options)
    if start_after is None:
        return
    below, delimiter = f"{prefix}/" if prefix else "", "" if options.recursive else "/"
    pages = list_pages(transport, below, delimiter=delimiter, start_after=start_after)
    async with aclosing(pages):
        async for page in pages:
            yield await _in_order(transport, below, page)


def _file(path: str, listed: ListedObject) -> Entry:
    # Whole seconds, as in the answer to a HEAD.
    return listed_file(path, listed.size, float(int(listed.last_modified)), quoted(listed.etag))


async def list_pages(
    transport: Transport, prefix: str, *, delimiter: str = "", start_after: str = ""
) -> AsyncGenerator[Page, None]:
    """Yield the store's pages of the keys below a prefix, whatever they look like."""
    request = functools.partial(_requested, transport, prefix, delimiter)
    # A reader of two pages mostly wants all: from the second on, each is requested as soon as the
    # one before it says where it begins, and arrives while that one is parsed and used.
    coming = request(start_after)
    number, milestone = 0, ""
    try:
        while True:
            content = await coming
            known = continuation_of(content) if number else None
            if known == milestone:
                known = None
            if known is not None:
                coming = request(continuation=known)
                # It begins when this task waits, which a page's readers need not do.
                await asyncio.sleep(0)
            page = await read_page(content)
            if _is_found_by_marker(transport, page) and start_after:
                coming = request(start_after)  # it was ignored
                continue
            check_below(prefix, (*page.directories, *(each.key for each in page.objects)))
            yield page
            if not page.is_truncated:
                return
            last = page.continuation or _last_key(page)
            if last in ("", milestone):
                message = "The store's listing goes round in a circle"
                raise exceptions.StorageUnavailableException(message)
            number += 1
            if number.bit_count() == 1:
                milestone = last  # A circle of any length comes by one of these again.
            if known is None or known != page.continuation:
                coming.cancel()
                coming = request(last, continuation=page.continuation or "")
    finally:
        # Not waited for: a loop that ends closes all generators at the same time, and one that
        # waits then cannot be closed by the one around it.
        coming.cancel()
        coming.add_done_callback(lambda task: task.cancelled() or task.exception())


def _requested(
    transport: Transport, prefix: str, delimiter: str, after: str = "", *, continuation: str = ""
) -> asyncio.Task[bytes]:
    """Begin to request a page, where the one before it says, else after a key."""
    listed = list_objects(
        prefix,
        delimiter=delimiter,
        start_after="" if continuation else after,
        continuation=continuation,
        max_keys=PAGE,
        by_marker=transport.learned.lists_by_marker,
    )
    return asyncio.get_running_loop().create_task(transport.send(listed))


def _is_found_by_marker(transport: Transport, page: Page) -> bool:
    """Learn of a store that it knows the first version of listings only; True the first time.

    Huawei's OBS: https://github.com/minio/minio-go/issues/1703
    """
    if not page.is_by_marker or transport.learned.lists_by_marker:
        return False
    transport.learned.lists_by_marker = True
    return True


def _last_key(page: Page) -> str:
    """Return after which key the next page begins, as a store without continuations needs it."""
    keys = [*page.directories[-1:], *(each.key for each in page.objects[-1:])]
    return max(keys, key=str.encode, default="")


async def _in_order(
    transport: Transport, below: str, page: Page
) -> list[tuple[str, ListedObject | None]]:
    """Return a page's keys, directories (without an object) and files, in the store's order."""
    files: list[tuple[str, ListedObject | None]] = [(each.key, each) for each in page.objects]
    directories: list[tuple[str, ListedObject | None]] = [(each, None) for each in page.directories]
    if not directories or not files:
        return files or directories
    merged = sorted((*files, *directories), key=lambda entry: entry[0].encode())
    by_directory = sorted(merged, key=lambda entry: entry[0].removesuffix("/").encode())
    if merged == by_directory:
        return merged
    learned = transport.learned
    if learned.lists_by_directory is None:
        # By keys, the first directory that the orders disagree on has this file before it.
        at = next(at for at, entry in enumerate(by_directory) if entry != merged[at])
        directory = by_directory[at][0]
        before = merged[merged.index(by_directory[at]) - 1][0]
        learned.lists_by_directory = await _is_before(transport, below, directory, before)
    return by_directory if learned.lists_by_directory else merged


async def _is_before(transport: Transport, below: str, directory: str, key: str) -> bool:
    """Return whether the store lists ``a/`` before ``a-b``, as one with real directories may.

    An answer has two lists, of files and of directories, so that the order between them takes a
    request of its own, once and only where it matters: `start_after` goes by it.
    """
    request = list_objects(
        below,
        delimiter="/",
        start_after=key,
        max_keys=10,
        by_marker=transport.learned.lists_by_marker,
    )
    return directory not in (await read_page(await transport.send(request))).directories
