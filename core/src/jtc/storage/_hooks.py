"""`Hooks`: which plugins there are, and how they are called.

One by one and by ourselves: pluggy calls all implementations before one of them can be awaited, so
that a veto after an async hook would leave its coroutine behind.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from jtc.storage._discovery import load_plugins
from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.fork_safety import at_fork
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    import pluggy

    from jtc.storage.hookspecs import Event

__all__ = ["Hooks", "Operation"]

_log = logging.getLogger("jtc.storage._hooks")
_ids = itertools.count(1)


class _Implementation(NamedTuple):
    plugin: str
    function: Callable[..., Any]
    takes_event: bool


class _Active:
    """`Hooks.active` until it is known; then an attribute of the same name stands before this.

    Not `functools.cached_property`, which writes its value when the lock is given back: in between
    another thread may have registered a plugin, and that would be forgotten.
    """

    def __get__(self, hooks: Hooks, _owner: type) -> Hooks | None:
        return hooks._loaded_active()  # noqa: SLF001 - it is a part of it


class Hooks:
    """The plugins of one manager: those that are installed, and those registered here.

    Attributes:
        broken: The plugins that are installed but cannot be imported, with their errors. They
            are logged too; a program that cannot do without its plugins looks here at its start.
    """

    def __init__(self) -> None:
        self.broken: dict[str, StorageConfigException] = {}
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self._plugins: pluggy.PluginManager | None = None
        self._implementations: Mapping[str, tuple[_Implementation, ...]] = {}
        at_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._loading = False  # whoever was at it is in the parent

    def __repr__(self) -> str:
        return f"<{type(self).__name__} plugins={self.plugins()}>"

    active = _Active()
    """This object, or None where no plugin has a hook: each operation pays one look at it.

    The first look loads what is installed.
    """

    def plugins(self) -> list[str]:
        """Return the names of the plugins; an installed one's with its distribution's."""
        with self._lock:
            self._load()
            return [] if self._plugins is None else sorted(n for n, _ in self._named())

    def register(self, plugin: object, name: str | None = None) -> None:
        """Have a plugin called from now on.

        Args:
            plugin: An object with functions marked by `jtc.storage.hookspecs.hookimpl`: a module,
                an instance, or a class, which is called for an instance.
            name: What messages call it; its own name unless told.

        Raises:
            StorageConfigException: It is there already, has no hooks, has one that does not exist
                or takes what no hook is given, or one that wraps others.
        """
        with self._lock:
            self._load()
            self._add(plugin, name)
            self._refresh()

    def unregister(self, plugin: object) -> None:
        """Call a plugin no more.

        Args:
            plugin: What was registered, or the plugin's name.

        Raises:
            StorageConfigException: There is no such plugin.
        """
        with self._lock:
            self._load()
            name = plugin if isinstance(plugin, str) else self._name_of(plugin)
            if self._plugins is None or name is None or not self._plugins.has_plugin(name):
                raise StorageConfigException(
                    f"There is no plugin {plugin!r}; there are: {', '.join(self.plugins()) or None}"
                )
            self._plugins.unregister(name=name)
            self._refresh()

    def operation(
        self,
        kind: str,
        *,
        disk: str,
        driver: str,
        operation: str,
        path: str,
        key: str,
        explain: Callable[[Exception], Exception],
        to: Mapping[str, str] | None = None,
        **before: Any,
    ) -> Operation:
        """Return what tells the plugins of one operation, as an async context manager.

        Args:
            kind: ``"put"``, ``"get"``, ``"delete"``, ``"copy"`` or ``"move"``.
            disk: The disk's name.
            driver: The driver's name.
            operation: The method that the user called.
            path: The file.
            key: The file, as the driver beneath all layers knows it.
            explain: Says an error as the caller will get it.
            to: What is said of a copy's target, before and after.
            **before: What only the before-hook is told.
        """
        facts = {"id": next(_ids), "disk": disk, "driver": driver, "operation": operation}
        return Operation(
            self, kind, facts | {"path": path, "key": key}, dict(to or {}), before, explain
        )

    async def ask(self, hook: str, make: Callable[[], Event]) -> None:
        """Call a before-hook's implementations in turn; the first that raises ends it."""
        implementations = self._implementations.get(hook)
        if implementations:
            event = make()
            for implementation in implementations:
                await _call(implementation, event)

    async def tell(self, hook: str, make: Callable[[], Event]) -> None:
        """Call an after-hook's implementations in turn; what one raises stops no other.

        Raises:
            asyncio.CancelledError: The caller was cancelled meanwhile; all were told.
        """
        implementations = self._implementations.get(hook)
        if not implementations:
            return
        event = make()
        cancelled: asyncio.CancelledError | None = None
        for implementation in implementations:
            error = await _try(implementation, event)
            if isinstance(error, asyncio.CancelledError):
                cancelled = error
            elif error is not None:
                reported = await self._report(implementation.plugin, hook, event, error)
                cancelled = reported or cancelled
        if cancelled is not None:
            raise cancelled

    async def _report(
        self, plugin: str, hook: str, event: Event, error: Exception
    ) -> asyncio.CancelledError | None:
        """Log what an after-hook raised, and tell it; return a cancellation of the caller."""
        from jtc.storage.hookspecs import HookFailed  # noqa: PLC0415 - pluggy: where it is used

        context = {
            "plugin": plugin,
            "hook": hook,
            "disk": event.disk,
            "driver": event.driver,
            "operation": event.operation,
            "path": event.path,
        }
        _log.error(
            "The plugin %r failed in %s; the %s of %r on the disk %r is not undone",
            plugin,
            hook,
            event.operation,
            event.path,
            event.disk,
            exc_info=error,
            extra=context,
        )
        failure = HookFailed(plugin=plugin, hook=hook, event=event, error=error)
        cancelled: asyncio.CancelledError | None = None
        for implementation in self._implementations.get("storage_hook_failed", ()):
            again = await _try(implementation, failure)
            if isinstance(again, asyncio.CancelledError):
                cancelled = again
            elif again is not None:
                _log.error(
                    "The plugin %r failed in storage_hook_failed",
                    implementation.plugin,
                    exc_info=again,
                    extra=context | {"plugin": implementation.plugin},
                )
        return cancelled

    def _loaded_active(self) -> Hooks | None:
        with self._lock:
            self._load()  # it sets `active`, where it is not being called by itself
            return self if self._implementations else None

    def _load(self) -> None:
        """Register what is installed, once."""
        if self._loaded or self._loading:
            return  # a plugin may register another one while it is imported
        self._loading = True
        try:
            for name, plugin in load_plugins():
                self._add_installed(name, plugin)
            self._loaded = True  # not when it was interrupted: the next look must load the rest
        finally:
            self._loading = False
        self._refresh()

    def _add_installed(self, name: str, plugin: Any) -> None:
        if self._plugins is not None and self._plugins.has_plugin(name):
            return  # from an attempt that was interrupted
        try:
            if isinstance(plugin, StorageConfigException):
                raise plugin
            self._add(plugin, name)
        except StorageConfigException as error:
            self.broken[name] = error
            _log.error("The plugin %r is not used: %s", name, error, extra={"plugin": name})

    def _add(self, plugin: object, name: str | None) -> None:
        import pluggy  # noqa: PLC0415 - 10 ms, where there are plugins only

        from jtc.storage import hookspecs  # noqa: PLC0415

        if self._plugins is None:
            self._plugins = pluggy.PluginManager(hookspecs.PROJECT)
            self._plugins.add_hookspecs(hookspecs)
        name = name or self._free_name(plugin)
        if self._plugins.has_plugin(name):
            raise StorageConfigException(f"There is a plugin {name!r} already")
        try:
            if isinstance(plugin, type):
                plugin = plugin()
            self._plugins.register(plugin, name)
        except Exception as error:
            if self._plugins.get_plugin(name) is plugin:
                self._plugins.unregister(name=name)
            raise StorageConfigException(f"The plugin {name!r} is refused: {error}") from error
        if wrong := _wrong_hooks(self._plugins, plugin):
            self._plugins.unregister(name=name)
            raise StorageConfigException(f"The plugin {name!r} {wrong}")

    def _refresh(self) -> None:
        if self._loading:
            return  # an operation in another thread must see all plugins, or wait for them
        hooks: dict[str, tuple[_Implementation, ...]] = {}
        if self._plugins is not None:
            for hook, caller in vars(self._plugins.hook).items():
                # pluggy keeps them in the opposite of the order in which it calls them.
                found = [
                    _Implementation(i.plugin_name, i.function, bool(i.argnames))
                    for i in reversed(caller.get_hookimpls())
                ]
                if found:
                    hooks[hook] = tuple(found)
        self._implementations = hooks
        self.__dict__["active"] = self if hooks else None

    def _free_name(self, plugin: object) -> str:
        name = str(getattr(plugin, "__name__", None) or type(plugin).__name__)
        taken = {taken for taken, _ in self._named()}
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        return name if name not in taken else next(n for n in numbered if n not in taken)

    def _named(self) -> list[tuple[str, object]]:
        return [] if self._plugins is None else self._plugins.list_name_plugin()

    def _name_of(self, plugin: object) -> str | None:
        for name, registered in self._named():
            if registered is plugin or type(registered) is plugin:
                return name
        return None


