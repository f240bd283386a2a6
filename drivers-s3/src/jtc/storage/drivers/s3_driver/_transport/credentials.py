"""The keys that sign requests: given, from a function or a session, or found by the SDK."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from inspect import isawaitable
from math import inf, isnan
from typing import TYPE_CHECKING, cast

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.drivers.s3_driver._transport import sdk_keys
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.http_support.settings import misfit

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["KeySource", "Keys", "UnusableKeysException"]

_log = logging.getLogger("jtc.storage")

# Seconds. Keys are renewed in the last quarter of their life, but no earlier before their end.
_MARGIN = 300.0
# Keys whose end a function does not say are renewed after so long.
_LIFE = 300.0
# After a renewal that failed, while the old keys still sign.
_PAUSE = 10.0

_NOT_ASYNC = object()


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Keys and their times, which all event loops and threads share.

    Args:
        access_key: The key's id.
        secret_key: The key.
        token: The session token of temporary keys.
        renew_at: Seconds since 1970 UTC; from then on a request renews them.
        ends_at: Seconds since 1970 UTC; from then on they do not sign.
        source: Where the SDK found them, by its own word, such as ``"iam-role"``; empty for keys
            that it did not look for.
    """

    access_key: str
    secret_key: str
    token: str | None = None
    renew_at: float = inf
    ends_at: float = inf
    source: str = ""


class UnusableKeysException(StorageConfigException):
    """Credentials were found that cannot be meant, such as a key that ends in a newline."""


class KeySource:
    """The keys of a driver, for all its event loops and threads.

    Args:
        settings: The driver's options.

    Attributes:
        current: The last keys; None before the first.
        anonymous: Whether requests are not signed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._session = settings, settings.session
        self.current: Keys | None = None
        self.anonymous = settings.anonymous
        if settings.access_key is not None:
            secret_key, token = settings.secret_key or "", settings.session_token
            self.current = Keys(settings.access_key, secret_key, token)
        self._option = "credentials" if settings.credentials else "session" if self._session else ""
        self._failing = False
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._renewals: dict[object, tuple[Future[Keys | None], asyncio.Task[None]]] = {}

    def usable(self) -> Keys | None:
        """Return keys that may sign now; None if they have to be waited for."""
        keys = self.current
        return keys if keys is not None and time.time() < keys.ends_at else None

    async def renewed(self) -> Keys:
        """Return keys that may sign now, and renew them if they are due.

        The renewal runs beside its callers: one that is cancelled does not stop it, and none waits
        for it while the old keys may still sign.

        Raises:
            StorageConfigException: There are none, or their source is configured wrongly.
            StorageUnavailableException: Their source does not work now.
            StorageTimeoutException: Their source does not answer.
        """
        while True:
            keys = self.usable()
            if keys is not None and time.time() < keys.renew_at:
                return keys
            renewal = self._renewal()
            if keys is not None:
                return keys
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    waiter = asyncio.wrap_future(renewal)
                    # The sync API in an event loop does not wait for it: no error is left there.
                    waiter.add_done_callback(_is_seen)
                    keys = await waiter
            except StorageException as error:
                # Others wait for the same one, and each disk adds its path to what it raises.
                raise copy.copy(error) from error.__cause__
            except TimeoutError as error:
                # The event loop that renews them does not run any more.
                raise sdk_keys.key_error(error, self._option) from error
            if keys is not None:
                return keys

    def expire(self, keys: Keys) -> None:
        """Have the next request renew keys, because the store says that they have ended.

        Args:
            keys: The keys. Does nothing if they are not the last, or given as options.
        """
        with self._lock:
            last = self.current
            if last is None or self._settings.access_key is not None:
                return
            if (last.access_key, last.token) == (keys.access_key, keys.token):
                self.current = replace(last, renew_at=0.0, ends_at=0.0)

    def _renewal(self) -> Future[Keys | None]:
        """Return the renewal under way, or start one.

        There is one an event loop; of a session one at all, because it holds one lock of asyncio,
        which fails if two loops wait for it.
        """
        loop = asyncio.get_running_loop()
        key = None if self._option == "session" else loop
        with self._lock:
            for each, (_, task) in list(self._renewals.items()):
                if task.get_loop().is_closed():
                    del self._renewals[each]
            if key not in self._renewals:
                renewal: Future[Keys | None] = Future()
                # From now on a waiter's cancellation does not cancel it.
                renewal.set_running_or_notify_cancel()
                self._renewals[key] = renewal, loop.create_task(self._renew(key, renewal))
            return self._renewals[key][0]

    async def _renew(self, key: object, renewal: Future[Keys | None]) -> None:
        """Renew the keys. The renewal's result is None if this event loop ends first."""
        outcome: Keys | StorageException | None = None
        try:
            outcome = _keys_of(await self._ask())
        except StorageException as error:
            outcome = error
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Also where the function cancelled something of its own.
            outcome = sdk_keys.key_error(error, self._option)
        finally:
            with self._lock:
                if self._renewals.get(key, (None,))[0] is renewal:
                    del self._renewals[key]
                if isinstance(outcome, Keys):
                    self.current, self._failing = outcome, False
                elif outcome is not None and (old := self.usable()) is not None:
                    again = min(time.time() + _PAUSE, old.ends_at)
                    self.current = replace(old, renew_at=again)
                    if not self._failing:
                        _log.warning("The old keys for S3 are kept until they end: %s", outcome)
                    self._failing = True
            if isinstance(outcome, StorageException):
                renewal.set_exception(outcome)
            else:
                renewal.set_result(outcome)

    async def _ask(self) -> object:
        """Return a mapping or an object that has the keys, unchecked."""
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                if self._settings.credentials is not None:
                    given: object = self._settings.credentials()
                    return await given if isawaitable(given) else _NOT_ASYNC
                if self._session is None:
                    return await sdk_keys.keys_of_chain(self._settings)
                if self._session == "aioboto3":
                    sdk = await in_thread(sdk_keys.import_sdk, "aioboto3")
                    self._session = await in_thread(sdk.Session)
                return await sdk_keys.keys_of_session(cast("AioSession", self._session))
        except Exception as error:
            if self._option != "credentials" and isinstance(error, StorageException):
                raise
            raise sdk_keys.key_error(error, self._option) from error


