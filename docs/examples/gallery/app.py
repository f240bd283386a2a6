"""A gallery: pictures and videos go from the browser straight to the storage and are shown from it.

`make web` runs it on a local disk, `make web FILESYSTEM_DISK=s3` on SeaweedFS: no handler knows
which. It has no log-in, so whoever reaches it may do everything: it listens on this machine only.

1. The page asks for a form (`POST /api/uploads`), which permits one file for some time.
2. The browser sends the file with it: to S3 itself, or to the local disk that `serve` answers for.
3. The page says so (`POST /api/uploads/done`). Now the content is looked at, and moved to where it
   is shown from, or thrown away.
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
"""Bytes of one file."""

RULES = {
    "max_size": LARGEST,
    "allowed_types": [
        *("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"),
        *("video/mp4", "video/webm"),
    ],
    # Without one, the storage could not say what a browser should take the file for.
    "allowed_extensions": ["avif", "gif", "jpeg", "jpg", "mp4", "png", "webm", "webp"],
}
UPLOAD_SECONDS = 3600
"""How long a form is good for; what was sent by then and never confirmed is swept away."""


def configure() -> None:
    """Say which disk it is: the one that the environment names, else a local one that signs."""
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
                    # Links of before a restart are good for as long as the secret stays the same.
                    "secret": os.environ.get("FILESYSTEM_SECRET") or secrets.token_urlsafe(32),
                }
            },
        }
    )


class Item(BaseModel):
    """What the page knows of a file: the name is its user's, the token ours."""

    token: str = Field(pattern="^[0-9a-f]{32}$")
    name: str
    private: bool

    @property
    def path(self) -> str:
        """Where the file is shown from."""
        return _path("private" if self.private else "public", self)

    @property
    def incoming(self) -> str:
        """Where the file is sent to."""
        return _path("incoming", self)


class Wish(BaseModel):
    """A file that somebody wants to send."""

    name: str
    private: bool = False


class Link(Item):
    """A private file to be had for some time."""

    seconds: int = Field(ge=1, le=86_400)


Gallery = Annotated[Disk, Depends(disk())]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Throw away what was sent and never confirmed; close the storage at the end."""
    async with Storage:
        await sweep(Storage.disk())
        yield


async def sweep(gallery: Disk) -> None:
    """Delete incoming files that are older than the forms that they came by."""
    async for entry in gallery.list("incoming", recursive=True):
        if isinstance(entry, FileInfo) and entry.last_modified < time.time() - 2 * UPLOAD_SECONDS:
            await gallery.delete(entry.path)


configure()
app = FastAPI(title="Gallery", lifespan=lifespan, docs_url=None, redoc_url=None)
app.add_exception_handler(StorageException, storage_problem)


@app.get("/")
async def page(gallery: Gallery) -> FileResponse:
    """Send the page. It runs its own script only, and talks to this site and the storage only."""
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
    """List what there is, the newest first."""
    found = [
        entry
        for album in ("public", "private")
        async for entry in gallery.list(album, recursive=True)
        if isinstance(entry, FileInfo)
    ]
    found.sort(key=lambda entry: entry.last_modified, reverse=True)
    return [_shown(entry) for entry in found]


@app.post("/api/uploads")
async def begin(wish: Wish, gallery: Gallery) -> dict[str, Any]:
    """Permit one upload: a form for the browser to send to the storage."""
    item = Item(token=secrets.token_hex(16), name=wish.name, private=wish.private)
    form = await gallery.temporary_upload_form(item.incoming, UPLOAD_SECONDS, max_size=LARGEST)
    return {"url": form.url, "fields": form.fields, "token": item.token}


@app.post("/api/uploads/done")
async def done(item: Item, gallery: Gallery) -> dict[str, str]:
    """Look at what was sent, and show it from now on; what is no picture or video goes away."""
    looking = gallery.with_layer("validate", **RULES)
    try:
        await looking.move(item.incoming, item.path, overwrite=False)
    except RejectedException:
        await gallery.delete(item.incoming)
        raise
    return {"token": item.token}


@app.post("/api/links")
async def link(wanted: Link, gallery: Gallery) -> dict[str, str]:
    """Return an address by which a file can be had for some time."""
    await gallery.stat(wanted.path)
    shown = attachment(wanted.name, "inline")
    url = await gallery.temporary_url(wanted.path, wanted.seconds, content_disposition=shown)
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


# Everybody's files, always the same under one address; and what was signed, on the local disk.
# S3 answers for its own signed addresses, so that there is nothing to serve.
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
