"""What an answer's headers say, as the SDK would say it."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RefusedError", "fields_of"]

_FIELDS = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-range": "ContentRange",
    "content-type": "ContentType",
    "etag": "ETag",
    "x-amz-checksum-crc32": "ChecksumCRC32",
    "x-amz-checksum-sha1": "ChecksumSHA1",
    "x-amz-checksum-sha256": "ChecksumSHA256",
    "x-amz-checksum-type": "ChecksumType",
}
_METADATA = "x-amz-meta-"
_PARSED = {"content-length": "ContentLength", "last-modified": "LastModified"}

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DATE_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")


class RefusedError(Exception):
    """The store's refusal, in the form of the SDK's ClientError.

    Args:
        code: The store's code; a HEAD's is its status.
        status: The HTTP status.
        retries: How often the request had been sent before.
    """

    def __init__(self, code: str, status: int, retries: int) -> None:
        super().__init__(f"HTTP {status} {code}")
        self.code = code
        self.status = status
        self.response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
        }


def fields_of(headers: Mapping[str, str], status: int, retries: int) -> dict[str, Any]:
    """Return an answer's fields, by the SDK's names.

    Raises:
        StorageUnavailableException: A length or a date cannot be understood.
    """
    fields: dict[str, Any] = {
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries}
    }
    metadata: dict[str, str] = {}
    for name, value in headers.items():
        field = _field(name)
        if field is None:
            continue
        if field == "ContentLength":
            fields[field] = _length(value)
        elif field == "LastModified":
            fields[field] = _moment(value)
        elif field.startswith(_METADATA):
            metadata[field.removeprefix(_METADATA)] = value
        else:
            fields[field] = value
    fields["Metadata"] = metadata
    return fields


@functools.lru_cache(maxsize=512)
def _field(name: str) -> str | None:
    lower = name.lower()
    if lower.startswith(_METADATA):
        return lower
    return _FIELDS.get(lower) or _PARSED.get(lower)


def _length(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise StorageUnavailableException(
            "The store's answer cannot be understood: its Content-Length"
        )
    return int(text)


def _moment(text: str) -> dt.datetime:
    """Return an HTTP date (RFC 9110, 5.6.7), or any other that mail has."""
    try:
        if len(text) == _DATE_LENGTH and text.endswith(" GMT"):
            return dt.datetime(
                int(text[12:16]),
                _MONTHS.index(text[8:11]) // 3 + 1,
                int(text[5:7]),
                int(text[17:19]),
                int(text[20:22]),
                int(text[23:25]),
                tzinfo=dt.UTC,
            )
        return _aware(email.utils.parsedate_to_datetime(text))
    except ValueError:
        pass
    try:
        return _aware(dt.datetime.fromisoformat(text))
    except ValueError as error:
        raise StorageUnavailableException(
            "The store's answer cannot be understood: its Last-Modified"
        ) from error


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
