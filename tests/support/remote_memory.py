"""A small server of a dict, and drivers that reach it over TCP; some of them with a fault."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socketserver
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from jtc.storage.driver_support.loop_clients import LoopClients

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RemoteMemory", "RemoteMemoryDriver"]

_LENGTH = struct.Struct("!I")


class RemoteMemory(socketserver.ThreadingTCPServer):
    """Serves files of a dict. A request and its answer are pickles after their lengths."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, tuple[bytes, float]] = {}

    def __enter__(self) -> Self:
        # Its end waits for the next poll, and each of a thousand tests has one.
        threading.Thread(target=self.serve_forever, args=(0.001,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, name: str, path: str, content: bytes) -> Any:
        if name == "put":
            self.files[path] = content, time.time()
            return path
        if name == "delete":
            return self.files.pop(path, None) is not None
        found = self.files.get(path)
        return found is not None if name == "exists" else found


class _Handler(socketserver.StreamRequestHandler):
    server: RemoteMemory

    def handle(self) -> None:
        try:
            while head := self.rfile.read(_LENGTH.size):
                (length,) = _LENGTH.unpack(head)
                request = self.rfile.read(length)
                if len(request) == length:
                    reply = pickle.dumps(self.server.answer(*pickle.loads(request)))
                    self.wfile.write(_LENGTH.pack(len(reply)) + reply)
        except OSError:
            return


class _Pool:
    """Idle connections of one event loop."""

    def __init__(self) -> None:
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.is_open = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.is_open = False
        for _, writer in self.idle:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def discard(self) -> None:
        for _, writer in self.idle:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                writer.transport.abort()


class RemoteMemoryDriver:
    """Keeps idle connections, reconnects, sends requests again, and has a timeout.

    Args:
        host: The server's, or the proxy's before it.
        port: The same.
    """

    attempts = 8
    timeout: float | None = 1.0

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._pools = LoopClients(_Pool, _Pool.discard)

    async def put(self, path: str, content: Any, /) -> str:
        if isinstance(content, str):
            content = content.encode()
        elif not isinstance(content, bytes):
            content = await asyncio.to_thread(content.read)
        stored: str = await self._call("put", path, content)
        return stored

    async def get(self, path: str, /) -> bytes:
        return (await self._found(path))[0]

    async def exists(self, path: str, /) -> bool:
        return bool(await self._call("exists", path))

    async def delete(self, path: str, /) -> bool:
        return bool(await self._call("delete", path))

    async def size(self, path: str, /) -> int:
        return len(await self.get(path))

    async def last_modified(self, path: str, /) -> float:
        return (await self._found(path))[1]

    def url(self, path: str, /) -> str:
        return f"remote://{quote(path)}"

    def path(self, path: str, /) -> str:
        return path

    async def aclose(self) -> None:
        await self._pools.aclose()

    async def _found(self, path: str) -> tuple[bytes, float]:
        found: tuple[bytes, float] | None = await self._call("get", path)
        if found is None:
            raise FileNotFoundError(path)
        return found

    async def _call(self, name: str, path: str, content: bytes = b"") -> Any:
        request = pickle.dumps((name, path, content))
        for left in reversed(range(self.attempts)):
            try:
                async with asyncio.timeout(self.timeout):
                    return pickle.loads(await self._sent(request))
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if not left:
                    raise ConnectionResetError("The server closed the connection") from error
        return None

    async def _sent(self, request: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        pool = self._pools.opened.get(loop) or await self._pools.get()
        idle = pool.idle
        reader, writer = idle.pop() if idle else await asyncio.open_connection(*self._address)
        try:
            writer.write(_LENGTH.pack(len(request)) + request)
            await writer.drain()
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            reply: bytes = await self.content(reader, length)
        except BaseException:
            writer.transport.abort()
            raise
        if pool.is_open:
            idle.append((reader, writer))
        else:
            writer.close()
        return reply

    async def content(self, reader: asyncio.StreamReader, length: int) -> bytes:
        return await reader.readexactly(length)


def served() -> Iterator[RemoteMemory]:
    """Serve for one test: the body of a fixture."""
    with RemoteMemory() as server:
        yield server
