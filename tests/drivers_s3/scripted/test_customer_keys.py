"""Files that are encrypted with a key of the customer's, which requests send (SSE-C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from disk_calls import CALLS, IN_PARTS, fill
from scripted_store import ScriptedStore

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

KEY = "x-amz-server-side-encryption-customer-key"
SOURCE_KEY = "x-amz-copy-source-server-side-encryption-customer-key"
COPIES = {"CopyObject", "UploadPartCopy"}
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html: that one needs
# the key of an upload with checksums.
WITH_KEY = COPIES | {
    *("GetObject", "HeadObject", "PutObject"),
    *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
}


async def test_sse_customer_key_is_sent_by_the_operations_that_take_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, sse_customer_key=b"k" * 32, **IN_PARTS)
    for call in CALLS.values():
        fill(store)
        await call(disk)
    sent = {request.operation for request in store.requests if KEY in request.headers}
    assert sent == WITH_KEY
    from_source = {request.operation for request in store.requests if SOURCE_KEY in request.headers}
    assert from_source == COPIES
    others = {request.operation for request in store.requests if KEY not in request.headers}
    assert others.isdisjoint(WITH_KEY)
