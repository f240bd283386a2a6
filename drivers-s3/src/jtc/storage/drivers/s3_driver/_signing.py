"""Signed addresses: what anybody may do with one file for some time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.s3_driver._metadata import ascii_header
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._bucket import Bucket

__all__ = ["download_url", "upload_form", "upload_request"]

_LONGEST = 7 * 24 * 3600
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html"""


async def download_url(
    bucket: Bucket,
    key: str,
    expires_in: float,
    *,
    content_type: str | None,
    content_disposition: str | None,
) -> str:
    """Return an address for GET; the arguments are those of `SupportsTemporaryUrls`."""
    parameters = {"Key": key}
    if content_type is not None:
        parameters["ResponseContentType"] = ascii_header("ContentType", content_type)
    if content_disposition is not None:
        parameters["ResponseContentDisposition"] = ascii_header(
            "ContentDisposition", content_disposition
        )
    return await bucket.sign("get_object", parameters, _seconds(expires_in))


async def upload_request(
    bucket: Bucket, key: str, expires_in: float, *, content_type: str | None, size: int | None
) -> PresignedRequest:
    """Return a PUT; the arguments are those of `SupportsTemporaryUploads`."""
    seconds = _seconds(expires_in)
    parameters: dict[str, Any] = {"Key": key}
    headers: dict[str, str] = {}
    if content_type is not None:
        parameters["ContentType"] = ascii_header("ContentType", content_type)
        headers["Content-Type"] = content_type
    if size is not None:
        if size < 0:
            raise ValueError(f"size must be 0 or more bytes, not {size}")
        parameters["ContentLength"] = size
        headers["Content-Length"] = str(size)
    begins = time.time()
    url = await bucket.sign("put_object", parameters, seconds)
    return PresignedRequest(method="PUT", url=url, headers=headers, expires_at=begins + seconds)


async def upload_form(
    bucket: Bucket, key: str, expires_in: float, *, max_size: int, content_type: str | None
) -> PresignedForm:
    """Return a form; the arguments are those of `SupportsUploadForms`.

    Without a content type, the one by the file's name: left open, it would be the uploader's to
    say that an image is a web page.
    """
    seconds = _seconds(expires_in)
    if max_size < 0:
        raise ValueError(f"max_size must be 0 or more bytes, not {max_size}")
    if "${filename}" in key:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html
        raise InvalidPathException("In a form, S3 replaces ${filename} by the uploader's own")
    declared = ascii_header("ContentType", content_type or guess_type(key))
    begins = time.time()
    form = await bucket.sign_form(
        key,
        {"Content-Type": declared},
        [{"Content-Type": declared}, ["content-length-range", 0, max_size]],
        seconds,
    )
    return PresignedForm(url=form["url"], fields=form["fields"], expires_at=begins + seconds)


def _seconds(expires_in: float) -> int:
    if not 1 <= expires_in <= _LONGEST:
        raise ValueError(f"expires_in must be from 1 to {_LONGEST} seconds, not {expires_in}")
    return int(expires_in)
