"""WSGI applications: a disk's files, one file, and several applications in one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jtc.storage import asgi
from jtc.storage.asgi._application import LARGEST_UPLOAD
from jtc.storage.asgi._errors import phrase_of, send_status
from jtc.storage.sync import async_disk
from jtc.storage.wsgi._exchange import Exchange, body_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from starlette.types import ASGIApp, Receive, Scope, Send

    from jtc.storage import DiskOperations
    from jtc.storage.asgi import Accelerator
    from jtc.storage.sync import SyncOperations

__all__ = ["DiskResponse", "WsgiApplication", "ZipResponse", "mount", "serve"]

_BLOCK_SIZE = 65_536
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class WsgiApplication:
    """A WSGI application whose responses are those of an ASGI application.

    `serve` makes one, and `DiskResponse` and `ZipResponse` are such applications. Each request is
    answered in the event loop of the sync API. The server's thread waits meanwhile.

    Args:
        app: An application, or a response, of `jtc.storage.asgi`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._app!r}>"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to one request.

        Raises:
            StorageException: The storage failed after the response began.
            RuntimeError: An event loop runs in this thread.
        """
        app, length = self._app, None
        try:
            length = body_length(environ)
        except ValueError:
            app, length = _refuse_body, 0
        exchange = Exchange(app, environ, length)
        head = exchange.head()
        status = head["status"]
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]
        ]
        # PEP 3333's checker wants a type for every response that may have a body.
        if status not in _WITHOUT_CONTENT and all(name != "content-type" for name, _ in headers):
            headers.append(("content-type", "text/plain; charset=utf-8"))
        file = exchange.file()
        start_response(f"{status} {phrase_of(status)}", headers)
        if file is None:
            return exchange
        body: Iterable[bytes] = environ["wsgi.file_wrapper"](file, _BLOCK_SIZE)
        return body


class DiskResponse(WsgiApplication):
    """A response with a file of any disk, for a Flask view to return.

    It is itself a WSGI application, which responds as `jtc.storage.asgi.DiskResponse` does:
    conditions, ranges, statuses of errors, types that a browser may show.

    Args:
        disk: The disk, sync or async.
        path: The file.
        status_code: The HTTP status; with another one than 200, conditions and ranges are ignored.
        filename: The name to save the file under, in any script.
        media_type: The MIME type, in place of the file's own.
        content_disposition_type: ``"attachment"`` or ``"inline"``, for `filename`.
        headers: Further headers, which replace the file's.
        cache_control: The Cache-Control of a file that has none of its own.
        private: Whether the response is for this client only; None asks the disk.
        active: Let a browser run what it can run: for files that only you write.
        accelerate: As for `serve`.

    Raises:
        ValueError: `content_disposition_type` is another one.
        TypeError: `disk` is no disk, or `accelerate` something else.
    """

    def __init__(
        self,
        disk: DiskOperations | SyncOperations[Any],
        path: str,
        *,
        status_code: int = HTTPStatus.OK.value,
        filename: str | None = None,
        media_type: str | None = None,
        content_disposition_type: str = "attachment",
        headers: Mapping[str, str] | None = None,
        cache_control: str | None = None,
        private: bool | None = None,
        active: bool = False,
        accelerate: Accelerator | None = None,
    ) -> None:
        super().__init__(
            asgi.DiskResponse(
                async_disk(disk),
                path,
                status_code=status_code,
                filename=filename,
                media_type=media_type,
                content_disposition_type=content_disposition_type,
                headers=headers,
                cache_control=cache_control,
                private=private,
                active=active,
                accelerate=accelerate,
            )
        )


class ZipResponse(WsgiApplication):
    """A response with many files of a disk as one zip archive, for a Flask view to return.

    It is itself a WSGI application, which responds as `jtc.storage.asgi.ZipResponse` does.

    Args:
        disk: The disk, sync or async.
        files: A directory, whose files are in the archive by their names below it; paths; or paths
            by the names in the archive.
        filename: The name to save the archive under, in any script.
        status_code: The HTTP status.
        headers: Further headers, which replace those of the archive.

    Raises:
        InvalidPathException: A name is not allowed in an archive, or is there twice.
        PathConflictException: A name is a file and a directory.
        TypeError: `disk` is no disk.
    """

    def __init__(
        self,
        disk: DiskOperations | SyncOperations[Any],
        files: str | Iterable[str] | Mapping[str, str],
        *,
        filename: str = "files.zip",
        status_code: int = HTTPStatus.OK.value,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            asgi.ZipResponse(
                async_disk(disk),
                files,
                filename=filename,
                status_code=status_code,
                headers=headers,
            )
        )


def serve(
    disk: DiskOperations | SyncOperations[Any],
    *,
    public: bool = False,
    active: bool = False,
    html: bool = False,
    cache_control: str | None = None,
    max_upload_size: int = LARGEST_UPLOAD,
    accelerate: Accelerator | None = None,
) -> WsgiApplication:
    """Serve a disk's files below the path where the application is mounted.

    Public files, presigned URLs and forms, conditions and ranges: all is as
    `jtc.storage.asgi.serve` describes it.

    Args:
        disk: The disk, a view of one, or `Storage` for the default disk; sync or async.
        public: Serve every file to everyone, whatever its visibility.
        active: Let browsers run what they can run (HTML, SVG, XML, JavaScript) with all rights of
            this site: for files that only you write.
        html: Serve a site: ``index.html`` for a directory, ``404.html`` for what is missing. It
            implies `active`.
        cache_control: The Cache-Control of files that have none of their own; not for presigned
            URLs.
        max_upload_size: The largest length in bytes of a presigned PUT that names no size.
        accelerate: `XAccel` or `XSendfile` of `jtc.storage.asgi`: nginx or Apache in front of this
            application sends the files of a local disk.

    Returns:
        A WSGI application: ``mount(app, {"/storage": serve(Storage.disk("media"))})``.

    Raises:
        TypeError: `disk` is no disk, or `accelerate` something else.
    """
    return WsgiApplication(
        asgi.serve(
            async_disk(disk),
            public=public,
            active=active,
            html=html,
            cache_control=cache_control,
            max_upload_size=max_upload_size,
            accelerate=accelerate,
        )
    )


def mount(app: WSGIApplication, mounted: Mapping[str, WSGIApplication]) -> WSGIApplication:
    """Put applications below paths of another one, such as Flask's or Django's.

    Args:
        app: The application that answers all other paths.
        mounted: The applications by their paths, such as ``"/storage"``. The longest path that
            fits counts.

    Returns:
        A WSGI application, for the server: ``application = mount(flask_app, {...})``, or
        ``application = mount(get_wsgi_application(), {...})`` in Django's ``wsgi.py``.

    Raises:
        ValueError: A path does not begin with ``/``, or ends with one.
    """
    for path in mounted:
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"A path to mount at is like '/storage', not {path!r}")
    longest_first = sorted(mounted.items(), key=lambda item: -len(item[0]))

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.get("PATH_INFO", "")
        for path, other in longest_first:
            if asked == path or asked.startswith(f"{path}/"):
                script = environ.get("SCRIPT_NAME", "") + path
                below = {**environ, "SCRIPT_NAME": script, "PATH_INFO": asked[len(path) :]}
                return other(below, start_response)
        return app(environ, start_response)

    return dispatch


async def _refuse_body(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_status(HTTPStatus.LENGTH_REQUIRED, scope["method"], send)
