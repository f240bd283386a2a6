"""The maintenance of attachments, as an application's type checker sees it."""

from __future__ import annotations

import asyncio
from typing import assert_type

from jtc.storage.attachments import Registry
from jtc.storage.attachments.adopt import adopt
from jtc.storage.attachments.importing import FormerFile, from_django
from jtc.storage.attachments.moving import Moved, move
from jtc.storage.attachments.plain import store
from jtc.storage.attachments.purge import Purged, purge
from jtc.storage.attachments.sweeping import Regenerated, Swept, regenerate, sweep
from jtc.storage.attachments.verify import Dangling, verify
from jtc.storage.attachments.worker import OutboxRun, run_outbox, work


async def maintain(registry: Registry) -> None:
    stop = asyncio.Event()
    assert_type(await run_outbox(registry, lease=60, stop=stop), OutboxRun)
    await work(registry, interval=5, stop=stop)
    assert_type(await purge(registry, max_delete=None, dry_run=True), Purged)
    async for dangling in verify(registry, fields=["users.avatar"], at_once=4):
        assert_type(dangling, Dangling)
        assert_type(dangling.missing, tuple[str, ...])
    assert_type(await adopt(registry, disks=["media"]), dict[str, str | None])
    assert_type(await move(registry, fields={"users.avatar"}), Moved)
    assert_type(await regenerate(registry, lazy=True), Regenerated)
    assert_type(await sweep(registry, dry_run=True), Swept)
    await purge(registry, max_delet=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def take_over(registry: Registry) -> None:
    former = from_django("avatars/me.png", disk="old")
    assert_type(former, FormerFile | None)
    if former is not None:
        await store(registry.field("users.avatar"), former.open(registry), name=former.name)
