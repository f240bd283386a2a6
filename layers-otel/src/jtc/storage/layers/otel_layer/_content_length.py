"""Length of content, which may be known only after the driver has read it."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import driver_content, length_read

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["measured"]


def measured(content: Any) -> tuple[Any, Callable[[], int]]:
    """Count the bytes of content.

    Args:
        content: What a driver's ``put`` or ``write_file`` gets.

    Returns:
        The content to pass on, the same object where possible, and a function that returns the
        number of bytes, to call after the driver has read them.

    Raises:
        TypeError: It is no content.
    """
    if isinstance(content, str):
        length = len(content.encode())
        return content, lambda: length
    # A driver may seek in a file, or close it: it gets the very same one, measured beforehand.
    if isinstance(content, io.IOBase) and content.seekable():
        length = content.seek(0, io.SEEK_END)
        content.seek(0)
        return content, lambda: length
    source = driver_content(content)
    return source, partial(length_read, source)
