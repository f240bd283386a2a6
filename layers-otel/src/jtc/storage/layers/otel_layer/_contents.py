"""How long a content is, which may be known only when the driver has read it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

from jtc.storage.driver_support.content import SourceFile, SourceIterator, driver_content
from jtc.storage.driver_support.content_checks import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.driver import DriverContent

__all__ = ["measured"]


def measured(content: Any) -> tuple[Any, Callable[[], int]]:
    """Have the bytes of a content counted.

    Args:
        content: What a driver's ``put`` or ``write_file`` gets.

    Returns:
        The content to hand on, the same one wherever that can be; and what tells the bytes that
        were read, once the driver has read them.

    Raises:
        TypeError: It is no content.
    """
    if isinstance(content, str):
        length = len(content.encode())
        return content, lambda: length
    if isinstance(content, (SourceFile, SourceIterator)):
        return content, counted(cast("DriverContent", content))
    # A driver may seek in a file, or close it: it gets the very same one, measured beforehand.
    if isinstance(content, io.IOBase) and content.seekable():
        start = content.tell()
        length = content.seek(0, io.SEEK_END) - start
        content.seek(start)
        return content, lambda: length
    source = driver_content(content)
    return source, counted(source)
