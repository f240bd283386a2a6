"""The ASGI application that serves a disk: public files to everyone, others by presigned URLs."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from jtc.storage.asgi._arguments import check_accelerate, check_disk
from jtc.storage.asgi._errors import (
    StatusError,
    refused_signatures,
    send_disconnected,
    send_error,
    send_status,
)
from jtc.storage.asgi._forms import FormError
from jtc.storage.asgi._pages import site_page
from jtc.storage.asgi._responses import DiskResponse
from jtc.storage.asgi._sending import send_head
from jtc.storage.asgi._uploads import receive_form, receive_put
from jtc.storage.driver_support.url_signing import UrlSigner, require_signer
from jtc.storage.exceptions import FileNotFoundException, StorageException
from jtc.storage.layer import layers_of
from jtc.storage.paths import check_path, is_reserved

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from jtc.storage import DiskOperations
    from jtc.storage.asgi._acceleration import Accelerator
    from jtc.storage.driver_support.url_signing import Grant

__all__ = ["ServedDisk", "serve"]

_SIGNED = re.compile(r"(^|&)signature=")
LARGEST_UPLOAD = 5 * 1024**3
"""The limit of one PUT on S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


class ServedDisk:
    """The application that `serve` makes.

    Args:
        disk: As for `serve`.
        public: As for `serve`.
        active: As for `serve`.
        html: As for `serve`.
        cache_control: As for `serve`.
        max_upload_size: As for `serve`.
        accelerate: As for `serve`.
    """

    def __init__(
        self,
        disk: DiskOperations,
        *,
        public: bool,
        active: bool,
        html: bool,
        cache_control: str | None,
        max_upload_size: int,
        accelerate: Accelerator | None,
    ) -> None:
        check_disk(disk)
        check_accelerate(accelerate)
        self._disk = disk
        self._public = public
        self._active = active or html
        self._html = html
        self._cache_control = cache_control
        self._max_upload_size = max_upload_size
        self._accelerate = accelerate

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._disk!r}>"

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
            raise RuntimeError(f"Files are served over HTTP, not over {scope['type']!r}")
        if "app" not in scope:
            scope = {**scope, "app": self}  # for the log, which counts by application
        method = scope["method"]
        try:
            if method in ("GET", "HEAD"):
                response = self._response(scope)
            else:
                await self._upload(method, scope, receive, send)
                return
        except StatusError as error:
            await send_status(error.status, method, send, error.headers)
        except FormError:
            await send_status(HTTPStatus.BAD_REQUEST, method, send)
        except ClientDisconnect:
            await send_disconnected(method, send)  # during an upload, which stored nothing
        except StorageException as error:
            await send_error(error, scope, send)
        else:
            await response(scope, receive, send)

    async def _upload(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        request = Request(scope, receive)
        match method:
            case "PUT" if self._signs("temporary_uploads"):
                grant = self._grant("PUT", path, _query(scope))
                await receive_put(self._disk, path, grant, request, self._max_upload_size)
                # The statuses of S3, here and below.
                await send_head(HTTPStatus.OK, {"content-length": "0"}, send)
            case "POST" if self._signs("upload_forms"):
                await receive_form(self._disk, path, self._signer(), request)
                await send_head(HTTPStatus.NO_CONTENT, {}, send)
            case _:
                raise StatusError(HTTPStatus.METHOD_NOT_ALLOWED, {"allow": self._allowed()})
        await send({"type": "http.response.body", "body": b""})

    def _response(self, scope: Scope) -> ASGIApp:
        query = _query(scope)
        if _SIGNED.search(query):
            return self._signed(_path(scope), query)
        if self._html and not is_reserved(name := _name(scope)):
            return site_page(name, scope["path"], self._unsigned)
        return self._unsigned(_path(scope))

    def _unsigned(self, path: str) -> DiskResponse:
        response = DiskResponse(
            self._disk,
            path,
            cache_control=self._cache_control,
            private=False,  # every client gets the same
            active=self._active,
            accelerate=self._accelerate,
        )
        response.public_only = not self._public
        return response

    def _signed(self, path: str, query: str) -> DiskResponse:
        if not self._signs("temporary_urls"):
            raise StatusError(HTTPStatus.FORBIDDEN)
        grant = self._grant("GET", path, query)
        response = DiskResponse(
            self._disk,
            path,
            media_type=grant.content_type,
            active=self._active,
            accelerate=self._accelerate,
        )
        response.content_disposition = grant.content_disposition
        response.expires = grant.expires
        return response

    def _grant(self, method: str, path: str, query: str) -> Grant:
        url = self._disk.url(path)
        with refused_signatures():
            return self._signer().verify_query(method, url, query)

    def _signs(self, capability: str) -> bool:
        return _signer_of(self._disk) is not None and capability in self._disk.capabilities

    def _signer(self) -> UrlSigner:
        return require_signer(_signer_of(self._disk))

    def _allowed(self) -> str:
        methods = ["GET", "HEAD"]
        if self._signs("temporary_uploads"):
            methods.append("PUT")
        if self._signs("upload_forms"):
            methods.append("POST")
        return ", ".join(methods)


def serve(
    disk: DiskOperations,
    *,
    public: bool = False,
    active: bool = False,
    html: bool = False,
    cache_control: str | None = None,
    max_upload_size: int = LARGEST_UPLOAD,
    accelerate: Accelerator | None = None,
) -> ServedDisk:
    """Serve a disk's files below the path where the application is mounted.

    A request without a signature gets files with the visibility ``"public"``, and 404 for all
    others. Presigned URLs and forms, from the disk's `temporary_url`, `temporary_upload_url` and
    `temporary_upload_form`, read or write one file each. They need a disk whose `base_url` is the
    URL under which this application is mounted, and whose `secret` is set.

    Args:
        disk: The disk, a view of one, or `Storage` for the default disk.
        public: Serve every file to everyone, whatever its visibility, as Starlette's `StaticFiles`
            does.
        active: Let browsers run what they can run (HTML, SVG, XML, JavaScript) with all rights of
            this site: for files that only you write. Otherwise browsers save such files.
        html: Serve a site, as Starlette's `StaticFiles` does: ``index.html`` for the URL of a
            directory, with a redirect to the ``/`` at its end, and ``404.html`` for what is
            missing. It implies `active`.
        cache_control: The Cache-Control of files that have none of their own; not for presigned
            URLs.
        max_upload_size: The largest length in bytes of a presigned PUT that names no size.
        accelerate: `XAccel` or `XSendfile`: nginx or Apache in front of this application sends the
            files of a local disk, after visibility, signature and conditions were checked here.

    Returns:
        An ASGI application: ``app.mount("/storage", serve(Storage.disk("media")))``.

    Raises:
        TypeError: `disk` is no disk, or `accelerate` something else.
    """
    return ServedDisk(
        disk,
        public=public,
        active=active,
        html=html,
        cache_control=cache_control,
        max_upload_size=max_upload_size,
        accelerate=accelerate,
    )


def _name(scope: Scope) -> str:
    """Return what a request names, relative to the mount; ``""`` is the root of the disk."""
    path: str = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    # Starlette leaves the mount's path at the beginning; other frameworks remove it.
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path.removeprefix("/")


def _path(scope: Scope) -> str:
    """Return the path of the file that a request names.

    Raises:
        FileNotFoundException: It names a directory, or a file of the library itself.
        InvalidPathException: It breaks the path policy.
    """
    path = _name(scope)
    if not path or path.endswith("/") or is_reserved(path):
        raise FileNotFoundException("No file has such a URL")
    # check_path() drops one "/", which is gone already: a file must not have a second URL.
    return check_path(f"/{path}")


def _query(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return query.decode("latin-1")


def _signer_of(disk: DiskOperations) -> UrlSigner | None:
    for driver in layers_of(disk.driver):
        signer = getattr(driver, "signer", None)
        if isinstance(signer, UrlSigner):
            return signer
    return None
