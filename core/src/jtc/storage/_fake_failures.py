"""Failures and delays on request, for fakes in tests."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import threading
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from jtc.storage._did_you_mean import closest
from jtc.storage._disk.glob_patterns import compile_glob
from jtc.storage.driver import METHODS
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from types import CodeType

__all__ = ["FailureError", "Failures"]

FailureError: TypeAlias = BaseException | type[BaseException]
"""What a failure raises: an exception, or its class, which is made with a message."""

_MESSAGE = "The fake was asked to fail"
_NO_OPERATIONS = {"driver_as", "read_only", "scoped", "with_layer"} | {
    # Their files fail each by itself: by `put`, `get`, `copy`, `move`, `list` or `stat`.
    *("put_many", "get_many", "copy_many", "copy_directory", "move_directory"),
    *("compare", "plan_sync"),
}

# Parts of a disk's methods that run apart from them, and those that have the name in a variable.
_PARTS = {"Streaming._open_to_read": "open", "_delete_all.<locals>.delete": "delete_many"}
_NAMED = {"ReadWrite._put", "ReadWrite._extend"}
_WITHOUT_WAITING = {name for name, each in METHODS.items() if each.kind == "value"}


@dataclass
class _Rule:
    operation: str
    times: int | None
    matches: Callable[[str], bool] | None
    error: FailureError | None = None
    seconds: float = 0


class Failures:
    """The failures and delays of one faked disk, in the order in which they were requested.

    Args:
        disk: The class of disks, whose methods are the operations.
    """

    def __init__(self, disk: type) -> None:
        self._operations = _operations_of(disk)
        self._codes = _codes_of(disk)
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def fail(
        self, operation: str, times: int | None, error: FailureError | None, paths: str | None
    ) -> None:
        """Add a failure; see `FakeDisk.fail`."""
        error = StorageUnavailableException if error is None else error
        is_class = isinstance(error, type) and issubclass(error, BaseException)
        if not is_class and not isinstance(error, BaseException):
            raise TypeError(f"error is an exception or its class, not {error!r}")
        self._add(_Rule(operation, times, _matcher(paths), error=error))

    def delay(self, operation: str, seconds: float, times: int | None, paths: str | None) -> None:
        """Add a delay; see `FakeDisk.delay`."""
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"A delay is a number of seconds from 0, not {seconds!r}")
        if operation in _WITHOUT_WAITING:
            raise ValueError(f"{operation}() waits for nothing, and cannot be delayed")
        self._add(_Rule(operation, times, _matcher(paths), seconds=seconds))

    def clear(self) -> None:
        """Remove all failures and delays."""
        with self._lock:
            self._rules.clear()

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of the contract that first does what was requested for it."""
        described = METHODS[name]
        wrapper: Callable[..., Any]
        if described.paths < 0:
            wrapper = self._bulk(method)
        elif described.kind == "value":

            def value(*arguments: Any) -> Any:
                _, error = self._take(self._callers() | {name}, arguments[:1])
                if error is not None:
                    raise error
                return method(*arguments)

            wrapper = value
        elif described.kind == "iterator":
            wrapper = self._iterator(method, described.operation)
        else:

            async def awaitable(*arguments: Any) -> Any:
                operations = self._callers() | {described.operation}
                await self._before(operations, arguments[: described.paths])
                return await method(*arguments)

            wrapper = awaitable
        return functools.wraps(method)(wrapper)

    def _callers(self) -> set[str]:
        """Return the operations of a disk within which the current call is made.

        Only the stack has them: for the sake of speed, a disk passes them to no driver.
        """
        found: set[str] = set()
        if not self._rules:
            return found
        frame = inspect.currentframe()
        while frame is not None:
            code = frame.f_code
            name = self._codes.get(code) or _PARTS.get(code.co_qualname)
            if code.co_qualname in _NAMED:
                name = frame.f_locals["operation"]
            if name is not None:
                found.add(name)
            frame = frame.f_back
        return found

    def _iterator(self, method: Callable[..., Any], operation: str) -> Callable[..., Any]:
        async def iterator(prefix: str, options: Any, /) -> AsyncIterator[Any]:
            await self._before(self._callers() | {operation}, [prefix])
            async with aclosing(method(prefix, options)) as entries:
                async for entry in entries:
                    yield entry

        return iterator

    def _bulk(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def delete_many(paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
            callers = self._callers() | {"delete_many"}
            await self._before(callers, None)
            failed: dict[str, bool | Exception] = {}
            for path in paths:
                try:
                    await self._before({"delete"}, [path])
                    await self._before(callers, [path], only_with_paths=True)
                except Exception as error:
                    failed[path] = error
            found = await method([path for path in paths if path not in failed])
            return {path: failed[path] if path in failed else found[path] for path in paths}

        return delete_many

    def _add(self, rule: _Rule) -> None:
        if rule.operation not in self._operations:
            close = closest(rule.operation, self._operations)
            if rule.operation in METHODS:
                close = METHODS[rule.operation].operation
            hint = f"did you mean {close!r}? There" if close else "there"
            raise ValueError(
                f"A disk has no operation {rule.operation!r}; {hint} are: "
                f"{', '.join(self._operations)}"
            )
        times = rule.times
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"times is a number from 1, or None for always, not {times!r}")
        with self._lock:
            self._rules.append(rule)

    async def _before(
        self,
        operations: set[str],
        paths: Sequence[str] | None,
        *,
        only_with_paths: bool = False,
    ) -> None:
        seconds, error = self._take(operations, paths, only_with_paths=only_with_paths)
        if seconds:
            await asyncio.sleep(seconds)
        if error is not None:
            raise error

    def _take(
        self,
        operations: set[str],
        paths: Sequence[str] | None,
        *,
        only_with_paths: bool = False,
    ) -> tuple[float, BaseException | None]:
        """Return the delay and the error of a call.

        Args:
            operations: The names by which the call may have been meant.
            paths: Its paths; None for a bulk operation as a whole.
            only_with_paths: Take no rule that is for all paths.
        """
        if not self._rules:
            return 0, None
        seconds: float = 0
        error: BaseException | None = None
        with self._lock:
            for rule in [rule for rule in self._rules if rule.operation in operations]:
                if rule.matches is None:
                    applies = not only_with_paths
                else:
                    applies = paths is not None and any(map(rule.matches, paths))
                if not applies or (rule.error is not None and error is not None):
                    continue
                seconds += rule.seconds
                if rule.error is not None:
                    error = _made(rule.error)
                if rule.times is not None:
                    rule.times -= 1
                    if not rule.times:
                        self._rules.remove(rule)
        return seconds, error


def _matcher(paths: str | None) -> Callable[[str], bool] | None:
    return None if paths is None else compile_glob(paths)[1]


def _made(error: FailureError) -> BaseException:
    if isinstance(error, type):
        return error(_MESSAGE)
    try:
        # A disk adds its name and the path to the one that it raises.
        return copy.copy(error)
    except Exception:
        return error  # of a class whose constructor has other parameters


@functools.cache
def _operations_of(disk: type) -> Mapping[str, Any]:
    """Return the methods of a disk by which failures are requested."""
    return {
        name: function
        for name, function in inspect.getmembers(disk, inspect.isfunction)
        if not name.startswith("_") and name not in _NO_OPERATIONS
    }


@functools.cache
def _codes_of(disk: type) -> Mapping[CodeType, str]:
    return {function.__code__: name for name, function in _operations_of(disk).items()}
