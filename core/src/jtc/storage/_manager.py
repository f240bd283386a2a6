"""Manager of the disks of a process and of their drivers."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from jtc.storage._capabilities import ResolvedDriver, resolve
from jtc.storage._config import DEFAULT, DiskConfig, StorageConfig, call, read_config
from jtc.storage._did_you_mean import closest
from jtc.storage._discovery import (
    DRIVERS,
    OFFICIAL,
    installed_drivers,
    load_driver,
    load_layer,
    missing,
)
from jtc.storage._disk import BuiltDisk, Disk, DiskOperations
from jtc.storage._equal_signers import check_signers
from jtc.storage._hooks import Hooks
from jtc.storage._layering import layered
from jtc.storage._loading import Loader
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.layer import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jtc.storage._config import LayerConfig
    from jtc.storage._fakes import FakeDisk, Fakes
    from jtc.storage.driver import StorageDriver
    from jtc.storage.sync._disks import SyncStorage

__all__ = ["Storage", "StorageManager"]

T = TypeVar("T")

logger = logging.getLogger("jtc.storage")

_DEFAULT_DRIVER = "local"


class StorageManager(DiskOperations):
    """The disks of a process: finds, makes, keeps and closes their drivers.

    ``StorageManager()`` is always `Storage`, the one of the process; `isolated` makes another.
    It has all `Disk` methods too, for the default disk. There is no "current" disk, so tasks and
    threads do not affect each other.

    A disk is, in this order: one set by hand (`set_driver`), one configured (`configure`, or the
    TOML file that ``FILESYSTEM_CONFIG`` names), or, when nothing was configured, the installed
    driver of that name with its own environment variables.
    """

    hooks: Hooks
    """The plugins that receive the events of this manager's operations."""

    _instance: ClassVar[StorageManager | None] = None
    _creation: ClassVar[threading.Lock] = threading.Lock()

    _lock: threading.RLock
    _config: StorageConfig | None
    _resolved_drivers: dict[str, ResolvedDriver]
    _by_hand: set[str]
    _factories: dict[str, Callable[..., Any]]
    _retired: list[ResolvedDriver]
    _built: weakref.WeakSet[Callable[[], ResolvedDriver]]
    _loader: Loader
    _current: dict[str, ResolvedDriver]
    _default_is_by_hand: bool
    _fakes: list[Fakes]
    _guards: list[_Guard]

    def __new__(cls) -> Self:
        """Return the manager of the process."""
        with StorageManager._creation:
            if StorageManager._instance is None:
                StorageManager._instance = cls._make()
        return StorageManager._instance  # type: ignore[return-value] # there is one class

    @classmethod
    def _make(cls) -> Self:
        manager = super().__new__(cls)
        manager.hooks = Hooks()
        manager._lock = threading.RLock()
        manager._config = None
        manager._resolved_drivers = {}
        manager._by_hand = set()
        manager._factories = {}
        manager._retired = []
        manager._built = weakref.WeakSet()
        manager._loader = Loader()
        manager._current = {}
        manager._default_is_by_hand = False
        manager._fakes = []
        manager._guards = []
        reset_after_fork(manager)
        return manager

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    @classmethod
    def isolated(
        cls, config: Mapping[str, Any] | str | os.PathLike[str] | None = None
    ) -> StorageManager:
        """Make a separate manager, for dependency injection and tests.

        Args:
            config: As for `configure`; without it, disks are found as in a new process.

        Raises:
            StorageConfigException: The configuration is invalid.
        """
        manager = cls._make()
        if config is not None:
            try:
                manager.configure(config)
            except StorageConfigException:
                del config  # as in configure()
                raise
        return manager

    def __repr__(self) -> str:
        try:
            disks = self.disks()
        except StorageConfigException:
            return f"<{type(self).__name__}, whose configuration cannot be read>"
        return f"<{type(self).__name__} disks={disks}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self is not StorageManager._instance:
            raise TypeError(
                f"{self!r} is a manager of its own and cannot be pickled, nor its disks: pass "
                "their names, and look them up in a manager there"
            )
        return type(self), ()

    @property
    def name(self) -> str:
        """The name of the current default disk."""
        if self._default_is_by_hand:
            return DEFAULT
        try:
            return self._default_name()
        except StorageConfigException:
            return DEFAULT  # the configuration cannot be read: the next operation raises that

    @property
    def sync(self) -> SyncStorage:
        """All of this without `await`, for code that is not async: see `jtc.storage.sync`."""
        from jtc.storage.sync._disks import SyncStorage  # noqa: PLC0415 - imported only where it is used

        return SyncStorage(self)

    def disk(self, name: str | None = None) -> Disk:
        """Return a disk by its name; None and ``"default"`` mean the default one.

        It never raises: the first operation does, where there is no such disk.
        """
        if name is None or name == DEFAULT:
            return Disk(DEFAULT, self, self._resolved, self._ready, ())
        return Disk(name, self, partial(self._find, name), partial(self._find_ready, name), ())

    def set_driver(self, driver: StorageDriver, name: str = DEFAULT) -> None:
        """Set the driver of a disk, in place of the configured one.

        Args:
            driver: Any object with the eight methods. The caller has to close it.
            name: The disk; ``"default"`` is the default disk.

        Raises:
            StorageConfigException: It is not a driver, or signs URLs that another disk accepts.
        """
        resolved = _named(name, lambda: resolve(driver))
        with self._lock:
            if (fakes := self._fakes_of(name)) is not None:
                fakes.replaced[name] = resolved
            elif self._guards:
                self._guards[-1].by_hand[name] = resolved
            else:
                check_signers(name, resolved, self._resolved_drivers.items())
                self._retire(name)
                self._resolved_drivers[name] = resolved
                self._by_hand.add(name)
            self._changed()

    def configure(self, source: Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Configure all disks, in place of an earlier configuration; drivers are made when used.

        From then on only these disks, and those set by `set_driver`, exist. As a TOML file::

            default = "media"

            [disks.media]
            driver = "s3"
            bucket = "media"
            secret_key = "${MEDIA_SECRET}"
            disable = ["visibility"]
            layers = ["read_only", {name = "retry", attempts = 4}]

        The first layer is the outermost. ``${NAME}`` and ``${NAME:-default}`` are replaced by
        environment variables when the disk is first used.

        Args:
            source: A mapping, or the path of a TOML file.

        Raises:
            StorageConfigException: It cannot be read, or is invalid; nothing changed.
        """
        try:
            with ScrubbedLocals():
                config = read_config(source)
        except StorageConfigException:
            del source  # it may contain secrets, and a traceback has this function's variables
            raise
        with self._lock:
            self._config = config
            for name in self._resolved_drivers.keys() - self._by_hand:
                self._retire(name)
            for fakes in self._fakes:
                if fakes.names is None:
                    fakes.own.clear()  # which are made as the new configuration says
            self._changed()

    def build(self, config: Mapping[str, Any]) -> BuiltDisk:
        """Make a disk without a name, for example for one tenant; ``async with`` closes it.

        Args:
            config: One disk's table: ``{"driver": "local", "root": "/srv/a"}``.

        Raises:
            StorageConfigException: There is no such driver, it refuses its options, or it signs
                URLs that another disk accepts.
        """
        name = "built"
        try:
            resolved = _named(name, lambda: self._from_config(name, DiskConfig.parse(name, config)))
        except StorageConfigException:
            del config  # as in configure()
            raise

        def find() -> ResolvedDriver:
            return resolved

        with self._lock:
            built = [("another built", each()) for each in self._built]
            check_signers(name, resolved, [*self._resolved_drivers.items(), *built])
            self._built.add(find)  # weakly: the disk and its views keep it
        return BuiltDisk(name, self, find, lambda: resolved if self.hooks.loaded else None)

    def extend(self, driver: str, factory: Callable[..., StorageDriver]) -> None:
        """Register a driver under a name, or replace an installed one, without an entry point.

        Args:
            driver: The name that configurations use.
            factory: A class or function that takes a disk's options as keywords.

        Raises:
            StorageConfigException: The factory is not callable.
        """
        if not callable(factory):
            raise StorageConfigException(f"The driver {driver!r} is neither a class nor a function")
        with self._lock:
            self._factories[driver] = factory

    def forget(self, name: str = DEFAULT) -> None:
        """Remove the driver of a disk: the next use makes one from the configuration again.

        A driver that the manager made is closed by `aclose`.

        Args:
            name: The disk; ``"default"`` is the default disk, as for `disk`.
        """
        with self._lock:
            name = self.name if name == DEFAULT else name
            if (fakes := self._fakes_of(name)) is not None:
                fakes.replaced.pop(name, None)
            elif self._guards:
                self._guards[-1].forget(name)
            else:
                self._retire(name)
            self._changed()

    def fake(self, *names: str) -> FakeDisk:
        """Replace disks by memory, for tests: no configuration or credentials are needed.

        A fake behaves like the driver that it replaces: it has its capabilities, options, URLs and
        default visibility, so that what fails there fails in tests too. Presigned URLs are signed
        by the fake itself, and `jtc.storage.asgi` answers them. The real driver is not used.

        A fake affects all tasks and threads. Where several fake one disk at a time, a task or
        thread that began one of them, or was begun within it, uses that one; all others use the
        newest. They may end in any order.

        Args:
            names: The disks; ``"*"`` means all, also later ones; without names, the default disk.

        Returns:
            The first of them, with assertions. As a context manager it restores the old disks.

        Raises:
            StorageConfigException: The memory driver is not installed.
        """
        from jtc.storage._fakes import FakeDisk, Fakes  # noqa: PLC0415 - for tests only

        with self._lock:
            wanted = [self.name if name == DEFAULT else name for name in names or (DEFAULT,)]
            first = self.name if "*" in wanted else wanted[0]
            covered = None if "*" in wanted else frozenset(wanted)
            load_driver("memory")
            own = {} if covered is None else {name: self._fake_driver(name) for name in wanted}
            fakes = Fakes(covered, own, lambda name: self._begin_fake(fakes, name))
            self._fakes.append(fakes)
            self._changed()

        def restore() -> None:
            with self._lock:
                fakes.ended = True
                self._fakes = [each for each in self._fakes if each is not fakes]
                self._changed()

        return FakeDisk(first, self, fakes, restore)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[list[str]]:
        """Refuse to make any driver but memory's within the block, for tests.

        Drivers that were made before are not used within it; those of `set_driver` are.

        Yields:
            The names of the refused disks, in a list that grows.

        Raises:
            StorageException: From an operation on a disk whose driver was refused.
        """
        with self._lock:
            kept = {name: self._resolved_drivers[name] for name in self._by_hand}
            guard = _Guard(self._guards[-1].by_hand.copy() if self._guards else kept)
            self._guards.append(guard)
            self._changed()
        try:
            yield guard.refused
        finally:
            with self._lock:
                self._guards = [each for each in self._guards if each is not guard]
                self._changed()

    def disks(self) -> list[str]:
        """Return the names of the disks that are configured, set by `set_driver` or in use.

        Raises:
            StorageConfigException: The configuration of ``FILESYSTEM_CONFIG`` cannot be read.
        """
        with self._lock:
            config = self._current_config()
            configured = set(config.disks) if config is not None else set()
            in_use = {*self._resolved_drivers, *self._current}
            return sorted(configured.union(in_use, *(each.own for each in self._fakes)))

    def source_of(self, name: str | None = None) -> str:
        """Return where a disk comes from, in words: the name of a file, and none of its content.

        Args:
            name: The disk; None and ``"default"`` mean the default one.

        Raises:
            StorageConfigException: The configuration of ``FILESYSTEM_CONFIG`` cannot be read.
        """
        with self._lock:
            config = self._current_config()
            name = self.name if name is None or name == DEFAULT else name
            if name in self._by_hand:
                return "set_driver()"
            if config is None:
                return f"the environment variables of the driver {name!r}"
            return config.source

    def drivers(self) -> list[str]:
        """Return the names of the drivers that are installed, or registered by `extend`."""
        return sorted({*installed_drivers(), *self._factories})

    async def aclose(self) -> None:
        """Close every driver that the manager made. A disk that is used afterwards opens again.

        Drivers of `set_driver` have to be closed by the caller.

        Raises:
            ExceptionGroup: Some could not be closed; all others are closed.
        """
        with self._lock:
            made = [
                resolved
                for name, resolved in self._resolved_drivers.items()
                if name not in self._by_hand
            ]
            made += self._retired
            made += [find() for find in self._built]
            self._retired = []
        errors = []
        while made:
            resolved = made.pop()
            try:
                if "close" in resolved.capabilities:
                    await resolved.methods.aclose()
            except Exception as error:
                errors.append(error)
            except BaseException:
                # Cancelled: the next call closes the rest.
                with self._lock:
                    self._retired += [resolved, *made]
                raise
        if errors:
            raise ExceptionGroup("Some disks could not be closed", errors)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def _manager(self) -> Self:
        return self

    def _layered(
        self, make: Callable[[StorageDriver], StorageDriver], step: str | None = None
    ) -> Disk:
        # With the name "default": the default disk may change, and finding its name may fail.
        return self.disk()._layered(make, step)  # noqa: SLF001

    async def _load_disk(self, name: str) -> None:
        """Import the plugins, and the driver and the layers of a disk, in a thread.

        Raises:
            StorageConfigException: The configuration cannot be read, or one cannot be imported.
        """
        if not self._is_imported(name):
            await self._loader.load(name, lambda: _scrubbed(lambda: self._import(name)))

    def _is_imported(self, name: str) -> bool:
        if name == DEFAULT:
            if self._config is None and os.environ.get("FILESYSTEM_CONFIG"):
                return False
            name = self.name
        # A guard refuses drivers before they are imported.
        needless = self._guards or self._fakes_of(name) is not None
        return self.hooks.loaded and (bool(needless) or name in self._resolved_drivers)

    def _import(self, name: str) -> None:
        _ = self.hooks.active
        if name == DEFAULT:
            name = self.name
        if self._is_imported(name):
            return
        config = self._current_config()
        if config is None:
            if name in OFFICIAL[DRIVERS] or name in self.drivers():
                self._factory(name)
        elif name in config.disks:
            disk = config.disks[name].with_variables(name, os.environ)
            self._factory(disk.driver)
            for layer in disk.layers:
                load_layer(layer.name)

    def _ready(self) -> ResolvedDriver | None:
        by_hand = self._current.get(DEFAULT)
        if by_hand is not None:
            return by_hand
        if self._config is None and os.environ.get("FILESYSTEM_CONFIG"):
            return None  # a file to read
        return self._current.get(self._default_name())

    def _find_ready(self, name: str) -> ResolvedDriver | None:
        return self._current.get(name)

    async def _load(self) -> ResolvedDriver:
        await self._load_disk(DEFAULT)
        return self._resolved()

    def _resolved(self) -> ResolvedDriver:
        by_hand = self._current.get(DEFAULT)
        if by_hand is not None:
            return by_hand
        return self._find(DEFAULT if self._default_is_by_hand else self._default_name())

    def _find(self, name: str) -> ResolvedDriver:
        resolved = self._current.get(name)
        if resolved is not None:
            return resolved
        _named(name, lambda: self._import(name))  # not within the lock: a module may use a disk
        with self._lock:
            resolved = self._look_up(name)
            if sum(fakes.covers(name) for fakes in self._fakes) <= 1:
                self._current[name] = resolved  # the same in all tasks and threads
            return resolved

    def _look_up(self, name: str) -> ResolvedDriver:
        if (fakes := self._fakes_of(name)) is not None:
            return fakes.replaced.get(name) or fakes.find(name)
        if self._guards:
            guard = self._guards[-1]
            made, by_hand = guard.made, guard.by_hand
        else:
            made = by_hand = self._resolved_drivers
        resolved = by_hand.get(name) or made.get(name)
        if resolved is None:
            resolved = _named(name, lambda: self._create(name))
            check_signers(name, resolved, (made | by_hand).items())
            made[name] = resolved
        return resolved

    def _fakes_of(self, name: str) -> Fakes | None:
        """Return the fakes that a disk has in this task or thread."""
        covering = [fakes for fakes in self._fakes if fakes.covers(name)]
        if not covering:
            return None
        from jtc.storage._fakes import begun_here  # noqa: PLC0415 - for tests only

        return begun_here(covering)

    def _changed(self) -> None:
        """Look every disk up again; in a new dictionary, since it is read without the lock."""
        by_hand: set[str] = set(self._guards[-1].by_hand if self._guards else self._by_hand)
        faked = (each for fakes in self._fakes for each in (fakes.names or (), fakes.replaced))
        self._default_is_by_hand = DEFAULT in by_hand.union(*faked)
        self._current = {}

    def _create(self, name: str) -> ResolvedDriver:
        guard = self._guards[-1].check if self._guards else None
        config = self._current_config()
        if config is None:
            if guard is not None:
                guard(name, name)
            return self._from_environment(name)
        if name not in config.disks:
            there = ", ".join(sorted({*config.disks, *self._by_hand})) or "none"
            nameless = config.default is None and name == self._default_name()
            close = closest(name, config.disks)
            hint = f"did you mean {close!r}? There" if close else "there"
            raise StorageConfigException(
                f"No disk {name!r} is configured; {hint} are: {there}. "
                "Add it to the configuration, "
                f"{'name another one as its default, ' if nameless else ''}"
                "or give it a driver with set_driver()"
            )
        if guard is not None:
            guard(name, config.disks[name].driver)
        return self._from_config(name, config.disks[name])

    def _from_config(self, name: str, config: DiskConfig) -> ResolvedDriver:
        config = config.with_variables(name, os.environ)
        driver = config.make(name, self._factory(config.driver))
        resolved = resolve(driver, name=config.driver, disabled=config.disable)
        return self._in_layers(resolved, config.layers, name)

    def _from_environment(self, name: str) -> ResolvedDriver:
        if name not in OFFICIAL[DRIVERS] and name not in self.drivers():
            raise StorageConfigException(
                f"{missing(DRIVERS, name)}. Nothing is configured, so a disk has the driver of its "
                "name: configure it with Storage.configure() or FILESYSTEM_CONFIG, or give it "
                "a driver with set_driver()"
            )
        factory = self._factory(name)
        make = getattr(factory, "from_env", None)
        from_env = (lambda: make(os.environ)) if callable(make) else factory
        driver = call(from_env, name, f"The driver {name!r}")
        return resolve(driver, name=name)

    def _factory(self, driver: str) -> Callable[..., Any]:
        return self._factories.get(driver) or load_driver(driver)

    def _current_config(self) -> StorageConfig | None:
        if self._config is None and (path := os.environ.get("FILESYSTEM_CONFIG")):
            with ScrubbedLocals():
                config = read_config(path)
            with self._lock:
                if self._config is None:  # it may be configured meanwhile
                    self._config = config
        return self._config

    def _default_name(self) -> str:
        config = self._current_config()
        if config is not None and config.default is not None:
            return config.default
        name = os.environ.get("FILESYSTEM_DISK")
        if not name and os.environ.get("FILESYSTEM_DRIVER"):
            # Laravel called it so until version 9.
            logger.warning("FILESYSTEM_DRIVER has no effect: set FILESYSTEM_DISK")
        return name or _DEFAULT_DRIVER

    def _begin_fake(self, fakes: Fakes, name: str) -> ResolvedDriver:
        with self._lock:
            if name not in fakes.own:
                fakes.own[name] = self._fake_driver(name)
            return fakes.own[name]

    def _fake_driver(self, name: str) -> ResolvedDriver:
        # For tests only.
        from urllib.parse import quote  # noqa: PLC0415

        from jtc.storage._fake_driver import driver_to_ask, fake_driver  # noqa: PLC0415
        from jtc.storage._fake_failures import Failures  # noqa: PLC0415

        real = self._resolved_drivers.get(name)
        config = self._current_config()
        disk, options = DiskConfig(name, {}), None
        if config is not None and name not in self._by_hand and name in config.disks:
            disk = config.disks[name].as_far_as_set(name, os.environ)
            options = disk.options
        if real is not None:
            capabilities, driver = real.capabilities, unwrap(real.driver)
        else:
            capabilities, driver = None, None  # of a disk that exists in the tests only
            with contextlib.suppress(StorageConfigException):
                capabilities, driver = driver_to_ask(self._factory(disk.driver), options)
        made = fake_driver(
            load_driver("memory"),
            capabilities,
            driver,
            f"/storage/{quote(name)}",
            Failures(DiskOperations),
        )
        fake = resolve(made, name=f"fake {name}", disabled=disk.disable)
        # The layers are behaviour of the application, and are kept in tests.
        layers = [layer.with_variables(name, os.environ) for layer in disk.layers]
        return self._in_layers(fake, layers, name)

    def _in_layers(
        self, resolved: ResolvedDriver, layers: Sequence[LayerConfig], disk: str
    ) -> ResolvedDriver:
        for layer in reversed(layers):
            make = layer.maker(disk, load_layer(layer.name))
            resolved = layered(resolved, make, disk, self)
        return resolved

    def _retire(self, name: str) -> None:
        resolved = self._resolved_drivers.pop(name, None)
        if resolved is not None and name not in self._by_hand:
            self._retired.append(resolved)
        self._by_hand.discard(name)


class _Guard:
    """State of `StorageManager.guarded`.

    Attributes:
        by_hand: The drivers that were set by hand, before and within the block.
        made: Those that were made within it.
        refused: The names of disks whose driver was refused.
    """

    def __init__(self, by_hand: dict[str, ResolvedDriver]) -> None:
        self.by_hand = by_hand
        self.made: dict[str, ResolvedDriver] = {}
        self.refused: list[str] = []

    def check(self, disk: str, driver: str) -> None:
        """Refuse any driver but memory's."""
        if driver != "memory":
            self.refused.append(disk)
            raise StorageException(
                f"A test uses a real disk of the driver {driver!r}: "
                f"fake it with Storage.fake({disk!r}), or give it a driver with set_driver()"
            )

    def forget(self, name: str) -> None:
        """Remove the driver of a disk."""
        self.by_hand.pop(name, None)
        self.made.pop(name, None)


def _scrubbed(make: Callable[[], T]) -> T:
    # The driver's options and the environment, which may contain secrets.
    with ScrubbedLocals():
        return make()


def _named(disk: str, make: Callable[[], T]) -> T:
    try:
        return _scrubbed(make)
    except StorageConfigException as error:
        error.disk = error.disk or disk
        raise


Storage = StorageManager()
"""The manager of this process."""
