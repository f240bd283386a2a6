"""Errors of the network, as exceptions of `jtc.storage`."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import aiohttp
import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.http_support.errors import (
    DisconnectedError,
    may_be_lost,
    may_have_acted,
    network_exception,
)
from jtc.storage.http_support.requests import Refusal

SECRET = "AKIAIOSFODNN7EXAMPLE"

KEY = SimpleNamespace(
    host="s3.test", port=443, ssl=True, is_ssl=True, proxy=f"http://u:{SECRET}@proxy.test"
)
"""aiohttp's ConnectionKey, as far as errors show it."""
INFO = SimpleNamespace(real_url="http://s3.test", method="GET", headers={})


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (DisconnectedError(), StorageUnavailableException, "broke off"),
        (aiohttp.ClientPayloadError("cut"), StorageUnavailableException, "broke off"),
        (aiohttp.ServerDisconnectedError(), StorageUnavailableException, "broke off"),
        (aiohttp.ServerTimeoutError("slow"), StorageTimeoutException, "in time"),
        (TimeoutError(), StorageTimeoutException, "in time"),
        (
            aiohttp.ClientProxyConnectionError(KEY, OSError(111, SECRET)),  # type: ignore[arg-type]
            StorageUnavailableException,
            "proxy",
        ),
        (
            aiohttp.ClientHttpProxyError(INFO, (), status=407, message=SECRET),  # type: ignore[arg-type]
            StorageUnavailableException,
            "proxy refuses (HTTP 407)",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError(111, SECRET)),  # type: ignore[arg-type]
            StorageUnavailableException,
            "check the option url and the network",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLError(SECRET)),  # type: ignore[arg-type]
            StorageUnavailableException,
            "ca_bundle",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_network_exception_for_error_of_the_network_says_no_secret(
    error: Exception, expected: type[StorageException], said: str
) -> None:
    ours = network_exception(error, "the option url")
    assert type(ours) is expected
    assert said in str(ours)
    assert SECRET not in str(ours)


def test_network_exception_for_broken_certificate_is_not_retryable() -> None:
    error = aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLError("no"))  # type: ignore[arg-type]
    ours = network_exception(error, "the option url")
    assert isinstance(ours, StorageUnavailableException)
    assert not ours.retryable


@pytest.mark.parametrize("error", [FileNotFoundException("x"), ValueError("x"), OSError(5, "x")])
def test_network_exception_for_what_needs_no_translation_is_the_error_itself(
    error: Exception,
) -> None:
    assert network_exception(error, "the option url") is error


def test_may_have_acted_is_of_refusals_alone() -> None:
    def raised_from(cause: Exception | None) -> StorageException:
        error = StorageException("x")
        error.__cause__ = cause
        return error

    repeated = Refusal(412, "", "")
    repeated.is_repeated = True
    assert may_have_acted(raised_from(repeated))
    assert not may_have_acted(raised_from(Refusal(412, "", "")))
    assert not may_have_acted(raised_from(ValueError("x")))
    assert not may_have_acted(raised_from(None))


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (None, False),
        (Refusal(412, "", ""), False),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "no")), False),  # type: ignore[arg-type]
        (DisconnectedError(), True),
        (aiohttp.ClientPayloadError("cut"), True),
        (TimeoutError(), True),
    ],
)
def test_may_be_lost_is_of_a_store_that_was_reached_and_said_nothing(
    cause: Exception | None, expected: bool
) -> None:
    error = StorageException("x")
    error.__cause__ = cause
    assert may_be_lost(error) is expected
