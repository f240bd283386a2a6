"""A process that synchronizes two disks, to be killed: ``python killed_sync.py CONFIGURATION``."""

from __future__ import annotations

import asyncio
import json
import sys

from jtc.storage import StorageManager


async def main() -> None:
    manager = StorageManager.isolated(json.loads(sys.argv[1]))
    source, target = manager.disk("source"), manager.disk("target")
    await source.exists("ready")
    await target.exists("ready")
    print("ready", flush=True)  # noqa: T201 - for the test that kills this
    plan = await source.plan_sync("files", to="target:files", delete=True)
    await plan.run()
    print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
