"""Two directories side by side: a merge of their listings, in the order of keys."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from jtc.storage._shortened import shortened
from jtc.storage._transfers.sorting import ListedFile, in_key_order
from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import FileNotFoundException, StorageUnavailableException
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable

    from jtc.storage._capabilities import Capabilities
    from jtc.storage._transfers.left_out import LeftOut
    from jtc.storage.driver import StorageDriver
    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import Entry

__all__ = ["Pair", "Tree", "TreeDisk", "merged", "pairs"]

T = TypeVar("T")

Pair: TypeAlias = "tuple[str, FileInfo | None, FileInfo | None]"
"""A path below both directories, and the metadata of the source's and the target's file."""


class TreeDisk(Protocol):
    """What comparisons and synchronizations use of a `Disk`."""

    @property
    def name(self) -> str:
        """The disk's name."""
        ...

    @property
    def driver(self) -> StorageDriver:
        """The current driver."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The driver's capabilities."""
        ...

    @property
    def copy(self) -> Callable[..., Awaitable[str]]:
        """The method that copies a file."""
        ...

    @property
    def move(self) -> Callable[..., Awaitable[str]]:
        """The method that moves a file."""
        ...

    async def delete_many(self, paths: Iterable[str]) -> dict[str, bool | StorageException]:
        """Delete several files."""
        ...

    def _entries(
        self,
        prefix: str,
        recursive: bool,
        *,
        left_out: Callable[[str, StorageException], object] | None,
    ) -> AsyncIterator[Entry]:
        """List a directory; see `ListOptions.left_out`."""
        ...

    async def stat(self, path: str) -> FileInfo:
        """Return the metadata of a file."""
        ...

    async def directory_exists(self, path: str) -> bool:
        """Return whether there is a directory."""
        ...

    async def checksum(self, path: str, algorithm: str) -> str:
        """Return a checksum of a file's content."""
        ...


class Tree(NamedTuple):
    """A directory of a disk.

    Attributes:
        disk: The disk.
        directory: The directory's checked path, ``""`` for the root.
    """

    disk: TreeDisk
    directory: str

    def path(self, key: str) -> str:
        """Return the path of a file of this directory."""
        return f"{self.directory}/{key}" if self.directory else key

    def is_in_key_order(self) -> bool:
        """Return whether the driver lists in the order of keys."""
        return getattr(self.disk.driver, "lists_in_key_order", False) is True

    def keeps_checksums(self) -> bool:
        """Return whether the metadata of files may have checksums."""
        return getattr(self.disk.driver, "keeps_checksums", True) is not False

    async def files(
        self,
        takes: Callable[[str], bool] | None = None,
        *,
        must_exist: bool = False,
        left_out: LeftOut | None = None,
    ) -> AsyncGenerator[ListedFile, None]:
        """Yield all files of this directory, in the driver's order.

        Args:
            takes: Returns whether a file of this path below the directory is listed.
            must_exist: A missing directory is an error.
            left_out: Gets what the listing leaves out; without it, the driver logs it.

        Raises:
            FileNotFoundException: There is no such directory.
            StorageException: The listing failed.
        """
        above = self.path("")
        start = len(above)
        is_empty = True
        report = None if left_out is None else left_out.add
        listed = self.disk._entries(self.directory, True, left_out=report)  # noqa: FBT003, SLF001
        async with closing(listed) as entries:
            async for entry in entries:
                if not isinstance(entry, FileInfo):
                    continue
                is_empty = False
                path = entry.path
                if not path.startswith(above):
                    raise self._wrong_listing(f"it has {shortened(repr(path))}")
                key = path[start:]
                if takes is None or takes(key):
                    yield key, entry
        if is_empty and must_exist and not await self.disk.directory_exists(self.directory):
            raise FileNotFoundException(
                "There is no directory", path=self.directory, disk=self.disk.name, operation="list"
            )

    async def checked(self, files: AsyncIterator[ListedFile]) -> AsyncGenerator[ListedFile, None]:
        """Yield files while their keys ascend.

        Raises:
            StorageUnavailableException: They do not: nothing that a merge says is right then.
        """
        last = ""
        async with closing(files) as each:
            async for file in each:
                key = file[0]
                if key <= last:
                    raise self._wrong_listing(
                        f"{shortened(repr(key))} comes after {shortened(repr(last))}"
                    )
                last = key
                yield file

    def _wrong_listing(self, why: str) -> StorageUnavailableException:
        return StorageUnavailableException(
            f"The listing is wrong: {why}. The store, or its driver, lists twice, out of order or "
            "outside of the directory: two directories cannot be compared by it",
            path=self.directory,
            disk=self.disk.name,
            operation="list",
            retryable=False,
        )


class _Ahead(Generic[T]):
    """An iterator whose first item is read already."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self.first: T | None = None

    async def read_first(self) -> bool:
        """Read the first item; return False if there is none."""
        self.first = await anext(self._items, None)
        return self.first is not None

    async def __aiter__(self) -> AsyncIterator[T]:
        if self.first is not None:
            yield self.first
        async for item in self._items:
            yield item


async def pairs(
    source: Tree,
    target: Tree,
    takes: Callable[[str], bool] | None = None,
    left_out: tuple[LeftOut | None, LeftOut | None] = (None, None),
) -> AsyncGenerator[Pair, None]:
    """Yield the files of two directories, those of one path together.

    They are in the order of keys, but where one of the directories is empty: then in the other
    one's own order.

    Args:
        source: It must exist.
        target: It need not.
        takes: Returns whether the files of this path are taken.
        left_out: Get what the two listings leave out, before a pair with a later key is yielded.

    Raises:
        FileNotFoundException: There is no source.
        StorageException: A listing failed, or is not what its driver promises.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        from_source = await enter(
            closing(source.files(takes, must_exist=True, left_out=left_out[0]))
        )
        from_target = await enter(closing(target.files(takes, left_out=left_out[1])))
        left, right = _Ahead(from_source), _Ahead(from_target)
        has_left, has_right = await left.read_first(), await right.read_first()
        if has_left and has_right:
            ordered = [
                await enter(closing(_ordered(tree, ahead)))
                for tree, ahead in ((source, left), (target, right))
            ]
            async for pair in merged(*ordered):
                yield pair
            return
        async for key, info in aiter(left):
            yield key, info, None
        async for key, info in aiter(right):
            yield key, None, info


def _ordered(tree: Tree, files: _Ahead[ListedFile]) -> AsyncIterator[ListedFile]:
    if tree.is_in_key_order():
        return tree.checked(aiter(files))
    return tree.checked(in_key_order(aiter(files)))


async def merged(
    left: AsyncIterator[ListedFile], right: AsyncIterator[ListedFile]
) -> AsyncGenerator[Pair, None]:
    """Yield the files of two sorted listings, those of one key together."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one[0], one[1], other[1]
            one, other = await anext(left, None), await anext(right, None)
        elif one[0] < other[0]:
            yield one[0], one[1], None
            one = await anext(left, None)
        else:
            yield other[0], None, other[1]
            other = await anext(right, None)
    while one is not None:
        yield one[0], one[1], None
        one = await anext(left, None)
    while other is not None:
        yield other[0], None, other[1]
        other = await anext(right, None)
