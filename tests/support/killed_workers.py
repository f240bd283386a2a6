"""Workers of an application, two at a time, that are killed at any moment.

A script of the application calls `serve`; a test runs it by `KilledWorkers`. It needs nothing but
the standard library, so that the scripts of other libraries can run it in their environments.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Self

__all__ = ["Action", "KilledWorkers", "serve"]

Action = Callable[[random.Random], Awaitable[None]]


class KilledWorkers:
    """Two workers at a time, until they are killed; a context manager.

    Args:
        script: The script of the application, which calls `serve`.
        root: Where the data of the application are.
        seed: Decides what the workers do and when they are killed.
        python: The interpreter.
    """

    def __init__(
        self, script: Path, root: Path, seed: int, *, python: str = sys.executable
    ) -> None:
        self._root = root
        self._command = [python, str(script), str(root), str(seed)]
        self.kills = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def kill_two(self, longest: float = 0.05) -> None:
        """Start two workers, and kill each at a random moment.

        Args:
            longest: Seconds until that at most: time for a few actions.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{longest}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "killed\n"
        self.kills += 2

    def done(self) -> str:
        """Return how often the workers did each thing to its end."""
        log = self._root / "done"
        names = log.read_text().split() if log.exists() else []
        return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


def serve(
    root: Path,
    seed: int,
    begin: Callable[[], Awaitable[Mapping[str, tuple[Action, float]]]],
    passed: type[Exception],
) -> None:
    """For each line of standard input, fork two workers and kill them.

    This process has imported everything, and runs nothing: a worker begins at once.

    Args:
        root: Where the data of the application are.
        seed: As for `KilledWorkers`.
        begin: Returns what a worker does, each with its weight, once it is ready.
        passed: An exception that an action may raise.
    """
    chance = random.Random(seed)
    for line in sys.stdin:
        workers = []
        for _ in range(2):
            ready, writer = os.pipe()
            process = os.fork()
            if process == 0:
                _work(root, random.Random(chance.random()), begin, passed, writer)
            os.close(writer)
            chance.random()  # as the child did
            workers.append((process, ready))
        for _, ready in workers:
            assert os.read(ready, 1) == b"r"
            os.close(ready)
        for process, _ in workers:
            time.sleep(chance.uniform(0, float(line)))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        sys.stdout.write("killed\n")
        sys.stdout.flush()


def _work(
    root: Path,
    chance: random.Random,
    begin: Callable[[], Awaitable[Mapping[str, tuple[Action, float]]]],
    passed: type[Exception],
    ready: int,
) -> None:
    """Do one thing after the other, until the process is killed, or the one that forked it ends."""
    parent = os.getppid()
    # A test that reads the output of the parent must see its end.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)

    async def run() -> None:
        log = os.open(root / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        actions = await begin()
        os.write(ready, b"r")
        names, weights = list(actions), [weight for _, weight in actions.values()]
        while os.getppid() == parent:
            (name,) = chance.choices(names, weights)
            try:
                await actions[name][0](chance)
            except passed:
                continue
            os.write(log, f"{name}\n".encode())

    try:
        asyncio.run(run())
    finally:
        os._exit(1)
