"""Listings of a store whose files have keys: its pages, as entries in one fixed order."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.driver_support.left_out import LeftOut
from jtc.storage.exceptions import InvalidPathException, StorageUnavailableException
from jtc.storage.models import DirectoryInfo
from jtc.storage.paths import check_listed_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence

    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["check_below", "entries_of_keys", "key_before"]

L = TypeVar("L")


def key_before(
    prefix: str, options: ListOptions, place: Callable[[str], bytes] = str.encode
) -> str | None:
    """Return the key after which a listing begins, empty for the first; None where none comes.

    Args:
        prefix: The directory that is listed; empty for all.
        options: Those of the listing.
        place: Returns by what the store orders a key.
    """
    below = f"{prefix}/" if prefix else ""
    start_after = options.start_after or ""
    if not start_after.startswith(below):
        return "" if place(start_after) <= place(below) else None
    if options.recursive or not start_after:
        return start_after
    # What lies in a directory comes after that directory.
    name, slash, _ = start_after[len(below) :].partition("/")
    return f"{below}{name}{slash}"


def check_below(prefix: str, keys: Iterable[str]) -> None:
    """Check that a page has no other keys than it was asked for, which may be about to be deleted.

    Raises:
        StorageUnavailableException: It has.
    """
    if prefix and not all(key.startswith(prefix) for key in keys):
        raise StorageUnavailableException(
            f"The store's listing has keys that are not below {prefix!r}, for which it was asked",
            retryable=False,
        )


async def entries_of_keys(
    prefix: str,
    options: ListOptions,
    pages: AsyncGenerator[Sequence[tuple[str, L | None]], None],
    file: Callable[[str, L], Entry],
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory; names that break the path policy are left out, and said.

    Args:
        prefix: The directory; empty for all.
        options: Those of the listing.
        pages: Keys from that of `key_before` on, in the store's order, each with what the store
            says of its object; None for a directory, whose key ends in ``/``. It is closed.
        file: Returns the entry of a file.

    Raises:
        StorageException: What the pages raise.
    """
    walks = options.recursive and options.directories
    previous = key_before(prefix, options) or (f"{prefix}/" if prefix else "")
    left_out = LeftOut(prefix, options)
    try:
        async with aclosing(pages):
            async for page in pages:
                for key, listed in page:
                    # A directory comes back after each key that is in it, and on several pages.
                    is_directory = key[-1:] == "/"
                    if key == previous or (is_directory and previous.startswith(key)):
                        continue
                    for directory in _entered(previous, key) if walks else ():
                        yield directory
                    previous = key
                    # A marker's key is a directory's, which it makes visible, as a prefix.
                    if listed is not None and is_directory:
                        continue
                    path = key[:-1] if is_directory else key
                    if (error := _refusal(path)) is not None:
                        left_out.add_name(key, error)
                    elif listed is None:
                        yield DirectoryInfo(path=path)
                    else:
                        yield file(path, listed)
    finally:
        left_out.log()


def _entered(previous: str, key: str) -> Iterator[DirectoryInfo]:
    """Yield the directories of a key that the one before it is not in."""
    end = key.find("/")
    while end >= 0:
        if not previous.startswith(key[: end + 1]) and _refusal(key[:end]) is None:
            yield DirectoryInfo(path=key[:end])
        end = key.find("/", end + 1)


def _refusal(path: str) -> InvalidPathException | None:
    """Return which rule of the path policy a key breaks; None if it breaks none."""
    try:
        if check_listed_path(path) == path:
            return None
    except InvalidPathException as error:
        return error
    # The check drops one leading "/", but with it the key is another file's.
    return InvalidPathException("The key begins with a slash, which no path does")
