"""Whether two directories are one, or one is inside of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jtc.storage._places import places_in_common
from jtc.storage.exceptions import InvalidPathException

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
    places = await places_in_common(source, target)
    if places is None:
        return Overlap()
    src, dst = (place.rstrip("/") for place in places)
    if src == dst:
        raise InvalidPathException("Source and target are the same directory")
    if _is_below(dst, src):
        raise InvalidPathException("The target is inside of the source")
    return Overlap(src[len(dst) :].lstrip("/") if _is_below(src, dst) else None)


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")
