"""Metadata and options of a file, as headers of an object."""

from __future__ import annotations

import base64
import binascii
import email.errors
import email.header
import re
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import StorageUnavailableException, UnsupportedOperationException
from jtc.storage.models import FileInfo, Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.options import WriteOptions

__all__ = [
    "DRIVER_OPTIONS",
    "checksums_of",
    "driver_parameters",
    "file_info",
    "header_parameters",
    "kept_parameters",
    "quoted_etag",
]

DRIVER_OPTIONS = frozenset(
    {
        "BucketKeyEnabled",
        "ContentEncoding",
        "ContentLanguage",
        "Expires",
        "ObjectLockLegalHoldStatus",
        "ObjectLockMode",
        "ObjectLockRetainUntilDate",
        "SSEKMSEncryptionContext",
        "SSEKMSKeyId",
        "ServerSideEncryption",
        "StorageClass",
        "Tagging",
        "WebsiteRedirectLocation",
    }
)
"""The parameters of S3's PutObject that `driver_options` may hold: those that CopyObject and
CreateMultipartUpload have as well, and that have no option in `WriteOptions`.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""

_ACLS = {Visibility.PUBLIC: "public-read", Visibility.PRIVATE: "private"}

_HEADERS = ("ContentType", "CacheControl", "ContentDisposition")
_KEPT = (*_HEADERS, "ContentEncoding", "ContentLanguage", "Metadata")

_CHECKSUMS = {"ChecksumCRC32": "crc32", "ChecksumSHA1": "sha1", "ChecksumSHA256": "sha256"}

_ENCODED_WORDS = re.compile(r"=\?[^?]+\?[BbQq]\?[^?]*\?=(\s+=\?[^?]+\?[BbQq]\?[^?]*\?=)*")


def header_parameters(options: WriteOptions) -> dict[str, Any]:
    """Return the request parameters of what the options declare.

    Raises:
        ValueError: A header has letters that HTTP headers cannot carry.
    """
    parameters: dict[str, Any] = {}
    for name, value in (
        ("ContentType", options.content_type),
        ("CacheControl", options.cache_control),
        ("ContentDisposition", options.content_disposition),
    ):
        if value is not None:
            parameters[name] = ascii_header(name, value)
    if options.metadata is not None:
        parameters["Metadata"] = {name: _encoded(value) for name, value in options.metadata.items()}
    if options.visibility is not None:
        # An ACL only where the option is given: new AWS buckets refuse any.
        parameters["ACL"] = acl_of(options.visibility)
    return parameters


def acl_of(visibility: Visibility) -> str:
    """Return the canned ACL for a visibility."""
    return _ACLS[visibility]


def driver_parameters(defaults: Mapping[str, object], options: WriteOptions) -> dict[str, Any]:
    """Return the request parameters of the disk's and the call's `driver_options`.

    Raises:
        UnsupportedOperationException: An option is none of `DRIVER_OPTIONS`.
    """
    if not options.driver_options:
        return dict(defaults)
    for name in options.driver_options:
        if name not in DRIVER_OPTIONS:
            raise UnsupportedOperationException(
                f"driver_options has no {name!r} on the s3 driver; "
                f"there are {', '.join(sorted(DRIVER_OPTIONS))}"
            )
    return {**defaults, **options.driver_options}


def ascii_header(name: str, value: str) -> str:
    """Check that HTTP can carry a header's value.

    Raises:
        ValueError: It has letters beyond ASCII, which have no agreed meaning in a header.
    """
    if not value.isascii() or not value.isprintable():
        hint = (
            ": write the name as filename*=UTF-8''... (RFC 6266)"
            if name == "ContentDisposition"
            else ""
        )
        raise ValueError(f"{name} must be printable ASCII to be an HTTP header{hint}")
    return value


def kept_parameters(answer: Mapping[str, Any], options: WriteOptions) -> dict[str, Any]:
    """Return the request parameters with which a copy keeps what the original has.

    Args:
        answer: The HEAD of the original.
        options: What is to be different; metadata is replaced as a whole.
    """
    kept = {name: answer[name] for name in _KEPT if answer.get(name)}
    return {**kept, **header_parameters(options)}


def file_info(path: str, answer: Mapping[str, Any]) -> FileInfo:
    """Return the metadata in the answer to a HEAD or a GET."""
    return FileInfo(
        path=path,
        size=size_of(answer),
        last_modified=answer["LastModified"].timestamp(),
        etag=quoted_etag(answer.get("ETag")),
        content_type=answer.get("ContentType"),
        cache_control=answer.get("CacheControl"),
        content_disposition=answer.get("ContentDisposition"),
        metadata={
            name.lower(): _decoded(value) for name, value in answer.get("Metadata", {}).items()
        },
        checksums=checksums_of(answer),
    )


def size_of(answer: Mapping[str, Any]) -> int:
    """Return the whole file's length in bytes, also where the answer is a part of it."""
    content_range = answer.get("ContentRange")
    if content_range is None:
        return int(answer["ContentLength"])
    size = content_range.rpartition("/")[2]
    if not (size.isascii() and size.isdecimal()):
        raise StorageUnavailableException(
            "The store's answer cannot be understood: its Content-Range"
        )
    return int(size)


def checksums_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return those checksums of the whole content in an answer that Python can compute."""
    checksums: dict[str, str] = {}
    for name, algorithm in _CHECKSUMS.items():
        value = answer.get(name)
        # A checksum of the parts' checksums ends in their number: https://docs.aws.amazon.com/
        # AmazonS3/latest/userguide/checking-object-integrity.html
        if value is None or "-" in value or answer.get("ChecksumType") == "COMPOSITE":
            continue
        try:
            checksums[algorithm] = base64.b64decode(value, validate=True).hex()
        except binascii.Error:
            continue
    return checksums


def quoted_etag(etag: str | None) -> str | None:
    """Return an etag as HTTP writes it; some answers leave out the quotes."""
    if etag is None or etag.startswith(('"', "W/")):
        return etag
    return f'"{etag}"'


def _encoded(value: str) -> str:
    """Return a metadata value as ASCII: plain where that is unambiguous, else by RFC 2047.

    AWS itself answers so for what its headers cannot hold:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    plain = (
        value.isascii()
        and value.isprintable()
        and value.strip() == value
        and value != ""  # some stores forget an empty header
        and not value.startswith("=?")
    )
    if plain:
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def _decoded(value: str) -> str:
    """Return the text of a metadata value, or the value itself where it is not encoded."""
    if not _ENCODED_WORDS.fullmatch(value):
        return value
    try:
        words = email.header.decode_header(value)
        return "".join(
            word if isinstance(word, str) else word.decode(charset or "ascii")
            for word, charset in words
        )
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return value
