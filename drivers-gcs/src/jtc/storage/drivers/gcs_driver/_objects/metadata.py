"""Metadata of a file: from Google's answers, and as fields of an object."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._driver_options import resource_options
from jtc.storage.drivers.gcs_driver._objects.conditions import etag_of, if_version
from jtc.storage.drivers.gcs_driver._settings import PREDEFINED_ACLS
from jtc.storage.drivers.gcs_driver._transport.operations import get_object
from jtc.storage.http_support.header_values import ascii_header, header_text
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._transport.operations import Media, Resource
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions

__all__ = [
    "HEADER_FIELDS",
    "acl_query",
    "crc32c_of_media",
    "declared_fields",
    "file_info",
    "kept_fields",
    "media_info",
    "resource_now",
    "resource_of",
    "stat",
    "written_at",
]

HEADER_FIELDS = {
    "content_type": "contentType",
    "cache_control": "cacheControl",
    "content_disposition": "contentDisposition",
    "content_encoding": "contentEncoding",
}
"""Fields of an object by the names of options."""

_KEPT = (*HEADER_FIELDS.values(), "contentLanguage", "metadata", "customTime")
_META = "x-goog-meta-"


def declared_fields(options: WriteOptions) -> dict[str, Any]:
    """Return the fields that the options declare.

    Raises:
        UnsupportedOperationException: `driver_options` has an unknown name.
        ValueError: A value of them has a wrong type; or a header has letters that HTTP headers
            cannot carry.
    """
    fields = resource_options(options.driver_options or {})
    for name, field in HEADER_FIELDS.items():
        value: str | None = getattr(options, name)
        if value is not None:
            fields[field] = ascii_header(name, value)
    if options.metadata is not None:
        fields["metadata"] = dict(options.metadata)
    return fields


def kept_fields(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an object that a copy has too."""
    return {name: resource[name] for name in _KEPT if resource.get(name) is not None}


def acl_query(
    transport: Transport, options: WriteOptions, name: str = "predefinedAcl"
) -> dict[str, str]:
    """Return the parameter of a write by which a file has its visibility; none sets none."""
    visibility = options.visibility or transport.settings.visibility
    return {} if visibility is None else {name: PREDEFINED_ACLS[visibility.value]}


async def resource_of(transport: Transport, path: str, etag: str | None = None) -> Resource:
    """Return an object.

    Args:
        transport: Where.
        path: The object.
        etag: The version that it must be; None: any.

    Raises:
        FileNotFoundException: There is no such object.
        PreconditionFailedException: It is another version.
    """
    return await transport.send(get_object(transport.settings.bucket, path, if_version(etag)))


async def resource_now(transport: Transport, path: str) -> Resource | None:
    """Return an object, or None where there is none."""
    try:
        return await resource_of(transport, path)
    except exceptions.FileNotFoundException:
        return None


async def stat(transport: Transport, path: str) -> FileInfo:
    """Return a file's metadata.

    Raises:
        FileNotFoundException: There is no file.
    """
    return file_info(path, await resource_of(transport, path))


def file_info(path: str, resource: Mapping[str, Any]) -> FileInfo:
    """Return the metadata of an object of the JSON API."""
    return FileInfo(
        path=path,
        size=_size(resource.get("size")),
        last_modified=written_at(resource),
        etag=etag_of(resource),
        content_type=resource.get("contentType"),
        cache_control=resource.get("cacheControl"),
        content_disposition=resource.get("contentDisposition"),
        content_encoding=resource.get("contentEncoding"),
        metadata={str(name): str(text) for name, text in (resource.get("metadata") or {}).items()},
        checksums=_checksums(resource.get("md5Hash")),
    )


def written_at(resource: Mapping[str, Any]) -> float:
    """Return when an object was written, in whole seconds, as HTTP's headers have it.

    Raises:
        StorageUnavailableException: It does not say it.
    """
    try:
        return float(int(datetime.fromisoformat(str(resource["timeCreated"])).timestamp()))
    except (KeyError, ValueError) as error:
        raise _not_said("when the file was written") from error


def _size(value: object) -> int:
    text = str(value if value is not None else "")
    if not text.isdecimal():
        raise _not_said("the file's size")
    return int(text)


def _not_said(what: str) -> exceptions.StorageUnavailableException:
    message = f"The store's answer cannot be understood: it does not say {what}"
    return exceptions.StorageUnavailableException(message, retryable=False)


def _checksums(md5: object) -> dict[str, str]:
    """Return the checksums that Python can compute: an object of parts has no MD5."""
    try:
        return {"md5": base64.b64decode(str(md5), validate=True).hex()} if md5 else {}
    except binascii.Error:
        return {}


def media_info(path: str, media: Media) -> FileInfo:
    """Return the metadata in an answer with content, by the XML API.

    Raises:
        StorageUnavailableException: It lacks the length or the version.
    """
    headers, size = media.headers, media.size
    if size is None or media.etag is None:
        raise _not_said("the file's size" if size is None else "which version it has")
    return FileInfo(
        path=path,
        size=size,
        last_modified=media.last_modified,
        etag=media.etag,
        content_type=headers.get("content-type"),
        cache_control=headers.get("cache-control"),
        content_disposition=header_text(headers, "content-disposition"),
        content_encoding=headers.get("content-encoding"),
        metadata={
            name.lower().removeprefix(_META): header_text(headers, name) or ""
            for name in headers
            if name.lower().startswith(_META)
        },
        checksums=_checksums(_hashes(headers).get("md5")),
    )


def _hashes(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums in base64 by name, which come as one header or as several."""
    values: list[str] = getattr(headers, "getall", lambda name, _: [headers.get(name, "")])(
        "x-goog-hash", []
    )
    pairs = (each.strip().partition("=") for value in values for each in value.split(","))
    return {name: text for name, _, text in pairs if name}


def crc32c_of_media(headers: Mapping[str, str]) -> str | None:
    """Return the CRC-32C of the whole stored content, in base64; None where it is not said."""
    return _hashes(headers).get("crc32c")
