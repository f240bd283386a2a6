"""Presigned URLs and forms: permissions for one file that expire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.s3_driver._metadata import ascii_header
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._bucket import Bucket
    from jtc.storage.options import SignOptions

__all__ = ["download_url", "upload_form", "upload_request"]

_LONGEST = 7 * 24 * 3600
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html"""


async def download_url(bucket: Bucket, key: str, options: SignOptions) -> str:
    """Return a presigned URL for GET."""
    parameters = {"Key": key}
    if options.content_type is not None:
        parameters["ResponseContentType"] = ascii_header("ContentType", options.content_type)
    if options.content_disposition is not None:
        parameters["ResponseContentDisposition"] = ascii_header(
            "ContentDisposition", options.content_disposition
        )
    return await bucket.sign("get_object", parameters, _seconds(options.expires_in))


async def upload_request(bucket: Bucket, key: str, options: SignOptions) -> PresignedRequest:
    """Return a presigned PUT request."""
    seconds = _seconds(options.expires_in)
    parameters: dict[str, Any] = {"Key": key}
    headers: dict[str, str] = {}
    if options.content_type is not None:
        parameters["ContentType"] = ascii_header("ContentType", options.content_type)
        headers["Content-Type"] = options.content_type
    if options.size is not None:
        parameters["ContentLength"] = _length("size", options.size)
        headers["Content-Length"] = str(options.size)
    begins = time.time()
    url = await bucket.sign("put_object", parameters, seconds)
    return PresignedRequest(method="PUT", url=url, headers=headers, expires_at=begins + seconds)


async def upload_form(bucket: Bucket, key: str, options: SignOptions) -> PresignedForm:
    """Return a presigned form.

    Without a content type it has the one by the file's name: left open, the uploader could declare
    an image to be a web page.

    Raises:
        ValueError: The time or a size is invalid; or there is no `max_size`, which S3 needs.
    """
    seconds = _seconds(options.expires_in)
    if options.max_size is None:
        raise ValueError("A form needs max_size")
    max_size = _length("max_size", options.max_size)
    min_size = _length("min_size", options.min_size or 0)
    if min_size > max_size:
        raise ValueError(f"min_size is {min_size} bytes, and max_size only {max_size}")
    if "${filename}" in key:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html
        raise InvalidPathException("In a form, S3 replaces ${filename} by the uploader's own")
    declared = ascii_header("ContentType", options.content_type or guess_type(key))
    begins = time.time()
    form = await bucket.sign_form(
        key,
        {"Content-Type": declared},
        [{"Content-Type": declared}, ["content-length-range", min_size, max_size]],
        seconds,
    )
    return PresignedForm(url=form["url"], fields=form["fields"], expires_at=begins + seconds)


def _seconds(expires_in: float) -> int:
    if not 1 <= expires_in <= _LONGEST:
        raise ValueError(f"expires_in must be from 1 to {_LONGEST} seconds, not {expires_in}")
    return int(expires_in)


def _length(name: str, value: int) -> int:
    if value < 0:
        raise ValueError(f"{name} must be 0 or more bytes, not {value}")
    return value
