"""Refusals of Google, and their translation into `StorageException`.

By https://cloud.google.com/storage/docs/json_api/v1/status-codes, and for reads, which go by the
XML API, https://cloud.google.com/storage/docs/xml-api/reference-status.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "LostUploadException",
    "exception_for",
    "is_temporary",
    "is_unheeded",
    "refusal_of",
]

_TOO_MANY, _TIMED_OUT, _SERVER_ERROR, _UNKNOWN = 429, 408, 500, 501
_UNHEEDED = frozenset({_TOO_MANY, 503})
_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "SlowDown"})
_XML_FIELD = re.compile(r"<(Code|Message|Details)>(.*?)</\1>", re.DOTALL)


class LostUploadException(StorageUnavailableException):
    """The store does not know the upload any more: it has to begin again."""


def refusal_of(status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
    """Return what an answer of status 300 or more says: JSON, XML, or no words at all."""
    text = document.decode(errors="replace")
    reason = message = ""
    if text.lstrip()[:1] == "{":
        reason, message = _of_json(text)
    else:
        found = dict(_XML_FIELD.findall(text))
        reason, message = found.get("Code", ""), found.get("Message", "")
        if details := found.get("Details"):
            message = f"{message} {details}"
    request_id = headers.get("x-guploader-uploadid", "")
    return Refusal(status, reason, message[:1000], request_id, headers)


def _of_json(text: str) -> tuple[str, str]:
    """Return the reason and the message in Google's JSON, as far as it has them."""
    try:
        error: Any = json.loads(text).get("error")
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(error, dict):
        return "", str(error or "")
    reasons = error.get("errors") or [{}]
    first = reasons[0] if isinstance(reasons, list) and isinstance(reasons[0], dict) else {}
    return str(first.get("reason") or ""), str(error.get("message") or "")


def is_temporary(refusal: Refusal) -> bool:
    """Return whether the same request may succeed a moment later.

    https://cloud.google.com/storage/docs/retry-strategy
    """
    status = refusal.status
    if status == _UNKNOWN:
        return False
    return status >= _SERVER_ERROR or status in (_TIMED_OUT, _TOO_MANY) or refusal.code in _LIMITS


def is_unheeded(refusal: Refusal) -> bool:
    """Return whether the store refused to look at the request."""
    return refusal.status in _UNHEEDED or refusal.code in _LIMITS


_NO_BUCKET = "There is no bucket {bucket!r}: create it, or set GCS_BUCKET or the option bucket"
_FORBIDDEN = (
    "Access denied: grant the credentials a role with the permission, such as "
    "roles/storage.objectUser (HTTP {status} {code})"
)
_UNIFORM = (
    "The bucket has uniform access, so that files have no visibility of their own: leave the "
    "option visibility out, or give the bucket fine-grained ACLs"
)

_BY_REASON: dict[str, tuple[Callable[[str], StorageException], str]] = {
    "NoSuchBucket": (StorageConfigException, _NO_BUCKET),
    "authError": (
        StoragePermissionException,
        "The store refuses the credentials (HTTP {status} {code})",
    ),
    "required": (
        StoragePermissionException,
        "The store needs credentials (HTTP {status} {code})",
    ),
    "retentionPolicyNotMet": (
        StoragePermissionException,
        "The bucket's retention policy keeps the file for now (HTTP {status} {code})",
    ),
    "objectUnderActiveHold": (
        StoragePermissionException,
        "A hold keeps the file: release it first (HTTP {status} {code})",
    ),
    "quotaExceeded": (
        StorageFullException,
        "The store has no room left: a quota is used up (HTTP {status} {code})",
    ),
    "userProjectMissing": (
        StorageConfigException,
        "The requester pays for this bucket: set requester_pays and project (HTTP {status} {code})",
    ),
    "orgPolicyConstraintFailed": (
        StoragePermissionException,
        "A policy of the organization refuses it (HTTP {status} {code})",
    ),
    "BadDigest": (
        partial(IntegrityException, retryable=True),
        "The content changed on its way to the store (HTTP {status} {code})",
    ),
}
_BY_REASON |= {
    "RetentionPolicyNotMet": _BY_REASON["retentionPolicyNotMet"],
    "ObjectUnderActiveHold": _BY_REASON["objectUnderActiveHold"],
    "UserProjectMissing": _BY_REASON["userProjectMissing"],
    "InvalidSecurity": _BY_REASON["authError"],
    "AuthenticationRequired": _BY_REASON["required"],
}

_BY_STATUS: dict[int, tuple[Callable[[str], StorageException], str]] = {
    304: (NotModifiedException, "The file still is the version that if_none_match names"),
    401: _BY_REASON["authError"],
    403: (StoragePermissionException, _FORBIDDEN),
    404: (FileNotFoundException, "File not found"),
    405: (UnsupportedOperationException, "The store cannot do this (HTTP 405)"),
    409: (PathConflictException, "Something is in the way (HTTP 409 {code})"),
    410: (LostUploadException, "The store has lost the upload: put the file again (HTTP 410)"),
    412: (PreconditionFailedException, "The file is not the version that if_match names"),
    413: (
        partial(RejectedException, reason="size"),
        "The content is larger than the store takes",
    ),
    416: (RangeException, "The range begins past the file's end"),
    501: (UnsupportedOperationException, "The store cannot do this (HTTP 501)"),
}

_BY_MESSAGE: tuple[tuple[str, Callable[[str], StorageException], str], ...] = (
    ("bucket does not exist", StorageConfigException, _NO_BUCKET),
    ("uniform bucket-level access", UnsupportedOperationException, _UNIFORM),
    ("doesn't match calculated", *_BY_REASON["BadDigest"]),
    ("requester pays", *_BY_REASON["userProjectMissing"]),
)


def exception_for(refusal: Refusal, bucket: str) -> StorageException:
    """Return the exception for a refusal.

    Args:
        refusal: What the store answered.
        bucket: The bucket's name, for messages.
    """
    status, code = refusal.status, refusal.code
    if 300 <= status < 400 and status not in _BY_STATUS:  # noqa: PLR2004
        return StorageConfigException(
            f"The bucket is at another endpoint (HTTP {status}): check endpoint_url; redirects are "
            "not followed"
        )
    shown = {"bucket": bucket, "status": status, "code": code}
    for words, make, message in _BY_MESSAGE:
        if words in refusal.message.lower():
            return make(message.format(**shown))
    known = _BY_REASON.get(code)
    if known is None and is_temporary(refusal):
        return StorageUnavailableException(f"The store is unavailable (HTTP {status} {code})")
    known = known or _BY_STATUS.get(status)
    if known is None:
        return StorageException(f"The store refused the request (HTTP {status} {code})")
    make, message = known
    return make(message.format(**shown))
