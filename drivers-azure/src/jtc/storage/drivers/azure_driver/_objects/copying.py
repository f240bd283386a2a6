"""Copies and moves within the account, and changes of metadata.

Each appears as a whole: a copy is one request that ends when the store has copied, or blocks that
the store makes of the original's bytes and a block list with all that is declared. Copies that the
store makes behind its answer (Copy Blob) are not used: a reader would meet them unfinished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import conditions, metadata
from jtc.storage.drivers.azure_driver._objects.deleting import delete_version
from jtc.storage.drivers.azure_driver._objects.upload_parts import Upload
from jtc.storage.drivers.azure_driver._settings import MIB
from jtc.storage.http_support.conditions import EXISTS, condition_headers
from jtc.storage.http_support.errors import may_have_acted
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._transport.operations import Blob
    from jtc.storage.drivers.azure_driver._transport.transport import Transport

__all__ = ["copy_file", "copy_from", "move_file", "update_metadata"]

_COPIED_AT_ONCE = 256 * MIB
"""https://learn.microsoft.com/en-us/rest/api/storageservices/copy-blob-from-url"""

_BY_COPY = frozenset({"x-ms-access-tier", "x-ms-tags", "x-ms-encryption-scope"})
"""Headers of `driver_options` that the one request takes too."""


async def copy_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str:
    """Copy a file with its content type and metadata; return the new file's etag."""
    original = await _original(transport, src, "if_source_match", options.if_source_match)
    if src != dst:
        return await _copied(transport, transport, src, dst, original, options)
    if not options.overwrite:
        raise exceptions.FileExistsException(EXISTS, path=dst)
    if _replaces_metadata(options) or options.driver_options:
        return await _updated(transport, src, original, options)
    return original.confirmed_etag


async def copy_from(
    transport: Transport, dst: str, source: Transport, src: str, options: WriteOptions
) -> str:
    """Copy a file of another container of the account; return the new file's etag.

    Raises:
        UnsupportedOperationException: The store does not let it be copied from there.
    """
    if transport.settings.endpoint_url != source.settings.endpoint_url:
        raise exceptions.UnsupportedOperationException(
            "The two disks are of different accounts: the store cannot copy between them"
        )
    original = await _original(source, src, "if_source_match", options.if_source_match)
    try:
        return await _copied(transport, source, src, dst, original, options)
    except (exceptions.StoragePermissionException, exceptions.FileNotFoundException) as error:
        # The original is there: who may not read it gets the answer that there is nothing.
        raise exceptions.UnsupportedOperationException(
            f"The store refuses to copy from the container {source.settings.container!r}"
        ) from error


async def move_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str:
    """Copy a file, and then delete that very version of the original.

    Raises:
        PreconditionFailedException: The original was replaced or deleted meanwhile: it is left
            as it is, and the copy stays.
    """
    if src == dst:
        return await copy_file(transport, src, dst, options)
    original = await _original(transport, src, "if_source_match", options.if_source_match)
    etag = await _copied(transport, transport, src, dst, original, options)
    try:
        is_deleted = await delete_version(transport, src, original.confirmed_etag)
    except exceptions.PreconditionFailedException:
        is_deleted = False
    if not is_deleted:
        raise exceptions.PreconditionFailedException(
            "The file was replaced or deleted while it was moved; the copy stays", path=src
        )
    return etag


async def update_metadata(transport: Transport, path: str, options: WriteOptions) -> str:
    """Replace declared fields of a file, and keep the others; return the etag.

    Raises:
        FileNotFoundException: There is no file.
        PreconditionFailedException: `if_match` names another version, or the file was replaced
            meanwhile.
    """
    original = await _original(transport, path, "if_match", options.if_match)
    return await _updated(transport, path, original, options)


async def _original(transport: Transport, path: str, option: str, expected: str | None) -> Blob:
    found = await metadata.head(transport, path)
    if expected not in {None, found.confirmed_etag}:
        message = f"The file is not the version that {option} names"
        raise exceptions.PreconditionFailedException(message)
    return found


def _replaces_headers(options: WriteOptions) -> bool:
    return not (
        options.content_type is options.cache_control is options.content_disposition is None
        and options.content_encoding is None
    )


def _replaces_metadata(options: WriteOptions) -> bool:
    return options.metadata is not None or _replaces_headers(options)


