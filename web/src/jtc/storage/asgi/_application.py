"""A disk as an ASGI application: public files for everybody, all others by signed addresses."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from jtc.storage.asgi._errors import answer_error, answer_nobody, send_head, send_plain
from jtc.storage.asgi._forms import FormError
from jtc.storage.asgi._responses import DiskResponse
from jtc.storage.asgi._uploads import RefusedError, receive_form, receive_put
from jtc.storage.driver_support.url_signing import Signer, needed
from jtc.storage.exceptions import FileNotFoundException, StorageException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from jtc.storage import DiskOperations

__all__ = ["ServedDisk", "serve"]

_SIGNED = re.compile(r"(^|&)signature=")
_LARGEST_UPLOAD = 5 * 1024**3
"""That of one PUT on S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


class ServedDisk:
    """The application that `serve` makes.

    Args:
        disk: As for `serve`.
        public: As for `serve`.
        active: As for `serve`.
        cache_control: As for `serve`.
        max_upload_size: As for `serve`.
    """

    def __init__(
        self,
        disk: DiskOperations,
        *,
        public: bool,
        active: bool,
        cache_control: str | None,
        max_upload_size: int,
    ) -> None:
        self._disk = disk
        self._public = public
        self._active = active
        self._cache_control = cache_control
        self._max_upload_size = max_upload_size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._disk!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            StorageException: The disk is configured wrongly, or the storage failed half-way.
        """
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"Files are served over HTTP, not {scope['type']!r}")
        method = scope["method"]
        try:
            if method in ("GET", "HEAD"):
                response = self._response(_path(scope), scope)
            else:
                await self._upload(method, scope, receive, send)
                return
        except RefusedError as refused:
            await send_plain(refused.status, method, send, refused.headers)
        except FormError:
            await send_plain(HTTPStatus.BAD_REQUEST, method, send)
        except ClientDisconnect:
            await answer_nobody(method, send)  # amid an upload, of which nothing stays
        except StorageException as error:
            await answer_error(error, method, send)
        else:
            await response(scope, receive, send)

    async def _upload(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        match method:
            case "PUT" if self._may("temporary_uploads"):
                grant = self._signer().verify_query("PUT", self._disk.url(path), _query(scope))
                request = Request(scope, receive)
                await receive_put(self._disk, path, grant, request, self._max_upload_size)
                status = HTTPStatus.OK  # as S3 answers, here and below
            case "POST" if self._may("upload_forms"):
                await receive_form(self._disk, path, self._signer(), Request(scope, receive))
                status = HTTPStatus.NO_CONTENT
            case _:
                raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, {"allow": self._allowed()})
        headers = {} if status == HTTPStatus.NO_CONTENT else {"content-length": "0"}
        await send_head(status, headers, send)
        await send({"type": "http.response.body", "body": b""})

    def _response(self, path: str, scope: Scope) -> DiskResponse:
        query = _query(scope)
        response = DiskResponse(
            self._disk, path, cache_control=self._cache_control, active=self._active
        )
        if not _SIGNED.search(query):
            response.public_only = not self._public
            return response
        if not self._may("temporary_urls"):
            raise RefusedError(HTTPStatus.FORBIDDEN)
        grant = self._signer().verify_query("GET", self._disk.url(path), query)
        response.media_type = grant.content_type
        response.content_disposition = grant.content_disposition
        # Nobody in between shall keep it for others, or for longer than the signature lasts.
        response.cache_control = "private, no-cache"
        return response

    def _may(self, capability: str) -> bool:
        return _signer_of(self._disk) is not None and capability in self._disk.capabilities

    def _signer(self) -> Signer:
        return needed(_signer_of(self._disk))

    def _allowed(self) -> str:
        methods = ["GET", "HEAD"]
        if self._may("temporary_uploads"):
            methods.append("PUT")
        if self._may("upload_forms"):
            methods.append("POST")
        return ", ".join(methods)


def serve(
    disk: DiskOperations,
    *,
    public: bool = False,
    active: bool = False,
    cache_control: str | None = None,
    max_upload_size: int = _LARGEST_UPLOAD,
) -> ServedDisk:
    """Serve a disk's files below the path where the application is mounted.

    Without a signature, who asks gets files of the visibility ``"public"``; all others are not
    there for them. Signed addresses, which the disk's `temporary_url`, `temporary_upload_url` and
    `temporary_upload_form` give, read and write one file each. For that the disk's `base_url` is
    the address where this application is mounted.

    Args:
        disk: The disk, a view of one, or `Storage` for the default disk.
        public: Serve every file to everybody, whatever its visibility, as Starlette's `StaticFiles`
            does.
        active: Let browsers run what they can run (HTML, SVG, XML, JavaScript) from this address,
            with all rights that it has: for files that only you write. Else they save it.
        cache_control: The header of that name for files without one of their own; signed addresses
            excepted.
        max_upload_size: The most bytes of a signed PUT that was signed without a size.

    Returns:
        An ASGI application: ``app.mount("/storage", serve(Storage.disk("media")))``.
    """
    return ServedDisk(
        disk,
        public=public,
        active=active,
        cache_control=cache_control,
        max_upload_size=max_upload_size,
    )


def _path(scope: Scope) -> str:
    """Return the path of the file that a request names.

    Raises:
        FileNotFoundException: It names none, but a directory.
        InvalidPathException: It breaks the path policy, or does so less one ``/``.
    """
    path: str = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    # Starlette leaves the mount's path before it; others take it off.
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    path = path.removeprefix("/")
    if not path or path.endswith("/"):
        raise FileNotFoundException("No file has such an address")
    # check_path() drops a "/": here that one is gone already, and one file has one address.
    return check_path(f"/{path}")


def _query(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return query.decode("latin-1")


def _signer_of(disk: DiskOperations) -> Signer | None:
    driver: Any = disk.driver
    while driver is not None:
        signer = getattr(driver, "signer", None)
        if isinstance(signer, Signer):
            return signer
        driver = getattr(driver, "inner", None)
    return None
