"""Refusals of the store, and their translation into `StorageException`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.requests import TEMPORARY, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "NO_ACLS",
    "ConflictException",
    "NoBucketException",
    "NoUploadException",
    "S3Refusal",
    "exception_for",
    "is_for_checksums",
    "is_temporary",
    "lack_of",
]


_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})

_CAUSES = ("Code", "Message", "ArgumentName", "ArgumentValue", "Header")
"""Fields of an error's document that say what was wrong with the request."""


class S3Refusal(Refusal):
    """What the store answered in place of a success: the ``__cause__`` of a `StorageException`.

    Never raised by itself, and pickled with its exception. An error without an answer (a timeout, a
    broken connection) has another cause.

    Args:
        status: The HTTP status.
        fields: The texts in the error's document, by S3's names; none where it has no body.
        headers: Those of the answer.

    Attributes:
        status: The HTTP status.
        code: S3's code, such as ``"SlowDown"``; empty for an answer without a body.
        message: The store's own words, which may name keys and hosts: for a log, not for users.
        request_id: What the store's operators find the request by; empty where it has none.
        region: The region that the store says the bucket is in; empty where it says nothing.
        is_repeated: Whether the request had been sent before, and may have had an effect then: its
            answer was lost.
        clock: Seconds by which the store's clock is ahead of this machine's.
        retry_after: Seconds after which the store wants the request again; 0 where it says none.
        names_checksums: Whether its document speaks of checksums.
    """

    def __init__(
        self, status: int, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> None:
        headers = headers or {}
        request_id = fields.get("RequestId") or headers.get("x-amz-request-id", "")
        code, message = fields.get("Code", ""), fields.get("Message", "")
        super().__init__(status, code, message, request_id, headers)
        self.region = fields.get("Region") or headers.get("x-amz-bucket-region", "")
        # Others, such as Key and Resource, have a file's name in them.
        said = [fields.get(name, "") for name in _CAUSES]
        self.names_checksums = any("checksum" in text.lower() for text in said)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it may be because the bucket is in another region. A HEAD's says 400 alone."""
        return self.status in (*_REDIRECTIONS, 400) or self.code in _REGION_CODES


class NoBucketException(StorageConfigException):
    """The bucket does not exist."""


class NoUploadException(StorageUnavailableException):
    """The multipart upload was aborted or completed by another process."""


class ConflictException(StorageUnavailableException):
    """Another conditional request was under way (HTTP 409); the same one may succeed later."""


_OTHER_PLACE = (
    "The bucket is in another region or at another endpoint: check region and endpoint_url; "
    "redirects are not followed"
)
_CHANGED = "The content changed on its way to the store"
_KEYS = (
    "The store refuses the credentials ({code}): check access_key and secret_key, or the "
    "environment that they come from"
)
_DENIED = "Access denied: check the keys, and what they may do with the bucket"
_NO_BUCKET = "There is no bucket {bucket!r}: create it, or set AWS_BUCKET or the option bucket"
_UNSUPPORTED = "The store cannot do this"
_OTHER_VERSION = "The file is not the version that if_match names"
_NO_CONDITIONS = "The store lacks this conditional request (see the option conditions)"
NO_ACLS = "The bucket has no ACLs: use its policy, and disable = ['visibility'] for the disk"
_NAME = "The store refuses such a name: it may take certain characters only"
_ARCHIVED = "The file is archived: restore it before it can be read"
_REGION = "The store refuses the signature's form: check the option region"
_STYLE = (
    'The store wants the bucket\'s name in the host: set the option addressing_style = "virtual"'
)
_METADATA = "The metadata is larger than the store takes (2 KB on AWS)"

# The exception, its message, and S3's codes; a HEAD's answer has its status alone.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_EXCEPTIONS: tuple[tuple[Callable[[str], StorageException], str, str], ...] = (
    (FileNotFoundException, "File not found", "NoSuchKey NotFound 404"),
    (NoUploadException, "The upload was aborted by another process", "NoSuchUpload"),
    (NoBucketException, _NO_BUCKET, "NoSuchBucket"),
    (StoragePermissionException, _DENIED, "AccessDenied AllAccessDisabled 401 403"),
    (StoragePermissionException, "The account may not do this", "AccountProblem"),
    (StoragePermissionException, _KEYS, "InvalidAccessKeyId SignatureDoesNotMatch"),
    (StoragePermissionException, _KEYS, "ExpiredToken InvalidToken"),
    (StoragePermissionException, _ARCHIVED, "InvalidObjectState"),
    (StorageConfigException, _REGION, "AuthorizationHeaderMalformed"),
    # Alibaba's OSS and Tencent's COS.
    (StorageConfigException, _STYLE, "SecondLevelDomainForbidden PathStyleDomainForbidden"),
    (StorageConfigException, _OTHER_PLACE, "PermanentRedirect TemporaryRedirect"),
    (StorageConfigException, _OTHER_PLACE, "IllegalLocationConstraintException"),
    (UnsupportedOperationException, NO_ACLS, "AccessControlListNotSupported"),
    (UnsupportedOperationException, _UNSUPPORTED, "NotImplemented 501"),
    (UnsupportedOperationException, _UNSUPPORTED, "MethodNotAllowed 405"),
    (UnsupportedOperationException, _UNSUPPORTED, "MissingContentMD5"),
    (
        NotModifiedException,
        "The file still is the version that if_none_match names",
        "NotModified 304",
    ),
    (PreconditionFailedException, _OTHER_VERSION, "PreconditionFailed 412"),
    (ConflictException, "Another write is under way", "ConditionalRequestConflict 409"),
    (ConflictException, "Another write is under way", "OperationAborted"),
    (RangeException, "The range begins past the file's end", "InvalidRange 416"),
    (IntegrityException, _CHANGED, "BadDigest InvalidDigest"),
    (IntegrityException, _CHANGED, "XAmzContentSHA256Mismatch XAmzContentChecksumMismatch"),
    (StorageUnavailableException, "The connection broke off", "IncompleteBody"),
    (StorageTimeoutException, "The store waited too long for the content", "RequestTimeout"),
    # SeaweedFS, which keeps directories beside files.
    (PathConflictException, "There is a file where a directory is needed", "ExistingObjectIsFile"),
    (
        PathConflictException,
        "There is a directory where a file is needed",
        "ExistingObjectIsDirectory",
    ),
    (InvalidPathException, "The path is too long for this store", "KeyTooLongError"),
    # Supabase and OSS; MinIO.
    (InvalidPathException, _NAME, "InvalidKey InvalidObjectName XMinioInvalidObjectName"),
    (StorageFullException, "The store has no room left", "QuotaExceeded XMinioStorageFull"),
    (StorageFullException, "The store has no room left", "InsufficientStorage 507"),
    (
        functools.partial(RejectedException, reason="size"),
        "The content is larger than the store takes",
        "EntityTooLarge MaxMessageLengthExceeded",
    ),
    (functools.partial(RejectedException, reason="metadata"), _METADATA, "MetadataTooLarge"),
)
_BY_CODE = {code: found[:2] for found in _EXCEPTIONS for code in found[2].split()}

