"""A process with a local driver whose system calls are traced, and made to fail, by strace.

strace attaches to a process that is up and idle, so that the calls counted are an operation's own:
those of the one worker thread that carries it out.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local_ways import python

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each line of standard input is an expression; what it gives goes out as one line. It is written
# by writev, so that the main thread makes none of the calls that are made to fail.
_SERVE = """
async def stream(content):
    for at in range(0, len(content), 400_000):
        yield content[at : at + 400_000]
        await asyncio.sleep(0)

async def main():
    import gc, json, threading
    from jtc.storage.drivers.local_driver import _workers
    gc.disable()
    loop = asyncio.get_running_loop()
    _workers._THREADS = _workers._READING_THREADS = 1
    await driver.exists("warm")
    lines = asyncio.Queue()
    def read():
        for line in iter(lambda: sys.stdin.readline(), ""):
            loop.call_soon_threadsafe(lines.put_nowait, line)
    threading.Thread(target=read, daemon=True).start()
    os.writev(1, [b"ready\\n"])
    while True:
        try:
            answer = ["done", str(await eval(await lines.get()))]
        except StorageException as error:
            answer = [type(error).__name__, error.errno]
        os.writev(1, [json.dumps(answer).encode() + b"\\n"])

asyncio.run(main())
"""

# What a file system is asked, and what may fail there.
_TRACED = (
    "openat", "openat2", "close", "dup", "read", "write", "copy_file_range", "fsync", "fdatasync",
    "fchmod", "utimensat", "newfstatat", "fsetxattr", "fgetxattr", "flock", "mkdirat", "linkat",
    "renameat", "renameat2", "unlinkat",
)  # fmt: skip
_LINE = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)(.*)$")


def missing() -> str | None:
    """Tell why no process can be traced here, or None."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    done = subprocess.run([strace, "-f", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"strace cannot trace here: {done.stderr.strip().splitlines()[-1]}"
    return None


@dataclass(frozen=True)
class SystemCall:
    """A line of a trace: one call, and the how manieth of its name the thread made."""

    name: str
    arguments: str
    result: int
    ordinal: int

    @property
    def fault(self) -> str:
        """What `strace -e inject=` takes to make this call fail, less the error."""
        return f"{self.name}:when={self.ordinal}"


class Victim:
    """The process; a context manager that ends it.

    Args:
        root: The driver's root.
        way: "linux" or "portable".
        options: "durable" for a driver that syncs.
    """

    def __init__(self, root: Path, way: str, *options: str) -> None:
        self._root = root
        self._command = python(_SERVE, root, way, *options)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, expression: str) -> list[Any]:
        """Await an expression over there; return its outcome."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return answer

    def traced(
        self, expression: str, folder: Path, *inject: str
    ) -> tuple[list[Any], list[SystemCall]]:
        """Await an expression under strace.

        Args:
            expression: What to do.
            folder: Where the trace may be written.
            inject: Faults, as ``strace -e inject=`` takes them.

        Returns:
            The outcome, and the calls of the thread that did the work.
        """
        for old in folder.glob("trace.*"):
            old.unlink()
        command: Sequence[str] = [
            "strace", "-ff", "-ttt", "-y", "-s", "10000", "-o", str(folder / "trace"),
            "-p", str(self.pid), "-e", f"trace={','.join(_TRACED)}",
            *(part for fault in inject for part in ("-e", f"inject={fault}")),
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in (said := strace.stderr.readline()), said
            outcome = self.do(expression)
            strace.send_signal(signal.SIGINT)
            strace.communicate()
        traces = [_calls(trace.read_text()) for trace in folder.glob("trace.*")]
        root = str(self._root)
        (worker,) = (calls for calls in traces if any(root in call.arguments for call in calls))
        return outcome, worker


def _calls(trace: str) -> list[SystemCall]:
    calls: list[SystemCall] = []
    counts: Counter[str] = Counter()
    for line in trace.splitlines():
        if (match := _LINE.match(line)) is not None:
            _, name, arguments, result, _ = match.groups()
            counts[name] += 1
            calls.append(SystemCall(name, arguments, int(result), counts[name]))
    return calls
