"""What a web server holds for each client that reads slowly: of S3 by `serve`, of a local file by
Starlette's `FileResponse`. In a process of its own, whose memory nothing used before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from measuring import MIB, OURS
from web import LARGE, NAME, STARLETTE, held

from jtc.storage.drivers.s3_driver import S3Driver


async def main(store: dict[str, str], readers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / NAME).write_bytes(bytes(MIB))
        (root / LARGE).write_bytes(bytes(8 * MIB))
        driver = S3Driver(**store)
        for name in (NAME, LARGE):
            await driver.put(name, (root / name).read_bytes())
        await driver.aclose()
        return {
            OURS: await held(root, "/s3", readers, store),
            STARLETTE: await held(root, "/theirs", readers),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1]), int(sys.argv[2])))))
