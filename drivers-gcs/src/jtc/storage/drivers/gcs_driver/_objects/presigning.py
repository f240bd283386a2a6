"""Presigned URLs and forms: permissions for one file that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.gcs_driver._driver_options import upload_headers
from jtc.storage.drivers.gcs_driver._transport.signing import policy_fields, unsigned_url
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

    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.drivers.gcs_driver._transport.credentials import Signer
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.options import SignOptions

__all__ = ["check_options", "check_presignable", "download_url", "upload_form", "upload_request"]

_ACLS = {"public": "public-read", "private": "project-private"}
"""As the XML API names them."""


def check_presignable(settings: Settings) -> None:
    """Check that a disk can presign at all.

    Raises:
        UnsupportedOperationException: It has no credentials.
    """
    if settings.anonymous:
        raise UnsupportedOperationException(
            "An anonymous disk has no credentials to sign with: use url()"
        )


def check_options(path: str, options: SignOptions, *, form: bool) -> None:
    """Check the values of options that Google does not sign for, without signing.

    Raises:
        InvalidPathException: Google would replace a part of the key of a form.
        ValueError: A time is out of range.
    """
    check_times(options.expires_in, options.stable_for)
    if form:
        check_form_key(path, "Google")


async def download_url(transport: Transport, path: str, options: SignOptions) -> str:
    """Return a presigned URL for GET.

    With `stable_for`, all URLs of a period are signed as of its start.
    """
    life = life_of(options.expires_in, options.stable_for)
    query: dict[str, str] = {}
    for name in ("content_disposition", "content_type"):
        if (value := getattr(options, name)) is not None:
            query[f"response-{name.replace('_', '-')}"] = ascii_header(name, value)
    if transport.settings.requester_pays:
        query["userProject"] = transport.settings.project or ""
    return await _signed(transport, "GET", path, life, query, {})


async def _signed(
    transport: Transport,
    method: str,
    path: str,
    life: tuple[int, int],
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> str:
    settings, signer = transport.settings, await transport.tokens.signer()
    unsigned = unsigned_url(
        method,
        settings.signing_endpoint_url or settings.endpoint_url,
        f"/{settings.bucket}/{path}",
        signer.email,
        life,
        query=query,
        headers=headers,
    )
    return unsigned.signed(await _signature(signer, unsigned.text))


async def _signature(signer: Signer, text: str) -> bytes:
    if signer.is_local:
        return signer.sign(text.encode())
    return await in_thread(signer.sign, text.encode())


async def upload_request(transport: Transport, path: str, options: SignOptions) -> PresignedRequest:
    """Return a presigned PUT request; the disk's `driver_options` and visibility are signed too."""
    life = life_of(options.expires_in)
    sent = _upload_headers(transport.settings)
    if options.content_type is not None:
        sent["Content-Type"] = ascii_header("content_type", options.content_type)
    if options.size is not None:
        size = check_length("size", options.size)
        sent["X-Goog-Content-Length-Range"] = f"{size},{size}"
    signed = {name.lower(): value for name, value in sent.items()}
    url = await _signed(transport, "PUT", path, life, {}, signed)
    return PresignedRequest(method="PUT", url=url, headers=sent, expires_at=float(sum(life)))


def _upload_headers(settings: Settings) -> dict[str, str]:
    headers = upload_headers(settings.driver_fields)
    if settings.visibility is not None:
        headers["x-goog-acl"] = _ACLS[settings.visibility.value]
    if settings.requester_pays:
        headers["x-goog-user-project"] = settings.project or ""
    return headers


async def upload_form(transport: Transport, path: str, options: SignOptions) -> PresignedForm:
    """Return a presigned form.

    Without a content type it has the one by the file's name: left open, the uploader could declare
    an image to be a web page.

    Raises:
        InvalidPathException: Google would replace a part of the key.
        ValueError: The time or a size is invalid; or there is no `max_size`.
    """
    life = life_of(options.expires_in)
    if options.max_size is None:
        raise ValueError("A form needs max_size")
    sizes = (
        check_length("min_size", options.min_size or 0),
        check_length("max_size", options.max_size),
    )
    check_form_key(path, "Google")
    settings, signer = transport.settings, await transport.tokens.signer()
    sent = {"key": path, **_upload_headers(settings)}
    if acl := sent.pop("x-goog-acl", ""):
        sent["acl"] = acl
    kind = options.content_type or guess_type(path)
    sent["Content-Type"] = ascii_header("content_type", kind)
    fields = policy_fields(
        sent,
        [{"bucket": settings.bucket}, ["content-length-range", *sizes]],
        signer.email,
        life,
    )
    signature = await _signature(signer, fields["policy"])
    fields["x-goog-signature"] = signature.hex()
    base = settings.signing_endpoint_url or settings.endpoint_url
    url = f"{base}/{settings.bucket}/"
    return PresignedForm(url=url, fields=fields, expires_at=float(sum(life)))
