"""Listings and directories."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from jtc.storage._disk.base import NO_FILE, DiskBase
from jtc.storage._disk.glob_patterns import compile_glob
from jtc.storage.driver_support.derived import closing, derived_stat, list_entries
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import DirectoryInfo, Entry, FileInfo, Usage
from jtc.storage.options import ListOptions
from jtc.storage.paths import check_directory, check_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.exceptions import StorageException

__all__ = ["Directories"]


class Directories(DiskBase):
    """Methods for listings, which require the capability ``listing``, and directories."""

    __slots__ = ()

    async def files(self, directory: str = "") -> list[str]:
        """Return the paths of the files directly in a directory; none if it does not exist.

        Raises:
            InvalidPathException: The path breaks the path policy, or is a pattern: see `glob`.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [e.path async for e in self._named(directory) if isinstance(e, FileInfo)]

    async def all_files(self, directory: str = "") -> list[str]:
        """Return the paths of all files below a directory, at any depth.

        Raises:
            InvalidPathException: The path breaks the path policy, or is a pattern: see `glob`.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [entry.path async for entry in self._named(directory, recursive=True)]

    async def directories(self, directory: str = "") -> list[str]:
        """Return the paths of the directories directly in a directory.

        Raises:
            InvalidPathException: The path breaks the path policy, or is a pattern: see `glob`.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        return [e.path async for e in self._named(directory) if isinstance(e, DirectoryInfo)]

    async def all_directories(self, directory: str = "") -> list[str]:
        """Return the paths of all directories below a directory, at any depth.

        Raises:
            InvalidPathException: The path breaks the path policy, or is a pattern: see `glob`.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        entries = self._named(directory, recursive=True, directories=True)
        return sorted([e.path async for e in entries if isinstance(e, DirectoryInfo)])

    async def glob(self, pattern: str) -> list[str]:
        """Return the paths of the files that match a pattern, such as ``"reports/**/*.csv"``.

        Args:
            pattern: ``*`` and ``?`` match within one part of a path, ``[ab]`` one of several
                characters, and ``**``, as a whole part, any number of parts, also none. Matching
                is case-sensitive. Only the directory before the first such part is listed.

        Raises:
            InvalidPathException: The part before the first wildcard breaks the path policy.
            ValueError: ``**`` is a part of a name.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        try:
            directory, matches, recursive = compile_glob(pattern)
        except Exception as error:
            self._fail(error, "glob", pattern)
        entries = self.list(directory, recursive=recursive)
        return [e.path async for e in entries if isinstance(e, FileInfo) and matches(e.path)]

    async def usage(self, directory: str = "") -> Usage:
        """Return how many files are below a directory, at any depth, and their bytes.

        Raises:
            InvalidPathException: The path breaks the path policy, or is a pattern: see `glob`.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        total = Usage(files=0, bytes=0)
        async for entry in self._named(directory, recursive=True):
            if isinstance(entry, FileInfo):
                total.files += 1
                total.bytes += entry.size
        return total

    async def entry(self, path: str) -> Entry | None:
        """Return the entry at a path: a file's metadata, a directory, or None.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            with contextlib.suppress(*NO_FILE):
                return await derived_stat(resolved, checked)
            if "listing" in resolved.capabilities and await _directory_exists(resolved, checked):
                return DirectoryInfo(path=checked)
        except Exception as error:
            self._fail(error, "entry", path)
        return None

    async def directory_exists(self, path: str) -> bool:
        """Return whether there is a directory: one with files, or one that was made.

        Raises:
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot list.
            StorageException: The storage failed.
        """
        try:
            return await _directory_exists(
                self._ready() or await self._load(), check_directory(path)
            )
        except Exception as error:
            self._fail(error, "directory_exists", path)

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents, if they do not exist.

        Raises:
            InvalidPathException: The path breaks the path policy.
            PathConflictException: There is a file at the path.
            UnsupportedOperationException: The driver cannot make directories.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            await resolved.require("directories").make_directory(checked)
        except Exception as error:
            self._fail(error, "make_directory", path)

    async def delete_directory(self, path: str) -> None:
        """Delete a directory and everything below it, if it exists.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            UnsupportedOperationException: The driver can neither delete directories nor list.
            StorageException: The storage failed; some files may be gone.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            if (hooks := self._manager.hooks.active) is None:
                await _delete_directory(resolved, checked)
                return
            async with self._operation(
                hooks, "delete", "delete_directory", checked, resolved
            ) as hooked:
                await _delete_directory(resolved, checked)
                hooked.report(found=None)
        except Exception as error:
            self._fail(error, "delete_directory", path)

    async def remove_empty_directory(self, path: str) -> bool:
        """Remove a directory only if it is empty; return False if there is none.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: The directory has entries, or there is a file at the path.
            UnsupportedOperationException: The driver cannot remove it without a race.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            methods = resolved.require("empty_directory_removal")
            if (hooks := self._manager.hooks.active) is None:
                return await methods.remove_empty_directory(checked)
            async with self._operation(
                hooks, "delete", "remove_empty_directory", checked, resolved
            ) as hooked:
                found = await methods.remove_empty_directory(checked)
                hooked.report(found=found)
                return found
        except Exception as error:
            self._fail(error, "remove_empty_directory", path)

    async def _named(
        self, directory: str, *, recursive: bool = False, directories: bool = False
    ) -> AsyncIterator[Entry]:
        """List a directory; refuse a pattern in its place, if nothing has that name."""
        is_empty = True
        async for entry in self.list(directory, recursive=recursive, directories=directories):
            is_empty = False
            yield entry
        if is_empty and "*" in directory:
            try:
                resolved = self._ready() or await self._load()
                await _check_no_pattern(resolved, check_directory(directory))
            except Exception as error:
                self._fail(error, "list", directory)

    # The last method of its class: after it, `list` means this one in every annotation.
    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        directories: bool = False,
        start_after: str | Entry | None = None,
    ) -> AsyncIterator[Entry]:
        """List a directory lazily, in the driver's fixed order.

        Args:
            prefix: The directory, ``""`` for the root. It consists of whole parts: ``im`` does not
                list ``img``.
            recursive: List the files at any depth.
            directories: With `recursive`, list the directories too, each before its entries.
                Without `recursive` they are always included.
            start_after: An entry, or a file's path: list the entries after it.

        Returns:
            An async iterator of `FileInfo` and `DirectoryInfo`. It raises InvalidPathException
            for a path that breaks the policy, UnsupportedOperationException where the driver
            cannot list, and StorageException where the storage fails.
        """
        return self._entries(prefix, recursive, directories, start_after)

    async def _entries(
        self,
        prefix: str,
        recursive: bool,
        directories: bool = False,
        start_after: str | Entry | None = None,
        left_out: Callable[[str, StorageException], object] | None = None,
    ) -> AsyncIterator[Entry]:
        def report(key: str, error: StorageException) -> None:
            if left_out is not None and not (checked == "" and is_reserved(key)):
                left_out(key, self._explained(error, "list", key).with_traceback(None))

        try:
            options = ListOptions(
                recursive=recursive,
                directories=directories,
                start_after=_key(start_after),
                left_out=None if left_out is None else report,
            )
            checked = check_directory(prefix)
            resolved = self._ready() or await self._load()
            async with closing(list_entries(resolved, checked, options)) as entries:
                async for entry in entries:
                    if checked or not is_reserved(entry.path):
                        yield entry
        except Exception as error:
            self._fail(error, "list", prefix)


