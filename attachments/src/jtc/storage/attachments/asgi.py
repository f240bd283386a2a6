"""The application that the URLs of attachments lead to; it needs the extra ``web``.

It verifies each URL before it asks a disk for anything. Then it redirects to a presigned URL of a
store that has such, or sends the file itself. A variant that is not there yet is made now.
"""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from jtc.storage.asgi import DiskResponse, attachment, storage_problem
from jtc.storage.attachments._flights import BusyError
from jtc.storage.attachments._variants import VariantMaker, find_original, maker_of, use_maker
from jtc.storage.driver_support.mime_types import guess_type, is_active
from jtc.storage.driver_support.url_signing import UrlSigner
from jtc.storage.exceptions import (
    FileNotFoundException,
    RejectedException,
    StorageException,
    StoragePermissionException,
)
from jtc.storage.layer import layers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from jtc.storage import Disk
    from jtc.storage.attachments._urls import SignedUrl
    from jtc.storage.attachments.registry import Registry

__all__ = ["AttachmentRoute", "Delivery", "route"]

Delivery: TypeAlias = Literal["auto", "redirect", "stream"]
"""How files reach the client.

``"redirect"`` sends it to a presigned URL of the disk, ``"stream"`` sends the file through this
application, and ``"auto"`` redirects to stores with URLs of their own, such as S3.
"""

_YEAR = 31_536_000
_NO_STORE = "no-store"
_SHOWN = ("image/", "video/", "audio/", "text/plain", "application/pdf")
"""Types that a browser shows and does not run; others are saved."""

_PLACEHOLDER = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""A PNG of one grey pixel: the route has no row, and so no thumbhash."""


def route(
    registry: Registry,
    *,
    delivery: Delivery = "auto",
    public: bool = False,
    wait: float = 10.0,
    redirect_lifetime: float = 900.0,
    making: int = 4,
    queue: int = 100,
    remember_failures: float = 300.0,
) -> AttachmentRoute:
    """Return the application that serves a registry's attachments.

    Mount it where the registry's `base_url` leads. Of several routes of one registry, the limits of
    the last one hold.

    Args:
        registry: The registry.
        delivery: See `Delivery`.
        public: Whether caches that clients share, such as a CDN, may keep files too. They keep
            those of deleted records as well. URLs that expire are never kept there.
        wait: For how many seconds a request waits for a variant that is being made. Then it gets
            a 503, or what the field's `while_missing` says.
        redirect_lifetime: For how many seconds a presigned URL works at least. Browsers remember a
            redirect for half of them.
        making: How many variants are made at the same time in each process.
        queue: How many more may wait to be made. Beyond that, requests for missing variants get a
            503.
        remember_failures: For how many seconds a variant is not tried again that could not be made.

    Returns:
        An ASGI application: ``app.mount("/attachments", route(registry))``.
    """
    use_maker(registry, VariantMaker(most=making, queue=queue, remember=remember_failures))
    return AttachmentRoute(
        registry, delivery=delivery, public=public, wait=wait, redirect_lifetime=redirect_lifetime
    )


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be sent.

    Attributes:
        url: The meaning of the request's URL.
        name: The name of the file in the attachment's directory.
        content_type: Its MIME type; None is what the disk says.
        caching: The Cache-Control of the response.
        is_final: Whether there is nothing to be made where it is missing.
    """

    url: SignedUrl
    name: str
    content_type: str | None
    caching: str
    is_final: bool = False

    @property
    def disposition(self) -> str | None:
        """The Content-Disposition; None lets the browser show the file."""
        if self.url.download is not None:
            return attachment(self.url.download)
        known = self.content_type or guess_type(self.name)
        if is_active(known) or not known.startswith(_SHOWN):
            return attachment(self.name)
        return None


