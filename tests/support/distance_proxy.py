"""A TCP proxy on loopback that makes a server far away, and what it carries at most.

    far = DistanceProxy(store.endpoint_url, round_trip=40, throughput=20)
    with far:
        driver = S3Driver(store.bucket, **store.options | {"endpoint_url": far.url})

From a shell, ``python tests/support/distance_proxy.py PORT ROUND_TRIP_MS MEGABYTES_PER_SECOND``
puts one before a server on loopback until it is interrupted, and prints its address.

The proxy is distance_proxy.c, compiled by the system's ``cc`` or by ``ziglang``: in Python, it
would be the limit. It models a path, and no more: no slow start, no loss, and a client's writes end
in the buffers of its own kernel, as on any path.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

__all__ = ["DistanceProxy", "ceiling", "compiler", "exchanges"]

HOST = "127.0.0.1"
SOURCE = Path(__file__).with_suffix(".c")
BUILT = Path(__file__).parents[2] / "build"
CHUNK = 1024 * 1024


def compiler() -> list[str] | None:
    """Return the command of a C compiler, or None."""
    if found := shutil.which("cc"):
        return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    return None


def program() -> Path:
    """Return the compiled proxy: each version of its source is compiled once."""
    name = f"distance_proxy-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"
    path = BUILT / name
    if path.exists():
        return path
    command = compiler()
    if command is None:
        raise RuntimeError("The proxy needs a C compiler: install gcc, or pip install ziglang")
    BUILT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as directory:
        new = Path(directory, name)
        subprocess.run([*command, "-O2", "-o", new, SOURCE], check=True)
        new.replace(path)
    return path


class DistanceProxy:
    """A proxy before a server on loopback, alive while the context is.

    Args:
        target: The server's port, or the URL that ends with it.
        round_trip: Milliseconds: what opening a connection takes, and twice what each direction is
            delayed by.
        throughput: Megabytes per second, in each direction of each connection; 0 for no limit.

    Attributes:
        port: Where it listens, once started.
    """

    def __init__(self, target: int | str, *, round_trip: float = 0, throughput: float = 0) -> None:
        self.target = int(str(target).rpartition(":")[2])
        self.round_trip, self.throughput = round_trip, throughput
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as the endpoint of a store."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        # It ends when its standard input does, and so with this process, however that ends.
        self._process = subprocess.Popen(
            [program(), str(self.target), str(self.round_trip), str(self.throughput)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def figures(self) -> dict[str, int]:
        """Return the bytes carried and the connections that carried them since the last call.

        Connections are those that were open at the same time.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found


def ceiling(
    connections: int,
    size: int,
    *,
    round_trip: float = 0,
    throughput: float = 0,
    upload: bool = False,
) -> float:
    """Return the bytes per second that plain sockets get through a proxy, connecting included.

    Args:
        connections: How many share the work.
        size: All bytes.
        round_trip: As of `DistanceProxy`.
        throughput: As of `DistanceProxy`.
        upload: Whether the client sends the bytes, rather than the server.
    """
    share = size // connections
    with (
        socket.create_server((HOST, 0), backlog=connections) as server,
        DistanceProxy(
            server.getsockname()[1], round_trip=round_trip, throughput=throughput
        ) as proxy,
    ):
        far = threading.Thread(
            target=_far, args=(server, connections, share), kwargs={"upload": upload}
        )
        far.start()
        begun = time.perf_counter()
        with contextlib.ExitStack() as stack:
            near = [
                stack.enter_context(socket.create_connection((HOST, proxy.port)))
                for _ in range(connections)
            ]
            _carry(near, share, sending=upload)
            if upload:
                _carry(near, 1, sending=False)
            taken = time.perf_counter() - begun
        far.join()
    return share * connections / taken


def _far(server: socket.socket, connections: int, share: int, *, upload: bool) -> None:
    with contextlib.ExitStack() as stack:
        accepted = [stack.enter_context(server.accept()[0]) for _ in range(connections)]
        _carry(accepted, share, sending=not upload)
        if upload:
            _carry(accepted, 1, sending=True)


def _carry(sockets: list[socket.socket], share: int, *, sending: bool) -> None:
    """Send or receive that many bytes through each."""
    with selectors.DefaultSelector() as selector:
        room = memoryview(bytearray(CHUNK))
        for each in sockets:
            each.settimeout(0)
            selector.register(
                each, selectors.EVENT_WRITE if sending else selectors.EVENT_READ, [share]
            )
        while selector.get_map():
            for key, _ in selector.select():
                ready: Any = key.fileobj
                part = room[: key.data[0]]
                done = ready.send(part) if sending else ready.recv_into(part)
                if not done:
                    raise ConnectionError(f"A connection ended {key.data[0]:,} bytes early")
                key.data[0] -= done
                if not key.data[0]:
                    selector.unregister(ready)


def exchanges(
    connections: int, count: int, size: int, *, round_trip: float = 0, throughput: float = 0
) -> float:
    """Return the exchanges per second that plain sockets get through a proxy, once connected.

    Args:
        connections: How many take turns, each with one exchange at a time.
        count: All exchanges, at least one for each connection.
        size: Bytes there and bytes back.
        round_trip: As of `DistanceProxy`.
        throughput: As of `DistanceProxy`.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0), backlog=connections))
        proxy = stack.enter_context(
            DistanceProxy(server.getsockname()[1], round_trip=round_trip, throughput=throughput)
        )
        near = [
            stack.enter_context(socket.create_connection((HOST, proxy.port)))
            for _ in range(connections)
        ]
        far = [stack.enter_context(server.accept()[0]) for _ in range(connections)]
        rounds = max(count // connections, 1)
        answering = threading.Thread(target=_exchange, args=(far, rounds, size))
        answering.start()
        begun = time.perf_counter()
        _exchange(near, rounds, size, first=True)
        taken = time.perf_counter() - begun
        answering.join()
    return rounds * connections / taken


def _exchange(sockets: list[socket.socket], rounds: int, size: int, *, first: bool = False) -> None:
    """Receive and send in turns through each, or send and receive."""
    content = bytes(size)
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ, [rounds, size])
            if first:
                each.sendall(content)
        while selector.get_map():
            for key, _ in selector.select():
                ready: Any = key.fileobj
                key.data[1] -= len(ready.recv(key.data[1]))
                if key.data[1]:
                    continue
                key.data[:] = key.data[0] - 1, size
                if key.data[0] or not first:
                    ready.sendall(content)
                if not key.data[0]:
                    selector.unregister(ready)


def _main() -> None:
    target, round_trip, throughput = sys.argv[1:]
    with (
        contextlib.suppress(KeyboardInterrupt),
        DistanceProxy(target, round_trip=float(round_trip), throughput=float(throughput)) as proxy,
    ):
        sys.stdout.write(f"{proxy.url}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    _main()
