"""Places of files and directories in a backend, which two drivers may have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jtc.storage.driver_support.content import in_thread
from jtc.storage.layer import unwrap_path

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver

__all__ = ["may_be_one", "places_in_common"]


async def places_in_common(
    one: tuple[StorageDriver, str], other: tuple[StorageDriver, str]
) -> tuple[str, str] | None:
    """Return where two paths are in the backend that they have in common.

    Args:
        one: A driver, with its layers, and a path.
        other: Another one.

    Returns:
        Two texts that are the same for one file, even through two views or two drivers; None where
        there is no such backend, or it is not known.
    """
    first, path = unwrap_path(*one)
    second, other_path = unwrap_path(*other)
    if first is second:
        return path, other_path
    if type(first) is not type(second):
        return None
    # In a thread: a local driver reads the file system.
    roots = await in_thread(lambda: (_location(first), _location(second)))
    return None if None in roots else (f"{roots[0]}/{path}", f"{roots[1]}/{other_path}")


def may_be_one(one: tuple[StorageDriver, str], other: tuple[StorageDriver, str]) -> bool:
    """Return whether two paths differ in nothing but the host's name, of which there may be two.

    Args:
        one: A driver, with its layers, and a path.
        other: Another one.
    """
    first, path = unwrap_path(*one)
    second, other_path = unwrap_path(*other)
    if type(first) is not type(second) or path != other_path:
        return False
    places = [urlsplit(_location(driver) or "") for driver in (first, second)]
    return all(place.netloc for place in places) and places[0].path == places[1].path


def _location(driver: StorageDriver) -> str | None:
    location = getattr(driver, "location", None)
    return location if isinstance(location, str) else None
