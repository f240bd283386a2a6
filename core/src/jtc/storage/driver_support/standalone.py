"""Checks of paths and errors for a driver that is used without `Disk`.

`Disk` checks each path and translates each error once, and then calls the driver's methods as they
are written. The decorator `standalone` adds the same checks to the methods for callers without
`Disk`: both get the same errors. Layers are such callers, so below one the checks run once more.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.driver import METHODS, Method
from jtc.storage.driver_support.content import SourceFile, driver_content, raised_by_source
from jtc.storage.driver_support.error_translation import reraise, translated
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

__all__ = ["checked_bulk", "standalone", "without_checks"]

T = TypeVar("T")

# Not attributes of the wrappers: functools.wraps would copy them to wrappers around those.
_unchecked: dict[Any, Any] = {}


def standalone(cls: type[T]) -> type[T]:
    """Add the checks of `Disk` to the methods of a driver; a class decorator.

    Each method of the contract that the class defines checks its paths, converts content to the
    kinds that drivers get, and raises the errors that `Disk` raises, without a disk's name. The
    methods themselves need no checks: `Disk` calls them as they are defined.
    """
    for name, method in METHODS.items():
        function = vars(cls).get(name)
        if function is not None and method.paths:
            checked = functools.wraps(function)(_wrapper(name, method)(function, method.operation))
            _unchecked[checked] = function
            setattr(cls, name, checked)
    return cls


def without_checks(bound: Any) -> Any:
    """Return a driver's method as it was written, for a caller that has made the checks.

    Args:
        bound: The method of an instance. One that `standalone` has not wrapped, such as that of a
            subclass, is returned as it is.
    """
    function = _unchecked.get(getattr(bound, "__func__", None))
    return bound if function is None else function.__get__(bound.__self__)


def _wrapper(name: str, method: Method) -> Callable[[Any, str], Any]:
    if name in {"put", "write_file"}:
        return _writing
    if method.paths != 1:
        return _bulk if method.paths < 0 else _between
    return {"value": _value, "iterator": _listing}.get(method.kind, _awaitable)


def _value(function: Any, operation: str) -> Any:
    def call(self: Any, path: str, /) -> Any:
        try:
            return function(self, check_path(path))
        except Exception as error:
            reraise(error, operation=operation, path=path)

    return call


def _awaitable(function: Any, operation: str) -> Any:
    async def call(self: Any, path: str, /, *arguments: Any) -> Any:
        try:
            return await function(self, check_path(path), *arguments)
        except Exception as error:
            reraise(error, operation=operation, path=path)

    return call


def _between(function: Any, operation: str) -> Any:
    async def call(self: Any, src: str, dst: str, /, *arguments: Any) -> Any:
        try:
            return await function(self, check_path(src), check_path(dst), *arguments)
        except Exception as error:
            reraise(error, operation=operation, path=src)

    return call


def _writing(function: Any, operation: str) -> Any:
    async def call(self: Any, path: str, content: Any, /, *arguments: Any) -> Any:
        source: Any = None
        try:
            checked = check_path(path)
            source = driver_content(content)
            return await function(self, checked, source, *arguments)
        except Exception as error:
            if raised_by_source(source, error):
                raise
            reraise(error, operation=operation, path=path)
        finally:
            if isinstance(source, SourceFile) and source is not content:
                source.close()

    return call


def _listing(function: Any, operation: str) -> Any:
    async def call(self: Any, prefix: str, /, *arguments: Any) -> AsyncIterator[Any]:
        try:
            entries = function(self, check_directory(prefix), *arguments)
            try:
                async for entry in entries:
                    yield entry
            finally:
                # If iteration ends early, another task would close it later.
                if hasattr(entries, "aclose"):
                    await entries.aclose()
        except Exception as error:
            reraise(error, operation=operation, path=prefix)

    return call


def _bulk(function: Any, operation: str) -> Any:
    async def call(self: Any, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        try:
            return await checked_bulk(functools.partial(function, self), paths, operation)
        except Exception as error:
            reraise(error, operation=operation)

    return call


async def checked_bulk(
    delete: Callable[[list[str]], Any], paths: Iterable[str], operation: str
) -> dict[str, bool | Exception]:
    """Call a bulk method with the valid paths; each other path gets its error.

    Args:
        delete: Takes valid paths, each once, and returns a result for each.
        paths: The paths as the caller gave them.
        operation: The method that the user called, for errors.

    Returns:
        The result of each path, by the path as it was passed. An error gets the operation, and the
        path if it has none.
    """
    if isinstance(paths, str):
        raise TypeError(f"{operation}() takes an iterable of paths, not one path")
    results: dict[str, bool | Exception] = {}
    checked: dict[str, str] = {}
    for path in paths:
        try:
            checked[path] = check_path(path)
        except StorageException as error:
            error.operation = operation
            results[path] = error
    found = await delete(list(dict.fromkeys(checked.values())))
    for path, each in checked.items():
        result = found[each]
        if isinstance(result, Exception) and (ours := translated(result)) is not result:
            ours.__cause__, result = result, ours
        if isinstance(result, StorageException):
            result.operation = operation
            result.path = result.path or path
        results[path] = result
    return results
