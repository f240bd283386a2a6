"""Directory listings: the store's pages, as entries in one fixed order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._documents import continuation_of, parsed_page
from jtc.storage.drivers.s3_driver._metadata import quoted_etag
from jtc.storage.exceptions import InvalidPathException, StorageUnavailableException
from jtc.storage.models import DirectoryInfo, listed_file
from jtc.storage.paths import check_listed_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from jtc.storage.drivers.s3_driver._bucket import Bucket
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["key_pages", "list_entries"]

logger = logging.getLogger("jtc.storage")

PAGE = 1000
"""Keys in an answer, and in a DeleteObjects request: S3's limit for both."""


async def list_entries(
    bucket: Bucket, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory."""
    recursive, start_after = options.recursive, options.start_after
    below = f"{prefix}/" if prefix else ""
    if start_after and not start_after.startswith(below):
        if start_after.encode() > below.encode():
            return
        start_after = None
    if start_after and not recursive:
        # What lies in a directory comes after that directory.
        name, slash, _ = start_after[len(below) :].partition("/")
        start_after = f"{below}{name}{slash}"
    refused = 0
    previous: str | None = None
    try:
        parameters = _parameters(below, start_after, recursive=recursive)
        async with aclosing(_pages(bucket, parameters)) as pages:
            async for page in pages:
                for key, item in await _in_order(bucket, below, page):
                    # A directory comes back after each key that is in it, and on several pages.
                    if key == previous or (start_after and start_after.startswith(key)):
                        continue
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


def _parameters(below: str, start_after: str | None, *, recursive: bool) -> dict[str, Any]:
    parameters = {"Prefix": below}
    if not recursive:
        parameters["Delimiter"] = "/"
    if start_after:
        parameters["StartAfter"] = start_after
    return parameters


def _entry(key: str, item: dict[str, Any] | None) -> Entry | None:
    """Return what a key stands for, or None where the path policy refuses the name."""
    path = key if item is not None else key[:-1]
    try:
        # The check drops one leading "/", but with it the key is another file's.
        if check_listed_path(path) != path:
            return None
    except InvalidPathException:
        return None
    if item is None:
        return DirectoryInfo(path=path)
    # Whole seconds, as in the answer to a HEAD.
    modified = float(int(item["LastModified"].timestamp()))
    return listed_file(path, item["Size"], modified, quoted_etag(item.get("ETag")))


async def key_pages(bucket: Bucket, below: str) -> AsyncGenerator[list[str], None]:
    """Yield the keys below a prefix, whatever they look like, in pages."""
    async with aclosing(_pages(bucket, {"Prefix": below})) as pages:
        async for page in pages:
            yield [item["Key"] for item in page.get("Contents", ())]


async def _pages(
    bucket: Bucket, parameters: dict[str, Any]
) -> AsyncGenerator[dict[str, Any], None]:
    page = await bucket.list_page(MaxKeys=PAGE, **parameters)
    yield page
    # A reader of two pages mostly wants all: each is requested as soon as the one before it says
    # where it begins, and arrives while that one is parsed and used.
    coming: asyncio.Task[Any] | None = None
    asked: dict[str, Any] | None = None
    try:
        while (following := _following(page, parameters)) is not None:
            parameters = following
            if coming is None or parameters != asked:
                await _called_off(coming)
                coming = _ask(bucket, parameters)
            answer = await coming
            asked = _following(_head(answer), parameters)
            coming = None if asked is None else _ask(bucket, asked)
            # It begins when this task waits, which a page's readers need not do.
            await asyncio.sleep(0)
            page = await parsed_page(answer)
            yield page
    finally:
        await _called_off(coming)


def _ask(bucket: Bucket, parameters: dict[str, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(bucket.call("list_objects_v2", MaxKeys=PAGE, **parameters))


async def _called_off(coming: asyncio.Task[Any] | None) -> None:
    if coming is not None:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _head(answer: Any) -> dict[str, Any]:
    """Return what is known of the next page before this one is parsed."""
    if "Document" not in answer:
        page: dict[str, Any] = answer
        return page
    token = continuation_of(answer["Document"])
    return {"NextContinuationToken": token, "IsTruncated": token is not None}


def _following(page: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Return the next page's parameters, or None where this is the last one."""
    token = page.get("NextContinuationToken")
    if not page.get("IsTruncated") or not token:
        return None
    if token == parameters.get("ContinuationToken"):
        raise StorageUnavailableException("The store's listing goes round in a circle")
    return {**parameters, "ContinuationToken": token}


async def _in_order(bucket: Bucket, below: str, page: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return a page's keys, directories (whose item is None) and files, in the store's order."""
    files = [(item["Key"], item) for item in page.get("Contents", ())]
    directories = [(item["Prefix"], None) for item in page.get("CommonPrefixes", ())]
    if not directories:
        return files
    if not files:
        return directories
    merged = sorted((*files, *directories), key=_by_key)
    by_directory = sorted(merged, key=_by_name)
    if merged != by_directory and await _goes_by_directory(bucket, below, merged, by_directory):
        return by_directory
    return merged


def _by_key(entry: tuple[str, Any]) -> bytes:
    return entry[0].encode()


def _by_name(entry: tuple[str, Any]) -> bytes:
    return entry[0].removesuffix("/").encode()


async def _goes_by_directory(
    bucket: Bucket, below: str, merged: list[tuple[str, Any]], by_directory: list[tuple[str, Any]]
) -> bool:
    """Return whether the store lists ``a/`` before ``a-b``, as one with real directories may.

    An answer has two lists, of files and of directories, so that the order between them takes a
    request of its own, once and only where it matters: `start_after` goes by it.
    """
    if bucket.goes_by_directory is None:
        # By keys, the first directory that the orders disagree on has this file before it.
        place = next(
            number
            for number, (one, other) in enumerate(zip(merged, by_directory, strict=True))
            if one is not other
        )
        directory = by_directory[place][0]
        before = merged[merged.index(by_directory[place]) - 1][0]
        page = await bucket.list_page(Prefix=below, Delimiter="/", StartAfter=before, MaxKeys=10)
        after = [item["Prefix"] for item in page.get("CommonPrefixes", ())]
        bucket.goes_by_directory = directory not in after
    return bucket.goes_by_directory
