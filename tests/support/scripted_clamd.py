"""A TCP server that answers as clamd does, or as a test scripts it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING, Self

from clamd import EICAR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Connection", "ScriptedClamd"]


class Connection:
    """A client's connection, with the number of the command that is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.number = 0

    async def answer(self, text: str) -> None:
        """Answer a command."""
        self.writer.write(f"{self.number}: {text}\0".encode())
        await self.writer.drain()

    async def command(self) -> str:
        """Return the next command."""
        return (await self.reader.readuntil(b"\0")).decode().strip("z\0")

    async def content(self) -> bytes:
        """Return the file that comes after INSTREAM."""
        content = b""
        while size := struct.unpack("!L", await self.reader.readexactly(4))[0]:
            content += await self.reader.readexactly(size)
        return content


class ScriptedClamd:
    """A server on a free port, alive while the context is.

    Args:
        script: Gets each connection and command, and returns whether it has dealt with it: else the
            server answers as clamd with ``AlertExceedsMax yes`` does.

    Attributes:
        version: The answer to VERSION.
        commands: All commands that came.
        files: How many files are judged at this moment, and at most were.
    """

    def __init__(self, script: Callable[[Connection, str], Awaitable[bool]] | None = None) -> None:
        self.script = script
        self.version = "ClamAV 1.4.6/1/today"
        self.commands: list[str] = []
        self.at_once = self.most_at_once = 0
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answers(Connection(reader, writer))
        writer.close()

    async def _answers(self, connection: Connection) -> None:
        while True:
            command = await connection.command()
            if command == "IDSESSION":
                continue
            self.commands.append(command)
            connection.number += 1
            if self.script is not None and await self.script(connection, command):
                continue
            if command == "VERSION":
                await connection.answer(self.version)
            elif command == "PING":
                await connection.answer("PONG")
            else:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                content = await connection.content()
                await asyncio.sleep(0.005)
                self.at_once -= 1
                await connection.answer(f"stream: {verdict(content)}")


def verdict(content: bytes) -> str:
    """Return what clamd says of the probes, and of other files."""
    if content.startswith(b"PK"):
        return "Heuristics.Limits.Exceeded.MaxRecursion FOUND"
    return "Jtc.Eicar.UNOFFICIAL FOUND" if EICAR in content else "OK"
