"""Tokens of Entra ID, from a credential of azure-identity."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageConfigException, StoragePermissionException

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver._settings import Settings

__all__ = ["Tokens"]

_SCOPE = "https://storage.azure.com/.default"
_MARGIN = 300.0
"""Seconds before a token's end from which on it is renewed."""


class _Token(NamedTuple):
    text: str
    renew_at: float


class Tokens:
    """The tokens of a driver, for all its event loops and threads.

    A credential that blocks is called in a thread, and so is the one of ``"default"``: those that
    are async keep connections of one event loop.

    Args:
        settings: The driver's options.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token: _Token | None = None
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        # Another thread may have held its lock.
        self._made: Any = None
        self._fetching: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[_Token]] = (
            WeakKeyDictionary()
        )

    async def get(self, *, is_renewed: bool = False) -> str:
        """Return a token; all that wait for one in a loop wait for the same.

        Args:
            is_renewed: Whether the store has refused the last one.

        Raises:
            StorageConfigException: azure-identity is not installed.
            StoragePermissionException: There is no token.
        """
        token = self._token
        if token is not None and time.time() < token.renew_at and not is_renewed:
            return token.text
        loop = asyncio.get_running_loop()
        task = self._fetching.get(loop)
        if task is None or task.done():
            task = self._fetching[loop] = loop.create_task(self._fetched())
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        # One caller that is cancelled does not stop it.
        return (await asyncio.shield(task)).text

    async def _fetched(self) -> _Token:
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                credential = await self._credential()
                if inspect.iscoroutinefunction(credential.get_token):
                    found = await credential.get_token(_SCOPE)
                else:
                    found = await in_thread(credential.get_token, _SCOPE)
                    if inspect.isawaitable(found):
                        found = await found
            now, ends = time.time(), float(found.expires_on)
            token = _Token(str(found.token), ends - min(_MARGIN, max(ends - now, 0.0) / 4))
        except (StorageConfigException, TimeoutError):
            raise
        except Exception as error:
            raise StoragePermissionException(
                f"Entra ID gave no token ({type(error).__name__}): check the option credential, or "
                "what the environment says of it"
            ) from error
        self._token = token
        return token

    async def _credential(self) -> Any:
        if self._settings.credential != "default":
            return self._settings.credential
        if self._made is None:
            self._made = await in_thread(_default_credential)
        return self._made


def _default_credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - optional
    except ImportError as error:
        raise StorageConfigException(
            'credential = "default" needs azure-identity: pip install "jtc-storage-azure[entra]"'
        ) from error
    return DefaultAzureCredential()
