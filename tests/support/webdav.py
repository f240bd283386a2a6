"""A WebDAV server for tests: wsgidav on cheroot, on loopback, started and stopped here.

In a test, ask for the fixture `webdav`. From a shell, ``python tests/support/webdav.py`` serves one
until it is interrupted, and prints the variables by which the driver finds it;
``python tests/support/webdav.py NAME COMMAND`` serves one to a command, which has those variables.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from served_directory import ServedDirectory, run_script

__all__ = ["WebDAV"]


class WebDAV(ServedDirectory):
    """A server of one directory, for one user."""

    scheme = "webdav"
    url_scheme = "http"

    @property
    def options(self) -> dict[str, str]:
        """What `OpenDALDriver` takes."""
        return {
            "scheme": self.scheme,
            "endpoint": self.url,
            "username": self.user,
            "password": self.password,
        }

    @staticmethod
    def serve(port: int, directory: str, user: str, password: str) -> None:
        from cheroot.wsgi import Server
        from wsgidav.wsgidav_app import WsgiDAVApp

        app = WsgiDAVApp(
            {
                "provider_mapping": {"/": directory},
                "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
                "http_authenticator": {"accept_digest": False, "default_to_digest": False},
                "logging": {"enable": False},
                "verbose": 0,
            }
        )
        Server(("127.0.0.1", port), app, numthreads=10, request_queue_size=128).start()


if __name__ == "__main__":
    sys.exit(run_script(WebDAV))
