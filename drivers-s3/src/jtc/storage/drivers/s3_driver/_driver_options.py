"""The option `driver_options`: parameters of S3's PutObject, as headers."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Mapping
from urllib.parse import urlencode

from jtc.storage.http_support.driver_options import headers_of
from jtc.storage.models import Visibility

__all__ = ["ACLS", "DRIVER_OPTIONS", "driver_headers"]

ACLS = {Visibility.PUBLIC: "public-read", Visibility.PRIVATE: "private"}
"""S3's canned ACLs."""

_DRIVER_HEADERS = {
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "Expires": "expires",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}

_NOT_TEXT = {
    "BucketKeyEnabled": "True or False",
    "Expires": "a datetime",
    "ObjectLockRetainUntilDate": "a datetime",
}

DRIVER_OPTIONS = frozenset(_DRIVER_HEADERS)
"""The parameters of S3's PutObject that `driver_options` may hold: those that CopyObject and
CreateMultipartUpload have as well, and that have no option in `WriteOptions`.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""


def driver_headers(options: Mapping[str, object]) -> dict[str, str]:
    """Return the headers of `driver_options`.

    Raises:
        UnsupportedOperationException: A name is none of `DRIVER_OPTIONS`.
        ValueError: A value has a wrong type, or letters that HTTP headers cannot carry.
    """
    return headers_of(options, _DRIVER_HEADERS, _option_text, "s3")


def _option_text(name: str, value: object) -> str:
    match value:
        case str() if name not in _NOT_TEXT:
            return value
        case bool() if name == "BucketKeyEnabled":
            return str(value).lower()
        case Mapping() if name == "Tagging":
            return urlencode(value)
        # As botocore reads it: in local time, unless it names another.
        case dt.datetime() if name == "Expires":
            return email.utils.format_datetime(value.astimezone(dt.UTC), usegmt=True)
        case dt.datetime() if name == "ObjectLockRetainUntilDate":
            return f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    expected = _NOT_TEXT.get(name, "a str")
    raise ValueError(f"driver_options[{name!r}] is {expected}, not {value!r}")