class Operation:
    """One operation that plugins are told of, from its beginning to its end.

    ``async with`` asks before and tells after.
    """

    def __init__(
        self,
        hooks: Hooks,
        kind: str,
        facts: dict[str, Any],
        to: dict[str, str],
        before: dict[str, Any],
        explain: Callable[[Exception], Exception],
    ) -> None:
        self._hooks = hooks
        self._kind = kind
        self._facts = facts
        self._to = to
        self._before = before
        self._explain = explain
        self._results: dict[str, Any] = {}
        self._began = 0.0
        self._ended = False

    def __call__(self, **results: Any) -> None:
        """Take what the after-hook is told besides."""
        self._results = results

    async def __aenter__(self) -> Self:
        self._began = time.perf_counter()
        try:
            await self._hooks.ask(
                f"storage_before_{self._kind}",
                lambda: self._event("Before", **self._to, **self._before),
            )
        except BaseException as error:
            await self._fail(error)
            raise
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            await self._fail(error)
        elif not self._ended:
            self._ended = True
            took = time.perf_counter() - self._began
            await self._hooks.tell(
                f"storage_after_{self._kind}",
                lambda: self._event("After", duration=took, **self._to, **self._results),
            )

    async def stream(self, opener: Callable[[], Awaitable[ReadStream]]) -> ReadStream:
        """Open a stream as this operation, which ends when the stream is closed."""
        await self.__aenter__()
        try:
            stream = await opener()
        except BaseException as error:
            await self._fail(error)
            raise
        self(size=0)

        async def chunks() -> AsyncIterator[bytes]:
            size = 0
            try:
                async for chunk in stream:
                    size += len(chunk)
                    self(size=size)
                    yield chunk
            except GeneratorExit:
                raise  # given up by its reader: closing it tells
            except BaseException as error:
                await self._fail(error)
                raise

        async def close() -> None:
            try:
                await stream.aclose()
            except BaseException as error:
                await self._fail(error)
                raise
            await self.__aexit__(None, None, None)

        return ReadStream(stream.info, chunks(), close)

    async def _fail(self, error: BaseException) -> None:
        if self._ended:
            return
        self._ended = True
        from jtc.storage.hookspecs import Failed  # noqa: PLC0415

        took = time.perf_counter() - self._began
        told = self._explain(error) if isinstance(error, Exception) else error
        await self._hooks.tell(
            "storage_failed", lambda: Failed(error=told, duration=took, **self._facts)
        )

    def _event(self, when: str, **facts: Any) -> Event:
        from jtc.storage import hookspecs  # noqa: PLC0415

        event: Event = getattr(hookspecs, f"{when}{self._kind.title()}")(**self._facts, **facts)
        return event


