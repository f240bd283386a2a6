"""Signed uploads: what was signed is what arrives, or nothing stays."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jtc.storage.asgi._forms import FormReader, boundary_of
from jtc.storage.asgi._requests import announced_length, check_whole, put_conditions
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from jtc.storage import DiskOperations
    from jtc.storage.driver_support.url_signing import Grant, Signer

__all__ = ["RefusedError", "receive_form", "receive_put"]


class RefusedError(Exception):
    """A request that gets no more than a status.

    Args:
        status: The HTTP status.
        headers: What else to say.
    """

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


async def receive_put(
    disk: DiskOperations, path: str, grant: Grant, request: Request, max_size: int
) -> None:
    """Store the body of a PUT that a signature permits.

    Args:
        disk: The disk.
        path: The file, as the disk knows it.
        grant: What the signature permits.
        request: The request.
        max_size: The most bytes, where none were signed.

    Raises:
        RefusedError: It is not the request that was signed.
        StorageException: It was not stored.
    """
    headers = request.headers
    length = headers.get("content-length")
    if grant.content_type is not None and headers.get("content-type") != grant.content_type:
        raise RefusedError(HTTPStatus.FORBIDDEN)
    if grant.length is not None and length != str(grant.length):
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED if length is None else HTTPStatus.FORBIDDEN)
    check_whole(headers)
    if grant.length is None and (announced_length(headers) or 0) > max_size:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    options = await put_conditions(disk, path, headers)
    if grant.length is None:
        options["max_size"] = max_size
    else:
        options["size"] = grant.length
    await _put(disk, path, grant, request.stream(), options)


async def receive_form(disk: DiskOperations, path: str, signer: Signer, request: Request) -> None:
    """Store the file of a form whose fields permit it.

    Args:
        disk: The disk.
        path: The file, as the disk knows it.
        signer: Verifies the fields.
        request: The request.

    Raises:
        RefusedError: It is no form.
        FormError: The form is broken, or is another one than was signed.
        StorageException: The fields permit nothing, or the file was not stored.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    form = FormReader(request.stream(), boundary)
    grant = signer.verify("POST", disk.url(path), await form.fields())
    await _put(disk, path, grant, form.file(), {"max_size": grant.length})


async def _put(
    disk: DiskOperations,
    path: str,
    grant: Grant,
    content: AsyncIterator[bytes],
    options: dict[str, Any],
) -> None:
    # What the name says anyway is not declared: not every file system keeps declarations.
    if grant.content_type not in (None, guess_type(path)):
        options["content_type"] = grant.content_type
    # Whoever uploads does not publish: that is for the application, once it has looked at it.
    if "visibility" in disk.capabilities.put_options:
        options["visibility"] = Visibility.PRIVATE
    await disk.put(path, content, **options)
