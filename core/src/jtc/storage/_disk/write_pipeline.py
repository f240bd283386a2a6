"""The write pipeline: from checked content and options to the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import Spool
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.options import put_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver import DriverContent
    from jtc.storage.models import FileInfo

__all__ = ["carried_options", "store"]


async def store(
    resolved: ResolvedDriver, path: str, content: DriverContent, given: Mapping[str, Any]
) -> None:
    """Write content through a driver, as a file where it can do no more than `put`.

    Raises:
        ReadOnlyException: The disk is a read-only view.
        UnsupportedOperationException: The driver does not support an option.
        TypeError: An option is unknown, or has a value of a wrong kind.
    """
    resolved.check_writable()
    supported = resolved.capabilities.put_options
    options = put_options(given, supported, driver=resolved.name)
    if options.size is None and isinstance(content, bytes):
        options.size = len(content)
    if resolved.writing is not None:
        await resolved.writing.write_file(path, content, options)
        return
    async with Spool(content) as whole:
        await resolved.driver.put(path, whole)


def carried_options(supported: frozenset[str], info: FileInfo, path: str) -> dict[str, Any]:
    """Return the options by which a rewritten or copied file keeps what the old one had.

    A content type that the new name says anyway is left out: it will be inferred again.

    Args:
        supported: The options of a put that the new file's driver supported_options.
        info: The old file's facts.
        path: The new file's path.
    """
    facts = {
        "content_type": None if info.content_type == guess_type(path) else info.content_type,
        "cache_control": info.cache_control,
        "content_disposition": info.content_disposition,
        "metadata": info.metadata or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None and name in supported}
