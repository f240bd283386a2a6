"""OpenSSH for tests: a real SFTP server on loopback, started and stopped here.

In a test, ask for the fixture `openssh`. Anywhere else::

    with OpenSSH() as server:
        driver = SFTPDriver(**server.options)

From a shell, ``python tests/support/openssh.py`` serves one until it is interrupted, and prints
the variables by which the SFTP driver finds it; ``python tests/support/openssh.py ROOT COMMAND``
serves one to a command, which has those variables.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import asyncssh

from command import run_beside
from engines.engine import HOST, ending_with_this, free_ports

__all__ = ["SSHD", "OpenSSH"]

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
"""The server's program, or None; tests/install_tools.sh installs it."""

_CONFIG = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 100:30:200
Subsystem sftp internal-sftp {arguments}
{lines}
"""


class OpenSSH:
    """An SFTP server of OpenSSH for this user, with keys of its own, alive while the context is.

    Args:
        root: The name of the directory for files, below a temporary one.
        arguments: Those of ``internal-sftp``, such as ``("-P", "posix-rename")``, which denies and
            hides an extension.
        lines: Further lines of its configuration.
        username: Who logs in; None is this user. Only root can serve another.

    Attributes:
        port: Where it listens on loopback.
        folder: The temporary directory with its keys and files.
        files: The directory for files.
        host_key: Its public host key, as in ``known_hosts`` without the host.
        private_key: The key that may log in, as a PEM text.
    """

    def __init__(
        self,
        root: str = "files",
        *,
        arguments: tuple[str, ...] = (),
        lines: tuple[str, ...] = (),
        username: str | None = None,
    ) -> None:
        self._root = root
        self._arguments = arguments
        self._lines = lines
        self._cleanup = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._other = username
        self.username = username or getpass.getuser()

    @property
    def options(self) -> dict[str, Any]:
        """What `SFTPDriver` takes to reach the directory for files."""
        return {
            "host": HOST,
            "port": self.port,
            "username": self.username,
            "private_key": self.private_key,
            "host_key": self.host_key,
            "root": str(self.files),
        }

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.folder = Path(
            self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="openssh-"))
        )
        self.files = self.folder / "data" / self._root
        self.files.mkdir(parents=True)
        self.new_host_key()
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.private_key = key.export_private_key().decode()
        (self.folder / "authorized_keys").write_bytes(key.export_public_key())
        if self._other is not None:
            for path in (self.folder, self.folder / "authorized_keys"):
                path.chmod(0o755)
            shutil.chown(self.files, self._other)
        [self.port] = free_ports(1)
        try:
            self.start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self._cleanup.close()

    def new_host_key(self) -> None:
        """Make a host key, for the next start."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = key.export_public_key().decode().strip()
        path = self.folder / "host_key"
        path.write_bytes(key.export_private_key())
        path.chmod(0o600)

    def start(self) -> None:
        """Start the server, on the same port each time."""
        assert SSHD is not None
        if os.getuid() == 0:  # it is on a temporary file system, and sshd does not make it
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(
            _CONFIG.format(
                host=HOST,
                port=self.port,
                folder=self.folder,
                arguments=" ".join(self._arguments),
                lines="\n".join(self._lines),
            )
        )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_this(SSHD, "-D", "-e", "-f", str(config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection((HOST, self.port), timeout=5) as connection:
                    if connection.recv(4):
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start:\n{self.log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server and its sessions."""
        process, self._process = self._process, None
        if process is not None:
            for child in self.sessions(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()

    def kill_sessions(self) -> None:
        """End the processes of the sessions that are open, by SIGKILL, and not the server."""
        assert self._process is not None
        for child in self.sessions(self._process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    @staticmethod
    def sessions(process: subprocess.Popen[bytes]) -> list[int]:
        """Return the process ids of the sessions and their children."""
        found: list[int] = []
        pending = [process.pid]
        while pending:
            for task in Path(f"/proc/{pending.pop()}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    children = [int(each) for each in task.read_text().split()]
                    found += children
                    pending += children
        return found

    def empty(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir(exist_ok=True)


def _main() -> int:
    root, *command = sys.argv[1:] or ["files"]
    if SSHD is None:
        sys.stderr.write("No sshd: install openssh-server\n")
        return 1
    with OpenSSH(root) as server, contextlib.suppress(KeyboardInterrupt):
        key = server.folder / "client_key"
        key.write_text(server.private_key)
        key.chmod(0o600)
        variables = {
            "SFTP_HOST": HOST,
            "SFTP_PORT": str(server.port),
            "SFTP_USERNAME": server.username,
            "SFTP_PRIVATE_KEY": str(key),
            "SFTP_HOST_KEY": server.host_key,
            "SFTP_ROOT": str(server.files),
            "SFTP_URL": "https://files.example.com",  # no server answers there
        }
        return run_beside(variables, command)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
