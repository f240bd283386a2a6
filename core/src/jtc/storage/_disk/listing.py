"""Listing, and directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage._disk.base import DiskBase
from jtc.storage.models import DirectoryInfo, Entry, FileInfo
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage._capabilities import ResolvedDriver

__all__ = ["Listing"]


class Listing(DiskBase):
    """What is where. All of it needs the capability ``listing``."""

    __slots__ = ()

    async def files(self, directory: str = "") -> list[str]:
        """Return the paths of the files directly in a directory; none where it is not there.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [e.path async for e in self.list(directory) if isinstance(e, FileInfo)]

    async def all_files(self, directory: str = "") -> list[str]:
        """Return the paths of all files below a directory, at any depth.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [entry.path async for entry in self.list(directory, recursive=True)]

    async def directories(self, directory: str = "") -> list[str]:
        """Return the paths of the directories directly in a directory.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [e.path async for e in self.list(directory) if isinstance(e, DirectoryInfo)]

    async def all_directories(self, directory: str = "") -> list[str]:
        """Return the paths of all directories below a directory, each before those in it.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        found: list[str] = []
        waiting = [directory]
        while waiting:
            below = await self.directories(waiting.pop())
            found += below
            waiting += below
        return sorted(found)

    async def directory_exists(self, path: str) -> bool:
        """Tell whether there is a directory: files below it, or one that was made.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        try:
            checked = check_directory(path)
            resolved = self._resolved()
            listing = resolved.need(resolved.listing, "listing")
            async for _ in listing.list_entries(checked):
                return True
            # An empty one is seen from above only.
            parent = checked.rpartition("/")[0]
            async for entry in listing.list_entries(parent):
                if isinstance(entry, DirectoryInfo) and entry.path == checked:
                    return True
        except Exception as error:
            self._fail(error, "directory_exists", path)
        return not checked

    async def make_directory(self, path: str) -> None:
        """Make a directory and those above it; one that is there already is fine.

        Raises:
            InvalidPathException: The path breaks the path policy.
            PathConflictException: A file stands there.
            UnsupportedOperationException: The driver cannot make directories.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            await resolved.need(resolved.directories, "directories").make_directory(checked)
        except Exception as error:
            self._fail(error, "make_directory", path)

    async def delete_directory(self, path: str) -> None:
        """Delete a directory and everything below it; one that is not there is fine.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            UnsupportedOperationException: The driver can neither delete directories nor list.
            StorageException: The storage failed; some files may be gone.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            if (hooks := self._manager().hooks.active) is None:
                await _delete_directory(resolved, checked)
                return
            async with self._operation(
                hooks, "delete", "delete_directory", checked, resolved
            ) as told:
                await _delete_directory(resolved, checked)
                told(found=None)
        except Exception as error:
            self._fail(error, "delete_directory", path)

    # The last method of its class: after it, `list` means this one in every annotation.
    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        start_after: str | Entry | None = None,
    ) -> AsyncIterator[Entry]:
        """List what is in a directory, lazily, in the driver's one fixed order.

        Args:
            prefix: The directory, ``""`` for the root. Whole parts count: ``im`` lists nothing
                of ``img``.
            recursive: List the files at any depth, and no directories.
            start_after: The last entry that was seen, or a file's path: list what comes after.

        Returns:
            An async iterator of `FileInfo` and `DirectoryInfo`. It raises InvalidPathException
            for a path that breaks the policy, UnsupportedOperationException where the driver
            cannot list, and StorageException where the storage fails.
        """
        return self._entries(prefix, recursive, start_after)

    async def _entries(
        self, prefix: str, recursive: bool, start_after: str | Entry | None
    ) -> AsyncIterator[Entry]:
        try:
            resolved = self._resolved()
            entries = resolved.need(resolved.listing, "listing").list_entries(
                check_directory(prefix), recursive=recursive, start_after=_key(start_after)
            )
            async for entry in entries:
                yield entry
        except Exception as error:
            self._fail(error, "list", prefix)


def _key(entry: str | Entry | None) -> str | None:
    match entry:
        case FileInfo(path=path):
            return path
        case DirectoryInfo(path=path):
            return f"{path}/"
        case str():
            return check_path(entry.removesuffix("/")) + ("/" if entry.endswith("/") else "")
        case None:
            return None
    raise TypeError(f"start_after is an entry or a path, not {type(entry).__name__}")


async def _delete_directory(resolved: ResolvedDriver, path: str) -> None:
    if resolved.directories is not None:
        await resolved.directories.delete_directory(path)
        return
    resolved.check_writable()
    entries = resolved.need(resolved.listing, "directories").list_entries(path, recursive=True)
    # Collected first: not every backend can be listed while it changes.
    for file in [entry.path async for entry in entries]:
        await resolved.driver.delete(file)
