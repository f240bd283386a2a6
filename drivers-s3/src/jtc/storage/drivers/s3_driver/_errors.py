"""Translation of errors of the store, the SDK and the network into `StorageException`.

Messages name the store's error code and never quote its text, which may hold keys and URLs.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
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

__all__ = [
    "ConflictException",
    "NoBucketException",
    "NoUploadException",
    "RangeException",
    "mapped",
    "raise_mapped",
    "refusal",
    "sent_again",
]


class RangeException(StorageException):
    """The range begins past the file's end (HTTP 416)."""


class NoBucketException(StorageConfigException):
    """The bucket does not exist."""


class NoUploadException(StorageUnavailableException):
    """The multipart upload was aborted or completed by another process."""


class ConflictException(StorageUnavailableException):
    """Another conditional request was under way (HTTP 409); the same one may succeed later."""


_REFUSED_CREDENTIALS = (
    "The store refuses the credentials ({code}): check access_key and secret_key, or the "
    "environment that they come from, and this machine's clock"
)
_DENIED = "Access denied: check the keys, and what they may do with the bucket"
_NOT_SECURE = "No secure connection to the store: check its certificate"
_UNREACHABLE = (
    "The store cannot be reached: check endpoint_url (AWS_URL in the environment), region and the "
    "network"
)
_NO_CREDENTIALS = (
    "No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass "
    "access_key and secret_key, profile or credentials"
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_BY_CODE: dict[str, tuple[type[StorageException], str]] = {
    "NoSuchKey": (FileNotFoundException, "File not found"),
    "NoSuchUpload": (NoUploadException, "The upload was aborted by another process"),
    "NoSuchBucket": (
        NoBucketException,
        "There is no bucket {bucket!r}: create it, or set AWS_BUCKET or the option bucket",
    ),
    "AccessDenied": (StoragePermissionException, _DENIED),
    "AllAccessDisabled": (StoragePermissionException, _DENIED),
    "AccountProblem": (StoragePermissionException, "The account may not do this"),
    "InvalidAccessKeyId": (StoragePermissionException, _REFUSED_CREDENTIALS),
    "SignatureDoesNotMatch": (StoragePermissionException, _REFUSED_CREDENTIALS),
    "ExpiredToken": (StoragePermissionException, _REFUSED_CREDENTIALS),
    "InvalidToken": (StoragePermissionException, _REFUSED_CREDENTIALS),
    "RequestTimeTooSkewed": (StoragePermissionException, _REFUSED_CREDENTIALS),
    "AuthorizationHeaderMalformed": (
        StorageConfigException,
        "The store refuses the signature's form: check the option region",
    ),
    "PermanentRedirect": (
        StorageConfigException,
        "The bucket is in another region or at another endpoint: check region and endpoint_url",
    ),
    "IllegalLocationConstraintException": (
        StorageConfigException,
        "The bucket is in another region: check the option region",
    ),
    "AccessControlListNotSupported": (
        UnsupportedOperationException,
        "The bucket has no ACLs: use its policy, and disable = ['visibility'] for the disk",
    ),
    "NotImplemented": (UnsupportedOperationException, "The store cannot do this"),
    "MethodNotAllowed": (UnsupportedOperationException, "The store cannot do this"),
    "MissingContentMD5": (UnsupportedOperationException, "The store cannot do this"),
    "PreconditionFailed": (PreconditionFailedException, "The file is another version"),
    "ConditionalRequestConflict": (ConflictException, "Another write to this file is under way"),
    "OperationAborted": (ConflictException, "Another write to this file is under way"),
    "InvalidRange": (RangeException, "The range begins past the file's end"),
    "BadDigest": (IntegrityException, "The content changed on its way to the store"),
    "InvalidDigest": (IntegrityException, "The content changed on its way to the store"),
    "XAmzContentSHA256Mismatch": (
        IntegrityException,
        "The content changed on its way to the store",
    ),
    "XAmzContentChecksumMismatch": (
        IntegrityException,
        "The content changed on its way to the store",
    ),
    "IncompleteBody": (StorageUnavailableException, "The connection broke off"),
    "RequestTimeout": (StorageTimeoutException, "The store waited too long for the content"),
    # SeaweedFS, which keeps directories beside files.
    "ExistingObjectIsFile": (PathConflictException, "There is a file where a directory is needed"),
    "ExistingObjectIsDirectory": (
        PathConflictException,
        "There is a directory where a file is needed",
    ),
    "KeyTooLongError": (InvalidPathException, "The path is too long for this store"),
    "InvalidObjectState": (
        StoragePermissionException,
        "The file is archived: restore it before it can be read",
    ),
    "QuotaExceeded": (StorageFullException, "The store has no room left"),
    "XMinioStorageFull": (StorageFullException, "The store has no room left"),
    "InsufficientStorage": (StorageFullException, "The store has no room left"),
}
_REASONS = {
    "EntityTooLarge": ("The content is larger than the store takes", "size"),
    "MaxMessageLengthExceeded": ("The content is larger than the store takes", "size"),
    "MetadataTooLarge": ("The metadata is larger than the store takes (2 KB on AWS)", "metadata"),
}
# A HEAD's error has no body, and so no code.
_BY_STATUS: dict[int, str] = {
    301: "PermanentRedirect",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "OperationAborted",
    412: "PreconditionFailed",
    416: "InvalidRange",
    501: "NotImplemented",
    507: "InsufficientStorage",
}
_PARSERS = frozenset({"botocore.parsers", "aiobotocore.parsers"})
_UNAVAILABLE_CODES = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestLimitExceeded", "Throttling"}
)


