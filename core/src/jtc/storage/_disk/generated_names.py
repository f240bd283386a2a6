"""User uploads, under generated names or names of the application."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Unpack

from jtc.storage._disk.read_write import ReadWrite
from jtc.storage.driver_support.content import driver_content, peek
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, safe_extension
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from jtc.storage.driver_support.content import Content
    from jtc.storage.options import PutOptions

__all__ = ["GeneratedNames"]


class GeneratedNames(ReadWrite):
    """Methods that store user uploads."""

    __slots__ = ()

    async def put_file(self, directory: str, upload: Content, **options: Unpack[PutOptions]) -> str:
        """Store a user upload under a generated name that cannot be guessed.

        The extension follows from the content: a page that was sent as ``holiday.png`` becomes
        ``.txt``. Text keeps the client's extension if that is one of plain data (``.csv``,
        ``.json``, …).

        Args:
            directory: The directory; ``""`` is the root.
            upload: The content, such as FastAPI's ``UploadFile``. Its ``filename`` is used for
                text only.
            **options: See `PutOptions`.

        Returns:
            The path of the file.

        Raises:
            StorageException: As for `put`.
            TypeError: The content or an option is of a wrong type.
        """
        import secrets  # noqa: PLC0415 - imported only where it is used

        checked = self._checked_directory("put_file", directory)
        try:
            source = driver_content(upload)
        except Exception as error:
            self._fail(error, "put_file", directory)
        try:
            head = await peek(source, SNIFF_BYTES)
            extension = safe_extension(_client_name(upload), head)
            path = _join(checked, f"{secrets.token_hex(16)}{extension}")
            await self._put("put_file", path, source, options)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        return path

    async def put_file_as(
        self, directory: str, upload: Content, name: str, **options: Unpack[PutOptions]
    ) -> str:
        """Store a user upload under a name of the application; return its path.

        Args:
            directory: The directory; ``""`` is the root.
            upload: The content.
            name: The file's name, one part of a path: a name with ``/`` is refused.
            **options: See `PutOptions`.

        Raises:
            InvalidPathException: The directory or the name breaks the path policy.
            StorageException: As for `put`.
            TypeError: The content or an option is of a wrong type.
        """
        checked = self._checked_directory("put_file_as", directory)
        try:
            if "/" in name:
                raise InvalidPathException("A file's name must not contain '/'", path=name)
            path = _join(checked, check_path(name))
        except Exception as error:
            self._fail(error, "put_file_as", name)
        await self._put("put_file_as", path, upload, options)
        return path

    def _checked_directory(self, operation: str, directory: str) -> str:
        try:
            return check_directory(directory)
        except Exception as error:
            self._fail(error, operation, directory)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _client_name(upload: Any) -> str:
    """Return the file name of a client, for its extension only."""
    # A GzipFile has a deprecated `filename`.
    name = None if isinstance(upload, io.IOBase) else getattr(upload, "filename", None)
    name = name or getattr(upload, "name", None)
    return name if isinstance(name, str) else ""
