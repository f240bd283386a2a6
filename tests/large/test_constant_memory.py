"""Large files and long listings, each in a process whose peak memory is limited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from seaweedfs import SeaweedFS

MIB = 1024 * 1024

# What the new process runs first: `disk`, and what it prints at the end.
_HEAD = """
import asyncio, hashlib, json, os, sys
from jtc.storage import Storage

disk = Storage.build(json.loads(sys.argv[1]))

def peak():
    # Not ru_maxrss: a process begins with that of the one which started it (getrusage(2)).
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))

def report(**figures):
    print(json.dumps(figures | {"peak_mib": peak()}))
"""

_PUT_AND_STREAM = """
SIZE = 256 * 1024 * 1024

async def chunks(digest):
    block = os.urandom(1024 * 1024)
    for number in range(SIZE // len(block)):
        chunk = number.to_bytes(8, "big") + block[8:]
        digest.update(chunk)
        yield chunk

async def main():
    sent, received, size = hashlib.blake2b(), hashlib.blake2b(), 0
    async with disk:
        await disk.put("large.bin", chunks(sent))
        async for chunk in disk.stream("large.bin"):
            received.update(chunk)
            size += len(chunk)
        await disk.delete("large.bin")
    report(size=size, same=sent.digest() == received.digest())

asyncio.run(main())
"""

_WRITE = """
SIZE = 128 * 1024 * 1024

async def write(seek_first):
    block = os.urandom(1024 * 1024)
    async with disk.open("large.bin", "wb") as file:
        if seek_first:
            await file.seek(0)
        for _ in range(SIZE // len(block)):
            await file.write(block)
        if seek_first:
            await file.seek(0)
            await file.write(b"head")
    assert await disk.size("large.bin") == SIZE
    return await disk.get_range("large.bin", 0, 4) == (b"head" if seek_first else block[:4])

async def main():
    async with disk:
        streamed, sought = await write(False), await write(True)
        await disk.delete("large.bin")
    report(same=streamed and sought)

asyncio.run(main())
"""

_LIST = """
async def main():
    count, last, ordered = 0, b"", True
    async with disk:
        async for entry in disk.list("many"):
            key = entry.path.encode()
            ordered &= last < key
            last = key
            count += 1
            if count == 1:
                first = peak()
    report(count=count, ordered=ordered, peak_at_first=first)

asyncio.run(main())
"""


def run(script: str, config: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _HEAD + script, json.dumps(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    sys.stdout.write(f"{config['driver']}: {figures}\n")
    return figures


def s3(store: SeaweedFS) -> dict[str, Any]:
    return {"driver": "s3", "bucket": store.bucket, **store.options}


# On S3 several parts are held at once, beside the SDK.
@pytest.mark.parametrize(("driver", "peak_mib"), [("local", 60), ("s3", 150)])
def test_put_and_stream_of_256_mib_take_little_memory(
    driver: str, peak_mib: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = {"driver": "local", "root": str(tmp_path)}
    if driver == "s3":
        config = s3(request.getfixturevalue("seaweedfs"))
    figures = run(_PUT_AND_STREAM, config)
    assert figures["same"]
    assert figures["size"] == 256 * MIB
    assert figures["peak_mib"] < peak_mib


@pytest.mark.parametrize(("driver", "peak_mib"), [("local", 80), ("s3", 170)])
def test_open_file_of_128_mib_is_written_in_little_memory(
    driver: str,
    peak_mib: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("TMPDIR", str(spool))
    config = {"driver": "local", "root": str(tmp_path / "files")}
    if driver == "s3":
        config = s3(request.getfixturevalue("seaweedfs"))
    figures = run(_WRITE, config)
    assert figures["same"]
    assert figures["peak_mib"] < peak_mib
    assert list(spool.iterdir()) == []


def test_list_of_20_000_local_files_takes_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (tmp_path / "few").mkdir()
    for number in range(20_000):
        os.close(os.open(folder / f"file-{number:05}", os.O_CREAT | os.O_WRONLY, 0o644))
    figures = run(_LIST, {"driver": "local", "root": str(tmp_path)})
    assert figures["count"] == 20_000
    assert figures["ordered"]
    # About 100 bytes a name of the directory, and nothing for what was yielded already.
    assert figures["peak_mib"] < 60
    # What is kept of each entry would be 7 MiB.
    assert figures["peak_mib"] - figures["peak_at_first"] < 4