class AttachmentRoute:
    """The application that `route` makes.

    Args:
        registry: As for `route`.
        delivery: As for `route`.
        public: As for `route`.
        wait: As for `route`.
        redirect_lifetime: As for `route`.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        delivery: Delivery,
        public: bool,
        wait: float,
        redirect_lifetime: float,
    ) -> None:
        if delivery not in ("auto", "redirect", "stream"):
            raise ValueError(f"delivery is 'auto', 'redirect' or 'stream', not {delivery!r}")
        self._registry = registry
        self._delivery = delivery
        self._public = public
        self._wait = wait
        self._redirect_lifetime = redirect_lifetime

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._registry!r}>"

    # Any: each framework has types of its own for the same three.
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to one request.

        Raises:
            StorageException: The storage failed after the response began.
        """
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"Attachments are served over HTTP, not over {scope['type']!r}")
        if "app" not in scope:
            scope = {**scope, "app": self}  # for the log, which counts by application
        if scope["method"] not in ("GET", "HEAD"):
            response = _status(HTTPStatus.METHOD_NOT_ALLOWED, allow="GET, HEAD")
            await response(scope, receive, send)
            return
        query: bytes = scope["query_string"]
        try:
            url = self._registry.verify(scope["path"], query.decode("latin-1"))
        except StoragePermissionException:
            await _status(HTTPStatus.FORBIDDEN)(scope, receive, send)
            return
        file = _File(url, url.file, _type_of(url), self._caching(url))
        await self._send(file, url.field.places, scope, receive, send)

    def _caching(self, url: SignedUrl) -> str:
        if url.expires is not None:
            return f"private, max-age={max(0, int(url.expires - time.time()))}"
        return f"{'public' if self._public else 'private'}, max-age={_YEAR}, immutable"

    async def _send(
        self,
        file: _File,
        places: Sequence[tuple[str, str]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send a file from the first of several places that has it; else make it, if it can be."""
        if not places:
            response = await self._missing(file, scope)
            await response(scope, receive, send)
            return
        (disk_name, directory), *others = places
        disk = self._registry.disk(disk_name)
        path = f"{directory}/{file.url.id}/{file.name}"

        async def otherwise(scope: Scope, receive: Receive, send: Send) -> None:
            await self._send(file, others, scope, receive, send)

        app: ASGIApp = otherwise
        try:
            if not self._redirects(disk, scope["method"]):
                app = _disk_response(disk, path, file, otherwise)
            # Where nothing else can be done, the store itself says that the file is missing.
            elif (not others and file.url.variant is None) or await disk.exists(path):
                app = await self._redirect(disk, path, file)
        except StorageException as error:
            app = _problem(error, scope)
        await app(scope, receive, send)

    def _redirects(self, disk: Disk, method: str) -> bool:
        # A presigned URL is for GET only.
        if self._delivery == "stream" or method != "GET":
            return False
        if "temporary_urls" not in disk.capabilities:
            return False
        return self._delivery == "redirect" or not any(
            isinstance(getattr(driver, "signer", None), UrlSigner)
            for driver in layers_of(disk.driver)
        )

    async def _redirect(self, disk: Disk, path: str, file: _File) -> ASGIApp:
        lifetime = self._redirect_lifetime
        stable = disk.capabilities.supports("temporary_url", "stable_for")
        url = await disk.temporary_url(
            path,
            lifetime,
            content_disposition=file.disposition,
            content_type=file.content_type,
            stable_for=lifetime if stable else None,
        )
        remembered = int(lifetime / 2)
        if file.url.expires is not None:
            remembered = max(0, min(remembered, int(file.url.expires - time.time())))
        caching = _NO_STORE if file.caching == _NO_STORE else f"private, max-age={remembered}"
        return RedirectResponse(url, HTTPStatus.FOUND, {"cache-control": caching})

    async def _missing(self, file: _File, scope: Scope) -> ASGIApp:
        """Return the response for a file that no place has: of a variant, once it was made."""
        url = file.url
        field, variant = url.field, url.variant
        if file.is_final or variant is None or variant not in field.variants:
            return _status(HTTPStatus.NOT_FOUND)
        try:
            return await self._made(file, variant)
        except (RejectedException, BusyError) as error:
            if field.while_missing == "placeholder":
                return Response(
                    _PLACEHOLDER, media_type="image/png", headers={"cache-control": _NO_STORE}
                )
            if field.while_missing == "original":
                return self._original(url)
            if isinstance(error, RejectedException):
                return _status(HTTPStatus.NOT_FOUND)
            return _problem(error, scope)
        except StorageException as error:
            return _problem(error, scope)

    async def _made(self, file: _File, variant: str) -> ASGIApp:
        """Make a variant, or wait for it.

        Raises:
            BusyError: It takes too long, or others make it and the field does not wait for them.
        """
        field = file.url.field
        making, begun = maker_of(self._registry).begin(field, file.url.id, variant)
        try:
            waits = begun or field.while_missing == "wait"
            async with asyncio.timeout(self._wait if waits else 0):
                original, made = await making
        except TimeoutError as error:
            if isinstance(error, StorageException):
                raise
            raise BusyError("The variant is being made") from None
        # A URL of a former recipe leads to what the current one makes, but not forever.
        caching = file.caching if made.file == file.name else _NO_STORE
        now = _File(file.url, made.file, made.content_type, caching, is_final=True)
        return self._app(now, [(original.disk, original.directory)])

    def _original(self, url: SignedUrl) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                found = await find_original(url.field, url.id)
            except StorageException as error:
                await _problem(error, scope)(scope, receive, send)
                return
            original = replace(url, file=found.file, variant=None)
            file = _File(original, found.file, None, _NO_STORE)
            await self._send(file, [(found.disk, found.directory)], scope, receive, send)

        return app

    def _app(self, file: _File, places: Sequence[tuple[str, str]]) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._send(file, places, scope, receive, send)

        return app


def _type_of(url: SignedUrl) -> str | None:
    """Return the MIME type of a variant; None of an original, and of a former recipe's variant."""
    recipe = None if url.variant is None else url.field.variants.get(url.variant)
    return None if recipe is None or recipe.fingerprint != url.recipe else recipe.content_type


def _disk_response(disk: Disk, path: str, file: _File, otherwise: ASGIApp) -> DiskResponse:
    headers = {"cache-control": file.caching}
    if file.disposition is not None:
        headers["content-disposition"] = file.disposition
    response = DiskResponse(disk, path, media_type=file.content_type, headers=headers)
    response.otherwise = otherwise
    return response


def _status(status: HTTPStatus, **headers: str) -> Response:
    """Return a response with a status and its name."""
    return PlainTextResponse(
        f"{status.phrase}\n",
        status,
        {"cache-control": _NO_STORE, "x-content-type-options": "nosniff", **headers},
    )


def _problem(error: StorageException, scope: Scope) -> ASGIApp:
    if isinstance(error, FileNotFoundException):
        return _status(HTTPStatus.NOT_FOUND)
    response: ASGIApp = storage_problem(Request(scope), error)
    return response
