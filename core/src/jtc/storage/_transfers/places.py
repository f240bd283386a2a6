"""Whether two directories are one, or one is inside of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.content import in_thread
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.layer import unwrap_path

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver

__all__ = ["Overlap", "check_apart"]


class Overlap(NamedTuple):
    """Where a source lies in its target.

    Attributes:
        inner: The source's path below the target; None where it lies elsewhere.
    """

    inner: str | None = None

    def has(self, key: str) -> bool:
        """Return whether a file of this path below the target is inside of the source."""
        return self.inner is not None and f"{key}/".startswith(f"{self.inner}/")


async def check_apart(
    source: tuple[StorageDriver, str], target: tuple[StorageDriver, str]
) -> Overlap:
    """Check that a directory is not copied to itself or into itself, also through two views.

    Args:
        source: The driver, with its layers, and the directory's path.
        target: The same of the target.

    Returns:
        Where the source lies in the target: a file must not be copied to there.

    Raises:
        InvalidPathException: The two are one directory, or the target is inside of the source.
    """
    one, src = unwrap_path(*source)
    other, dst = unwrap_path(*target)
    if one is not other:
        if type(one) is not type(other):
            return Overlap()
        # In a thread: a local driver reads the file system.
        places = await in_thread(lambda: (_location(one), _location(other)))
        if places[0] is None or places[1] is None:
            return Overlap()
        src, dst = f"{places[0]}/{src}", f"{places[1]}/{dst}"
    src, dst = src.rstrip("/"), dst.rstrip("/")
    if src == dst:
        raise InvalidPathException("Source and target are the same directory")
    if _is_below(dst, src):
        raise InvalidPathException("The target is inside of the source")
    return Overlap(src[len(dst) :].lstrip("/") if _is_below(src, dst) else None)


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def _location(driver: StorageDriver) -> str | None:
    location = getattr(driver, "location", None)
    return location if isinstance(location, str) else None
