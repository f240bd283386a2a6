"""An FTP server for tests: pyftpdlib on loopback, started and stopped here.

In a test, ask for the fixture `ftp`. From a shell, ``python tests/support/ftp.py`` serves one
until it is interrupted, and prints the variables by which the driver finds it;
``python tests/support/ftp.py NAME COMMAND`` serves one to a command, which has those variables.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from served_directory import ServedDirectory, run_script

__all__ = ["FTP"]


class FTP(ServedDirectory):
    """A server of one directory, for one user."""

    scheme = "ftp"
    url_scheme = "ftp"

    @property
    def options(self) -> dict[str, str]:
        """What `OpenDALDriver` takes."""
        return {
            "scheme": self.scheme,
            "endpoint": self.url,
            "user": self.user,
            "password": self.password,
        }

    @staticmethod
    def serve(port: int, directory: str, user: str, password: str) -> None:
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import FTPServer

        authorizer = DummyAuthorizer()
        authorizer.add_user(user, password, directory, perm="elradfmwMT")
        handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
        server = FTPServer(("127.0.0.1", port), handler)
        server.max_cons_per_ip = 0
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(run_script(FTP))
