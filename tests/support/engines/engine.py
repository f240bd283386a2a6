"""`Engine`: an S3 store on loopback for tests, started and stopped here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

__all__ = ["HOST", "Engine", "EngineMissing", "ending_with_this", "free_ports", "program"]

HOST = "127.0.0.1"

# Runs a program so that the kernel ends it with this process, also after a SIGKILL (prctl(2),
# PR_SET_PDEATHSIG = 1). Not a preexec_fn: that forks Python code out of a process with threads.
_EXEC = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))
if os.getppid() != int(sys.argv[2]):
    sys.exit("The parent ended first")
os.execv(sys.argv[3], sys.argv[3:])
"""


def ending_with_this(*command: str) -> list[str]:
    """Return the command of a program that the kernel ends with this process."""
    return [
        *(sys.executable, "-I", "-S", "-c", _EXEC),
        *(str(int(signal.SIGKILL)), str(os.getpid()), *command),
    ]


class EngineMissing(RuntimeError):
    """An engine's program is not installed; the message says how to install it."""


class Engine:
    """A store with one bucket and one pair of keys, alive while the context is.

    Args:
        bucket: The bucket to make.
        access_key: The key that may do everything.
        secret_key: Its secret.
        directory: Where the data goes, to be kept; a temporary directory if None.
        start_timeout: Seconds in which it must answer.

    Attributes:
        name: What documents call it.
        conditions: The kinds of conditional requests that it keeps; None: `check` finds them.
        conditions_note: Which these are, where that needs words.
        extra_options: Of the driver, beside where it is.
        disable: Capabilities that it lacks, as in the ``disable`` of a disk.
        expected_failures: What it answers wrongly, by the name of the test that fails for it.
        expected_races: The same of tests that fail in some runs.
        endpoint_url: Where it answers S3, once started.
        log: What it printed.
    """

    name: ClassVar[str]
    conditions: ClassVar[frozenset[str] | None] = None
    conditions_note: ClassVar[str] = ""
    extra_options: ClassVar[Mapping[str, Any]] = {}
    disable: ClassVar[frozenset[str]] = frozenset()
    expected_failures: ClassVar[Mapping[str, str]] = {}
    expected_races: ClassVar[Mapping[str, str]] = {}

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
        self.log = Path(os.devnull)
        self._directory = directory
        self._start_timeout = start_timeout
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cleanup = contextlib.ExitStack()

    @property
    def options(self) -> dict[str, Any]:
        """What `S3Driver` takes beside the bucket."""
        options: dict[str, Any] = {
            "region": "us-east-1",
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "endpoint_url": self.endpoint_url,
            **self.extra_options,
        }
        return options if self.conditions is None else options | {"conditions": self.conditions}

    @classmethod
    def version(cls) -> str:
        """Return the version of what is installed.

        Raises:
            EngineMissing: It is not installed.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            data = self._directory or self.temporary_directory()
            data.mkdir(parents=True, exist_ok=True)
            self._start(data)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def run(self, data: Path) -> None:
        """Spawn the engine's processes and set `endpoint_url`: what each engine defines.

        Args:
            data: Where its data goes.
        """
        raise NotImplementedError

    def make_bucket(self, client: Any) -> None:
        """Make the bucket, once the engine answers; a second time it is there already.

        Args:
            client: The SDK's.
        """
        with contextlib.suppress(
            client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists
        ):
            client.create_bucket(Bucket=self.bucket)

    def empty(self) -> None:
        """Remove everything from the bucket."""
        for page in self.cleaner.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for each in page.get("Contents", ()):
                self.cleaner.delete_object(Bucket=self.bucket, Key=each["Key"])

    def kill(self) -> None:
        """End the store without warning (SIGKILL), as a crash would."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Stop the store and remove its temporary files. Does nothing the second time."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        self.kill()
        self._cleanup.close()

    def processor_seconds(self) -> float:
        """Return what its processes have worked so far."""
        ticks = 0
        for process in self._processes:
            stat = Path(f"/proc/{process.pid}/stat").read_text()
            # utime and stime, of proc(5); a name may have spaces in it
            ticks += sum(map(int, stat.rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

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
            config=Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 0},
                connect_timeout=5,
                read_timeout=15,  # an engine that hangs fails a test, and not the whole run
            ),
        )

    @cached_property
    def cleaner(self) -> Any:
        """The client of `empty`: making one takes longer than most tests."""
        client = self.client()
        self._cleanup.callback(client.close)
        return client

    def temporary_directory(self, prefix: str = "engine-") -> Path:
        """Make a directory that is removed when the engine stops."""
        return Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))

    def spawn(self, data: Path, *command: str, **environment: str) -> None:
        """Start one of the engine's processes, which ends with this one.

        Args:
            data: Where it runs.
            *command: The program and its arguments.
            **environment: Variables beside `PATH` and `HOME`, which is `data`.
        """
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ending_with_this(*command),
                cwd=data,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(data), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # An interrupt from the terminal is for the tests; they stop the store themselves.
                start_new_session=True,
            )
        self._processes.append(process)

    def _start(self, data: Path) -> None:
        # A port that was free a moment ago may be taken by another process before it is bound.
        for attempt in (1, 2, 3):
            self.log = data / f"{type(self).__name__.lower()}-{attempt}.log"
            self.run(data)
            failure = self.wait_until_ready()
            if failure is None:
                return
            self.kill()
        raise self.failed("start", failure)

    def failed(self, what: str, failure: str | None) -> RuntimeError:
        """Return an error that says what the engine did not do, with the end of its log."""
        tail = self.log.read_text(errors="replace")[-4000:]
        return RuntimeError(f"{self.name} did not {what}: {failure}. The end of its log:\n{tail}")

    def wait_until_ready(self) -> str | None:
        """Wait until an object can be stored, and return what failed if none can."""
        from botocore.exceptions import BotoCoreError, ClientError

        deadline = time.monotonic() + self._start_timeout
        answer = "nothing was tried"
        with contextlib.closing(self.client()) as client:
            while time.monotonic() < deadline:
                for process in self._processes:
                    if process.poll() is not None:
                        return f"it ended with status {process.returncode}"
                try:
                    self.make_bucket(client)
                    # A gateway may answer before what is behind it does.
                    client.put_object(Bucket=self.bucket, Key="ready", Body=b"1")
                    client.delete_object(Bucket=self.bucket, Key="ready")
                except (ClientError, BotoCoreError) as error:
                    answer = str(error)
                    time.sleep(0.1)
                else:
                    return None
        return f"no answer within {self._start_timeout} s (the last one: {answer})"


def program(name: str, how: str) -> str:
    """Return the path of a program beside Python or on `PATH`.

    Args:
        name: Its name.
        how: How to install it.

    Raises:
        EngineMissing: It is in neither place.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise EngineMissing(f"No `{name}` beside Python or on PATH: {how}")
    return found


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
