"""Metadata and options of a file, as headers of a blob."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from jtc.storage.drivers.azure_driver._driver_options import driver_headers
from jtc.storage.http_support.header_values import (
    ascii_header,
    decoded_value,
    encoded_value,
    header_text,
)
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._transport.operations import Blob
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions

__all__ = ["SERVED", "declared_headers", "file_info", "head", "kept_headers", "stat"]

_META = "x-ms-meta-"

SERVED = {
    "content-type": "x-ms-blob-content-type",
    "cache-control": "x-ms-blob-cache-control",
    "content-disposition": "x-ms-blob-content-disposition",
    "content-encoding": "x-ms-blob-content-encoding",
    "content-language": "x-ms-blob-content-language",
}
"""What a blob is served with, and the headers that set it."""


async def head(transport: Transport, path: str, headers: dict[str, str] | None = None) -> Blob:
    """Return the headers of a file.

    Raises:
        FileNotFoundException: There is none.
    """
    return (await transport.send(transport.requests.get_properties(path, headers))).check_file()


async def stat(transport: Transport, path: str) -> FileInfo:
    """Return a file's metadata.

    Raises:
        FileNotFoundException: There is no file.
    """
    return file_info(path, await head(transport, path))


def file_info(path: str, blob: Blob) -> FileInfo:
    """Return the metadata in the answer to a HEAD or a GET."""
    headers = blob.headers
    return FileInfo(
        path=path,
        size=blob.known_size,
        last_modified=blob.last_modified,
        etag=blob.confirmed_etag,
        content_type=header_text(headers, "content-type"),
        cache_control=header_text(headers, "cache-control"),
        content_disposition=header_text(headers, "content-disposition"),
        content_encoding=header_text(headers, "content-encoding"),
        metadata={
            _plain_name(name.removeprefix(_META)): decoded_value(value)
            for name, value in _metadata(headers).items()
        },
        checksums=_checksums(blob),
    )


def _checksums(blob: Blob) -> dict[str, str]:
    """Return the MD5 of the whole content, where Azure keeps one."""
    # In the answer to a range, the plain header would be that of the range.
    text = blob.headers.get("x-ms-blob-content-md5")
    if text is None and "content-range" not in blob.headers:
        text = blob.headers.get("content-md5")
    try:
        return {"md5": base64.b64decode(text, validate=True).hex()} if text else {}
    except binascii.Error:
        return {}


def declared_headers(options: WriteOptions) -> dict[str, str]:
    """Return the headers of what the options declare.

    Raises:
        UnsupportedOperationException: `driver_options` has an unknown name.
        ValueError: A header has letters that HTTP headers cannot carry.
    """
    headers = driver_headers(options.driver_options or {})
    for name in ("content_type", "cache_control", "content_disposition", "content_encoding"):
        value: str | None = getattr(options, name)
        if value is not None:
            headers[SERVED[name.replace("_", "-")]] = ascii_header(name, value)
    for name, value in (options.metadata or {}).items():
        headers[_META + _stored_name(name)] = encoded_value(value)
    return headers


def kept_headers(blob: Blob, options: WriteOptions) -> tuple[dict[str, str], dict[str, str]]:
    """Return how a file that is changed or copied keeps what the options leave open.

    Args:
        blob: The answer to a HEAD.
        options: What is to be different; metadata is replaced as a whole.

    Returns:
        The headers that set what it is served with, and those of its metadata.
    """
    served = {
        header: text
        for name, header in SERVED.items()
        if (text := header_text(blob.headers, name)) is not None
    }
    if md5 := blob.headers.get("content-md5"):
        served["x-ms-blob-content-md5"] = md5
    declared = declared_headers(options)
    served |= {name: text for name, text in declared.items() if not name.startswith(_META)}
    if options.metadata is None:
        return served, _metadata(blob.headers)
    return served, {name: text for name, text in declared.items() if name.startswith(_META)}


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name.lower(): header_text(headers, name) or "" for name in headers}
    return {name: value for name, value in found.items() if name.startswith(_META)}


def _stored_name(name: str) -> str:
    """Return a metadata name as Azure takes it: an identifier of C#, without hyphens.

    One that begins with a digit or a hyphen, or would mark a directory, gets an underscore before
    it: no other name begins with one.
    """
    stored = name.replace("-", "_")
    is_free = stored[:1].isalpha() and not stored.startswith("hdi_")
    return stored if is_free else f"_{stored}"


def _plain_name(stored: str) -> str:
    return stored.removeprefix("_").replace("_", "-")