def _keys_of(given: object) -> Keys:
    if given is _NOT_ASYNC:
        raise StorageConfigException(
            "The option credentials is an async function, and this one is none: write 'async def', "
            "and let what blocks run in asyncio.to_thread()"
        )
    values: Mapping[str, object] = {name: getattr(given, name, None) for name in sdk_keys.KEY_NAMES}
    if isinstance(given, Mapping):
        values = given
    now, ends_at = time.time(), values.get("expires_at")
    if isinstance(ends_at, datetime):
        ends_at = ends_at.replace(tzinfo=ends_at.tzinfo or UTC).timestamp()
    if ends_at is None:
        renew_at, ends_at = now + _LIFE, inf
    elif isinstance(ends_at, (int, float)) and not isinstance(ends_at, bool) and not isnan(ends_at):
        renew_at = ends_at - min(_MARGIN, max(0.0, ends_at - now) / 4)
    else:
        raise _unusable("expires_at", "is neither a datetime nor seconds since 1970 UTC")
    texts: list[str] = []
    # An empty token would be signed as one.
    for name in sdk_keys.KEY_NAMES[: 3 if values.get("token") else 2]:
        text = values.get(name)
        if reason := misfit(text, beyond_ascii=name == "secret_key"):
            raise _unusable(name, reason)
        texts.append(str(text))
    access_key, secret_key, *token = texts
    source = str(values.get("source") or "")
    return Keys(access_key, secret_key, token[0] if token else None, renew_at, ends_at, source)


def _is_seen(waiter: asyncio.Future[Keys | None]) -> None:
    if not waiter.cancelled():
        waiter.exception()


def _unusable(name: str, reason: str) -> StorageConfigException:
    return UnusableKeysException(f"The credentials for S3 cannot be used: {name!r} {reason}")
