"""Visibility, URLs, and presigned URLs and forms."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jtc.storage._disk.base import DiskBase
from jtc.storage.models import Visibility
from jtc.storage.options import SignOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.models import PresignedForm, PresignedRequest

__all__ = ["Urls"]


class Urls(DiskBase):
    """Methods for visibility, URLs, and presigned URLs and forms."""

    __slots__ = ()

    async def visibility(self, path: str) -> Visibility:
        """Return who may read a file by its `url`.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver, or its backend, has no visibility.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            return await resolved.require("visibility").visibility(checked)
        except Exception as error:
            self._fail(error, "visibility", path)

    async def set_visibility(self, path: str, visibility: Visibility | str) -> None:
        """Set who may read a file by its `url`.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: It is neither ``"public"`` nor ``"private"``.
            UnsupportedOperationException: The driver, or its backend, has no visibility.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            wanted = Visibility(visibility)
            resolved = self._ready() or await self._load()
            resolved.check_writable()
            methods = resolved.require("visibility")
            if (hooks := self._manager.hooks.active) is None:
                await methods.set_visibility(checked, wanted)
                return
            async with self._operation(
                hooks, "update", "set_visibility", checked, resolved, options={"visibility": wanted}
            ):
                await methods.set_visibility(checked, wanted)
        except Exception as error:
            self._fail(error, "set_visibility", path)

    def url(self, path: str) -> str:
        """Return the percent-encoded URL of a file, which need not exist.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The disk has no URLs.
        """
        try:
            return self._resolved().methods.url(check_path(path))
        except Exception as error:
            self._fail(error, "url", path)

    def path(self, path: str) -> str:
        """Return a file's place in the backend: an absolute file name, or a URI.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The disk has no such places.
        """
        try:
            return self._resolved().methods.path(check_path(path))
        except Exception as error:
            self._fail(error, "path", path)

    async def temporary_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
        stable_for: float | timedelta | None = None,
    ) -> str:
        """Return a presigned URL, which reads a file without credentials until it expires.

        Args:
            path: The file; it need not exist yet.
            expires_in: Seconds until it expires, or a `timedelta`.
            content_disposition: The header of that name in the response.
            content_type: The header of that name in the response.
            stable_for: Seconds, or a `timedelta`: all URLs of a file that are made within one
                period of this length are the same, so that browsers and CDNs cache the response.
                Each is valid for at least `expires_in`, and at most one period longer.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: A time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver cannot sign URLs, or not with this option.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            sign, options = _signing(
                self._ready() or await self._load(),
                expires_in,
                content_disposition,
                content_type,
                stable_for,
            )
            return await sign(checked, options)
        except Exception as error:
            self._fail(error, "temporary_url", path)

    async def temporary_urls(
        self,
        paths: Iterable[str],
        expires_in: float | timedelta,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
        stable_for: float | timedelta | None = None,
    ) -> dict[str, str]:
        """Return a presigned URL for each of several files, such as those of a page.

        Args:
            paths: The files.
            expires_in: As for `temporary_url`, like the other options.
            content_disposition: The header of that name in the responses.
            content_type: The header of that name in the responses.
            stable_for: As for `temporary_url`.

        Returns:
            The URLs by the paths as they were passed.

        Raises:
            StorageException: As for `temporary_url`; then none is returned.
            TypeError: It is one path, not several.
        """
        if isinstance(paths, str):
            raise TypeError("temporary_urls() takes an iterable of paths, not one path")
        given = list(paths)
        checked: dict[str, str] = {}
        urls: dict[str, str] = {}
        path: str | None = None
        try:
            for path in given:
                checked[path] = check_path(path)
            path = None
            sign, options = _signing(
                self._ready() or await self._load(),
                expires_in,
                content_disposition,
                content_type,
                stable_for,
            )
            for path, key in checked.items():
                urls[path] = await sign(key, options)
        except Exception as error:
            self._fail(error, "temporary_urls", path)
        return urls

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a presigned PUT request, which stores a file without credentials until it expires.

        Args:
            path: The file.
            expires_in: Seconds until it expires, or a `timedelta`.
            content_type: The type that the request must declare, and the file then has.
            size: The length in bytes that the body must have.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver cannot sign requests.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            methods = (self._ready() or await self._load()).require("temporary_uploads")
            options = SignOptions(
                expires_in=_seconds("expires_in", expires_in), content_type=content_type, size=size
            )
            return await methods.temporary_upload_url(checked, options)
        except Exception as error:
            self._fail(error, "temporary_upload_url", path)

    async def temporary_upload_form(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        max_size: int,
        min_size: int | None = None,
        content_type: str | None = None,
    ) -> PresignedForm:
        """Return a presigned form, which uploads a file without credentials until it expires.

        Args:
            path: The file.
            expires_in: Seconds until it expires, or a `timedelta`.
            max_size: The largest length in bytes that the backend accepts.
            min_size: The smallest length in bytes that the backend accepts, such as 1.
            content_type: The type that the form must declare, and the file then has.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time is not above 0, or longer than the backend signs for.
            UnsupportedOperationException: The driver cannot sign forms, or not with this option.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            methods = resolved.require("upload_forms")
            resolved.check_option("temporary_upload_form", "min_size", min_size)
            if max_size is None:  # a form without a limit
                raise TypeError("max_size is a number of bytes, not None")
            options = SignOptions(
                expires_in=_seconds("expires_in", expires_in),
                content_type=content_type,
                min_size=min_size,
                max_size=max_size,
            )
            return await methods.temporary_upload_form(checked, options)
        except Exception as error:
            self._fail(error, "temporary_upload_form", path)


def _signing(
    resolved: ResolvedDriver,
    expires_in: float | timedelta,
    content_disposition: str | None,
    content_type: str | None,
    stable_for: float | timedelta | None,
) -> tuple[Callable[[str, SignOptions], Awaitable[str]], SignOptions]:
    """Return the driver's `temporary_url`, and its options for any number of files."""
    methods = resolved.require("temporary_urls")
    resolved.check_option("temporary_url", "stable_for", stable_for)
    options = SignOptions(
        expires_in=_seconds("expires_in", expires_in),
        content_type=content_type,
        content_disposition=content_disposition,
        stable_for=None if stable_for is None else _seconds("stable_for", stable_for),
    )
    return methods.temporary_url, options


def _seconds(name: str, value: float | timedelta) -> float:
    from datetime import timedelta  # noqa: PLC0415 - imported only where it is used

    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"{name} is seconds or a timedelta, not {type(seconds).__name__}")
    # Comparison, unlike isfinite(), takes an int that is too large for a float.
    if not 0 < seconds <= sys.float_info.max:
        raise ValueError(f"{name} is seconds above 0, not {value!r}")
    return seconds