def refusal(code: str, status: int, bucket: str) -> StorageException:
    """Return the exception for an error code of the store.

    Args:
        code: Such as ``"NoSuchKey"``; a bare number or nothing where the answer had no body.
        status: The HTTP status.
        bucket: The bucket's name, for the message.
    """
    shown = f"HTTP {status or '?'} {'' if code == str(status) else code}".rstrip()
    if code not in _BY_CODE and code not in _REASONS:
        if code in _UNAVAILABLE_CODES or status in (429, 500, 502, 503, 504):
            return StorageUnavailableException(f"The store is unavailable ({shown})")
        if code.isdigit() or not code:
            code = _BY_STATUS.get(status, code)
    if code in _REASONS:
        message, reason = _REASONS[code]
        return RejectedException(message, reason=reason)
    if code in _BY_CODE:
        cls, message = _BY_CODE[code]
        return cls(message.format(code=code, bucket=bucket))
    return StorageException(f"The store refused the request ({shown})")


def mapped(error: Exception, bucket: str) -> Exception:
    """Translate an error of the SDK or the network.

    Args:
        error: Whatever a request raised.
        bucket: The bucket's name, for messages.

    Returns:
        A new exception to be raised ``from error``; or the error itself, where it is ours, the
        system's or a fault in a program.
    """
    if isinstance(error, StorageException):
        return error
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "ResponseMetadata" in response:
        # Without a body the SDK may find no error in a redirection.
        code = str((response.get("Error") or {}).get("Code", ""))
        return refusal(code, response["ResponseMetadata"].get("HTTPStatusCode", 0), bucket)
    # A library that is not imported has raised no error.
    botocore: Any = sys.modules.get("botocore.exceptions")
    aiohttp: Any = sys.modules.get("aiohttp")
    if botocore is not None and isinstance(error, botocore.BotoCoreError):
        return _of_botocore(error, botocore)
    if aiohttp is not None and isinstance(error, aiohttp.ClientError):
        return _of_network(error, aiohttp)
    if _is_of_parser(error):
        return StorageUnavailableException("The store's answer cannot be understood")
    return error


def _is_of_parser(error: Exception) -> bool:
    """Return whether the SDK failed to parse an answer: it lets many errors of Python's through."""
    parsers: Any = sys.modules.get("botocore.parsers")
    if parsers is not None and isinstance(error, parsers.ResponseParserError):
        return True
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") in _PARSERS:
            return True
        traceback = traceback.tb_next
    return False


def raise_mapped(error: Exception, bucket: str) -> NoReturn:
    """Raise what `mapped` returns, caused by the error."""
    ours = mapped(error, bucket)
    if ours is error:
        raise error
    raise ours from error


def sent_again(error: StorageException) -> bool:
    """Return whether the request was sent before, so that this is the answer to a retry."""
    response = getattr(error.__cause__, "response", None)
    if not isinstance(response, dict):
        return False
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts"))


def _of_botocore(error: Any, botocore: Any) -> StorageException:
    if isinstance(error, (botocore.NoCredentialsError, botocore.TokenRetrievalError)):
        return StorageConfigException(_NO_CREDENTIALS)
    if isinstance(error, botocore.ProfileNotFound):
        profile = error.kwargs.get("profile")
        return StorageConfigException(f"There is no profile {profile!r} in the AWS configuration")
    if isinstance(error, (botocore.PartialCredentialsError, botocore.CredentialRetrievalError)):
        return StorageConfigException(
            f"The credentials could not be loaded ({type(error).__name__})"
        )
    if isinstance(error, (botocore.ConnectTimeoutError, botocore.ReadTimeoutError)):
        return StorageTimeoutException("The store did not answer in time")
    if isinstance(error, botocore.ProxyConnectionError):
        return StorageUnavailableException("The proxy cannot be reached")
    if isinstance(error, botocore.SSLError):
        return StorageUnavailableException(_NOT_SECURE, retryable=False)
    if isinstance(error, (botocore.HTTPClientError, botocore.EndpointConnectionError)):
        return StorageUnavailableException(_UNREACHABLE)
    if isinstance(error, (botocore.ParamValidationError, botocore.ValidationError)):
        return StorageConfigException(
            f"The SDK refuses the request ({type(error).__name__}): check the driver's options"
        )
    return StorageException(f"The SDK failed ({type(error).__name__})")


def _of_network(error: Exception, aiohttp: Any) -> StorageException:
    if isinstance(error, TimeoutError):
        return StorageTimeoutException("The store did not answer in time")
    if isinstance(error, aiohttp.ClientSSLError):
        return StorageUnavailableException(_NOT_SECURE, retryable=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return StorageUnavailableException(_UNREACHABLE)
    return StorageUnavailableException("The connection to the store broke off")
