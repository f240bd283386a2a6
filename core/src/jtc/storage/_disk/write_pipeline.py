"""The write pipeline: from checked content and options to the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import Spool, driver_content
from jtc.storage.driver_support.content_checks import watch_limits
from jtc.storage.driver_support.derived import open_read
from jtc.storage.driver_support.error_translation import translated
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.options import ReadOptions, metadata_options, put_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver import DriverContent
    from jtc.storage.models import FileInfo, Visibility

__all__ = ["carried_options", "kept_visibility", "store", "update_metadata"]

_CHUNK = 1024 * 1024


async def store(
    resolved: ResolvedDriver,
    path: str,
    content: DriverContent,
    given: Mapping[str, Any],
    visibility_if_new: Visibility | None = None,
) -> str | None:
    """Write content through a driver, by `put` alone where the driver has no ``writing``.

    Args:
        resolved: The driver.
        path: The file's path, checked.
        content: A result of `driver_content`.
        given: The keywords of the put.
        visibility_if_new: See `WriteOptions`.

    Returns:
        The file's etag, if the driver says it.

    Raises:
        ReadOnlyException: The disk is a read-only view.
        UnsupportedOperationException: The driver does not support an option.
        RejectedException: A limit refuses the content.
        IntegrityException: The content has another length than `size`.
        TypeError: An option is unknown, or has a value of a wrong type.
    """
    resolved.check_writable()
    options = put_options(given, resolved.capabilities.put_options, driver=resolved.name)
    watch_limits(path, content, given)
    if options.size is None and isinstance(content, bytes):
        options.size = len(content)
    options.visibility_if_new = visibility_if_new
    if "writing" in resolved.capabilities:
        return await resolved.methods.write_file(path, content, options)
    async with Spool(content) as whole:
        await resolved.methods.put(path, whole)
    return None


async def update_metadata(
    resolved: ResolvedDriver, path: str, given: Mapping[str, Any]
) -> str | None:
    """Change the metadata of a file, by rewriting it if the driver cannot change it in place.

    Returns:
        The file's new etag, if the driver says it.

    Raises:
        UnsupportedOperationException: The driver does not support an option; or it can neither
            change metadata nor detect that a file was replaced while it is rewritten.
        PreconditionFailedException: `if_match` names another version, or the file was replaced.
        TypeError: An option is unknown, or has a value of a wrong type.
    """
    supported = resolved.capabilities.options.get("update_metadata")
    if supported is not None:
        return await resolved.methods.update_metadata(
            path, metadata_options(given, supported, driver=resolved.name)
        )
    writable = resolved.capabilities.put_options
    metadata_options(given, writable, driver=resolved.name)
    if not {"if_match", "overwrite"} <= writable or "reading" not in resolved.capabilities:
        resolved.require("metadata_update")
    visibility = await kept_visibility(resolved, path)
    try:
        return await _rewrite(resolved, path, given, visibility)
    except (UnsupportedOperationException, OSError) as error:
        if visibility is None or not isinstance(translated(error), UnsupportedOperationException):
            raise
        return await _rewrite(resolved, path, given, None)  # a bucket without ACLs: nothing to keep


async def _rewrite(
    resolved: ResolvedDriver, path: str, given: Mapping[str, Any], visibility: Visibility | None
) -> str | None:
    options = ReadOptions(if_match=given.get("if_match"), chunk_size=_CHUNK, read_ahead=True)
    stream = await open_read(resolved, path, options)
    try:
        if stream.info.etag is None:
            resolved.require("metadata_update")
        kept = carried_options(resolved.capabilities.put_options, stream.info, path)
        changes = {name: value for name, value in given.items() if value is not None}
        same = {"if_match": stream.info.etag, "size": stream.info.size, "visibility": visibility}
        # The size among them: a short body must not become a whole file.
        return await store(resolved, path, driver_content(stream), kept | changes | same)
    finally:
        await stream.aclose()


async def kept_visibility(resolved: ResolvedDriver, path: str) -> Visibility | None:
    """Return the visibility that a rewritten file has to keep, if the driver has any."""
    capabilities = resolved.capabilities
    if "visibility" not in capabilities or "visibility" not in capabilities.put_options:
        return None
    try:
        return await resolved.methods.visibility(path)
    except (UnsupportedOperationException, OSError) as error:
        if isinstance(translated(error), (UnsupportedOperationException, PermissionError)):
            return None  # a caller that may not read it has not set it either
        raise


def carried_options(supported: frozenset[str], info: FileInfo, path: str) -> dict[str, Any]:
    """Return the options by which a rewritten or copied file keeps the old one's metadata.

    A content type that the new name implies is omitted: it will be inferred again.

    Args:
        supported: The options of a put that the new file's driver supports.
        info: The old file's metadata.
        path: The new file's path.
    """
    declared = {
        "content_type": None if info.content_type == guess_type(path) else info.content_type,
        "cache_control": info.cache_control,
        "content_disposition": info.content_disposition,
        "content_encoding": info.content_encoding,
        "metadata": info.metadata or None,
    }
    return {k: value for k, value in declared.items() if value is not None and k in supported}
