"""A worker process, from the application's side."""

from __future__ import annotations

import asyncio
import json
import multiprocessing.spawn
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jtc.storage.exceptions import (
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Answer", "Job", "WorkerLimits", "WorkerProcess"]

# A package of its own name, so that the process imports nothing of the application.
_PROGRAM: Final = """
import json, sys
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
from _worker.serving import main
main(given["descriptor"], given["limits"])
"""

_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""A process that decodes user uploads has no secrets in its environment."""

_VARIABLES: Final = {
    # Several images are processed at once by several workers; threads would take address space.
    "VIPS_CONCURRENCY": "1",
    "VIPS_WARNING": "1",
    # Large images are in memory, which is limited, never in a temporary file.
    "VIPS_DISC_THRESHOLD": str(1 << 60),
    # The memory of an image is given back when it is freed.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
}

_START_TIMEOUT: Final = 60.0
_LATE: Final = 1.0
"""How much later than a worker would end itself it is killed."""

_KILLED_WITHIN: Final = 1.0
"""For how many seconds the end of a killed worker is waited for by all jobs."""

_LONGEST_ANSWER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker may take.

    Attributes:
        memory: The bytes of its address space.
        svg: Whether it reads SVG.
    """

    memory: int
    svg: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does, see `_worker.rendering.process`.

    Attributes:
        request: The JSON object.
        blobs: The images that recipes name.
        timeout: For how many seconds it may run.
    """

    request: dict[str, Any]
    blobs: Sequence[bytes]
    timeout: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker answers.

    Attributes:
        answer: The JSON object.
        contents: The files that it made.
    """

    answer: dict[str, Any]
    contents: list[bytes]


class WorkerProcess:
    """A process that decodes images, and its socket. All methods run in one event loop.

    What it answers is not trusted: an image may have taken it over.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], connection: socket.socket, most: int
    ) -> None:
        self._process = process
        self._socket = connection
        self._most = most
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None
        self._answered = True
        self.jobs = 0

    @classmethod
    async def start(cls, limits: WorkerLimits) -> WorkerProcess:
        """Start a process and wait until it is ready.

        Raises:
            StorageConfigException: libvips cannot be imported.
            StorageUnavailableException: The process ended.
            OSError: The system has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _spawn(theirs.fileno(), limits)
            except BaseException:
                ours.close()
                raise
        worker = cls(process, ours, limits.memory)
        try:
            await worker.connect()
        except BaseException:
            worker.kill()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def usable(self) -> bool:
        """Whether it can take another job."""
        return self.alive and self._answered

    async def run(self, descriptor: int, job: Job) -> Answer:
        """Run a job.

        Args:
            descriptor: The content, which is sent to the process.
            job: The job.

        Raises:
            RejectedException: The content is refused, or the job took too long.
            StorageUnavailableException: The process was killed.
        """
        self.jobs += 1
        self._answered = False
        try:
            async with asyncio.timeout(job.timeout + _LATE):
                await self._send(descriptor, job)
                answer = await self._receive()
        except TimeoutError:
            raise _too_slow(job.timeout) from None
        except (EOFError, OSError, ValueError) as error:
            raise self._ended(job.timeout) from error
        if "failed" in answer.answer:
            raise StorageException(f"The image worker failed:\n{answer.answer['failed']}")
        refused = answer.answer.get("refused")
        self._answered = refused != "memory"
        if refused == "recipe":
            raise StorageConfigException(answer.answer["message"])
        if refused is not None:
            raise RejectedException(answer.answer["message"], reason=refused)
        return answer

    def kill(self) -> None:
        """End the process at once, and wait for its end, so that no zombie remains."""
        self._end()
        if self._writer is not None:
            self._writer.close()
        self._socket.close()

    def abandon(self) -> None:
        """Leave the process to the one that this one was forked from."""
        self._socket.close()
        self._process.returncode = 0  # or it would be waited for

    async def connect(self) -> None:
        """Wait until the process is ready. The errors are those of `start`."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)  # noqa: FBT003 - its only parameter
        protocol = _Connection(self._reader, self._end)
        transport, _ = await loop.create_connection(lambda: protocol, sock=self._socket)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                started = await self._receive()
        except (TimeoutError, EOFError, OSError, ValueError) as error:
            raise StorageUnavailableException(
                f"The image worker did not start ({self._end()})"
            ) from error
        if "failed" in started.answer:
            raise StorageConfigException(
                f"The image worker cannot import libvips; is its memory limit too low, or "
                f"pyvips-binary not installed?\n{started.answer['failed']}"
            )

    async def _send(self, descriptor: int, job: Job) -> None:
        assert self._writer is not None  # noqa: S101 - it is connected
        lengths = [len(blob) for blob in job.blobs]
        request = {**job.request, "timeout": job.timeout, "lengths": lengths}
        text = json.dumps(request).encode()
        # Four bytes always fit: the socket is empty between two jobs.
        socket.send_fds(self._socket, [len(text).to_bytes(4, "big")], [descriptor])
        self._writer.writelines([text, *job.blobs])
        await self._writer.drain()

    async def _receive(self) -> Answer:
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        if length > _LONGEST_ANSWER:
            raise ValueError(f"an answer of {length} bytes")
        answer = json.loads(await self._reader.readexactly(length))
        lengths = answer["contents"]
        if sum(lengths) > self._most or min(lengths, default=0) < 0:
            raise ValueError(f"an answer with {sum(lengths)} bytes")
        return Answer(answer, [await self._reader.readexactly(each) for each in lengths])

    def _end(self) -> str:
        """End the process, and return by what it had ended."""
        self._process.kill()
        try:
            code = self._process.wait(_KILLED_WITHIN)
        except subprocess.TimeoutExpired:
            # It reads a file of a mount that does not answer, which no signal interrupts.
            threading.Thread(target=self._process.wait, daemon=True).start()
            code = -signal.SIGKILL
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def _ended(self, timeout: float) -> StorageException:
        state = self._end()
        if state == "SIGALRM":
            return _too_slow(timeout)
        if state in _CRASHES:
            return RejectedException(
                f"The image makes its decoder crash ({state}), or take more memory than it may",
                reason="image",
            )
        return StorageUnavailableException(
            f"The image worker ended ({state}); is the machine out of memory?"
        )


class _Connection(asyncio.StreamReaderProtocol):
    """Calls back when the process has closed its end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, ended: Callable[[], object]) -> None:
        super().__init__(reader)
        self._ended = ended

    def eof_received(self) -> bool | None:
        self._ended()
        return super().eof_received()


_CRASHES: Final = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP", "SIGXFSZ"}


def _too_slow(timeout: float) -> RejectedException:
    return RejectedException(f"The image took longer than {timeout:g} seconds", reason="time")


def _spawn(descriptor: int, limits: WorkerLimits) -> subprocess.Popen[bytes]:
    given = {
        "path": [str(Path(__file__).parent), *sys.path],
        "descriptor": descriptor,
        "limits": {"memory": limits.memory, "svg": limits.svg},
    }
    environment = {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}
    environment |= _VARIABLES
    executable = os.fsdecode(multiprocessing.spawn.get_executable() or sys.executable)
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [executable, "-I", "-S", "-c", _PROGRAM, json.dumps(given)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