def _key(entry: str | Entry | None) -> str | None:
    match entry:
        case FileInfo(path=path):
            return check_path(path)  # an entry may be made by the caller
        case DirectoryInfo(path=path):
            return f"{check_path(path)}/"
        case str():
            return check_path(entry.removesuffix("/")) + ("/" if entry.endswith("/") else "")
        case None:
            return None
    raise TypeError(f"start_after is an entry or a path, not {type(entry).__name__}")


async def _directory_exists(resolved: ResolvedDriver, path: str) -> bool:
    if not path:
        resolved.require("listing")
        return True
    knows = resolved.capabilities.supports("list_entries", "itself")
    async with closing(list_entries(resolved, path, ListOptions(itself=knows))) as entries:
        async for _ in entries:
            return True
    if knows:
        return False
    # An empty directory appears in the listing of its parent only.
    parent = path.rpartition("/")[0]
    async with closing(list_entries(resolved, parent, ListOptions())) as entries:
        async for entry in entries:
            if isinstance(entry, DirectoryInfo) and entry.path == path:
                return True
    return False


async def _check_no_pattern(resolved: ResolvedDriver, path: str) -> None:
    """Refuse a pattern in place of a directory: a missing one would be an empty listing."""
    if not (await resolved.methods.exists(path) or await _directory_exists(resolved, path)):
        raise InvalidPathException(
            "A listing takes a directory, and there is nothing of this name: for the files that "
            "match a pattern, call glob()"
        )


async def _delete_directory(resolved: ResolvedDriver, path: str) -> None:
    if "directories" in resolved.capabilities:
        await resolved.methods.delete_directory(path)
        return
    resolved.check_writable()
    if "listing" not in resolved.capabilities:
        resolved.require("directories")
    # Listed first: not every backend can be listed while it changes.
    entries = list_entries(resolved, path, ListOptions(recursive=True))
    for file in [entry.path async for entry in entries]:
        await resolved.methods.delete(file)
