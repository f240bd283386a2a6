"""Presigned uploads: a request that differs from what was signed stores nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jtc.storage.asgi._errors import StatusError, refused_signatures
from jtc.storage.asgi._forms import FormReader, boundary_of
from jtc.storage.asgi._requests import announced_length, check_whole, put_conditions
from jtc.storage.driver_support.mime_types import guess_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from jtc.storage import DiskOperations
    from jtc.storage.driver_support.url_signing import Grant, UrlSigner

__all__ = ["receive_form", "receive_put"]


async def receive_put(
    disk: DiskOperations, path: str, grant: Grant, request: Request, max_size: int
) -> None:
    """Store the body of a presigned PUT.

    Args:
        disk: The disk.
        path: The file's path on the disk.
        grant: What the signature permits.
        request: The request.
        max_size: The largest length in bytes where no length was signed.

    Raises:
        StatusError: The request differs from what was signed.
        StorageException: The file was not stored.
    """
    headers = request.headers
    length = headers.get("content-length")
    if grant.content_type is not None and headers.get("content-type") != grant.content_type:
        raise StatusError(HTTPStatus.FORBIDDEN)
    if grant.length is not None and length != str(grant.length):
        raise StatusError(HTTPStatus.LENGTH_REQUIRED if length is None else HTTPStatus.FORBIDDEN)
    check_whole(headers)
    if grant.length is None and (announced_length(headers) or 0) > max_size:
        raise StatusError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    options = await put_conditions(disk, path, headers)
    if grant.length is None:
        options["max_size"] = max_size
    else:
        options["size"] = grant.length
    await _put(disk, path, grant, request.stream(), options)


async def receive_form(
    disk: DiskOperations, path: str, signer: UrlSigner, request: Request
) -> None:
    """Store the file of a presigned form.

    Args:
        disk: The disk.
        path: The file's path on the disk.
        signer: Verifies the fields.
        request: The request.

    Raises:
        StatusError: The request has no form.
        FormError: The form is malformed, or has other fields than were signed.
        StorageException: The signature is not valid, or the file was not stored.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise StatusError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    form = FormReader(request.stream(), boundary)
    url, fields = disk.url(path), await form.fields()
    with refused_signatures():
        grant = signer.verify("POST", url, fields)
    limits = {"min_size": grant.min_length, "max_size": grant.length}
    await _put(disk, path, grant, form.file(), limits)


async def _put(
    disk: DiskOperations,
    path: str,
    grant: Grant,
    content: AsyncIterator[bytes],
    options: dict[str, Any],
) -> None:
    # A type that the name implies is not declared: not every file system keeps declarations.
    if grant.content_type not in (None, guess_type(path)):
        options["content_type"] = grant.content_type
    # Without a visibility: with a secret, new files are private unless the disk's option says else.
    await disk.put(path, content, **options)
