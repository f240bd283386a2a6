"""An API for user uploads: FastAPI's `UploadFile` goes straight into `put`.

Run it with `uvicorn upload_api:app` in this folder, where `jtc-storage[local,web]`, `fastapi`,
`python-multipart` and `uvicorn` are installed.
"""

from typing import Any

from fastapi import FastAPI, Request, UploadFile

from jtc.storage import Storage, StorageException
from jtc.storage.asgi import DiskResponse, closing_disks, put_request, serve, storage_problem

app = FastAPI(lifespan=closing_disks())
app.add_exception_handler(StorageException, storage_problem)
app.mount("/storage", serve(Storage))  # where the URLs of the local disk lead


@app.post("/upload")
async def upload_file(file: UploadFile) -> dict[str, Any]:
    """Store a user upload: whole or not at all, and under a generated name.

    Under the client's name for it, one client could replace another one's file.
    """
    path = await Storage.put_file("uploads", file, max_size=10_000_000, visibility="public")
    return {"message": "File uploaded", "path": path, "url": Storage.url(path)}


@app.post("/avatars")
async def upload_avatar(file: UploadFile) -> dict[str, Any]:
    """Store a picture under a generated name; other content is refused."""
    path = await Storage.put_file(
        "avatars",
        file,
        max_size=1_000_000,
        allowed_types=["image/png", "image/jpeg"],
        visibility="public",
    )
    return {"path": path, "url": Storage.url(path)}


@app.put("/raw/{name}")
async def upload_raw(name: str, request: Request) -> dict[str, Any]:
    """Store the body of a request in constant memory: whole or not at all."""
    return {"path": await put_request(Storage, f"raw/{name}", request, max_size=1_000_000_000)}


@app.get("/files/{path:path}", response_model=None)
async def download(path: str) -> DiskResponse:
    """Send a file, or the range of it that a download or a player requests."""
    return DiskResponse(Storage, path)
