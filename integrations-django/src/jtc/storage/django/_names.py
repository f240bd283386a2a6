"""Names of files in Django, and their paths on a disk."""

from __future__ import annotations

import contextlib
import posixpath
from typing import TYPE_CHECKING

from django.core.exceptions import SuspiciousFileOperation

from jtc.storage import InvalidPathException
from jtc.storage.paths import MAX_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["names_checked", "path_of", "shortened"]


def path_of(name: object, root: str | None = None) -> str:
    """Return the path on a disk that a name means, as Django's file storages understand names.

    Args:
        name: A `str` or a path. ``./a`` and ``docs//a.txt`` are other spellings of ``a`` and
            ``docs/a.txt``; None, ``""`` and ``.`` mean the root.
        root: The absolute directory of a local disk: names may begin with it.

    Returns:
        The path, without a ``/`` at its end; ``""`` is the root.

    Raises:
        SuspiciousFileOperation: The name leads out of the storage.
    """
    path = posixpath.normpath(str("" if name is None else name).replace("\\", "/") or ".")
    if path.startswith("/"):
        if root is None or not f"{path}/".startswith(f"{root}/"):
            raise SuspiciousFileOperation(
                f"The name {str(name)[:200]!r} leads out of the storage: "
                "names are relative to its location"
            )
        path = path[len(root) + 1 :]
    if path == ".." or path.startswith("../"):
        raise SuspiciousFileOperation(
            f"The name {str(name)[:200]!r} leads out of the storage by '..'"
        )
    return "" if path == "." else path


@contextlib.contextmanager
def names_checked() -> Iterator[None]:
    """Raise Django's error for a name that breaks the path policy of disks."""
    try:
        yield
    except InvalidPathException as error:
        raise SuspiciousFileOperation(str(error)) from error


def shortened(root: str, extension: str, added: int = 0) -> tuple[str, str]:
    """Return a file name's two halves, cut so that the name has at most 255 bytes of UTF-8.

    Args:
        root: The name without its extension, which is cut first.
        extension: The extension.
        added: How many bytes are added to the name.
    """
    most = MAX_PART_BYTES - added
    extension = extension.encode()[: most - 1].decode(errors="ignore")
    return root.encode()[: most - len(extension.encode())].decode(errors="ignore"), extension
