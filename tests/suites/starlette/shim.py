"""Starlette's `StaticFiles` and `FileResponse` with their arguments, over a local disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from jtc.storage import Disk, StorageManager
from jtc.storage.asgi import DiskResponse, serve
from jtc.storage.drivers.local_driver import LocalDriver

__all__ = ["FileResponse", "StaticFiles"]


def disk_of(root: Any) -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(os.fspath(root)), "files")
    return manager.disk("files")


class StaticFiles:
    """`serve`, which raises its errors for the application to answer, as theirs does."""

    def __init__(self, *, directory: Any, html: bool = False, **_: Any) -> None:
        self._app = serve(disk_of(directory), public=True, html=html, active=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_or_raise(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = Headers(raw=message["headers"])
                if "etag" not in headers:  # and otherwise it is their page of a 404
                    allowed = {"Allow": headers["allow"]} if "allow" in headers else None
                    raise HTTPException(message["status"], headers=allowed)
            await send(message)

        await self._app(scope, receive, send_or_raise)


class FileResponse(DiskResponse):
    """`DiskResponse` of a file of the machine."""

    chunk_size = 65_536
    max_ranges = 100

    def __init__(self, path: Any, status_code: int = 200, **options: Any) -> None:
        file = Path(path)
        options.pop("stat_result", None)
        super().__init__(disk_of(file.parent), file.name, status_code=status_code, **options)
