"""File upload in an API: FastAPI's `UploadFile` goes straight into `put`.

Run it with `uvicorn upload_api:app` in this folder, where `jtc-storage[local]`, `fastapi`,
`uvicorn` and `python-multipart` are installed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse

from jtc.storage import (
    FileNotFoundException,
    InvalidPathException,
    RejectedException,
    Storage,
    StorageException,
    StorageUnavailableException,
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close what the disks opened when the server stops."""
    async with Storage:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/upload")
async def upload_file(file: UploadFile) -> dict[str, Any]:
    """Store an upload under its own name: read in pieces, whole or not at all."""
    path = await Storage.put(f"uploads/{file.filename}", file, max_size=10_000_000)
    return {"message": "File uploaded", "path": path, "url": Storage.url(path)}


@app.post("/avatars")
async def upload_avatar(file: UploadFile) -> dict[str, Any]:
    """Store a picture under a name of our own; what is no picture is refused."""
    path = await Storage.put_file(
        "avatars", file, max_size=1_000_000, allowed_types=["image/png", "image/jpeg"]
    )
    return {"path": path, "url": Storage.url(path)}


@app.put("/raw/{name}")
async def upload_raw(name: str, request: Request) -> dict[str, Any]:
    """Store a request's body as it comes."""
    return {"path": await Storage.put_file_as("raw", request.stream(), name)}


@app.get("/files/{path:path}")
async def download(path: str) -> StreamingResponse:
    """Send a file; whether there is one is known before the first byte."""
    stream = await Storage.stream(path)
    return StreamingResponse(
        stream,
        media_type="application/octet-stream",
        headers={"content-length": str(stream.info.size)},
    )


@app.exception_handler(StorageException)
async def storage_failed(_: Request, error: StorageException) -> JSONResponse:
    """Say a storage's error in HTTP's terms, without the disk's inner affairs."""
    match error:
        case FileNotFoundException():
            status = 404
        case InvalidPathException():
            status = 400
        case RejectedException(reason="size"):
            status = 413
        case RejectedException():
            status = 415
        case StorageUnavailableException():
            status = 503
        case _:
            status = 500
    return JSONResponse({"detail": error.message}, status_code=status)
