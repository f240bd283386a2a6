"""Stale uploads: those of processes that were killed, and so could not abort them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._errors import NoUploadException
from jtc.storage.exceptions import FileNotFoundException, StorageUnavailableException

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._bucket import Bucket

__all__ = ["abort_stale_uploads"]


async def abort_stale_uploads(bucket: Bucket, begun_before: float) -> int:
    """Abort the bucket's multipart uploads that began before a time (seconds since 1970)."""
    aborted = 0
    markers: dict[str, Any] = {}
    while True:
        page = await bucket.call("list_multipart_uploads", **markers)
        for upload in page.get("Uploads", ()):
            if upload["Initiated"].timestamp() > begun_before:
                continue
            # Another process may clear them too, or one may be completed after all.
            with suppress(NoUploadException, FileNotFoundException):
                await bucket.call(
                    "abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"]
                )
                aborted += 1
        if not page.get("IsTruncated"):
            return aborted
        before = markers
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
        if markers == before:
            raise StorageUnavailableException("The store's listing goes round in a circle")
