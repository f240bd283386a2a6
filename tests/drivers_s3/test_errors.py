"""Translation of errors of the store, the SDK and the network."""

from __future__ import annotations

import aiohttp
import botocore.exceptions as sdk
import pytest
from botocore.parsers import ResponseParserError

from jtc.storage.drivers.s3_driver._errors import (
    ConflictException,
    NoBucketException,
    RangeException,
    mapped,
    raise_mapped,
    refusal,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
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

SECRET = "AKIAIOSFODNN7EXAMPLE"


def client_error(code: str, status: int) -> sdk.ClientError:
    error = {"Code": code, "Message": f"no, {SECRET} may not"}
    answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
    return sdk.ClientError(answer, "GetObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchKey", 404, FileNotFoundException),
        ("404", 404, FileNotFoundException),
        ("", 404, FileNotFoundException),
        ("NoSuchBucket", 404, NoBucketException),
        ("AccessDenied", 403, StoragePermissionException),
        ("403", 403, StoragePermissionException),
        ("401", 401, StoragePermissionException),
        ("SignatureDoesNotMatch", 403, StoragePermissionException),
        ("ExpiredToken", 400, StoragePermissionException),
        ("AuthorizationHeaderMalformed", 400, StorageConfigException),
        ("PermanentRedirect", 301, StorageConfigException),
        ("AccessControlListNotSupported", 400, UnsupportedOperationException),
        ("501", 501, UnsupportedOperationException),
        ("412", 412, PreconditionFailedException),
        ("ConditionalRequestConflict", 409, ConflictException),
        ("416", 416, RangeException),
        ("BadDigest", 400, IntegrityException),
        ("KeyTooLongError", 400, InvalidPathException),
        ("EntityTooLarge", 400, RejectedException),
        ("MetadataTooLarge", 400, RejectedException),
        ("507", 507, StorageFullException),
        ("SlowDown", 503, StorageUnavailableException),
        ("Throttling", 400, StorageUnavailableException),
        ("", 502, StorageUnavailableException),
        ("SomethingNew", 500, StorageUnavailableException),
        ("RequestTimeout", 400, StorageTimeoutException),
    ],
)
def test_refusal_is_mapped_by_code_else_by_status(
    code: str, status: int, expected: type[StorageException]
) -> None:
    error = mapped(client_error(code, status), "media")
    assert type(error) is expected
    assert SECRET not in str(error)


def test_refusal_of_unknown_code_names_it() -> None:
    error = refusal("TooStrange", 418, "media")
    assert type(error) is StorageException
    assert str(error) == "The store refused the request (HTTP 418 TooStrange)"


def test_redirect_without_body_is_mapped_by_status() -> None:
    answer = {"ResponseMetadata": {"HTTPStatusCode": 300}}
    error = mapped(sdk.ClientError(answer, "ListMultipartUploads"), "media")  # type: ignore[arg-type]
    assert type(error) is StorageException
    assert str(error) == "The store refused the request (HTTP 300)"


def test_a_missing_bucket_is_named_with_the_way_out() -> None:
    assert "There is no bucket 'media': create it" in str(refusal("NoSuchBucket", 404, "media"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sdk.NoCredentialsError(), StorageConfigException),
        (sdk.PartialCredentialsError(provider="env", cred_var="key"), StorageConfigException),
        (
            sdk.CredentialRetrievalError(provider="p", error_msg=SECRET),
            StorageConfigException,
        ),
        (sdk.ProfileNotFound(profile="dev"), StorageConfigException),
        (sdk.ConnectTimeoutError(endpoint_url="http://x"), StorageTimeoutException),
        (sdk.ReadTimeoutError(endpoint_url="http://x"), StorageTimeoutException),
        (
            sdk.ProxyConnectionError(proxy_url=f"http://u:{SECRET}@x", error="no"),
            StorageUnavailableException,
        ),
        (sdk.SSLError(endpoint_url="http://x", error="no"), StorageUnavailableException),
        (
            sdk.EndpointConnectionError(endpoint_url=f"http://x/?sig={SECRET}"),
            StorageUnavailableException,
        ),
        (ResponseParserError("odd"), StorageUnavailableException),
        (sdk.ParamValidationError(report=SECRET), StorageConfigException),
        (sdk.DataNotFoundError(data_path=SECRET), StorageException),
        (aiohttp.ClientPayloadError("cut"), StorageUnavailableException),
        (aiohttp.ServerTimeoutError("slow"), StorageTimeoutException),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_the_sdk_and_the_network_report_says_no_secret(
    error: Exception, expected: type[StorageException]
) -> None:
    ours = mapped(error, "media")
    assert type(ours) is expected
    assert SECRET not in str(ours)


def test_a_broken_certificate_is_not_worth_another_try() -> None:
    error = mapped(sdk.SSLError(endpoint_url="https://x", error="no"), "media")
    assert isinstance(error, StorageUnavailableException)
    assert not error.retryable


@pytest.mark.parametrize("error", [FileNotFoundException("x"), ValueError("x"), OSError(5, "x")])
def test_what_needs_no_translation_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        raise_mapped(error, "media")
    assert caught.value is error


def test_the_sdks_error_is_the_cause() -> None:
    error = client_error("NoSuchKey", 404)
    with pytest.raises(FileNotFoundException) as caught:
        raise_mapped(error, "media")
    assert caught.value.__cause__ is error
