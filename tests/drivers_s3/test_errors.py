"""Translation of refusals of the store and errors of the network."""

from __future__ import annotations

import email.utils
import pickle
import time
from typing import Any

import pytest

from jtc.storage.drivers.s3_driver import S3Refusal
from jtc.storage.drivers.s3_driver._transport.errors import (
    ConflictException,
    NoBucketException,
    NoUploadException,
    exception_for,
    is_temporary,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
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

SECRET = "AKIAIOSFODNN7EXAMPLE"


def refusal(code: str, status: int, **more: Any) -> S3Refusal:
    return S3Refusal(status, {"Code": code, "Message": f"no, {SECRET} may not"}, **more)


def refused(code: str, status: int, **more: Any) -> Exception:
    return exception_for(refusal(code, status, **more), "media")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchKey", 404, FileNotFoundException),
        ("404", 404, FileNotFoundException),
        ("", 404, FileNotFoundException),
        ("NoSuchBucket", 404, NoBucketException),
        ("NoSuchUpload", 404, NoUploadException),
        ("AccessDenied", 403, StoragePermissionException),
        ("403", 403, StoragePermissionException),
        ("401", 401, StoragePermissionException),
        ("SignatureDoesNotMatch", 403, StoragePermissionException),
        ("ExpiredToken", 400, StoragePermissionException),
        ("AuthorizationHeaderMalformed", 400, StorageConfigException),
        ("PermanentRedirect", 301, StorageConfigException),
        ("", 307, StorageConfigException),
        ("NoSuchKey", 307, StorageConfigException),
        ("AccessControlListNotSupported", 400, UnsupportedOperationException),
        ("501", 501, UnsupportedOperationException),
        ("", 304, NotModifiedException),
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
        ("", 408, StorageUnavailableException),
        ("", 429, StorageUnavailableException),
        ("", 522, StorageUnavailableException),
        ("SomethingNew", 500, StorageUnavailableException),
        ("RequestTimeout", 400, StorageTimeoutException),
        # Supabase's own code for whatever the store behind it says.
        *[
            ("S3Error", status, kind)
            for status, kind in (
                (403, StoragePermissionException),
                (404, StorageException),
                (409, StorageException),
                (412, PreconditionFailedException),
                (416, RangeException),
                (501, UnsupportedOperationException),
            )
        ],
    ],
)
def test_exception_for_refusal_is_by_code_else_by_status(
    code: str, status: int, expected: type[StorageException]
) -> None:
    error = refused(code, status)
    assert type(error) is expected
    assert SECRET not in str(error)


@pytest.mark.parametrize("code", ["TooStrange", ""])
def test_exception_for_unknown_code_names_it(code: str) -> None:
    error = refused(code, 418)
    assert type(error) is StorageException
    assert str(error) == f"The store refused the request (HTTP 418 {code})".replace(" )", ")")


def test_exception_for_answer_that_is_no_refusal_of_s3_names_its_status() -> None:
    error = exception_for(S3Refusal(300, {}), "media")
    assert type(error) is StorageException
    assert str(error) == "The store refused the request (HTTP 300)"


@pytest.mark.parametrize(
    ("code", "status", "ways_out"),
    [
        ("NoSuchBucket", 404, ["'media'", "create it", "AWS_BUCKET", "option bucket"]),
        ("InvalidAccessKeyId", 403, ["access_key and secret_key", "environment"]),
        ("AccessDenied", 403, ["keys", "what they may do"]),
        ("AuthorizationHeaderMalformed", 400, ["region"]),
        ("PermanentRedirect", 301, ["region", "endpoint_url"]),
        ("", 302, ["region", "endpoint_url"]),
        ("AccessControlListNotSupported", 400, ["policy", "disable = ['visibility']"]),
        ("SlowDown", 503, ["HTTP 503 SlowDown"]),
    ],
)
def test_exception_for_refusal_says_the_way_out(
    code: str, status: int, ways_out: list[str]
) -> None:
    for way_out in ways_out:
        assert way_out in str(refused(code, status))


def test_exception_for_refused_checksums_names_the_option() -> None:
    document = {"Code": "InvalidRequest", "Message": "no x-amz-checksum-crc32 here"}
    error = exception_for(S3Refusal(400, document), "media")
    assert type(error) is UnsupportedOperationException
    assert "set the option checksums = false" in str(error)


def dated(ahead: float) -> dict[str, str]:
    """Return the headers of a store whose clock is ahead."""
    return {"date": email.utils.formatdate(time.time() + ahead, usegmt=True)}


@pytest.mark.parametrize(
    ("code", "clock", "said"),
    [
        ("RequestTimeTooSkewed", 3600.0, "s behind"),
        ("", -1000.0, "s ahead of"),
    ],
)
def test_exception_for_wrong_clock_says_by_how_much(code: str, clock: float, said: str) -> None:
    error = refused(code, 403, headers=dated(clock))
    assert type(error) is StoragePermissionException
    assert said in str(error)


def test_exception_for_forbidden_request_at_the_right_time_does_not_blame_the_clock() -> None:
    assert "clock" not in str(refused("", 403, headers=dated(100.0)))


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("", 503, True),
        ("", 500, True),
        ("", 408, True),
        ("", 425, True),
        ("", 429, True),
        ("", 530, True),
        ("SlowDown", 400, True),
        ("RequestTimeout", 400, True),
        ("", 501, False),
        ("", 400, False),
        ("AccessDenied", 403, False),
        ("", 404, False),
        ("", 412, False),
    ],
)
def test_is_temporary_is_of_what_may_succeed_a_moment_later(
    code: str, status: int, expected: bool
) -> None:
    assert is_temporary(refusal(code, status)) is expected


def test_refusal_has_the_store_s_words_and_its_request_on_one_line() -> None:
    document = {"Code": "Odd\n", "Message": "a\r\nb", "RequestId": "R1", "Region": "eu-west-1"}
    error = S3Refusal(400, document, headers={"x-amz-request-id": "of the header"})
    assert (error.status, error.code, error.message) == (400, "Odd", "a  b")
    assert (error.request_id, error.region) == ("R1", "eu-west-1")
    assert str(error) == "HTTP 400 Odd: a  b, request R1"
    assert (
        S3Refusal(400, {}, headers={"x-amz-request-id": "of the header"}).request_id
        == "of the header"
    )
    assert len(S3Refusal(400, {"Message": "x" * 9999}).message) == 500


def test_refusal_is_pickled_with_all_it_has() -> None:
    error = refusal(
        "SlowDown",
        503,
        headers={**dated(90.0), "retry-after": "3", "x-amz-bucket-region": "eu-west-1"},
    )
    error.is_repeated = True
    assert (error.retry_after, error.region) == (3.0, "eu-west-1")
    assert error.clock == pytest.approx(90, abs=2)
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert (str(copy), copy.args) == (str(error), error.args)
