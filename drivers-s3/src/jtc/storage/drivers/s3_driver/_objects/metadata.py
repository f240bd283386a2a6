"""Metadata and options of a file, as headers of an object."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._driver_options import ACLS, driver_headers
from jtc.storage.drivers.s3_driver._transport import errors, operations
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.header_values import (
    ascii_header,
    decoded_value,
    encoded_value,
    header_text,
)
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.transfers.answers import FileAnswer
    from jtc.storage.options import WriteOptions

__all__ = [
    "checksums_of",
    "declared_headers",
    "file_info",
    "head",
    "kept_headers",
    "measured",
    "size_of",
    "stat",
]

_META = "x-amz-meta-"

_OF_CONTENT = (
    *("content-type", "cache-control", "content-disposition"),
    *("content-encoding", "content-language", "expires"),
)
_OF_FILE = (
    *_OF_CONTENT,
    *("x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-server-side-encryption"),
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
)


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
            headers[name.replace("_", "-")] = ascii_header(name, value)
    for name, value in (options.metadata or {}).items():
        headers[_META + name] = encoded_value(value)
    if options.visibility is not None:
        # An ACL only where the option is given: new AWS buckets refuse any.
        headers["x-amz-acl"] = ACLS[options.visibility]
    return headers


def kept_headers(
    headers: Mapping[str, str], options: WriteOptions, *, is_same_file: bool = False
) -> dict[str, str]:
    """Return the headers with which a copy that replaces metadata keeps what the original has.

    Args:
        headers: The original's.
        options: What is to be different; metadata is replaced as a whole.
        is_same_file: Also keep how the file is stored: class, encryption, redirection.
    """
    names = _OF_FILE if is_same_file else _OF_CONTENT
    kept = {name: text for name in names if (text := header_text(headers, name))}
    return kept if options.metadata is not None else kept | _metadata(headers)


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    names = [(lower, name) for name in headers if (lower := name.lower()).startswith(_META)]
    return {lower: header_text(headers, name) or "" for lower, name in names}


async def head(transport: Transport, key: str, headers: dict[str, str] | None = None) -> FileAnswer:
    """Return the headers of an object.

    Raises:
        FileNotFoundException: There is no such key.
        StorageConfigException: There is no such bucket. A HEAD says 404 to both, and 403 to a
            wrong address.
    """
    try:
        return await transport.send(operations.head_object(key, headers or {}))
    except (exceptions.FileNotFoundException, exceptions.StoragePermissionException) as refusal:
        if transport.learned.has_bucket:
            raise
        try:
            # Not HeadBucket: that would also say a bare 404, and need the same permission.
            await transport.send(operations.list_objects(max_keys=1))
        except exceptions.FileNotFoundException as error:
            if not isinstance(refusal, exceptions.FileNotFoundException):
                raise refusal from error
            name = transport.settings.bucket
            raise errors.NoBucketException(f"There is no bucket {name!r}") from error
        except exceptions.StorageException as error:
            # Without the permission to list, or in trouble: the file is missing all the same.
            is_why = isinstance(error, type(refusal))
            if is_why or isinstance(error, exceptions.StorageConfigException):
                raise
        raise


async def measured(transport: Transport, key: str, found: FileAnswer) -> FileAnswer:
    """Return what was found with the object's length: a range says it where an answer does not.

    The content of an answer that does not is closed, and to be requested again.

    Raises:
        StorageUnavailableException: No answer says it.
    """
    if found.size is not None:
        return found
    found.close()
    try:
        probe = await transport.send(operations.get_object(key, {"range": "bytes=0-0"}))
    except RangeException:
        return replace(found, content=b"", length=0)
    probe.close()
    return replace(found, content=b"", length=size_of(probe))


async def stat(transport: Transport, path: str) -> FileInfo:
    """Return a file's metadata.

    Raises:
        FileNotFoundException: There is no file.
    """
    mode = {"x-amz-checksum-mode": "ENABLED"} if transport.settings.checksums else {}
    return file_info(path, await measured(transport, path, await head(transport, path, mode)))


def file_info(path: str, found: FileAnswer) -> FileInfo:
    """Return the metadata in the answer to a HEAD or a GET."""
    headers = found.headers
    return FileInfo(
        path=path,
        size=size_of(found),
        last_modified=found.last_modified,
        etag=found.etag,
        content_type=header_text(headers, "content-type"),
        cache_control=header_text(headers, "cache-control"),
        content_disposition=header_text(headers, "content-disposition"),
        content_encoding=_content_encoding(headers),
        metadata={
            name.removeprefix(_META): decoded_value(value)
            for name, value in _metadata(headers).items()
        },
        checksums=checksums_of(headers),
    )


def _content_encoding(headers: Mapping[str, str]) -> str | None:
    """Return how the content is compressed, without how a client once sent it in chunks to S3."""
    codings = (header_text(headers, "content-encoding") or "").split(",")
    kept = [text for each in codings if (text := each.strip()) not in ("", "aws-chunked")]
    return ", ".join(kept) or None


def size_of(found: FileAnswer) -> int:
    """Return the whole file's length in bytes, also where the answer is a part of it.

    Raises:
        StorageUnavailableException: The answer does not say it.
    """
    if found.size is None:
        message = "The store's answer cannot be understood: it does not say the file's size"
        raise exceptions.StorageUnavailableException(message, retryable=False)
    return found.size


def checksums_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those checksums of the whole content in an answer that Python can compute."""
    checksums: dict[str, str] = {}
    for algorithm in ("crc32", "sha1", "sha256"):
        value = headers.get(f"x-amz-checksum-{algorithm}")
        # A checksum of the parts' checksums ends in their number: https://docs.aws.amazon.com/
        # AmazonS3/latest/userguide/checking-object-integrity.html
        if value is None or "-" in value or headers.get("x-amz-checksum-type") == "COMPOSITE":
            continue
        try:
            checksums[algorithm] = base64.b64decode(value, validate=True).hex()
        except binascii.Error:
            continue
    return checksums
