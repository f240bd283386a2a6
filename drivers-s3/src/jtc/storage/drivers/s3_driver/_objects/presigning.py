"""Presigned URLs and forms: permissions for one file that expire.

Nothing here waits, and nothing is sent. With temporary keys, a result ends with them if that is
before its own expiry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.s3_driver._transport.xml import tags_document
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.http_support.header_values import ascii_header
from jtc.storage.http_support.presigning import (
    check_form_key,
    check_length,
    check_times,
    life_of,
)
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.sigv4 import Signing
    from jtc.storage.options import SignOptions

__all__ = ["check_options", "check_presignable", "download_url", "upload_form", "upload_request"]

_WITHOUT_FORMS = (".r2.cloudflarestorage.com", ".backblazeb2.com")
"""https://github.com/transloadit/uppy/issues/5052"""


def check_presignable(settings: Settings) -> None:
    """Check that a disk can presign at all.

    Raises:
        UnsupportedOperationException: It has no keys, or an `sse_customer_key`.
    """
    if settings.anonymous:
        raise UnsupportedOperationException("An anonymous disk has no keys to sign with: use url()")
    if settings.sse_customer_key is not None:
        raise UnsupportedOperationException("Clients of presigned URLs lack the sse_customer_key")


def check_options(path: str, options: SignOptions, *, form: bool) -> None:
    """Check the values of options that S3 does not sign for, without signing.

    Raises:
        InvalidPathException: S3 would replace a part of the key of a form.
        ValueError: A time is out of range.
    """
    check_times(options.expires_in, options.stable_for)
    if form:
        check_form_key(path, "S3")


def download_url(
    signing: Signing, key: str, options: SignOptions, *, requester_pays: bool = False
) -> str:
    """Return a presigned URL for GET.

    With `stable_for`, all URLs of a period are signed as of its start.

    Args:
        signing: What to sign with.
        key: The file.
        options: The times, and headers of the response.
        requester_pays: Whether the owner of the keys pays.

    Raises:
        ValueError: The time, the type or the disposition is invalid.
    """
    query: list[str] = []
    for name in ("content_disposition", "content_type"):
        if (value := getattr(options, name)) is not None:
            quoted = quote(ascii_header(name, value), safe="")
            query.append(f"response-{name.replace('_', '-')}={quoted}")
    if requester_pays:
        query.append("x-amz-request-payer=requester")
    life = life_of(options.expires_in, options.stable_for)
    return signing.url("GET", key, "&".join(query), {}, life)


def upload_request(
    signing: Signing, key: str, options: SignOptions, headers: Mapping[str, str]
) -> PresignedRequest:
    """Return a presigned PUT request.

    Args:
        signing: What to sign with.
        key: The file.
        options: The time, the type and the size.
        headers: What else the client must send: the disk's `driver_options`, and such, by names in
            lower case.

    Raises:
        ValueError: The time, the type or the size is invalid.
    """
    life = life_of(options.expires_in)
    sent = dict(headers)
    if options.content_type is not None:
        sent["Content-Type"] = ascii_header("content_type", options.content_type)
    if options.size is not None:
        sent["Content-Length"] = str(check_length("size", options.size))
    signed = {name.lower(): value for name, value in sent.items()}
    url = signing.url("PUT", key, "", signed, life)
    return PresignedRequest(method="PUT", url=url, headers=sent, expires_at=signing.end(life))


def upload_form(
    signing: Signing, bucket: str, key: str, options: SignOptions, headers: Mapping[str, str]
) -> PresignedForm:
    """Return a presigned form.

    Without a content type it has the one by the file's name: left open, the uploader could declare
    an image to be a web page.

    Args:
        signing: What to sign with.
        bucket: The bucket's name.
        key: The file.
        options: The time, the type and the sizes.
        headers: As for `upload_request`; each becomes a field.

    Raises:
        InvalidPathException: S3 would replace a part of the key.
        UnsupportedOperationException: The store is known to take no forms.
        ValueError: The time or a size is invalid; or there is no `max_size`, which S3 needs.
    """
    signer, endpoint, keys = signing
    if endpoint.host.endswith(_WITHOUT_FORMS):
        message = "The store takes no presigned forms: use temporary_upload_url"
        raise UnsupportedOperationException(message)
    life = life_of(options.expires_in)
    if options.max_size is None:
        raise ValueError("A form needs max_size")
    sizes = (
        check_length("min_size", options.min_size or 0),
        check_length("max_size", options.max_size),
    )
    check_form_key(key, "S3")
    fields = {"key": key, **headers}
    if tags := fields.pop("x-amz-tagging", ""):
        fields["tagging"] = tags_document(parse_qsl(tags))
    if acl := fields.pop("x-amz-acl", ""):
        fields["acl"] = acl
    fields["Content-Type"] = ascii_header("content_type", options.content_type or guess_type(key))
    conditions = ({"bucket": bucket}, ("content-length-range", *sizes))
    fields = signer.sign_policy(keys, fields, conditions, life)
    # As the SDK has it: a path such as /bucket/ is an object's for some stores.
    url = endpoint.url if endpoint.base == "/" else endpoint.url.removesuffix("/")
    return PresignedForm(url=url, fields=fields, expires_at=signing.end(life))
