"""How content gets to a driver: watched, limited, and with the options that the driver honours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.content import Spool, driver_content
from jtc.storage.exceptions import IntegrityException, RejectedException
from jtc.storage.mime import ACTIVE_TYPES, SNIFF_BYTES, guess_type, judge_type
from jtc.storage.options import put_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jtc.storage.abilities import ResolvedDriver
    from jtc.storage.content import Content
    from jtc.storage.contracts import DriverContent
    from jtc.storage.files import FileInfo

__all__ = ["carried_options", "store", "watched_content"]


def watched_content(path: str, content: Content, options: Mapping[str, Any]) -> DriverContent:
    """Bring content to a kind that drivers know, under the limits that `Disk` keeps itself.

    Args:
        path: The file's path, for its type by name.
        content: What the user passed.
        options: The keywords of the put; `size`, `max_size`, `allowed_types` and `progress` count.

    Raises:
        TypeError: The content or an option is of a wrong kind.
        RejectedException: It is too long, or of a type that is not allowed; content that is
            still to be read raises when it is read.
        IntegrityException: It has another length than `size`.
    """
    source = driver_content(content)
    watch = _watch(path, options, len(source) if isinstance(source, bytes) else None)
    if watch is None:
        return source
    if isinstance(source, bytes):
        if source:
            watch(source)
        watch(b"")
    else:
        source.watch = watch  # type: ignore[union-attr] # driver_content() made it
    return source


async def store(
    resolved: ResolvedDriver, path: str, content: DriverContent, given: Mapping[str, Any]
) -> None:
    """Write content through a driver, as a file where it can do no more than `put`.

    Raises:
        ReadOnlyException: The disk is a read-only view.
        UnsupportedOperationException: The driver does not honour an option.
        TypeError: An option is unknown, or has a value of a wrong kind.
    """
    resolved.check_writable()
    honoured = resolved.capabilities.put_options
    options = put_options(given, honoured, driver=resolved.name)
    if options.size is None and isinstance(content, bytes):
        options.size = len(content)
    if resolved.writing is not None:
        await resolved.writing.write_file(path, content, options)
        return
    async with Spool(content) as whole:
        await resolved.driver.put(path, whole)


def carried_options(honoured: frozenset[str], info: FileInfo, path: str) -> dict[str, Any]:
    """Return the options by which a rewritten or copied file keeps what the old one had.

    A content type that the new name says anyway is left out: it will be inferred again.

    Args:
        honoured: The options of a put that the new file's driver honours.
        info: The old file's facts.
        path: The new file's path.
    """
    facts = {
        "content_type": None if info.content_type == guess_type(path) else info.content_type,
        "cache_control": info.cache_control,
        "content_disposition": info.content_disposition,
        "metadata": info.metadata or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None and name in honoured}


def _watch(
    path: str, options: Mapping[str, Any], length: int | None
) -> Callable[[bytes], None] | None:
    size, most = options.get("size"), options.get("max_size")
    types, progress = options.get("allowed_types"), options.get("progress")
    if size is None and most is None and types is None and progress is None:
        return None
    if isinstance(types, str):
        raise TypeError("allowed_types is a collection of MIME types, not one str")
    _check_size(size, most)
    done = 0
    head: bytes | None = None if types is None else b""

    def watch(chunk: bytes) -> None:
        nonlocal done, head
        done += len(chunk)
        if most is not None and done > most:
            raise RejectedException(f"The content is longer than {most} bytes", reason="size")
        if size is not None and (done > size or (not chunk and done < size)):
            raise IntegrityException(f"The content has not the {size} bytes that were announced")
        if head is not None:
            head += chunk[: SNIFF_BYTES - len(head)]
            # A driver that was told the size may never ask for the empty chunk at the end.
            if not chunk or len(head) >= SNIFF_BYTES or done == size:
                _check_type(judge_type(path, head), types)
                head = None
        if progress is not None and chunk:
            progress(done, length if size is None else size)

    return watch


def _check_size(size: int | None, most: int | None) -> None:
    for name, limit in (("size", size), ("max_size", most)):
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise TypeError(f"{name} is a number of bytes, not {limit!r}")
    if size is not None and most is not None and size > most:
        raise RejectedException(f"The content is longer than {most} bytes", reason="size")


def _check_type(found: str, allowed: Any) -> None:
    family = found.partition("/")[0] + "/*"
    # "image/*" and "text/*" must not let a script in: an active type has to be named.
    if found in allowed or (family in allowed and found not in ACTIVE_TYPES):
        return
    raise RejectedException(
        f"The content is {found}, and not one of {', '.join(sorted(allowed))}", reason="type"
    )
