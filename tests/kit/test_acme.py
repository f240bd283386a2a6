"""The conformance kit on the smallest driver: eight methods, and everything else derived."""

from __future__ import annotations

import time
from typing import BinaryIO, NoReturn
from urllib.parse import quote

from jtc.storage.testing import DriverConformance


class AcmeDriver:
    """What a third party may write: no import of ours, builtins as errors, paths left to Disk."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}

    async def put(self, path: str, content: bytes | str | BinaryIO) -> str:
        if isinstance(content, str):
            content = content.encode()
        data = content if isinstance(content, bytes) else content.read()
        self._files[path] = data, time.time()
        return path

    async def get(self, path: str) -> bytes:
        return self._file(path)[0]

    async def exists(self, path: str) -> bool:
        return path in self._files

    async def delete(self, path: str) -> bool:
        return self._files.pop(path, None) is not None

    async def size(self, path: str) -> int:
        return len(self._file(path)[0])

    async def last_modified(self, path: str) -> float:
        return self._file(path)[1]

    def url(self, path: str) -> str:
        return f"acme:///{quote(path)}"

    def path(self, path: str) -> str:
        return f"/acme/{path}"

    def _file(self, path: str) -> tuple[bytes, float]:
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path]


class BrokenAcmeDriver(AcmeDriver):
    """Fails as it would without a backend."""

    def __init__(self) -> None:
        self._files = Unreachable()


class Unreachable(dict[str, tuple[bytes, float]]):
    def _fail(self, *_: object) -> NoReturn:
        raise ConnectionError("refused")

    __contains__ = __getitem__ = __setitem__ = pop = _fail


class TestAcmeDriver(DriverConformance):
    stands_alone = False

    async def make_driver(self) -> AcmeDriver:
        return AcmeDriver()

    async def make_failing_driver(self) -> AcmeDriver:
        return BrokenAcmeDriver()
