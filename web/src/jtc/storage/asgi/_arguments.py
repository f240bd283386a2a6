"""Checks of what applications and responses are made with, before a request comes."""

from __future__ import annotations

from jtc.storage import DiskOperations

__all__ = ["check_accelerate", "check_disk"]


def check_disk(disk: object) -> None:
    """Check that files can be read from what was passed.

    Raises:
        TypeError: It is no disk, but a name or a disk of the sync API.
    """
    if isinstance(disk, DiskOperations):
        return
    name = repr(disk) if isinstance(disk, str) else '"media"'
    raise TypeError(f"Pass a disk, such as Storage.disk({name}), not {disk!r}")


def check_accelerate(accelerate: object) -> None:
    """Check the option `accelerate`.

    Raises:
        TypeError: It is neither None nor an `Accelerator`.
    """
    if accelerate is not None and (
        isinstance(accelerate, type) or not hasattr(accelerate, "header")
    ):
        raise TypeError(f'accelerate is XAccel("/internal/") or XSendfile(), not {accelerate!r}')
