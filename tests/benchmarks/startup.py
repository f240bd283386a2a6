"""The time that a process takes to start: each figure is from a new interpreter."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from bare import BARE
from measuring import OURS, Row, in_turns, print_rows
from sizes import Sizes

from seaweedfs import SeaweedFS

IMPORTS = {
    "jtc-storage": "jtc.storage",
    "asyncio alone": "asyncio",
    "obstore": "obstore",
    "OpenDAL": "opendal",
    "fsspec": "fsspec",
    "xtr-storage": "xtr_storage",
    "litestar-storages": "litestar_storages",
    "aioboto3": "aioboto3",
}

FIRST = """
import asyncio, json, os, sys
sys.path.insert(0, {here!r})
from peers import PEERS

async def main():
    disk = PEERS[{who!r}].s3(json.loads({store!r}))
    assert await disk.get("file") == b"content"
    await disk.aclose()

asyncio.run(main())
# Some peers abort in their own threads at a process's end, after all was done.
os._exit(0)
"""

UNWANTED = ("aioboto3", "aiobotocore", "botocore", "boto3", "aiohttp", "jtc.storage.drivers")


def _python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


async def imports(sizes: Sizes) -> Row:
    """Time the import statement itself, inside a new interpreter."""
    row = Row("import", "ms", {who: [] for who in IMPORTS}, {who: [] for who in IMPORTS})
    timed = (
        "import time\nwall, cpu = time.perf_counter(), time.process_time()\nimport {}\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    for _ in range(sizes.asked):
        for who, module in IMPORTS.items():
            try:
                wall, cpu = (1000 * float(text) for text in _python(timed.format(module)).split())
            except subprocess.CalledProcessError as error:
                if who == OURS:
                    raise
                row.failed[who] = str(error)
                continue
            row.wall[who].append(wall)
            row.cpu[who].append(cpu)
    for who in row.failed:
        row.wall.pop(who)
        row.cpu.pop(who)
    loaded = json.loads(_python("import json, sys, jtc.storage; print(json.dumps([*sys.modules]))"))
    found = [name for name in loaded if name.startswith(UNWANTED)]
    assert not found, found
    return row


async def first_operation(sizes: Sizes) -> Row:
    """Time a whole process that gets one small object, with the keys given."""
    with SeaweedFS() as server:
        store: dict[str, Any] = {"bucket": server.bucket, **server.options}
        server_side = "await disk.put('file', b'content')\n    assert await disk.get"
        names = ("jtc-storage", "aioboto3", "obstore", "OpenDAL", "s3fs")
        scripts = {
            who: FIRST.format(here=str(Path(__file__).parent), who=who, store=json.dumps(store))
            for who in names
        }
        # The limit: Python, asyncio and aiohttp have to be imported in any case.
        first = FIRST.replace("from peers import PEERS", "from bare import BareS3")
        first = first.replace("PEERS[{who!r}].s3", "BareS3")
        scripts[BARE] = first.format(here=str(Path(__file__).parent), store=json.dumps(store))
        _python(scripts["obstore"].replace("assert await disk.get", server_side))

        def way(who: str) -> Any:
            async def run() -> None:
                _python(scripts[who])

            return run

        row = await in_turns(
            "first S3 get of a process", {who: way(who) for who in scripts},
            rounds=sizes.asked, unit="ms",
        )  # fmt: skip
    row.cpu.clear()  # it was another process's
    return row


async def main(sizes: Sizes) -> None:
    print_rows([await imports(sizes), await first_operation(sizes)])


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
