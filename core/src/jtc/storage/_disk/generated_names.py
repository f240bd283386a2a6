"""Files from strangers, under names of our own or under theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from jtc.storage._disk.read_write import WholeFiles
from jtc.storage.driver_support.content import driver_content, peek
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, safe_extension
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from jtc.storage.driver_support.content import Content
    from jtc.storage.options import PutOptions

__all__ = ["Uploads"]


class Uploads(WholeFiles):
    """put_file and put_file_as."""

    __slots__ = ()

    async def put_file(self, directory: str, upload: Content, **options: Unpack[PutOptions]) -> str:
        """Store an upload under a generated name that nobody can guess.

        The extension says what the content proves to be, and never more: a page that was sent
        as ``holiday.png`` becomes ``.txt``. Text keeps the extension that the client gave where
        that is one of plain data (``.csv``, ``.json``, …).

        Args:
            directory: Where to; ``""`` is the root.
            upload: The content, such as FastAPI's ``UploadFile``. Its ``filename`` counts for
                texts only.
            **options: See `PutOptions`.

        Returns:
            The path under which the file can be had.

        Raises:
            StorageException: As for `put`.
            TypeError: The content or an option is of a wrong kind.
        """
        import secrets  # noqa: PLC0415 - only who asks pays for it

        checked = self._checked_directory("put_file", directory)
        source = driver_content(upload)
        try:
            head, content = await peek(source, SNIFF_BYTES)
            extension = safe_extension(_client_name(upload), head)
            path = _join(checked, f"{secrets.token_hex(16)}{extension}")
            await self._put("put_file", path, content, options)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        return path

    async def put_file_as(
        self, directory: str, upload: Content, name: str, **options: Unpack[PutOptions]
    ) -> str:
        """Store an upload under a name of your choice; return its path.

        Args:
            directory: Where to; ``""`` is the root.
            upload: The content.
            name: The file's name, one part of a path: a name with ``/`` is refused.
            **options: See `PutOptions`.

        Raises:
            InvalidPathException: The directory or the name breaks the path policy.
            StorageException: As for `put`.
            TypeError: The content or an option is of a wrong kind.
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
    """Return the name that a client gave, for its extension: only its letters are looked at."""
    name = getattr(upload, "filename", None) or getattr(upload, "name", None)
    return name if isinstance(name, str) else ""
