"""The sync faces: of a disk, of a built and a faked one, and of `Storage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from jtc.storage._disk import BuiltDisk, Disk, DiskOperations
from jtc.storage._manager import StorageManager
from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.sync._files import ReadableFile, SyncListing, SyncStream, WritableFile
from jtc.storage.sync._generated import Assertions, Management, Operations
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Unpack

    from jtc.storage._fakes import FakeDisk
    from jtc.storage._hooks import Hooks
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Entry
    from jtc.storage.options import PutOptions

__all__ = ["SyncBuiltDisk", "SyncDisk", "SyncFakeDisk", "SyncOperations", "SyncStorage"]

D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)


class SyncOperations(Operations[D_co]):
    """Every method that a `SyncDisk` has, and `Storage.sync` for the default disk."""

    __slots__ = ()

    def scoped(self, prefix: str) -> SyncDisk:
        """Return a view of one directory, whose paths, in, out and in errors, begin below it.

        Raises:
            InvalidPathException: The prefix breaks the path policy, or is empty.
        """
        return SyncDisk(self._behind.scoped(prefix))

    def read_only(self) -> SyncDisk:
        """Return a view that raises ReadOnlyException from everything that would write."""
        return SyncDisk(self._behind.read_only())

    def with_layer(self, layer: str | Callable[..., StorageDriver], **options: Any) -> SyncDisk:
        """Return a view with one more layer around the driver; see `Disk.with_layer`.

        Raises:
            StorageConfigException: No layer of this name is installed, or it does not have these
                options.
        """
        return SyncDisk(self._behind.with_layer(layer, **options))

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> SyncStream:
        """Read a file, or a range ``[start, end)`` of it, piece by piece.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end. Past the end: no bytes.
            end: The byte after the last, cut at the file's end; None is the end.
            chunk_size: The length of a piece in bytes.

        Returns:
            What one iterates or enters. Nothing happens before; then it raises as `get` does, and
            `ValueError` for what is no range.
        """
        return SyncStream(self._behind.stream(path, start=start, end=end, chunk_size=chunk_size))

    @overload
    def open(self, path: str, mode: Literal["rb"] = "rb") -> ReadableFile: ...

    @overload
    def open(
        self, path: str, mode: Literal["wb", "xb"], **options: Unpack[PutOptions]
    ) -> WritableFile: ...

    def open(
        self, path: str, mode: Literal["rb", "wb", "xb"] = "rb", **options: Unpack[PutOptions]
    ) -> ReadableFile | WritableFile:
        """Open a file at once, as the builtin `open` does.

        Args:
            path: The file.
            mode: ``"rb"`` reads, ``"wb"`` writes, ``"xb"`` writes a file that must not be there.
            **options: As for `put`, in the modes that write.

        Returns:
            A binary file. A written one appears when it is closed, whole; when its ``with`` block
            raises, the one before stays.

        Raises:
            FileNotFoundException: There is no file to read.
            FileExistsException: There is one, in the mode ``"xb"``: said when it is closed.
            InvalidPathException: The path breaks the path policy.
            ValueError: There is no such mode.
            TypeError: Options were given for reading.
            StorageException: The storage failed.
        """
        if mode == "rb" and not options:
            return ReadableFile(portal.run(self._open(path)))
        return WritableFile(portal.run(self._open(path, mode, **options)))

    async def _open(self, *arguments: Any, **options: Any) -> Any:
        return await self._behind.open(*arguments, **options)

    # The last method of its class: after it, `list` means this one in every annotation.
    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        start_after: str | Entry | None = None,
    ) -> Iterator[Entry]:
        """List what is in a directory, lazily, in the driver's one fixed order.

        Args:
            prefix: The directory, ``""`` for the root. Whole parts count: ``im`` lists nothing
                of ``img``.
            recursive: List the files at any depth, and no directories.
            start_after: The last entry that was seen, or a file's path: list what comes after.

        Returns:
            An iterator of `FileInfo` and `DirectoryInfo`, which raises as that of `Disk.list`.
        """
        entries = self._behind.list(prefix, recursive=recursive, start_after=start_after)
        return SyncListing(entries)


class SyncDisk(SyncOperations[Disk]):
    """A `Disk` without ``await``: ``Storage.disk("s3").sync`` and ``Storage.sync.disk("s3")``.

    For scripts, Celery tasks, Django views and notebooks. As late-bound as the disk, and as safe to
    keep at module level and to share between threads.
    """

    __slots__ = ()


class SyncBuiltDisk(SyncDisk):
    """The sync face of a disk that `Storage.build` made; ``with`` closes its driver at the end."""

    __slots__ = ("_built",)

    def __init__(self, behind: BuiltDisk) -> None:
        super().__init__(behind)
        self._built = behind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what the driver holds; a use afterwards opens it afresh.

        Raises:
            StorageException: The storage failed.
        """
        portal.run(self._built.aclose())


class SyncFakeDisk(Assertions, SyncDisk):
    """The sync face of a faked disk, with its assertions; ``with`` puts the old disks back."""

    __slots__ = ("_faked",)

    def __init__(self, behind: FakeDisk) -> None:
        super().__init__(behind)
        self._faked = behind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.restore()

    def disk(self, name: str) -> SyncFakeDisk:
        """Return another one of the disks that were faked together."""
        return SyncFakeDisk(self._faked.disk(name))


class SyncStorage(SyncOperations[StorageManager], Management):
    """`Storage` without ``await``: all disks by their names, and the default disk's methods."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def hooks(self) -> Hooks:
        """The plugins that are told of this manager's operations, sync and async."""
        return self._behind.hooks

    def disk(self, name: str | None = None) -> SyncDisk:
        """Return a disk by its name; None and ``"default"`` mean the default one.

        It never raises: the first operation does, where there is no such disk.
        """
        return SyncDisk(self._behind.disk(name))

    def build(self, config: Mapping[str, Any]) -> SyncBuiltDisk:
        """Make a disk without a name, such as for one tenant: ``with`` closes it.

        Args:
            config: One disk's table: ``{"driver": "local", "root": "/srv/a"}``.

        Raises:
            StorageConfigException: There is no such driver, or it refuses its options.
        """
        return SyncBuiltDisk(self._behind.build(config))

    def fake(self, *names: str) -> SyncFakeDisk:
        """Put memory behind disks, for tests; see `StorageManager.fake`.

        Raises:
            StorageConfigException: The memory driver is not installed.
        """
        return SyncFakeDisk(self._behind.fake(*names))

    def close(self) -> None:
        """Close every driver that was made here. A disk used afterwards opens afresh.

        Raises:
            ExceptionGroup: Some could not be closed; all others are.
        """
        portal.run(self._behind.aclose())
