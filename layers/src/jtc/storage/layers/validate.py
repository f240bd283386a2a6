"""The layer that refuses files by rules: `Validate`."""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from jtc.storage.driver_support.content import driver_content, in_thread, watch_content
from jtc.storage.driver_support.content_checks import check_type, check_types, limits
from jtc.storage.driver_support.derived import open_read, read_all, resolve
from jtc.storage.driver_support.mime_types import OCTET_STREAM, SNIFF_BYTES, checked_types
from jtc.storage.exceptions import RejectedException, StorageConfigException
from jtc.storage.layer import Layer
from jtc.storage.options import ReadOptions, WriteOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent, StorageDriver

__all__ = ["Predicate", "Validate"]

Predicate: TypeAlias = Callable[[str, bytes], str | None]
"""Takes a file's path and its first 8,192 bytes; returns what is wrong with it, or None."""


class Validate(
    Layer,
    guards={"write"},
    passes={
        "check",
        "delete",
        "delete_directory",
        "delete_file",
        "delete_many",
        "make_directory",
        "remove_empty_directory",
        "set_visibility",
    },
):
    """Refuse files by size, type, name, or a rule of your own; a refused one leaves nothing behind.

    The size is counted while the content is read, the type is judged by the content's beginning, a
    copy or a move is judged under its new name, and a new content type like a declared one.
    Presigned uploads are unsupported: their content goes to the storage and not through here.

    Args:
        inner: The driver within.
        max_size: The most bytes.
        min_size: The fewest bytes: 1 refuses empty files.
        allowed_types: MIME types (``"image/png"``, ``"image/*"``). The type of the content, the
            type of the name's extension and the declared type must each be one of them; an
            extension that is not known is refused. What a browser or a server may run (HTML, SVG,
            XML, JavaScript, PHP, Python) has to be named in full.
        allowed_extensions: The name must end with one of them, in any case: ``["jpg", "png"]``.
        name_pattern: A regular expression that the file's whole name, after the last ``/``, has
            to match.
        predicate: A rule of your own; see `Predicate`. It must not block, since it may be called
            in the event loop.

    Raises:
        StorageConfigException: An option is invalid, or there is no rule.
        RejectedException: From each method that stores; its `reason` is ``"size"``, ``"min_size"``,
            ``"type"``, ``"name"`` or ``"predicate"``.
        PreconditionFailedException: From a copy or a move whose file was replaced while it was
            judged.
    """

    def __init__(
        self,
        inner: StorageDriver,
        *,
        max_size: int | None = None,
        min_size: int | None = None,
        allowed_types: Collection[str] | None = None,
        allowed_extensions: Collection[str] | None = None,
        name_pattern: str | re.Pattern[str] | None = None,
        predicate: Predicate | None = None,
    ) -> None:
        super().__init__(inner)
        rules = (max_size, min_size, allowed_types, allowed_extensions, name_pattern, predicate)
        if all(rule is None for rule in rules):
            raise StorageConfigException(
                "There is no rule to validate by: give max_size, min_size, "
                "allowed_types, allowed_extensions, name_pattern or predicate"
            )
        try:
            limits(min_size=min_size, max_size=max_size)
        except (TypeError, ValueError) as error:
            raise StorageConfigException(str(error)) from error
        if predicate is not None and (
            not callable(predicate) or inspect.iscoroutinefunction(predicate)
        ):
            raise StorageConfigException(
                "predicate is a plain function, not async, of a path and bytes"
            )
        self._max_size, self._min_size = max_size, min_size
        try:
            self._types = None if allowed_types is None else checked_types(allowed_types)
        except (TypeError, ValueError) as error:
            raise StorageConfigException(str(error)) from error
        self._extensions = _extensions(allowed_extensions)
        try:
            self._pattern = None if name_pattern is None else re.compile(name_pattern)
        except re.error as error:
            raise StorageConfigException(
                f"name_pattern {name_pattern!r} is no regular expression: {error}"
            ) from error
        self._predicate = predicate

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file that breaks no rule."""
        return await self.inner.put(path, await self._checked(path, content, None))

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file that breaks no rule."""
        checked = await self._checked(path, content, options)
        return await self.inner.write_file(path, checked, options)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file that breaks no rule under its new name."""
        judged = await self._judged("copy_file", src, dst, options)
        return await self.inner.copy_file(src, dst, judged)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file that breaks no rule under its new name."""
        judged = await self._judged("move_file", src, dst, options)
        return await self.inner.move_file(src, dst, judged)

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Change a file's metadata; the content type must be an allowed one."""
        self._check_declared(options)
        return await self.inner.update_metadata(path, options)

    async def _checked(self, path: str, content: Any, options: WriteOptions | None) -> Any:
        self._check_name(check_path(path))
        if options is not None:
            self._check_declared(options)
        if isinstance(content, io.IOBase) and content.seekable():
            # Spooled to its end, for a driver whose own put may store a part.
            self._check_content(path, *await in_thread(_measured, content))
            return content
        watch = limits(
            size=None if options is None else options.size,
            min_size=self._min_size,
            max_size=self._max_size,
            judge=lambda head: self._judge(path, head),
        )
        source = driver_content(content)
        if watch is not None:
            watch_content(source, watch)
        return source

    async def _judged(self, method: str, src: str, dst: str, options: WriteOptions) -> WriteOptions:
        """Judge a stored file; return options that allow no other version to be copied."""
        self._check_name(check_path(dst))
        self._check_declared(options)
        beginning = ReadOptions(end=SNIFF_BYTES, if_match=options.if_source_match)
        stream = await open_read(resolve(self.inner), src, beginning)
        head = await read_all(stream)
        if options.content_type is None and stream.info.content_type not in {None, OCTET_STREAM}:
            # The copy keeps it, as if it had been declared.
            self._check_declared(WriteOptions(content_type=stream.info.content_type))
        self._check_content(dst, stream.info.size, head)
        if stream.info.etag is None or "if_source_match" not in self.supported_options[method]:
            return options
        return dataclasses.replace(options, if_source_match=stream.info.etag)

    def _check_content(self, path: str, size: int, head: bytes) -> None:
        limits(size=size, min_size=self._min_size, max_size=self._max_size)
        self._judge(path, head)

    def _check_declared(self, options: WriteOptions) -> None:
        if self._types is not None and options.content_type is not None:
            declared = options.content_type
            # Of several types in one header a browser takes the last, whatever the first is:
            # https://fetch.spec.whatwg.org/#concept-header-extract-mime-type
            if "," in declared:
                raise RejectedException("Several content types are declared", reason="type")
            check_type(declared, self._types)

    def _check_name(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if self._extensions is not None:
            _, dot, extension = name.rpartition(".")
            if not dot or extension.lower() not in self._extensions:
                raise RejectedException(
                    f"The name ends with none of {', '.join(sorted(self._extensions))}",
                    reason="name",
                )
        if self._pattern is not None and not self._pattern.fullmatch(name):
            raise RejectedException(
                f"The name does not match {self._pattern.pattern!r}", reason="name"
            )

    def _judge(self, path: str, head: bytes) -> None:
        if self._types is not None:
            check_types(path, head, self._types)
        if self._predicate is not None and (wrong := self._predicate(path, head)) is not None:
            raise RejectedException(wrong, reason="predicate")


def _extensions(names: Any) -> frozenset[str] | None:
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise StorageConfigException(f"allowed_extensions is a list of strings, not {names!r}")
    return frozenset(name.lower().removeprefix(".") for name in names)


def _measured(content: Any) -> tuple[int, bytes]:
    """Return the length and the beginning of a file that may block, and rewind it."""
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    head = content.read(SNIFF_BYTES)
    content.seek(0)
    return size, head
