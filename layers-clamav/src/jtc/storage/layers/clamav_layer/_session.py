"""One connection to clamd: commands, files and answers (clamd(8), IDSESSION and INSTREAM)."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple, Self

from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import StorageConfigException, StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

__all__ = ["Address", "Session"]

_CHUNK = 64 * 1024
_LONGEST_ANSWER = 4096
_FULL_QUEUE_SECONDS = 0.01
_HOST_AND_PORT = re.compile(r"(?:tcp://)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>\d+)")


class Address(NamedTuple):
    """Where clamd listens.

    Attributes:
        text: As the user wrote it.
        unix: The path of a Unix socket, or None.
        host: The host's name or number of a TCP socket.
        port: Its port.
    """

    text: str
    unix: str | None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: object) -> Self:
        """Return the address that a text names.

        Raises:
            StorageConfigException: It names none.
        """
        if isinstance(text, str):
            path = text.removeprefix("unix:")
            if path.startswith("/") and "\0" not in path:
                return cls(text, path)
            match = _HOST_AND_PORT.fullmatch(text)
            if match and 0 < int(match["port"]) < 65536:  # noqa: PLR2004 - the highest port
                return cls(text, None, match["v6"] or match["host"], int(match["port"]))
        raise StorageConfigException(
            f"'address' is a Unix socket's path, such as '/run/clamav/clamd.ctl', or 'host:port', "
            f"not {text!r}"
        )

    async def connect(self) -> socket.socket:
        """Connect to it.

        Raises:
            OSError: Nothing listens there.
        """
        loop = asyncio.get_running_loop()
        if self.unix is not None:
            return await _connected_unix(self.unix)
        failed: OSError | None = None
        for family, _, _, _, place in await loop.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            try:
                return await _connected(family, place)
            except OSError as error:
                failed = error
        raise failed or ConnectionError("The name has no address")


class Session:
    """A session of commands over one connection; close it in the end.

    Not asyncio's streams: when clamd refuses a file it answers and closes, and a stream whose next
    write fails drops the answer that has arrived.

    Args:
        connected: The socket, which the session then owns.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._commands = 0
        self._received = bytearray()

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._socket.close()

    async def ask(self, command: str, content: AsyncIterable[bytes] | None = None) -> str:
        """Send a command, with a file if there is one, and return the answer.

        Raises:
            OSError: The connection broke before there was an answer.
            StorageUnavailableException: The answer is none of clamd's.
        """
        begins = "" if self._commands else "zIDSESSION\0"
        self._commands += 1
        broken = await self._send(f"{begins}z{command}\0".encode())
        if content is not None and broken is None:
            broken = await self._send_file(content)
        try:
            # clamd may have refused the file before it had read everything, and closed.
            answer = await self._answer()
        except OSError as error:
            raise broken or error from None
        if broken is not None and not answer.endswith(("FOUND", "ERROR")):
            raise broken  # nothing is clean of which only a part was sent
        return answer

    async def _send_file(self, content: AsyncIterable[bytes]) -> OSError | None:
        """Send a file as chunks of INSTREAM, each with its length before it."""
        async with closing(aiter(content)) as blocks:
            async for block in blocks:
                for at in range(0, len(block), _CHUNK):
                    chunk = block[at : at + _CHUNK]
                    broken = await self._send(struct.pack("!L", len(chunk)) + chunk)
                    if broken is not None:
                        return broken
                # Sending waits only where the socket is full, which a fast reader prevents.
                await asyncio.sleep(0)
        return await self._send(bytes(4))

    async def _send(self, data: bytes) -> OSError | None:
        """Send bytes; return the error if the connection is broken."""
        try:
            await self._loop.sock_sendall(self._socket, data)
        except OSError as error:
            return error
        return None

    async def _answer(self) -> str:
        while (end := self._received.find(0)) < 0:
            if len(self._received) > _LONGEST_ANSWER:
                raise _no_answer(bytes(self._received))
            got = await self._loop.sock_recv(self._socket, _LONGEST_ANSWER)
            if not got:
                raise ConnectionError("It closed the connection without an answer")
            self._received += got
        said = bytes(self._received[:end])
        del self._received[: end + 1]
        number, colon, text = said.partition(b": ")
        if not colon or number != b"%d" % self._commands or self._received:
            raise _no_answer(said)
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise _no_answer(said) from None


async def _connected_unix(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(0)
        while True:
            try:
                connected.connect(path)
            except BlockingIOError:
                # The queue of connections is full (connect(2)); event loops take it for connected.
                await asyncio.sleep(_FULL_QUEUE_SECONDS)
            else:
                return connected
    except BaseException:
        connected.close()
        raise


async def _connected(family: int, place: object) -> socket.socket:
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.settimeout(0)
        # Else a short file waits 40 ms for the acknowledgement of the command before it.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connected, place)  # type: ignore[arg-type]
    except BaseException:
        connected.close()
        raise
    return connected


def _no_answer(said: bytes) -> StorageUnavailableException:
    return StorageUnavailableException(
        f"The scanner answered {said[:100]!r}, which is no answer of clamd to this: does the "
        "option 'address' name another program?"
    )
