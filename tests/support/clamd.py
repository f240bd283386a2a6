"""A real clamd for tests, with one signature: the EICAR test string, anywhere in a file.

No database is downloaded. Each daemon has a directory, a Unix socket and a TCP port of its own, and
ends with this process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from engines.engine import HOST, ending_with_this, free_ports
from jtc.storage import Disk, StorageManager

__all__ = ["EICAR", "ClamdMissing", "RealClamd", "scanned_disk"]

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

# Name, any type of file, any offset, bytes in hexadecimal.
_SIGNATURE = f"Jtc.Eicar:0:*:{EICAR.hex()}\n"


class ClamdMissing(RuntimeError):
    """The program is not installed; the message says how to install it."""


class RealClamd:
    """ClamAV's daemon, alive while the context is.

    Args:
        **settings: Lines of clamd.conf, such as ``MaxFileSize="1M"``.

    Attributes:
        socket: The path of its Unix socket.
        tcp: Its TCP address, ``"127.0.0.1:port"``.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._cleanup = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.socket = ""
        self.tcp = ""

    def __enter__(self) -> Self:
        program = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            raise ClamdMissing("clamd is not installed: apt-get install clamav-daemon")
        # Unix sockets have short names (108 bytes).
        directory = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clamd-")))
        (directory / "signatures").mkdir()
        (directory / "signatures" / "eicar.ndb").write_text(_SIGNATURE)
        self._program, self._directory = program, directory
        (self._port,) = free_ports(1)
        self.socket, self.tcp = str(directory / "clamd.sock"), f"{HOST}:{self._port}"
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the daemon, and remove its directory."""
        self.stop()
        self._cleanup.close()

    def start(self, **settings: str) -> None:
        """Start the daemon, again after `stop`, with further or changed settings."""
        self._settings |= settings
        lines = {
            "DatabaseDirectory": str(self._directory / "signatures"),
            "TemporaryDirectory": str(self._directory),
            "LocalSocket": self.socket,
            "FixStaleSocket": "yes",
            "TCPSocket": str(self._port),
            "TCPAddr": HOST,
            "Foreground": "yes",
            **self._settings,
        }
        config, log = self._directory / "clamd.conf", self._directory / "log"
        config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                ending_with_this(self._program, f"--config-file={config}"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"clamd did not start:\n{log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the daemon. Does nothing the second time."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        for family, place in ((socket.AF_UNIX, self.socket), (socket.AF_INET, (HOST, self._port))):
            with socket.socket(family) as connection:
                connection.settimeout(5)
                try:
                    connection.connect(place)
                    connection.sendall(b"zPING\0")
                    if connection.recv(100) != b"PONG\0":
                        return False
                except OSError:
                    return False
        return True


def scanned_disk(driver: Any, layer: Any = "clamav", **options: Any) -> Disk:
    """Return a disk of a driver with a scanning layer around it."""
    manager = StorageManager.isolated()
    manager.set_driver(driver, "files")
    return manager.disk("files").with_layer(layer, **options)