async def _call(implementation: _Implementation, event: object) -> None:
    result = (
        implementation.function(event)
        if implementation.takes_event
        else (implementation.function())
    )
    if inspect.isawaitable(result):
        await result


async def _try(
    implementation: _Implementation, event: object
) -> Exception | asyncio.CancelledError | None:
    """Call an after-hook; return what it raised, or the cancellation of its caller."""
    try:
        await _call(implementation, event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return error
        # Nobody asked this task to stop: it is of something that the hook waited for.
        failure = RuntimeError("What the hook waited for was cancelled")
        failure.__cause__ = error
        return failure
    except Exception as error:
        return error
    return None


async def end_all(operations: Iterable[tuple[Operation, BaseException | None]]) -> None:
    """End operations, each with its error or None; a cancellation of the caller stops none.

    Raises:
        asyncio.CancelledError: The caller was cancelled meanwhile; all have ended.
    """
    cancelled: asyncio.CancelledError | None = None
    for operation, error in operations:
        try:
            await operation.__aexit__(None if error is None else type(error), error, None)
        except asyncio.CancelledError as interruption:
            cancelled = interruption
    if cancelled is not None:
        raise cancelled


def _wrong_hooks(plugins: pluggy.PluginManager, plugin: object) -> str | None:
    callers = plugins.get_hookcallers(plugin)
    if not callers:
        return "has no hooks: mark its functions with jtc.storage.hookspecs.hookimpl"
    for caller in callers:
        if not caller.has_spec():
            known = ", ".join(sorted(n for n, c in vars(plugins.hook).items() if c.has_spec()))
            return f"implements {caller.name}, and there is no such hook. There are: {known}"
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if implementation.hookwrapper or implementation.wrapper:
                return f"wraps {caller.name}: hooks are called in turn, and wrap nothing"
            function = implementation.function
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                return f"has a generator for {caller.name}, whose body nobody would run"
    return None
