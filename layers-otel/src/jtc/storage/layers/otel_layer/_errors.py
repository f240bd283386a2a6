"""Description of errors in spans: their classes and tracebacks, and messages only with `paths`.

A message may hold a path, or anything else that a client library puts into it. So the SDK's own
``record_exception`` is not used: it records the messages of an error and of all its causes.
"""

from __future__ import annotations

import traceback

from jtc.storage.exceptions import StorageException

__all__ = ["describe", "error_type"]

_DIRECTLY = "\nThe above was the direct cause of the following:\n\n"
_MEANWHILE = "\nWhile the above was handled, another one occurred:\n\n"


def error_type(error: BaseException) -> str:
    """Return the name of an error's class, for the attribute ``error.type``."""
    return type(error).__qualname__


def describe(error: BaseException, *, messages: bool) -> tuple[str | None, dict[str, str]]:
    """Describe an error for a span.

    Args:
        error: The error.
        messages: Include the message of a `StorageException`. Messages of other errors are never
            included, since they may hold anything.

    Returns:
        The description of the span's status, and the attributes of the event ``exception``
        (https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/).
    """
    event = {"exception.type": _name(error), "exception.stacktrace": _stack(error)}
    if not messages or not isinstance(error, StorageException):
        return None, event
    event["exception.message"] = str(error)
    return str(error), event


def _name(error: BaseException) -> str:
    cls = type(error)
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _stack(error: BaseException) -> str:
    """Return a traceback as Python prints it, without messages and lines of code."""
    text = ""
    seen: set[int] = set()
    link = ""
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        text = f"{_one(following)}{link}{text}"
        link = _DIRECTLY if following.__cause__ is not None else _MEANWHILE
        context = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or context
    return text


def _one(error: BaseException) -> str:
    frames = "".join(
        f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_qualname}\n'
        for frame, line in traceback.walk_tb(error.__traceback__)
    )
    head = "Traceback (most recent call last):\n" if frames else ""
    return f"{head}{frames}{_name(error)}\n"
