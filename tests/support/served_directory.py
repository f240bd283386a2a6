"""Servers in Python that show one directory to one user, each a process of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar, Self

from command import run_beside
from engines.engine import HOST, ending_with_this, free_ports

__all__ = ["ServedDirectory", "run_script"]


class ServedDirectory:
    """A server, alive while the context is.

    Attributes:
        scheme: OpenDAL's name of the service.
        url_scheme: What its URL begins with.
        directory: Where its files are.
        user: Its only user's name.
        password: Theirs.
        url: Where it listens, once started.
    """

    scheme: ClassVar[str]
    url_scheme: ClassVar[str]
    user = "tester"
    password = "test-password"

    @property
    def options(self) -> dict[str, str]:
        """What `OpenDALDriver` takes."""
        raise NotImplementedError

    @staticmethod
    def serve(port: int, directory: str, user: str, password: str) -> None:
        """Serve a directory forever, in a process of its own."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix=f"{self.scheme}-")
        self.directory = Path(self._temporary.name) / "files"
        self.directory.mkdir()
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self._temporary.cleanup()

    def start(self, port: int | None = None) -> None:
        """Start the process, and wait until it listens.

        Args:
            port: Where, again after `kill`; None is a free one.
        """
        self.port = port or free_ports(1)[0]
        self.url = f"{self.url_scheme}://{HOST}:{self.port}"
        log_name = Path(self._temporary.name) / "log"
        module = Path(sys.modules[type(self).__module__].__file__ or "")
        program = (
            "import importlib.util, sys;"
            "sys.path.insert(0, sys.argv[1]);"
            "module = importlib.import_module(sys.argv[2]);"
            "getattr(module, sys.argv[3]).serve(int(sys.argv[4]), *sys.argv[5:])"
        )
        arguments = (str(module.parent), module.stem, type(self).__name__, str(self.port))
        account = (str(self.directory), self.user, self.password)
        with log_name.open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_this(sys.executable, "-c", program, *arguments, *account),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"No {self.scheme}: {log_name.read_text()[-2000:]}"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End the server without warning."""
        self._process.kill()
        self._process.wait()

    def empty(self) -> None:
        """Remove all files."""
        for each in self.directory.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            else:
                each.unlink()


def run_script(server_class: type[ServedDirectory]) -> int:
    """Serve a directory of the name in `sys.argv` to the command there, or until an interrupt."""
    name, *command = sys.argv[1:] or ["demo"]
    with server_class() as server, contextlib.suppress(KeyboardInterrupt):
        (server.directory / name).mkdir()
        options = {**server.options, "root": f"/{name}"}
        variables = {f"OPENDAL_{option.upper()}": value for option, value in options.items()}
        return run_beside(variables, command)
    return 0
