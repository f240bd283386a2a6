"""`ConnectionFaults`: a TCP proxy on loopback that drops and stalls connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

__all__ = ["ConnectionFaults", "Drop"]

Drop = Literal["closed", "reset", "silently"]

_HOST = "127.0.0.1"
_BYTES = 65_536
_RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER without seconds: a reset instead of an orderly end."""


class ConnectionFaults:
    """Passes bytes between a driver and its server, and breaks connections when it is asked to.

    In threads of its own, so that it works whatever a test's event loop does. A context manager.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._listeners: list[socket.socket] = []
        self._connections: set[_Connection] = set()
        self._cuts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._flows.set()
        self.drop("reset")

    def through(self, host: str, port: int) -> tuple[str, int]:
        """Listen for connections to a server, and return the host and port to connect to instead.

        Args:
            host: The server's.
            port: The server's.
        """
        listener = socket.create_server((_HOST, 0))
        self._listeners.append(listener)
        self._start(self._accept, listener, (host, port))
        return _HOST, listener.getsockname()[1]

    def drop(self, way: Drop = "reset") -> None:
        """Drop all connections that are open now. New ones can be made.

        Args:
            way: ``"closed"`` ends them as a server does that closes idle ones, ``"reset"`` at once
                and with an error. ``"silently"`` dropped ones are reset when they are used again,
                as where a router has forgotten them.
        """
        with self._lock:
            connections = [*self._connections]
        for connection in connections:
            connection.drop(way)

    def cut_answer(self, after: int) -> None:
        """Reset the next connection on which the server answers, after a number of its bytes."""
        with self._lock:
            self._cuts["answer"] = after

    def cut_request(self, after: int) -> None:
        """Reset the next connection on which the driver sends, after a number of its bytes."""
        with self._lock:
            self._cuts["request"] = after

    def stall(self) -> None:
        """Pass no more bytes of the server, on open and on new connections."""
        self._flows.clear()

    def resume(self) -> None:
        """End a stall."""
        self._flows.set()

    def _accept(self, listener: socket.socket, server: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    connection = _Connection(client, socket.create_connection(server))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._connections.add(connection)
                self._start(self._pass_on, connection, "request")
                self._start(self._pass_on, connection, "answer")

    def _pass_on(self, connection: _Connection, which: str) -> None:
        ends = (connection.client, connection.server)
        source, target = ends if which == "request" else ends[::-1]
        with contextlib.suppress(OSError):
            while data := source.recv(_BYTES):
                if which == "answer":
                    self._flows.wait()
                elif connection.is_dead:
                    break
                kept = self._kept(which, len(data))
                target.sendall(data[:kept])
                if kept is not None:
                    connection.drop("reset")
                    break
        connection.end(reset=connection.is_dead)
        with self._lock:
            self._connections.discard(connection)

    def _kept(self, which: str, length: int) -> int | None:
        """Return how many of the next bytes are passed on before the cut; None means all."""
        with self._lock:
            left = self._cuts.get(which)
            if left is None:
                return None
            if left < length:
                del self._cuts[which]
                return left
            self._cuts[which] = left - length
            return None

    @staticmethod
    def _start(target: object, *args: object) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()  # type: ignore[arg-type]


class _Connection:
    """A driver's connection, and the one to the server behind it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            # Else small messages wait for acknowledgements of up to 40 ms each.
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = client
        self.server = server
        self.is_dead = False

    def drop(self, way: Drop) -> None:
        self.is_dead = way != "closed"
        if way != "silently":
            self.end(reset=way == "reset")

    def end(self, *, reset: bool) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
                    # Wakes the thread that reads it, and sends nothing.
                    end.shutdown(socket.SHUT_RD)
                else:
                    end.shutdown(socket.SHUT_RDWR)
            end.close()
