"""Sync API of disks, and of `Storage`."""

from __future__ import annotations

from functools import partial
from inspect import isfunction
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from jtc.storage._disk import BuiltDisk, Disk, DiskOperations
from jtc.storage._manager import StorageManager
from jtc.storage._text_files import binary_mode
from jtc.storage.sync._base import SyncApi, async_disk, contents_behind, disk_behind
from jtc.storage.sync._files import SyncListing, SyncReadableFile, SyncTextFile, SyncWritableFile
from jtc.storage.sync._generated import Assertions, Management, Operations
from jtc.storage.sync._portal import portal
from jtc.storage.sync._transfers import SyncSyncPlan, SyncTransfers, fed
from jtc.storage.transfers import DEFAULT_CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
    from typing import Unpack

    from jtc.storage._fakes import FakeDisk
    from jtc.storage._hooks import Hooks
    from jtc.storage.driver import StorageDriver
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyManyOptions, PutManyOptions, PutOptions
    from jtc.storage.sync_plan import Difference
    from jtc.storage.transfers import Compare, TransferProgress

__all__ = ["SyncBuiltDisk", "SyncDisk", "SyncFakeDisk", "SyncOperations", "SyncStorage"]

D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)


class SyncOperations(Operations[D_co]):
    """Every method that a `SyncDisk` has, and `Storage.sync` for the default disk."""

    __slots__ = ()

    def scoped(self, prefix: str) -> SyncDisk:
        """Return a view of one directory: paths of arguments, results and errors begin below it.

        Raises:
            InvalidPathException: The prefix breaks the path policy, or is empty.
        """
        return SyncDisk(self._behind.scoped(prefix))

    def read_only(self) -> SyncDisk:
        """Return a view whose methods that write raise ReadOnlyException."""
        return SyncDisk(self._behind.read_only())

    def with_layer(self, layer: str | Callable[..., StorageDriver], **options: Any) -> SyncDisk:
        """Return a view with one more layer around the driver; see `Disk.with_layer`.

        Raises:
            StorageConfigException: No layer of this name is installed, or it does not have these
                options.
        """
        return SyncDisk(self._behind.with_layer(layer, **options))

    @overload
    def open(self, path: str, mode: Literal["rb"] = "rb") -> SyncReadableFile: ...

    @overload
    def open(
        self, path: str, mode: Literal["wb", "xb"], **options: Unpack[PutOptions]
    ) -> SyncWritableFile: ...

    @overload
    def open(self, path: str, mode: Literal["ab"]) -> SyncWritableFile: ...

    @overload
    def open(
        self,
        path: str,
        mode: Literal["r", "rt", "a", "at"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> SyncTextFile: ...

    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "wt", "x", "xt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Unpack[PutOptions],
    ) -> SyncTextFile: ...

    def open(
        self,
        path: str,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Unpack[PutOptions],
    ) -> SyncReadableFile | SyncWritableFile | SyncTextFile:
        r"""Open a file, as the builtin `open` does.

        Args:
            path: The file.
            mode: ``"rb"`` reads, ``"wb"`` writes, ``"xb"`` writes a file that must not exist, and
                ``"ab"`` appends, as `append` does; ``"r"``, ``"w"``, ``"x"`` and ``"a"`` do so
                with text.
            encoding: The encoding of text; None is UTF-8.
            errors: The error handler of `codecs` for text; None is ``"strict"``.
            newline: As for the builtin `open`, but ``"\n"`` is written as it is on every system.
            **options: As for `put`, in the modes that write and do not append.

        Returns:
            A file of `io`. A written one is stored whole when it is closed; when its ``with`` block
            raises, the file before is kept.

        Raises:
            FileNotFoundException: There is no file to read.
            FileExistsException: There is one, in the mode ``"xb"``; also raised by `close`, if it
                was made meanwhile.
            InvalidPathException: The path breaks the path policy.
            ValueError: The mode is unknown, or does not go with the text options.
            LookupError: There is no such encoding or error handler.
            TypeError: There are options, in a mode that reads or appends.
            StorageException: The storage failed.
        """
        binary, text = binary_mode(mode, encoding, errors, newline)
        opened = portal.run(self._open(path, binary, **options))
        file = SyncReadableFile(opened) if binary == "rb" else SyncWritableFile(opened)
        return SyncTextFile(file, mode, encoding, errors, newline) if text else file

    # Two signatures, so that mypy knows of a dict's values what they may be.
    @overload
    def put_many(
        self,
        files: Mapping[str, Content],
        *,
        concurrency: int = ...,
        progress: Callable[[TransferProgress], object] | None = ...,
        **options: Unpack[PutManyOptions],
    ) -> SyncTransfers: ...

    @overload
    def put_many(
        self,
        files: Iterable[tuple[str, Content]] | AsyncIterable[tuple[str, Content]],
        *,
        concurrency: int = ...,
        progress: Callable[[TransferProgress], object] | None = ...,
        **options: Unpack[PutManyOptions],
    ) -> SyncTransfers: ...

    def put_many(
        self,
        files: Mapping[str, Content]
        | Iterable[tuple[str, Content]]
        | AsyncIterable[tuple[str, Content]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[PutManyOptions],
    ) -> SyncTransfers:
        """Store several files, several at once, each whole or not at all; see `Disk.put_many`.

        An iterator of `files` is read in this thread, and one that is a file's content in another.
        `progress` is called in another thread.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        start = partial(
            self._behind.put_many, concurrency=concurrency, progress=progress, **options
        )
        return fed(start, contents_behind(files), concurrency)

    def get_many(
        self,
        paths: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
    ) -> SyncTransfers:
        """Read several files, several at once; see `Disk.get_many`.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: `concurrency` is below 1.
        """
        start = partial(self._behind.get_many, concurrency=concurrency, progress=progress)
        return fed(start, paths, concurrency)

    def copy_many(
        self,
        paths: Mapping[str, str] | Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]],
        *,
        to: SyncApi[Disk] | Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> SyncTransfers:
        """Copy several files, several at once; see `Disk.copy_many`.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        start = partial(
            self._behind.copy_many,
            to=disk_behind(to),
            concurrency=concurrency,
            progress=progress,
            **options,
        )
        return fed(start, paths, concurrency)

    def copy_directory(
        self,
        src: str,
        dst: str,
        *,
        to: SyncApi[Disk] | Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> SyncTransfers:
        """Copy all files below a directory; see `Disk.copy_directory`.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        return SyncTransfers(
            self._behind.copy_directory(
                src,
                dst,
                to=disk_behind(to),
                concurrency=concurrency,
                progress=progress,
                **options,
            )
        )

    def move_directory(
        self,
        src: str,
        dst: str,
        *,
        to: SyncApi[Disk] | Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> SyncTransfers:
        """Move all files below a directory; see `Disk.move_directory`.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        return SyncTransfers(
            self._behind.move_directory(
                src,
                dst,
                to=disk_behind(to),
                concurrency=concurrency,
                progress=progress,
                **options,
            )
        )

    def compare(
        self,
        prefix: str = "",
        *,
        to: SyncApi[Disk] | Disk | str,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        where: Callable[[FileInfo], bool] | None = None,
        compare: Compare = "auto",
    ) -> Iterator[Difference]:
        """Compare all files below a directory with those below another one; see `Disk.compare`.

        `where` is called in another thread.

        Raises:
            FileNotFoundException: There is no such directory.
            StorageException: A listing failed.
            ValueError: A pattern or `compare` is invalid.
            TypeError: An argument has a wrong type.
        """
        return SyncListing(
            self._behind.compare(
                prefix,
                to=to if isinstance(to, str) else async_disk(to),
                include=include,
                exclude=exclude,
                where=where,
                compare=compare,
            )
        )

    def plan_sync(
        self,
        prefix: str = "",
        *,
        to: SyncApi[Disk] | Disk | str,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        where: Callable[[FileInfo], bool] | None = None,
        compare: Compare = "auto",
        existing: Literal["replace", "keep", "refuse"] = "replace",
        delete: bool = False,
        max_delete: int | None = None,
        backup: SyncApi[Disk] | Disk | str | None = None,
    ) -> SyncSyncPlan:
        """Plan how to make another directory like this one; see `Disk.plan_sync`.

        `where` is called in another thread.

        Raises:
            FileNotFoundException: There is no such directory.
            InvalidPathException: A path breaks the path policy; or two of the directories are one,
                or one is within another one.
            RejectedException: There would be more deletions than `max_delete`.
            StorageException: A listing failed, or the temporary directory is full.
            ValueError: A pattern or an option is invalid.
            TypeError: An argument has a wrong type.
        """
        return SyncSyncPlan(
            portal.run(
                self._behind.plan_sync(
                    prefix,
                    to=to if isinstance(to, str) else async_disk(to),
                    include=include,
                    exclude=exclude,
                    where=where,
                    compare=compare,
                    existing=existing,
                    delete=delete,
                    max_delete=max_delete,
                    backup=disk_behind(backup),
                )
            )
        )

    async def _open(self, *arguments: Any, **options: Any) -> Any:
        return await self._behind.open(*arguments, **options)


# As of `Disk`.
for _function in (*vars(Operations).values(), *vars(SyncOperations).values()):
    if isfunction(_function):
        _function.__qualname__ = f"SyncDisk.{_function.__name__}"


class SyncDisk(SyncOperations[Disk]):
    """A `Disk` without ``await``: ``Storage.disk("s3").sync`` and ``Storage.sync.disk("s3")``.

    For scripts, Celery tasks, Django views and notebooks. Like the disk, it looks its driver up at
    each operation, and can be kept at module level and shared between threads.
    """

    __slots__ = ()


class SyncBuiltDisk(SyncDisk):
    """Sync API of a disk of `Storage.build`; ``with`` closes its driver at the end."""

    __slots__ = ("_built",)

    def __init__(self, behind: BuiltDisk) -> None:
        super().__init__(behind)
        self._built = behind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the driver; a later operation opens it again.

        Raises:
            StorageException: The storage failed.
        """
        portal.run(self._built.aclose())


class SyncFakeDisk(Assertions, SyncDisk):
    """Sync API of a faked disk, with its assertions; ``with`` restores the old disks."""

    __slots__ = ("_faked",)

    def __init__(self, behind: FakeDisk) -> None:
        super().__init__(behind)
        self._faked = behind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.restore()

    def disk(self, name: str) -> SyncFakeDisk:
        """Return another one of the disks that were faked together; see `FakeDisk.disk`."""
        return SyncFakeDisk(self._faked.disk(name))

    def fail(
        self,
        operation: str,
        times: int | None = None,
        error: BaseException | type[BaseException] | None = None,
        *,
        paths: str | None = None,
    ) -> Self:
        """Let an operation fail; see `FakeDisk.fail`.

        Raises:
            ValueError: There is no such operation, or `times` is below 1.
        """
        self._faked.fail(operation, times, error, paths=paths)
        return self

    def delay(
        self,
        operation: str,
        seconds: float,
        times: int | None = None,
        *,
        paths: str | None = None,
    ) -> Self:
        """Let each call of an operation wait before it begins; see `FakeDisk.delay`.

        Raises:
            ValueError: There is no such operation, it is not async, or a number is out of range.
        """
        self._faked.delay(operation, seconds, times, paths=paths)
        return self


class SyncStorage(SyncOperations[StorageManager], Management):
    """`Storage` without ``await``: all disks by their names, and the default disk's methods."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def hooks(self) -> Hooks:
        """The plugins that receive the events of this manager's operations, sync and async."""
        return self._behind.hooks

    def disk(self, name: str | None = None) -> SyncDisk:
        """Return a disk by its name; None and ``"default"`` mean the default one.

        It never raises: if there is no such disk, the first operation does.
        """
        return SyncDisk(self._behind.disk(name))

    def build(self, config: Mapping[str, Any]) -> SyncBuiltDisk:
        """Make a disk without a name, for example for one tenant; ``with`` closes it.

        Args:
            config: One disk's table: ``{"driver": "local", "root": "/srv/a"}``.

        Raises:
            StorageConfigException: There is no such driver, or it refuses its options.
        """
        return SyncBuiltDisk(self._behind.build(config))

    def fake(self, *names: str) -> SyncFakeDisk:
        """Replace disks by memory, for tests; see `StorageManager.fake`.

        Raises:
            StorageConfigException: The memory driver is not installed.
        """
        return SyncFakeDisk(self._behind.fake(*names))

    def close(self) -> None:
        """Close every driver that the manager made. A disk that is used afterwards opens again.

        Raises:
            ExceptionGroup: Some could not be closed; all others are closed.
        """
        portal.run(self._behind.aclose())
