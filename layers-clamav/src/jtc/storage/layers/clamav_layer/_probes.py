"""Proof that clamd refuses what exceeds its limits, by files that it must find.

Of a file that is longer than ``MaxFileSize``, clamd looks at nothing and answers OK. With
``AlertExceedsMax yes`` it reports such a file, and archives that it does not open to their end.
"""

from __future__ import annotations

import io
import logging
import zipfile
from functools import cache
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["EXCEEDED", "once", "prove"]

_log = logging.getLogger("jtc.storage.clamav")

EXCEEDED = "Heuristics.Limits.Exceeded"
"""How the names begin by which clamd reports what exceeds a limit."""

# In two parts: the file of this module is not to be taken for a virus itself.
_EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_DEEPER_THAN_ALLOWED = 110
"""How often the archive is nested: clamd allows no MaxRecursion above 100."""
_BLOCK = bytes(1024 * 1024)


async def prove(
    judge: Callable[[AsyncIterator[bytes], int], Awaitable[str | None]],
    *,
    max_size: int | None,
    alerts: bool,
) -> None:
    """Prove that a scanner finds viruses, and refuses what it cannot look at.

    Args:
        judge: Has the scanner judge a file, and returns the name of what was found. It raises
            RejectedException where the file is longer than the scanner takes.
        max_size: The longest file in bytes that the layer passes on; None is any.
        alerts: Whether `AlertExceedsMax` has to be on.

    Raises:
        StorageConfigException: The scanner would let something pass unseen.
        RejectedException: A file of `max_size` is longer than the scanner takes.
    """
    if await judge(once(_EICAR), len(_EICAR)) is None:
        raise StorageConfigException(
            "The scanner finds the EICAR test file clean: its database is empty, or it scans "
            "nothing. Load signatures (freshclam), and look at clamd's log"
        )
    nested = await in_thread(_nested)  # 10 ms, once
    found = await judge(once(nested), len(nested))
    if found is not None and found.startswith(EXCEEDED):
        return
    if alerts:
        raise StorageConfigException(
            "The scanner does not report what exceeds its limits: set 'AlertExceedsMax yes' in "
            "clamd.conf, and restart clamd"
        )
    if max_size is None or await judge(_long(max_size), max(max_size, len(_EICAR))) is None:
        raise StorageConfigException(
            "The scanner says of files that it does not look at that they are clean: set "
            "'AlertExceedsMax yes' in clamd.conf and restart clamd; or set max_size to at most "
            f"its MaxFileSize and MaxScanSize (max_size is {max_size} now)"
        )
    _log.warning(
        "clamd has not 'AlertExceedsMax yes': what an archive holds beyond MaxRecursion, "
        "MaxFiles, MaxScanSize or MaxScanTime counts as clean"
    )


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Yield one chunk."""
    yield content


async def _long(size: int) -> AsyncIterator[bytes]:
    """Yield the test file, followed by zeros up to a length in bytes."""
    yield _EICAR
    missing = size - len(_EICAR)
    while missing > 0:
        yield _BLOCK[:missing]
        missing -= len(_BLOCK)


@cache
def _nested() -> bytes:
    """Return an archive in an archive, and so on: harmless, but for its depth."""
    content = b"deep"
    for _ in range(_DEEPER_THAN_ALLOWED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a"), content, zipfile.ZIP_DEFLATED)
        content = packed.getvalue()
    return content
