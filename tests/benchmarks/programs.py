"""Programs that are compared: their commands, and runs of them with what each took."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from measuring import OURS

__all__ = [
    "AWS",
    "BESIDE",
    "OUR_PROGRAM",
    "PYTHON",
    "RCLONE",
    "S5CMD",
    "Run",
    "Step",
    "equally",
    "listing",
    "run",
    "steps",
    "variables",
]

RCLONE = "rclone"
S5CMD = "s5cmd"
AWS = "aws s3"
PYTHON = "Python alone"
WIDTH = 32
"""Files at once, where ours and another program have as many."""
BESIDE = Path(sys.executable).parent
OUR_PROGRAM = f"{BESIDE}/jtc-storage"
SAMPLED_SECONDS = 0.05
MIB_OF_PAGE = os.sysconf("SC_PAGE_SIZE") / 1024**2


class Step(StrEnum):
    """What is done with a tree."""

    UP = "up"
    AGAIN = "again, with nothing to do"
    DOWN = "down"


@dataclass(frozen=True)
class Run:
    """What a run of a program took.

    Attributes:
        wall: Seconds.
        cpu: Seconds of processors, of it and of all that it started.
        memory: MiB that it and all that it started had at most, in samples.
        output: What it printed.
    """

    wall: float
    cpu: float
    memory: float
    output: bytes


def equally(who: str) -> str:
    """Return the name of a program that works on as many files at once as another one."""
    return f"{who}, {WIDTH} at once"


def steps(who: str, store: Mapping[str, str], tree: Path, back: Path) -> dict[Step, list[str]]:
    """Return the command of each step.

    Args:
        who: The program, as many files at once as it takes by default, or `equally`.
        store: The store, in which the tree has the name of its directory.
        tree: The directory that goes up.
        back: A directory for what comes down.
    """
    program = who.partition(",")[0]
    width = None if program == who else WIDTH
    far = f"s3://{store['bucket']}/{tree.name}/"
    if program == OURS:
        far, options = f"s3:{tree.name}", ["--transfers", str(width)] if width else []
        command = [OUR_PROGRAM, "sync", *options]
        up, down = [*command, str(tree), far], [*command, far, str(back)]
    elif program == RCLONE:
        command, far = [*_rclone(store, width), "copy"], f":s3:{store['bucket']}/{tree.name}"
        up, down = [*command, str(tree), far], [*command, far, str(back)]
    elif program == S5CMD:
        command = [*_s5cmd(store, width), "sync"]
        up, down = [*command, f"{tree}/", far], [*command, f"{far}*", f"{back}/"]
    else:
        command = [*_aws(store), "sync"]
        up, down = [*command, str(tree), far], [*command, far, str(back)]
    return {Step.UP: up, Step.AGAIN: up, Step.DOWN: down}


def listing(who: str, store: Mapping[str, str], prefix: str) -> list[str]:
    """Return the command that prints all paths below a prefix of the store, or of this disk.

    Args:
        who: The program.
        store: The store.
        prefix: A prefix of the store, or the absolute path of a directory.
    """
    is_local = prefix.startswith("/")
    if who == OURS:
        return [OUR_PROGRAM, "ls", "-R", prefix if is_local else f"s3:{prefix}"]
    if who == RCLONE:
        place = prefix if is_local else f":s3:{store['bucket']}/{prefix}"
        return [*_rclone(store, None), "lsf", "-R", place]
    if who == S5CMD:
        return [*_s5cmd(store, None), "ls", f"s3://{store['bucket']}/{prefix}/*"]
    return [*_aws(store), "ls", "--recursive", f"s3://{store['bucket']}/{prefix}/"]


def _rclone(store: Mapping[str, str], width: int | None) -> list[str]:
    return [
        *(f"{BESIDE}/rclone", "--config", "", "--s3-no-check-bucket"),
        *("--s3-provider", "SeaweedFS", "--s3-region", store["region"]),
        *("--s3-endpoint", store["endpoint_url"], "--s3-access-key-id", store["access_key"]),
        *("--s3-secret-access-key", store["secret_key"]),
        *(("--transfers", str(width), "--checkers", str(width)) if width else ()),
    ]


def _s5cmd(store: Mapping[str, str], width: int | None) -> list[str]:
    return [
        *(f"{BESIDE}/s5cmd", "--endpoint-url", store["endpoint_url"]),
        *(("--numworkers", str(width)) if width else ()),
    ]


def _aws(store: Mapping[str, str]) -> list[str]:
    return [f"{BESIDE}/aws", "--endpoint-url", store["endpoint_url"], "s3"]


def variables(store: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in which the programs find a store."""
    return {
        "AWS_ACCESS_KEY_ID": store["access_key"],
        "AWS_SECRET_ACCESS_KEY": store["secret_key"],
        "AWS_REGION": store["region"],
        "AWS_DEFAULT_REGION": store["region"],
        "AWS_ENDPOINT_URL_S3": store["endpoint_url"],
        "AWS_BUCKET": store["bucket"],
    }


async def run(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end, or raise what it said.

    Args:
        command: The command.
        environment: What it finds there beside the variables of this process.
    """
    before, begun = _processor_seconds(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    sampling = asyncio.create_task(_peak(process.pid))
    try:
        output, said = await process.communicate()
        wall = time.perf_counter() - begun
    finally:
        if process.returncode is None:
            process.kill()
        sampling.cancel()
    peak = await sampling
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {said.decode(errors='replace')[-500:]}")
    return Run(wall, _processor_seconds() - before, peak, output)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _peak(process: int) -> float:
    """Return the most memory of a process and its children, once this task is cancelled."""
    most = 0
    try:
        while True:
            most = max(most, _resident_pages(process))
            await asyncio.sleep(SAMPLED_SECONDS)
    except asyncio.CancelledError:
        return most * MIB_OF_PAGE


def _resident_pages(process: int) -> int:
    try:
        folder = Path(f"/proc/{process}")
        resident = int((folder / "statm").read_text().split()[1])
        children = [
            int(child)
            for thread in (folder / "task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return 0
    return resident + sum(map(_resident_pages, children))
