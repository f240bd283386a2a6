"""Log of errors that only an operator can correct: each cause once a minute, without secrets."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from jtc.storage.exceptions import StorageException

__all__ = ["log_error"]

_LOGGER = logging.getLogger("jtc.storage.asgi")
_PERIOD = 60.0
"""Seconds in which one cause is logged once."""

_MOST_CAUSES = 256
# A client library may write the URL that it requested into its errors.
_QUERY = re.compile(r"(?<=\?)[^\s'\"<>]+")
_PASSWORD = re.compile(r"(?<=://)[^\s/@'\"]+@")


class _Causes:
    """The causes that were logged lately, with the number of responses since."""

    def __init__(self) -> None:
        self._since: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()  # some frameworks call exception handlers in threads

    def responses_to_log(self, cause: Hashable) -> int | None:
        """Return how many responses a new record stands for; None where it is too early for one."""
        now = time.monotonic()
        with self._lock:
            logged_at, unlogged = self._since.pop(cause, (now - _PERIOD, 0))
            is_due = now - logged_at >= _PERIOD
            self._since[cause] = (now, 0) if is_due else (logged_at, unlogged + 1)
            if len(self._since) > _MOST_CAUSES:
                del self._since[next(iter(self._since))]
        return unlogged + 1 if is_due else None


# By application, or by event loop: two of them do not share their causes.
_logged: WeakKeyDictionary[object, _Causes] = WeakKeyDictionary()
_of_the_process = _Causes()


def log_error(error: StorageException, status: int, scope: Mapping[str, Any]) -> None:
    """Log an error and its causes, unless the same was logged within the last minute.

    Args:
        error: The error. The path is not part of its cause: a client can name many.
        status: The HTTP status of the response.
        scope: The ASGI scope of the request.
    """
    chain = [error, *_causes(error)]
    words = (error.message.replace(error.path or "\0", ""), getattr(chain[-1], "code", None))
    cause = (status, error.disk, *(type(each) for each in chain), *words)
    responses = _causes_of(scope).responses_to_log(cause)
    if responses is None:
        return
    texts = [f"{type(each).__name__}: {each}" for each in chain]
    _LOGGER.error(
        "Responded with %d %s%s: %s",
        status,
        HTTPStatus(status).phrase,
        f" ({responses} times)" if responses > 1 else "",
        _without_secrets("; caused by ".join(texts)),
        extra={"disk": error.disk, "operation": error.operation, "path": error.path},
    )


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__
    return causes


def _causes_of(scope: Mapping[str, Any]) -> _Causes:
    app = scope.get("app")
    if app is not None:
        with suppress(TypeError):  # Litestar's has no weak references
            return _logged.setdefault(app, _Causes())
    try:
        return _logged.setdefault(asyncio.get_running_loop(), _Causes())
    except RuntimeError:
        return _of_the_process


def _without_secrets(text: str) -> str:
    text = _PASSWORD.sub("...@", _QUERY.sub("...", text))
    return "".join(each if each.isprintable() else " " for each in text)
