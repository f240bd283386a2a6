"""Who may read a file, and the addresses under which it can be had or sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jtc.storage._disk.base import DiskBase
from jtc.storage.models import Visibility
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from datetime import timedelta

    from jtc.storage.models import PresignedForm, PresignedRequest

__all__ = ["Access"]


class Access(DiskBase):
    """visibility, url, path, and the signed addresses."""

    __slots__ = ()

    async def visibility(self, path: str) -> Visibility:
        """Tell who may read a file by its `url`.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver, or its backend, knows no visibility.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            return await resolved.need(resolved.visibility, "visibility").visibility(checked)
        except Exception as error:
            self._fail(error, "visibility", path)

    async def set_visibility(self, path: str, visibility: Visibility | str) -> None:
        """Say who may read a file by its `url`.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: It is neither ``"public"`` nor ``"private"``.
            UnsupportedOperationException: The driver, or its backend, knows no visibility.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            wanted = Visibility(visibility)
            resolved = self._resolved()
            resolved.check_writable()
            await resolved.need(resolved.visibility, "visibility").set_visibility(checked, wanted)
        except Exception as error:
            self._fail(error, "set_visibility", path)

    def url(self, path: str) -> str:
        """Return the percent-encoded address of a file, without asking whether there is one.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The disk has no addresses.
        """
        try:
            return self._resolved().driver.url(check_path(path))
        except Exception as error:
            self._fail(error, "url", path)

    def path(self, path: str) -> str:
        """Return where the backend keeps a file: an absolute file name, or an address.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The disk has no such names.
        """
        try:
            return self._resolved().driver.path(check_path(path))
        except Exception as error:
            self._fail(error, "path", path)

    async def temporary_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """Return an address that anybody can read a file from, for a while.

        Args:
            path: The file; it need not be there yet.
            expires_in: For how long, in seconds or as a `timedelta`.
            content_disposition: The header of that name in the answer.
            content_type: The header of that name in the answer.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver signs nothing.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            return await resolved.need(resolved.temporary_urls, "temporary_urls").temporary_url(
                checked,
                _seconds(expires_in),
                content_type=content_type,
                content_disposition=content_disposition,
            )
        except Exception as error:
            self._fail(error, "temporary_url", path)

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a PUT request by which anybody can store one file, for a while.

        Args:
            path: Where the file goes.
            expires_in: For how long, in seconds or as a `timedelta`.
            content_type: The type that the request must declare, and the file then has.
            size: The length in bytes that the body must have.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver signs nothing.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            uploads = resolved.need(resolved.temporary_uploads, "temporary_uploads")
            return await uploads.temporary_upload_url(
                checked, _seconds(expires_in), content_type=content_type, size=size
            )
        except Exception as error:
            self._fail(error, "temporary_upload_url", path)

    async def temporary_upload_form(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        max_size: int,
        content_type: str | None = None,
    ) -> PresignedForm:
        """Return a form by which anybody can upload one file from a browser, for a while.

        Args:
            path: Where the file goes.
            expires_in: For how long, in seconds or as a `timedelta`.
            max_size: The most bytes that the backend takes.
            content_type: The type that the form must declare, and the file then has.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver signs no forms.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            return await resolved.need(resolved.upload_forms, "upload_forms").temporary_upload_form(
                checked, _seconds(expires_in), max_size=max_size, content_type=content_type
            )
        except Exception as error:
            self._fail(error, "temporary_upload_form", path)


def _seconds(expires_in: float | timedelta) -> float:
    from datetime import timedelta  # noqa: PLC0415 - only who asks pays for it

    seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"expires_in is seconds or a timedelta, not {type(seconds).__name__}")
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"An address expires after some seconds, not {expires_in!r}")
    return seconds
