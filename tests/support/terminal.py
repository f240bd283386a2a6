"""A terminal of its own for programs of tests, whose screen can be read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import pyte

__all__ = ["Terminal"]

_PATIENCE = 20.0


class Terminal:
    """A program in a pseudo terminal.

    Args:
        command: The program and its arguments; or a function that returns the exit status, which
            a child of this process runs.
        environ: Its environment; TERM is set.
        directory: Its working directory.
        columns: The width of the screen.
        rows: Its height; what scrolls off it is kept.

    Attributes:
        screen: The screen.
        raw: All that was written.
        status: The exit status, once it has ended.
        answers: What is typed where the last line is a question that ends so.
    """

    def __init__(
        self,
        command: Sequence[str] | Callable[[], int],
        *,
        environ: Mapping[str, str],
        directory: Path,
        columns: int = 80,
        rows: int = 40,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1.0)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(directory)
            variables = {**environ, "TERM": "xterm-256color"}
            if callable(command):
                _run(command, variables)
            os.execve(command[0], list(command), variables)
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self.status: int | None = None
        self.answers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.status is None:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self._terminal)

    def send(self, text: str) -> None:
        """Type a text."""
        os.write(self._terminal, text.encode())

    @property
    def text(self) -> str:
        """The lines of the screen, with those that have scrolled off it."""
        return "\n".join(map(str.rstrip, map(_line, self.lines))).rstrip()

    @property
    def lines(self) -> list[Any]:
        """The lines, each a mapping of columns to characters with their colours."""
        screen = self.screen
        columns = range(screen.columns)
        kept = [*screen.history.top, *(screen.buffer[row] for row in range(screen.lines))]
        return [[line[column] for column in columns] for line in kept]

    def wait_for(self, pattern: str) -> str:
        """Wait until the screen matches a regular expression; return its text."""
        until = time.monotonic() + _PATIENCE
        while not re.search(pattern, self.text):
            left = until - time.monotonic()
            assert left > 0, f"{pattern!r} did not appear:\n{self.text}"
            if not self._read(left):
                assert re.search(pattern, self.text), f"{pattern!r} did not appear:\n{self.text}"
                break
        return self.text

    def wait(self) -> int:
        """Wait for the end of the program; return its exit status."""
        until = time.monotonic() + _PATIENCE
        while self._read(until - time.monotonic()):
            assert time.monotonic() < until, self.text
        self.status = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        return self.status

    def _read(self, seconds: float) -> bool:
        """Read what was written; return False at the end of the program."""
        if not select.select([self._terminal], [], [], max(seconds, 0))[0]:
            return True
        try:
            read = os.read(self._terminal, 65_536)
        except OSError:  # Linux's answer, once no program has it open
            return False
        self.raw += read
        self._stream.feed(read)
        for question, answer in list(self.answers.items()):
            if self.text.endswith(question.rstrip()):
                self.send(answer)
        return bool(read)


def _run(function: Callable[[], int], environ: Mapping[str, str]) -> NoReturn:
    """Run a function on the terminal, which is what the first three descriptors are, and end."""
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    status = 1
    try:
        status = function()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _line(characters: Sequence[Any]) -> str:
    return "".join(each.data for each in characters)
