"""Plugins of a manager, and the calls of their hooks.

Implementations are called here, one after the other, and not by pluggy: it calls all of them before
one can be awaited, so a veto after an async hook would leave that hook's coroutine behind.
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
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import (
    NotModifiedException,
    StorageConfigException,
    StorageException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    import pluggy

    from jtc.storage.hookspecs import Event

__all__ = ["HookedOperation", "Hooks", "end_all"]

_log = logging.getLogger("jtc.storage._hooks")
_ids = itertools.count(1)

_QUIET_SECONDS = 60.0
"""After a hook's failure was logged as an error, its next ones are not for so long."""


class _Implementation(NamedTuple):
    plugin: str
    function: Callable[..., Any]
    takes_event: bool


class _Active:
    """`Hooks.active` until the plugins are loaded; then an instance attribute hides this.

    Not `functools.cached_property`, which writes its value after the lock is released: a plugin
    that another thread registered in between would be lost.
    """

    def __get__(self, hooks: Hooks, _owner: type) -> Hooks | None:
        return hooks._loaded_active()  # noqa: SLF001 - a part of Hooks


class Hooks:
    """The plugins of one manager: those that are installed, and those registered here.

    Attributes:
        broken: The installed plugins that cannot be used, with their errors, which are logged
            too. A program that requires its plugins checks this when it starts.
    """

    def __init__(self) -> None:
        self.broken: dict[str, StorageConfigException] = {}
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self._plugins: pluggy.PluginManager | None = None
        self._implementations: Mapping[str, tuple[_Implementation, ...]] = {}
        self._quiet_until: dict[tuple[str, str], float] = {}
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._loading = False  # a thread that was loading is in the parent

    def __repr__(self) -> str:
        return f"<{type(self).__name__} plugins={self.plugins()}>"

    @property
    def loaded(self) -> bool:
        """Whether the installed plugins are loaded."""
        return self._loaded

    active = _Active()
    """This object, or None where no plugin has a hook: one attribute access per operation.

    The first access loads the installed plugins.
    """

    def plugins(self) -> list[str]:
        """Return the names of the plugins, an installed one's as ``"distribution:name"``."""
        with self._lock:
            self._load()
            return [] if self._plugins is None else sorted(n for n, _ in self._named())

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add a plugin: its hooks are called from now on.

        Args:
            plugin: An object with functions marked by `jtc.storage.hookspecs.hookimpl`: a module,
                an instance, or a class, which is instantiated.
            name: Its name in messages; by default its own ``__name__`` or its class's.

        Raises:
            StorageConfigException: It is registered already, has no hooks, a hook that does not
                exist, a hook with other parameters, or a hook wrapper.
        """
        with self._lock:
            self._load()
            self._add(plugin, name)
            self._refresh()

    def unregister(self, plugin: object) -> None:
        """Remove a plugin: its hooks are not called any more.

        Args:
            plugin: The object that was registered, or the plugin's name.

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
    ) -> HookedOperation:
        """Return an operation that calls the hooks of the plugins, as an async context manager.

        Args:
            kind: ``"put"``, ``"get"``, ``"delete"``, ``"copy"``, ``"move"`` or ``"update"``.
            disk: The disk's name.
            driver: The driver's name.
            operation: The method that the user called.
            path: The file.
            key: The file's path for the driver below all layers.
            explain: Converts an error to the one that the caller will get.
            to: Fields of a copy's target, for the events before and after.
            **before: Further fields of the event before; its `options` are those of the event
                after too.
        """
        fields = {"id": next(_ids), "disk": disk, "driver": driver, "operation": operation}
        return HookedOperation(
            self, kind, fields | {"path": path, "key": key}, dict(to or {}), before, explain
        )

    async def call_before(self, hook: str, make: Callable[[], Event]) -> None:
        """Call a before-hook's implementations one after the other, until one raises."""
        implementations = self._implementations.get(hook)
        if implementations:
            event = make()
            for implementation in implementations:
                await _call(implementation, event)

    async def call_after(self, hook: str, make: Callable[[], Event]) -> dict[str, Exception]:
        """Call an after-hook's implementations one after the other, whatever they raise.

        Returns:
            The errors of those that failed, by the plugin's name. They are reported already.

        Raises:
            asyncio.CancelledError: The caller was cancelled meanwhile; all were called.
        """
        failed: dict[str, Exception] = {}
        implementations = self._implementations.get(hook)
        if not implementations:
            return failed
        event = make()
        cancelled: asyncio.CancelledError | None = None
        for implementation in implementations:
            error = await _try(implementation, event)
            if isinstance(error, asyncio.CancelledError):
                cancelled = error
            elif error is not None:
                failed[implementation.plugin] = error
                reported = await self._report(implementation.plugin, hook, event, error)
                cancelled = reported or cancelled
        if cancelled is not None:
            raise cancelled
        return failed

    async def _report(
        self, plugin: str, hook: str, event: Event, error: Exception
    ) -> asyncio.CancelledError | None:
        """Log the error of an after-hook and call `storage_hook_failed` with it.

        It is logged as an error, which Python writes to stderr even where logging is not
        configured; the same hook's next ones within a minute are logged as information.

        Returns:
            A cancellation of the caller, if there was one.
        """
        from jtc.storage.hookspecs import HookFailed  # noqa: PLC0415 - imports pluggy

        context = {
            "plugin": plugin,
            "hook": hook,
            "disk": event.disk,
            "driver": event.driver,
            "operation": event.operation,
            "path": event.path,
        }
        _log.log(
            self._level(plugin, hook),
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
                _log.log(
                    self._level(implementation.plugin, "storage_hook_failed"),
                    "The plugin %r failed in storage_hook_failed",
                    implementation.plugin,
                    exc_info=again,
                    extra=context | {"plugin": implementation.plugin},
                )
        return cancelled

    def _level(self, plugin: str, hook: str) -> int:
        """Return the level at which a failure of a hook is logged: an error, once a minute."""
        now = time.monotonic()
        if now < self._quiet_until.get((plugin, hook), now):
            return logging.INFO
        self._quiet_until[plugin, hook] = now + _QUIET_SECONDS
        return logging.ERROR

    def _loaded_active(self) -> Hooks | None:
        with self._lock:
            self._load()  # sets `active`, unless a plugin that is being loaded called this
            return self if self._implementations else None

    def _load(self) -> None:
        """Register the installed plugins, once."""
        if self._loaded or self._loading:
            return  # a plugin that is being imported may register another one
        self._loading = True
        try:
            for name, plugin in load_plugins():
                self._add_installed(name, plugin)
            self._loaded = True  # not after an interruption: the next access loads the rest
        finally:
            self._loading = False
        self._refresh()

    def _add_installed(self, name: str, plugin: Any) -> None:
        if self._plugins is not None and self._plugins.has_plugin(name):
            return  # added by an attempt that was interrupted
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
            raise StorageConfigException(
                f"A plugin {name!r} is registered already: pass another name, or unregister it"
            )
        try:
            if isinstance(plugin, type):
                plugin = plugin()
            self._plugins.register(plugin, name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too, of a plugin's constructor
            if self._plugins.get_plugin(name) is plugin:
                self._plugins.unregister(name=name)
            raise StorageConfigException(f"The plugin {name!r} is refused: {error}") from error
        if wrong := _wrong_hooks(self._plugins, plugin):
            self._plugins.unregister(name=name)
            raise StorageConfigException(f"The plugin {name!r} {wrong}")

    def _refresh(self) -> None:
        if self._loading:
            return  # operations in other threads must see all plugins, or wait for them
        hooks: dict[str, tuple[_Implementation, ...]] = {}
        if self._plugins is not None:
            for hook, caller in vars(self._plugins.hook).items():
                # pluggy keeps them in the reverse of its calling order.
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


class HookedOperation:
    """One operation with its events: ``async with`` calls the hooks before and after it."""

    def __init__(
        self,
        hooks: Hooks,
        kind: str,
        fields: dict[str, Any],
        to: dict[str, str],
        before: dict[str, Any],
        explain: Callable[[Exception], Exception],
    ) -> None:
        self._hooks = hooks
        self._kind = kind
        self._fields = fields
        self._to = to
        self._before = before
        self._explain = explain
        self._results: dict[str, Any] = {}
        self._began = 0.0
        self._ended = False

    def report(self, **results: Any) -> None:
        """Set further fields of the event after."""
        self._results.update(results)

    async def __aenter__(self) -> Self:
        self._began = time.perf_counter()
        try:
            await self._hooks.call_before(f"storage_before_{self._kind}", self._before_event)
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
        if isinstance(error, NotModifiedException) and self._kind == "get":
            etag = self._before["options"].get("if_none_match")
            self.report(size=0, etag=etag, not_modified=True)
        elif error is not None:
            await self._fail(error)
            return
        if not self._ended:
            self._ended = True
            await self._succeed()

    async def _succeed(self) -> None:
        took = time.perf_counter() - self._began
        try:
            await self._hooks.call_after(
                f"storage_after_{self._kind}",
                lambda: self._event("After", duration=took, **self._to, **self._after()),
            )
        finally:  # a cancellation in an after-hook does not take the upload from the others
            if self._kind == "put":
                await self._hooks.call_after("storage_uploaded", self._uploaded)

    async def confirm(self, version: str) -> None:
        """Call the hook `storage_uploaded` alone, for a file that is stored already.

        Args:
            version: The file's etag, or what else tells its versions apart.

        Raises:
            StorageException: It failed in a plugin; those of all plugins were called.
        """
        failed = await self._hooks.call_after("storage_uploaded", lambda: self._uploaded(version))
        for plugin, error in failed.items():
            raise StorageException(
                f"The file is stored, and the plugin {plugin!r} failed in storage_uploaded: "
                "confirm the upload again"
            ) from error

    async def stream(self, opener: Callable[[], Awaitable[ReadStream]]) -> ReadStream:
        """Open a stream as this operation, which ends when the stream is closed."""
        await self.__aenter__()
        try:
            stream = await opener()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        self.report(size=0, etag=stream.info.etag, content_type=stream.info.content_type)

        async def chunks() -> AsyncIterator[bytes]:
            size = 0
            try:
                async for chunk in stream:
                    size += len(chunk)
                    self.report(size=size)
                    yield chunk
            except GeneratorExit:
                raise  # closed by its reader: close() ends the operation
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
        explained = self._explain(error) if isinstance(error, Exception) else error
        await self._hooks.call_after(
            "storage_failed",
            lambda: Failed(
                before=self._before_event(), error=explained, duration=took, **self._fields
            ),
        )

    def _before_event(self) -> Event:
        return self._event("Before", **self._to, **self._before)

    def _uploaded(self, version: str | None = None) -> Event:
        import hashlib  # noqa: PLC0415 - where a plugin has the hook only
        import json  # noqa: PLC0415
        import secrets  # noqa: PLC0415

        from jtc.storage.hookspecs import Uploaded  # noqa: PLC0415

        fields = self._fields | self._after()
        version = version or fields.get("etag") or secrets.token_hex()
        named = json.dumps([fields["disk"], fields["key"], version])
        return Uploaded(idempotency_key=hashlib.sha256(named.encode()).hexdigest(), **fields)

    def _after(self) -> dict[str, Any]:
        before = {"options": self._before["options"]} if "options" in self._before else {}
        return before | self._results

    def _event(self, when: str, **fields: Any) -> Event:
        from jtc.storage import hookspecs  # noqa: PLC0415

        event: Event = getattr(hookspecs, f"{when}{self._kind.title()}")(**self._fields, **fields)
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
    """Call an after-hook; return its error, or the cancellation of its caller."""
    try:
        await _call(implementation, event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return error
        # This task was not cancelled, but something that the hook waited for.
        failure = RuntimeError("A task that the hook waited for was cancelled")
        failure.__cause__ = error
        return failure
    except Exception as error:
        return error
    return None


async def end_all(operations: Iterable[tuple[HookedOperation, BaseException | None]]) -> None:
    """End operations, each with its error or None, even if the caller is cancelled meanwhile.

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
                return f"wraps {caller.name}: hooks are called in turn, without wrappers"
            function = implementation.function
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                return f"has a generator for {caller.name}: use a function or an async def"
    return None
