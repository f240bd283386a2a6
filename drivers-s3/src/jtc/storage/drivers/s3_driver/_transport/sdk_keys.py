"""Keys that the SDK finds, by its chain of credentials or in a session, and its errors."""

from __future__ import annotations

import importlib
import inspect
import os
import threading
import time
from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.drivers.s3_driver._transport.redaction import redact_sdk_logs
from jtc.storage.exceptions import (
    StorageConfigException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from types import ModuleType

    from aiobotocore.session import AioSession

    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = [
    "KEY_NAMES",
    "NoCredentialsException",
    "import_sdk",
    "key_error",
    "keys_of_chain",
    "keys_of_session",
]

KEY_NAMES = ("access_key", "secret_key", "token", "expires_at")
"""Of what the option credentials returns."""

# Seconds: what lasts longer does not end.
_FOREVER = 2**33

_NO_CREDENTIALS = (
    "No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass "
    "access_key and secret_key, profile or credentials"
)
_NO_AIOBOTO3 = "aioboto3 is required for S3Driver. Install it with: pip install aioboto3"
_LOGGED_OUT = "The login for the AWS profile has ended: log in again, such as with aws sso login"

# Names of classes and their bases: the SDK's, aiohttp's, ours and Python's own.
_EXPLAINED = {
    "NoCredentialsError": _NO_CREDENTIALS,
    **dict.fromkeys(("SSOError", "TokenRetrievalError", "LoginError"), _LOGGED_OUT),
}
_TIMEOUT = {"TimeoutError", "ConnectTimeoutError", "ReadTimeoutError"}
_NETWORK = {"ConnectionError", "HTTPClientError", "ClientConnectionError"}
# What a function raises that is wrong itself; anything else may pass.
_MISTAKES = AttributeError, LookupError, NameError, TypeError, ValueError, StorageConfigException


class NoCredentialsException(StorageConfigException):
    """No source of credentials has any."""


class _ImportLock:
    def __init__(self) -> None:
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self.held = threading.Lock()


_import_lock = _ImportLock()


def import_sdk(name: str) -> ModuleType:
    """Import a module of the SDK: half a second, so in a thread.

    Raises:
        StorageConfigException: It is not installed.
    """
    try:
        # Threads that import one module at the same time may see it half done.
        with _import_lock.held:
            return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        message = f"The s3 driver needs {missing}: pip install 'jtc-storage[s3]'"
        raise StorageConfigException(_NO_AIOBOTO3 if missing == "aioboto3" else message) from error


async def keys_of_chain(settings: Settings) -> dict[str, object]:
    """Return what the SDK's chain of credentials finds, by the names of the option credentials.

    Raises:
        Exception: Whatever the SDK raises, and StorageConfigException without keys or the SDK.
    """
    environ = os.environ.get
    keys = environ("AWS_ACCESS_KEY_ID"), environ("AWS_SECRET_ACCESS_KEY")
    if all(keys) and settings.profile is None and not environ("AWS_CREDENTIAL_EXPIRATION"):
        # Where the chain looks first, without the SDK's import.
        token = environ("AWS_SECURITY_TOKEN") or environ("AWS_SESSION_TOKEN")
        return {**dict(zip(KEY_NAMES, (*keys, token, inf), strict=True)), "source": "env"}
    # A new one each time: its objects belong to one event loop, and keep keys that have ended.
    sdk = await in_thread(import_sdk, "aiobotocore.session")
    session: AioSession = await in_thread(sdk.AioSession, profile=settings.profile)
    # Of the services that give temporary keys.
    session.set_config_variable("region", settings.region)
    return await keys_of_session(session)


async def keys_of_session(session: AioSession) -> dict[str, object]:
    """Return the keys of a session of the SDK, by the names of the option credentials.

    Raises:
        Exception: Whatever the SDK raises, and StorageConfigException without keys.
    """
    redact_sdk_logs()
    asked = session.get_credentials()
    if not inspect.isawaitable(asked):
        raise StorageConfigException("The option session must be of aioboto3, not of boto3")
    credentials = await asked
    if credentials is None:
        raise NoCredentialsException(_NO_CREDENTIALS)
    keys = await credentials.get_frozen_credentials()
    ends_at = time.time() + _seconds_left(credentials)
    values = (keys.access_key, keys.secret_key, keys.token, ends_at)
    source = getattr(credentials, "method", None)
    return {**dict(zip(KEY_NAMES, values, strict=True)), "source": source}


def _seconds_left(credentials: object) -> float:
    """Return the seconds that keys last: the SDK says only whether they are fewer than a number."""
    ends_within = getattr(credentials, "refresh_needed", None)
    if ends_within is None:
        return inf
    left = bisect_left(range(_FOREVER), True, key=lambda seconds: ends_within(refresh_in=seconds))  # noqa: FBT003
    return left - 1 if left < _FOREVER else inf


def key_error(error: BaseException, option: str) -> StorageException:
    """Return the exception for what a source of keys raised.

    Args:
        error: The source's error, whose text may hold secrets and is not shown.
        option: The option that is the source; empty for the chain.
    """
    names = {each.__name__ for each in type(error).__mro__}
    explained = None if option == "credentials" else names & _EXPLAINED.keys()
    if explained:
        message = _EXPLAINED[explained.pop()]
        is_none = message == _NO_CREDENTIALS
        return (NoCredentialsException if is_none else StorageConfigException)(message)
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    shown = f"{type(error).__name__} {code}" if code else type(error).__name__
    message = f"The credentials could not be loaded ({shown})"
    if option:
        message = f"The option {option} raised {shown}"
    if names & _TIMEOUT:
        return StorageTimeoutException(message)
    is_mistake = isinstance(error, _MISTAKES) if option == "credentials" else not names & _NETWORK
    return (StorageConfigException if is_mistake else StorageUnavailableException)(message)
