"""Errors of the network, and their translation into `StorageException`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jtc.storage.exceptions import (
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "DisconnectedError",
    "RangeException",
    "may_be_lost",
    "may_have_acted",
    "network_exception",
]

_UNREACHABLE = "The store cannot be reached: check {} and the network"
_NOT_SECURE = (
    "No secure connection to the store: check its certificate and ca_bundle, and that "
    "endpoint_url is an https server's"
)
_BROKEN = "The connection to the store broke off"


class DisconnectedError(Exception):
    """The store closed the connection before it answered: it may have done what was asked."""


class RangeException(StorageException):
    """The range begins past the file's end (HTTP 416)."""


def network_exception(error: Exception, options: str = "the address") -> Exception:
    """Translate an error of the network.

    Args:
        error: What a request raised.
        options: What to check where the store cannot be reached: `HttpSettings.place_options`.

    Returns:
        A new exception to be raised ``from error``; or the error itself, where it is ours, the
        system's or a fault in a program.
    """
    # A library that is not imported has raised no error.
    aiohttp: ModuleType | None = sys.modules.get("aiohttp")
    if isinstance(error, StorageException):
        return error
    if isinstance(error, TimeoutError):
        return StorageTimeoutException("The store did not answer in time")
    if isinstance(error, DisconnectedError):
        return StorageUnavailableException(_BROKEN)
    if aiohttp is None or not isinstance(error, aiohttp.ClientError):
        return error
    if isinstance(error, aiohttp.ClientSSLError):
        return StorageUnavailableException(_NOT_SECURE, retryable=False)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return StorageUnavailableException("The proxy cannot be reached: check the option proxy")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        status = getattr(error, "status", 0)
        message = f"The proxy refuses (HTTP {status}): check the option proxy"
        return StorageUnavailableException(message, retryable=False)
    is_connecting = isinstance(error, aiohttp.ClientConnectorError)
    return StorageUnavailableException(_UNREACHABLE.format(options) if is_connecting else _BROKEN)


def may_have_acted(error: StorageException) -> bool:
    """Return whether a request was refused after an attempt whose answer was lost."""
    return isinstance(error.__cause__, Refusal) and error.__cause__.is_repeated


def may_be_lost(error: StorageException) -> bool:
    """Return whether the store may have done what failed so: it was reached, and said nothing."""
    cause = error.__cause__
    if cause is None:
        return False  # nothing was sent
    if isinstance(cause, Refusal):
        return cause.is_repeated
    aiohttp: ModuleType | None = sys.modules.get("aiohttp")
    return aiohttp is None or not isinstance(cause, aiohttp.ClientConnectorError)