async def _updated(transport: Transport, path: str, original: Blob, options: WriteOptions) -> str:
    """Change what is declared of a file under the condition that it is this version.

    Headers and metadata are two requests to Azure. Both together are made by a block list of the
    same bytes, so that no reader meets the one without the other.
    """
    served, described = metadata.kept_headers(original, options)
    condition = {"if-match": original.confirmed_etag}
    requests = transport.requests
    try:
        if options.driver_options or (options.metadata is not None and _replaces_headers(options)):
            return await _recomposed(transport, transport, path, path, original, options)
        if options.metadata is not None:
            return await transport.send(requests.set_metadata(path, described | condition))
        return await transport.send(requests.set_properties(path, served | condition))
    except exceptions.PreconditionFailedException as error:
        if may_have_acted(error):
            message = "An answer of the store was lost: the metadata may have been changed"
            unknown = exceptions.StorageUnavailableException(message, path=path, retryable=False)
            raise unknown from error
        message = "The file was replaced while its metadata was changed"
        raise exceptions.PreconditionFailedException(message) from error


async def _copied(
    transport: Transport,
    source: Transport,
    src: str,
    dst: str,
    original: Blob,
    options: WriteOptions,
) -> str:
    declared = {**transport.settings.driver_headers, **metadata.declared_headers(options)}
    is_one = original.known_size <= _COPIED_AT_ONCE and not _replaces_headers(options)
    # That request keeps the original's metadata where it is given none.
    is_one = is_one and options.metadata != {}
    described = {name for name in declared if name.startswith("x-ms-meta-")}
    try:
        if is_one and declared.keys() - described <= _BY_COPY:
            return await _copied_at_once(transport, source, src, dst, original, declared, options)
        return await _recomposed(transport, source, src, dst, original, options)
    except exceptions.FileExistsException as error:
        raise await _unless_landed(transport, dst, error, original) from error
    except exceptions.PreconditionFailedException as error:
        if await _is_replaced(source, src, original):
            message = "The source was replaced while it was copied"
            raise exceptions.PreconditionFailedException(message, path=src) from error
        raise await _unless_landed(transport, dst, error, original) from error
    except exceptions.StorageException as error:
        is_missing = isinstance(error, exceptions.FileNotFoundException)
        error.path = src if is_missing else error.path or dst
        raise


async def _is_replaced(transport: Transport, src: str, original: Blob) -> bool:
    try:
        return (await metadata.head(transport, src)).confirmed_etag != original.confirmed_etag
    except exceptions.FileNotFoundException:
        return True


async def _unless_landed(
    transport: Transport, dst: str, error: exceptions.StorageException, original: Blob
) -> exceptions.StorageException:
    error.path = dst
    cause = error.__cause__ or error
    md5 = metadata.file_info(dst, original).checksums.get("md5")
    probe = exceptions.StorageException()
    probe.__cause__ = cause
    return await conditions.unless_landed(transport, dst, probe, error, md5, original.known_size)


async def _copied_at_once(
    transport: Transport,
    source: Transport,
    src: str,
    dst: str,
    original: Blob,
    declared: Mapping[str, str],
    options: WriteOptions,
) -> str:
    url, permission = await source.source(src)
    sent = {
        **declared,
        **permission,
        "x-ms-source-if-match": original.confirmed_etag,
        **condition_headers(options, conditions.NO_ETAG),
    }
    if "x-ms-tags" not in sent and original.headers.get("x-ms-tag-count"):
        sent["x-ms-copy-source-tag-option"] = "COPY"
    copy = transport.requests.copy_from_url(dst, url, sent, original.known_size)
    return await transport.send(copy)


async def _recomposed(
    transport: Transport,
    source: Transport,
    src: str,
    dst: str,
    original: Blob,
    options: WriteOptions,
) -> str:
    """Make a file of another one's bytes, or of its own, with other headers."""
    served, described = metadata.kept_headers(original, options)
    is_same = source is transport and src == dst
    headers = {**_stored_as(original, is_same=is_same), **served, **described}
    if not is_same:
        headers = {**transport.settings.driver_headers, **headers}
    if "x-ms-tags" not in headers and original.headers.get("x-ms-tag-count"):
        tags = await source.send(source.requests.get_tags(src, {}))
        headers["x-ms-tags"] = urlencode(tags)
    upload = Upload(transport, dst)
    if original.known_size:
        url, permission = await source.source(src)
        sent = {**permission, "x-ms-source-if-match": original.confirmed_etag}
        await upload.copy_all(url, original.known_size, sent)
    if is_same:
        options = WriteOptions(if_match=original.confirmed_etag)
    return await upload.commit(headers, options)


def _stored_as(original: Blob, *, is_same: bool) -> dict[str, str]:
    """Return how a file is stored, which changes of its metadata keep."""
    headers: dict[str, str] = {}
    if not is_same:
        return headers
    tier = original.headers.get("x-ms-access-tier")
    if tier and original.headers.get("x-ms-access-tier-inferred", "").lower() != "true":
        headers["x-ms-access-tier"] = tier
    if scope := original.headers.get("x-ms-encryption-scope"):
        headers["x-ms-encryption-scope"] = scope
    return headers
