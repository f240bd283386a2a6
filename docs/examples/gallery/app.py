"""A gallery: browsers send pictures and videos straight to the storage, and show them from there.

`make web` runs it on a local disk, `make web FILESYSTEM_DISK=s3` on SeaweedFS, with the same
handlers. There is no login: everyone with access may do everything, so it listens on localhost
only.

1. The page gets a presigned form (`POST /api/uploads`), which permits one file until it expires.
2. The browser sends the file with this form: to S3, or to `serve` for the local disk.
3. The page confirms the upload (`POST /api/uploads/done`). The content is checked, and then moved
   to where it is shown from, or deleted.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from jtc.storage import (
    Disk,
    FileInfo,
    InvalidPathException,
    RejectedException,
    Storage,
    StorageException,
)
from jtc.storage.asgi import attachment, disk, serve, storage_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATIC = Path(__file__).parent / "static"
LARGEST = 100_000_000
"""The largest length of a file, in bytes."""

RULES = {
    "max_size": LARGEST,
    "allowed_types": [
        *("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"),
        *("video/mp4", "video/webm"),
    ],
    # The Content-Type that a browser gets follows from the extension.
    "allowed_extensions": ["avif", "gif", "jpeg", "jpg", "mp4", "png", "webm", "webp"],
}
UPLOAD_SECONDS = 3600
"""How long a form is valid. An upload that is not confirmed in twice this time is deleted."""


def configure() -> None:
    """Configure the disk: by the environment, or a local disk that presigns URLs."""
    if os.environ.get("FILESYSTEM_DISK", "local") != "local":
        return
    Storage.configure(
        {
            "default": "gallery",
            "disks": {
                "gallery": {
                    "driver": "local",
                    "root": os.environ.get("FILESYSTEM_ROOT", "storage/gallery"),
                    "base_url": "/storage",
                    # With a fixed secret, links stay valid when the server restarts.
                    "secret": os.environ.get("FILESYSTEM_SECRET") or secrets.token_urlsafe(32),
                }
            },
        }
    )


class Item(BaseModel):
    """A file as the page knows it: the user's name for it, and a token of ours."""

    token: str = Field(pattern="^[0-9a-f]{32}$")
    name: str
    private: bool

    @property
    def path(self) -> str:
        """The path from which the file is shown."""
        return _path("private" if self.private else "public", self)

    @property
    def incoming(self) -> str:
        """The path to which the file is uploaded."""
        return _path("incoming", self)


class NewUpload(BaseModel):
    """A file that a user is about to send."""

    name: str
    private: bool = False


class Link(Item):
    """A private file, and for how many seconds a link to it is valid."""

    seconds: int = Field(ge=1, le=86_400)


Gallery = Annotated[Disk, Depends(disk())]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Delete uploads that were never confirmed; close the storage at the end."""
    async with Storage:
        await sweep(Storage.disk())
        yield


async def sweep(gallery: Disk) -> None:
    """Delete incoming files that are older than any form that is still valid."""
    async for entry in gallery.list("incoming", recursive=True):
        if isinstance(entry, FileInfo) and entry.last_modified < time.time() - 2 * UPLOAD_SECONDS:
            await gallery.delete(entry.path)


configure()
app = FastAPI(title="Gallery", lifespan=lifespan, docs_url=None, redoc_url=None)
app.add_exception_handler(StorageException, storage_problem)


@app.get("/")
async def page(gallery: Gallery) -> FileResponse:
    """Send the page, which may run its own script only, and connect to the storage only."""
    storage = urlsplit(gallery.url("a"))
    origins = f"'self' {storage.scheme}://{storage.netloc}" if storage.netloc else "'self'"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; connect-src {origins}; "
        f"img-src {origins} data:; media-src {origins}"
    )
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": policy})


@app.get("/api/files")
async def files(gallery: Gallery) -> list[dict[str, Any]]:
    """List all files, the newest first."""
    found = [
        entry
        for album in ("public", "private")
        async for entry in gallery.list(album, recursive=True)
        if isinstance(entry, FileInfo)
    ]
    found.sort(key=lambda entry: entry.last_modified, reverse=True)
    return [_shown(entry) for entry in found]


@app.post("/api/uploads")
async def begin(upload: NewUpload, gallery: Gallery) -> dict[str, Any]:
    """Return a presigned form, with which the browser uploads one file."""
    item = Item(token=secrets.token_hex(16), name=upload.name, private=upload.private)
    form = await gallery.temporary_upload_form(
        item.incoming, UPLOAD_SECONDS, min_size=1, max_size=LARGEST
    )
    return {"url": form.url, "fields": form.fields, "token": item.token}


@app.post("/api/uploads/done")
async def done(item: Item, gallery: Gallery) -> dict[str, str]:
    """Check an upload and publish it; delete what is neither a picture nor a video."""
    checked = gallery.with_layer("validate", **RULES)
    try:
        await checked.move(item.incoming, item.path, overwrite=False)
    except RejectedException:
        await gallery.delete(item.incoming)
        raise
    return {"token": item.token}


@app.post("/api/links")
async def link(link: Link, gallery: Gallery) -> dict[str, str]:
    """Return a presigned URL of a private file."""
    await gallery.stat(link.path)
    inline = attachment(link.name, "inline")
    url = await gallery.temporary_url(link.path, link.seconds, content_disposition=inline)
    return {"url": url}


@app.post("/api/deletions", status_code=204)
async def delete(item: Item, gallery: Gallery) -> Response:
    """Delete a file."""
    await gallery.delete(item.path)
    return Response(status_code=204)


def _path(folder: str, item: Item) -> str:
    if "/" in item.name:
        raise InvalidPathException("A file's name must not contain '/'", path=item.name)
    return f"{folder}/{item.token}/{item.name}"


def _shown(entry: FileInfo) -> dict[str, Any]:
    album, token, name = entry.path.split("/")
    private = album == "private"
    return {
        "token": token,
        "name": name,
        "private": private,
        "size": entry.size,
        "video": name.lower().endswith((".mp4", ".webm")),
        "url": None if private else f"/media/{quote(f'{token}/{name}', safe='/')}",
    }


# Public files have one URL each, whose content never changes. Presigned requests to the local disk
# go to /storage; those to S3 go to S3 itself.
app.mount(
    "/media",
    serve(
        Storage.disk().scoped("public").read_only(),
        public=True,
        cache_control="private, max-age=86400, immutable",
    ),
)
app.mount("/storage", serve(Storage.disk(), max_upload_size=LARGEST))
app.mount("/static", StaticFiles(directory=STATIC))
