"""Stale uploads: those of processes that were killed, and so could not abort them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._transport.errors import NoUploadException
from jtc.storage.drivers.s3_driver._transport.operations import abort_upload, list_uploads
from jtc.storage.exceptions import FileNotFoundException, StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["abort_stale_uploads"]


async def abort_stale_uploads(
    transport: Transport,
    begun_before: float,
    *,
    dry_run: bool = False,
    report: Callable[[str, float], object] | None = None,
) -> int:
    """Abort the bucket's multipart uploads that began before a time (seconds since 1970)."""
    aborted = 0
    after: tuple[str, str] | None = None
    while True:
        page = await transport.send(list_uploads(after))
        for key, upload_id, begun in page.uploads:
            if begun > begun_before:
                continue
            # Another process may abort them too, or one may be completed after all.
            with suppress(NoUploadException, FileNotFoundException):
                if not dry_run:
                    await transport.send(abort_upload(key, upload_id))
                aborted += 1
                if report is not None:
                    report(key, begun)
        if page.next is None:
            return aborted
        if page.next == after:
            raise StorageUnavailableException("The store's listing of uploads does not end")
        after = page.next
