"""Files in memory: all the time is overhead."""

from __future__ import annotations

import asyncio
import sys

from measuring import in_turns, print_rows, repeat
from peers import memory_peers
from sizes import Sizes

CALLS_MORE = 10


class Dictionary:
    """The limit: one look into a dict."""

    name = "a dict"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def get(self, path: str) -> bytes:
        return self.files[path]

    async def put(self, path: str, content: bytes) -> None:
        self.files[path] = content


async def main(sizes: Sizes) -> None:
    disks = [*memory_peers(), Dictionary()]
    content, calls = bytes(4096), sizes.calls * CALLS_MORE
    puts = {
        disk.name: repeat(calls, lambda _, put=disk.put: put("file", content)) for disk in disks
    }
    gets = {disk.name: repeat(calls, lambda _, get=disk.get: get("file")) for disk in disks}
    rows = [
        await in_turns("put 4 KiB", puts, rounds=sizes.rounds, per=calls),
        await in_turns("get 4 KiB", gets, rounds=sizes.rounds, per=calls),
    ]
    print_rows(rows)
    for disk in disks[:-1]:
        await disk.aclose()


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
