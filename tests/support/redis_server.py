"""A Redis server of the machine, on a Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REDIS", "redis_server"]

REDIS = shutil.which("redis-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextlib.contextmanager
def redis_server(port: int = 0) -> Iterator[str]:
    """Start a server that writes nothing to disk; yield its URL, and stop it.

    Args:
        port: Where it listens too; 0 is nowhere.
    """
    assert REDIS is not None
    # Not pytest's directory: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = Path(folder) / "socket"
        options = ["--port", str(port), "--unixsocket", str(socket), "--save", "", "--dir", folder]
        server = subprocess.Popen([REDIS, *options], stdout=subprocess.DEVNULL)
        try:
            _wait(f"unix://{socket}", server)
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with redis.Redis.from_url(url) as client:
                client.ping()
        except redis.ConnectionError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
