"""Writing of whole files."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.opendal_driver._content import pieces, read_whole
from jtc.storage.drivers.opendal_driver._errors import OpenDALError
from jtc.storage.drivers.opendal_driver._metadata import key
from jtc.storage.drivers.opendal_driver._services import NEEDS_WHOLE_CONTENT
from jtc.storage.drivers.opendal_driver._staging import check_name, check_target
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opendal import AsyncOperator

    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.opendal_driver._calls import Calls
    from jtc.storage.drivers.opendal_driver._staging import Staging
    from jtc.storage.options import WriteOptions

__all__ = ["write_file", "write_options"]

_PART_SIZE = 8 * 1024 * 1024

_DECLARED = {
    "content_type": "content_type",
    "content_disposition": "content_disposition",
    "content_encoding": "content_encoding",
    "metadata": "user_metadata",
}
"""The names of OpenDAL's options, by ours. A cache-control is written and never said again."""


def write_options(calls: Calls) -> frozenset[str]:
    """Return the options of `write_file` that the service keeps."""
    claims = calls.claims
    found = {ours for ours, name in _DECLARED.items() if f"write_with_{name}" in claims}
    if not calls.stages and "write_with_if_not_exists" in claims:
        found.add("overwrite")
    if not calls.stages and calls.has_etags and "write_with_if_match" in claims:
        found.add("if_match")
    return frozenset(found)


async def write_file(
    calls: Calls, staging: Staging, path: str, content: DriverContent, options: WriteOptions
) -> None:
    """Store a file whole, or leave the existing one.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: `if_match` names another version, or there is no file.
        UnsupportedOperationException: The service stores no empty files.
    """
    given = _given(calls, path, options)
    whole = None
    if not _streams(calls, content):
        whole = await read_whole(content)
        if not whole and "write_can_empty" not in calls.claims:
            raise UnsupportedOperationException(
                f"OpenDAL's service {calls.settings.scheme!r} stores no empty files"
            )
    if not calls.stages:
        try:
            await _write(calls, path, content if whole is None else whole, given)
        except FileExistsException:
            raise
        except PreconditionFailedException:
            if not options.overwrite:
                raise FileExistsException("The file exists already") from None
            raise
        return
    await check_name(calls, path)
    staged = staging.new_name()
    try:
        await _write(calls, staged, content if whole is None else whole, given)
        await check_target(calls, path)
    except BaseException:
        staging.remove(calls, staged)
        raise
    await staging.finish(calls, staged, path)


def _streams(calls: Calls, content: DriverContent) -> bool:
    """Return whether content is written as it comes; otherwise it is read beforehand."""
    return (
        not isinstance(content, bytes)
        and "write_can_multi" in calls.claims
        and "write_can_empty" in calls.claims
        and calls.settings.scheme not in NEEDS_WHOLE_CONTENT
    )


def _given(calls: Calls, path: str, options: WriteOptions) -> dict[str, Any]:
    """Return OpenDAL's options of a write."""
    given: dict[str, Any] = {
        name: value
        for ours, name in _DECLARED.items()
        if (value := getattr(options, ours)) is not None
    }
    if options.metadata is not None:
        given["user_metadata"] = dict(options.metadata)
    if options.content_type is None and "write_with_content_type" in calls.claims:
        given["content_type"] = guess_type(path)
    if not options.overwrite:
        given["if_not_exists"] = True
    if options.if_match is not None:
        given["if_match"] = options.if_match
    return given


async def _write(calls: Calls, path: str, content: DriverContent, given: dict[str, Any]) -> None:
    conditional = "if_not_exists" in given or "if_match" in given
    if not isinstance(content, bytes):
        await _stream(calls, path, content, given)
        return

    def write(operator: AsyncOperator) -> Any:
        return operator.write(key(calls, path), content, **given)

    sent: Awaitable[Any] = calls.send(write, size=len(content), again=not conditional, reads=False)
    if calls.settings.scheme in NEEDS_WHOLE_CONTENT:
        # A call that is ended on the way leaves a part behind: it goes on when this is cancelled.
        sent = asyncio.shield(asyncio.ensure_future(sent))
    try:
        await sent
    except FileNotFoundException:
        raise StorageException(
            f"The service finds no place for the file: is the root {calls.settings.root!r} there?"
        ) from None


async def _stream(calls: Calls, path: str, content: DriverContent, given: dict[str, Any]) -> None:
    """Write content as it comes. A file that is not closed does not appear, or is staged."""
    file = await calls.send(
        lambda operator: operator.open(key(calls, path), "wb", chunk=_PART_SIZE, **given),
        reads=False,
    )
    source = pieces(content)
    try:
        async for piece in source:
            await calls.send(
                lambda _, piece=piece: file.write(piece),  # type: ignore[misc]
                size=len(piece),
                again=False,
                reads=False,
            )
        await calls.send(lambda _: file.close(), size=_PART_SIZE, again=False, reads=False)
    finally:
        with suppress(*OpenDALError):
            await source.aclose()
