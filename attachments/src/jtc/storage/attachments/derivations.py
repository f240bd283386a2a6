"""Recipes of an application's own: a callable that makes a variant of an original."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from jtc.storage.driver_support.content import Content

__all__ = ["Derivation", "derive"]

Made: TypeAlias = "Content | Awaitable[Content]"
"""What a callable returns: the content of the variant, or an awaitable of it."""

_EXTENSION = re.compile(r"\.[a-z0-9]{1,12}")
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")


class Derivation:
    """A recipe that calls a function; `derive` makes it.

    Args:
        function: As for `derive`.
        version: As for `derive`.
        content_type: As for `derive`.
        extension: As for `derive`.
        takes: As for `derive`.
    """

    def __init__(
        self,
        function: Callable[[Any], Made],
        *,
        version: int | str,
        content_type: str,
        extension: str,
        takes: Literal["path", "bytes"] = "path",
    ) -> None:
        if _CONTENT_TYPE.fullmatch(content_type) is None:
            raise StorageConfigException(
                f"'content_type' is a MIME type, such as 'image/jpeg', not {content_type!r}"
            )
        if _EXTENSION.fullmatch(extension) is None:
            raise StorageConfigException(
                f"'extension' is a dot and lower-case letters, such as '.jpg', not {extension!r}"
            )
        if takes not in ("path", "bytes"):
            raise StorageConfigException(f"'takes' is 'path' or 'bytes', not {takes!r}")
        self._function = function
        self._takes = takes
        self._content_type = content_type
        self._extension = extension
        given = f"{version}\n{content_type}\n{extension}"
        self._fingerprint = hashlib.sha256(given.encode()).hexdigest()[:8]

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<{type(self).__name__} {name} {self._fingerprint}>"

    @property
    def fingerprint(self) -> str:
        """Eight characters of ``[0-9a-f]`` that change with the version and the type."""
        return self._fingerprint

    @property
    def content_type(self) -> str:
        """The MIME type of the output."""
        return self._content_type

    @property
    def extension(self) -> str:
        """The extension of the output, with its dot."""
        return self._extension

    async def apply(self, original: Path) -> Content:
        """Call the function with an original, in a worker thread if it is not async.

        Args:
            original: A local file, which the function does not change. It may write others beside
                it, which are removed once the variant is stored.

        Raises:
            Exception: Whatever the function raises.
        """
        source: Path | bytes = original
        if self._takes == "bytes":
            source = await asyncio.to_thread(original.read_bytes)
        if _is_async(self._function):
            made = self._function(source)
        else:
            made = await asyncio.to_thread(self._function, source)
        return await made if inspect.isawaitable(made) else made


@overload
def derive(
    function: Callable[[Path], Made],
    *,
    version: int | str,
    content_type: str,
    extension: str,
    takes: Literal["path"] = "path",
) -> Derivation: ...
@overload
def derive(
    function: Callable[[bytes], Made],
    *,
    version: int | str,
    content_type: str,
    extension: str,
    takes: Literal["bytes"],
) -> Derivation: ...
def derive(
    function: Callable[[Any], Made],
    *,
    version: int | str,
    content_type: str,
    extension: str,
    takes: Literal["path", "bytes"] = "path",
) -> Derivation:
    """Return a recipe that calls a function: the poster of a video, the text of a PDF.

    Args:
        function: Takes the original, and returns the content of the variant as `Disk.put` takes it:
            bytes, a file, a path. It may be async; another one runs in a worker thread. Its
            exception means that the variant cannot be made of this original.
        version: Another one makes new files: raise it when the function's output changes.
        content_type: The MIME type of the output.
        extension: The extension of the output, with its dot: ``".jpg"``.
        takes: Whether the function takes a `pathlib.Path` of a local file, or `bytes`.

    Raises:
        StorageConfigException: An argument is invalid.
    """
    return Derivation(
        function, version=version, content_type=content_type, extension=extension, takes=takes
    )


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is async
    )
