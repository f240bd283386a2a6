"""`ZipResponse`: a response with many files of a disk, as one zip archive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._arguments import check_disk
from jtc.storage.asgi._conditions import failed_condition, seconds_of
from jtc.storage.asgi._errors import EarlyError, send_disconnected, send_error, send_status
from jtc.storage.asgi._headers import attachment
from jtc.storage.asgi._sending import encoded, send_body, send_head, until_disconnect
from jtc.storage.asgi._zip_archive import (
    archive_chunks,
    archive_etag,
    archive_length,
    check_names,
    find_members,
)
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.background import BackgroundTask
    from starlette.types import Receive, Scope, Send

    from jtc.storage import DiskOperations

__all__ = ["ZipResponse"]


class ZipResponse(Response):
    """A response with many files of a disk as one zip archive, to return from a handler.

    The archive is made while it is sent, in constant memory for each file, and its length is known
    before: browsers show the progress. Files are stored in it as they are, not compressed. All are
    looked up before the response begins, so that a missing one is a 404; if one is replaced or
    deleted later, the connection is closed, so that a part never looks like the whole archive.

    Args:
        disk: The disk.
        files: A directory, whose files are in the archive by their names below it; paths; or paths
            by the names in the archive.
        filename: The name to save the archive under, in any script.
        status_code: The HTTP status.
        headers: Further headers, which replace those of the archive.
        background: A task to run after the response.

    Raises:
        InvalidPathException: A name is not allowed in an archive, or is there twice.
        PathConflictException: A name is a file and a directory.
        TypeError: `disk` is no disk.
    """

    media_type = "application/zip"

    def __init__(
        self,
        disk: DiskOperations,
        files: str | Iterable[str] | Mapping[str, str],
        *,
        filename: str = "files.zip",
        status_code: int = HTTPStatus.OK.value,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        check_disk(disk)
        self.disk = disk
        self.files = _by_name(files)
        self.filename = filename
        self.status_code = status_code
        self.background = background
        self.body = b""
        self.raw_headers = encoded(headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request.

        Raises:
            StorageException: A file was replaced or deleted, or the storage failed, after the
                response began: the server then closes the connection.
        """
        try:
            begun = await until_disconnect(
                receive, send, lambda tracked: self._respond(scope, tracked)
            )
            if not begun:
                await send_disconnected(scope["method"], send)
        except EarlyError as early:
            await send_error(early.error, scope, send)
        if self.background is not None:
            await self.background()

    async def _respond(self, scope: Scope, send: Send) -> None:
        method = scope["method"].upper()
        try:
            members = await find_members(self.disk, self.files)
        except StorageException as error:
            raise EarlyError(error) from error
        etag = archive_etag(members)
        changed = max((each.last_modified for each in members), default=0.0)
        own = Headers(raw=self.raw_headers)
        said = seconds_of(own.get("last-modified", ""))
        status = failed_condition(
            method,
            Headers(scope=scope),
            own.get("etag", etag),
            changed if said is None else said,
        )
        if status == HTTPStatus.PRECONDITION_FAILED:
            await send_status(status, method, send)
            return
        headers = self._archive_headers(etag, changed)
        if status == HTTPStatus.NOT_MODIFIED:
            for name in ("accept-ranges", "content-disposition", "content-type"):
                del headers[name]
            await self._send_head(status, headers, send)
            await send({"type": "http.response.body", "body": b""})
            return
        length = await asyncio.to_thread(archive_length, members)
        headers["content-length"] = str(length)
        await self._send_head(self.status_code, headers, send)
        if method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        async with aclosing(archive_chunks(self.disk, members)) as chunks:
            await send_body(chunks, length, send)

    def _archive_headers(self, etag: str | None, changed: float) -> dict[str, str]:
        headers = {
            "content-type": self.media_type,
            "content-disposition": attachment(self.filename),
            "cache-control": "private, no-cache",
            "last-modified": formatdate(max(0, int(changed)), usegmt=True),
            "accept-ranges": "none",
            "x-content-type-options": "nosniff",
        }
        return headers if etag is None else {**headers, "etag": etag}

    async def _send_head(self, status: int, headers: Mapping[str, str], send: Send) -> None:
        own = [field for field in self.raw_headers if field[0] != b"content-length"]
        await send_head(status, headers, send, own)


def _by_name(files: str | Iterable[str] | Mapping[str, str]) -> str | dict[str, str]:
    """Return a directory, or paths by the names in the archive."""
    if isinstance(files, str):
        return files
    if isinstance(files, Mapping):
        named = dict(files)
    else:
        paths = [check_path(path) for path in files]
        check_names(paths)
        named = {path: path for path in paths}
    check_names(named)
    return named