# As botocore's standard mode:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_TEMPORARY_CODES = frozenset(
    {
        *("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "InternalError"),
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
        *("RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded"),
        *("BandwidthLimitExceeded", "LimitExceededException", "SlowDown", "EC2ThrottledException"),
        *("ProvisionedThroughputExceededException", "TransactionInProgressException"),
        "ServiceUnavailable",
    }
)
_CLEAR_STATUS = frozenset({304, 401, 403, 405, 412, 416, 501, 507})
"""Those that mean one thing, whatever a store's own code is. A 404 may be of a bucket, and a 409 of
anything."""
_REGION_CODES = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_OF_ACLS = ("GetObjectAcl", "PutObjectAcl")
_FORBIDDEN = 403
_WRONG_CLOCK = 300.0
"""Seconds by which a clock may be wrong: S3 allows 900, others less."""


def is_temporary(refusal: Refusal) -> bool:
    """Return whether the same request may succeed a moment later."""
    if refusal.status in _REDIRECTIONS:
        return False
    return refusal.status in TEMPORARY or refusal.code in _TEMPORARY_CODES


def is_for_checksums(error: StorageException) -> bool:
    """Return whether an upload in parts was refused for its checksums, or the lack of a part's."""
    refusal = error.__cause__
    if not isinstance(refusal, S3Refusal):
        return False
    return refusal.names_checksums or refusal.code == "InvalidPart"


def lack_of(operation: str, headers: Mapping[str, str]) -> str:
    """Return what a store lacks, most likely, that cannot do a request; nothing if that is open."""
    if operation in _OF_ACLS or "x-amz-acl" in headers:
        return NO_ACLS
    return _NO_CONDITIONS if headers.keys() & {"if-match", "if-none-match"} else ""


def exception_for(refusal: S3Refusal, bucket: str, lack: str = "") -> StorageException:
    """Translate a refusal of the store.

    Args:
        refusal: What a request raised.
        bucket: The bucket's name, for messages.
        lack: What the store lacks if it cannot do the request: the result of `lack_of`.

    Returns:
        A new exception to be raised ``from refusal``.
    """
    ours = _refused(refusal, bucket)
    return UnsupportedOperationException(lack) if lack and str(ours) == _UNSUPPORTED else ours


def _refused(refusal: S3Refusal, bucket: str) -> StorageException:
    code, status, clock = refusal.code, refusal.status, refusal.clock
    shown = f"HTTP {status} {code}".rstrip()
    known = _BY_CODE.get(code)
    if status in _REDIRECTIONS:
        return StorageConfigException(_OTHER_PLACE)
    is_clock = status == _FORBIDDEN and abs(clock) > _WRONG_CLOCK
    if is_clock or code == "RequestTimeTooSkewed":
        side = "behind" if clock > 0 else "ahead of"
        return StoragePermissionException(
            f"This machine's clock is {abs(clock):.0f} s {side} the store's: set it right ({shown})"
        )
    if known is None and is_temporary(refusal):
        return StorageUnavailableException(f"The store is unavailable ({shown})")
    if refusal.names_checksums and (known is None or known[1] != _CHANGED):
        return UnsupportedOperationException(
            f"The store refuses the request for its checksums ({shown}): set the option "
            "checksums = false"
        )
    if known is None and (not code or code.isdigit() or status in _CLEAR_STATUS):
        known = _BY_CODE.get(str(status))
    if known is None:
        return StorageException(f"The store refused the request ({shown})")
    make, message = known
    return make(message.format(code=code, bucket=bucket))
