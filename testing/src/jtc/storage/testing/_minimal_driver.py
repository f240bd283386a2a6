"""`PlainDriver`: the smallest driver, for tests of copies to another disk."""

from __future__ import annotations

import time
from typing import BinaryIO

__all__ = ["PlainDriver"]


class PlainDriver:
    """The eight methods over a dict."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        if isinstance(content, str):
            content = content.encode()
        data = content if isinstance(content, bytes) else content.read()
        self._files[path] = data, time.time()
        return path

    async def get(self, path: str, /) -> bytes:
        return self._file(path)[0]

    async def exists(self, path: str, /) -> bool:
        return path in self._files

    async def delete(self, path: str, /) -> bool:
        return self._files.pop(path, None) is not None

    async def size(self, path: str, /) -> int:
        return len(self._file(path)[0])

    async def last_modified(self, path: str, /) -> float:
        return self._file(path)[1]

    def url(self, path: str, /) -> str:
        return f"plain://{path}"

    def path(self, path: str, /) -> str:
        return path

    def _file(self, path: str) -> tuple[bytes, float]:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None
