"""Pages of a site: ``index.html`` of a directory, the redirect to it, and ``404.html``."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from jtc.storage.asgi._errors import send_error, status_of
from jtc.storage.asgi._sending import send_head
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from jtc.storage.asgi._responses import DiskResponse

__all__ = ["site_page"]

_INDEX = "index.html"
_MISSING = "404.html"


def site_page(path: str, url_path: str, respond: Callable[[str], DiskResponse]) -> ASGIApp:
    """Return the response to a request for a page: a file, a redirect, or ``404.html``.

    Args:
        path: What the URL names on the disk, without a ``/`` at the beginning.
        url_path: The path of the URL, for the redirect.
        respond: Makes the response with a file of the disk.

    Raises:
        InvalidPathException: The path breaks the path policy.
    """
    missing = respond(_MISSING)
    missing.status_code = HTTPStatus.NOT_FOUND
    is_directory = not path or path.endswith("/")
    index = respond(check_path(f"/{path}{_INDEX}" if is_directory else f"/{path}/{_INDEX}"))
    index.otherwise = missing
    name = url_path.rpartition("/")[2]
    page = _RedirectToIndex(index, name, missing) if name else index
    if is_directory:
        return page
    file = respond(check_path(f"/{path}"))
    file.otherwise = page
    return file


class _RedirectToIndex:
    """A redirect to the URL with a ``/`` at its end, to which links in the page are relative.

    Args:
        index: The page of the directory. There is no redirect without one.
        name: The last part of the URL's path.
        missing: The response where there is no such page.
    """

    def __init__(self, index: DiskResponse, name: str, missing: DiskResponse) -> None:
        self._index = index
        self._name = name
        self._missing = missing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._index.look_up()
        except StorageException as error:
            if status_of(error) == HTTPStatus.NOT_FOUND:
                await self._missing(scope, receive, send)
            else:
                await send_error(error, scope, send)
            return
        query: bytes = scope["query_string"]
        # Relative: a proxy may pass on another URL than the client's.
        location = f"./{quote(self._name)}/" + (f"?{query.decode('latin-1')}" if query else "")
        headers = {"location": location, "content-length": "0"}
        await send_head(HTTPStatus.TEMPORARY_REDIRECT, headers, send)
        await send({"type": "http.response.body", "body": b""})
