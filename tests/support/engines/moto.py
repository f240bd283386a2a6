"""moto's server for tests: AWS's answers, as moto remembers them."""

from __future__ import annotations

import sys
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from engines.engine import HOST, Engine, EngineMissing, free_ports

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Moto"]


class Moto(Engine):
    """A store in memory that checks no keys."""

    name = "moto"
    conditions = frozenset({"put", "delete"})

    @classmethod
    def version(cls) -> str:
        try:
            return version("moto")
        except PackageNotFoundError:
            raise EngineMissing("pip install 'moto[s3]' flask flask-cors") from None

    def run(self, data: Path) -> None:
        self.version()
        (port,) = free_ports(1)
        self.endpoint_url = f"http://{HOST}:{port}"
        command = "from moto.server import main; main()"
        self.spawn(data, sys.executable, "-c", command, "-H", HOST, "-p", str(port))

    def empty(self) -> None:
        """Forget everything, and make the bucket again."""
        for method, path in (("POST", "moto-api/reset"), ("PUT", self.bucket)):
            request = urllib.request.Request(f"{self.endpoint_url}/{path}", method=method)
            with urllib.request.urlopen(request, timeout=30):
                pass
