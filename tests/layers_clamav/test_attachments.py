"""Attachments of a disk with the scanning layer: stored, and sent straight to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from attachment_fields import SECRET, added
from clamd import EICAR
from jtc.storage import RejectedException, StorageManager
from jtc.storage.asgi import serve
from jtc.storage.attachments import Field, Registry
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.uploads import begin_upload, claim_token, hold
from web_disks import BASE

if TYPE_CHECKING:
    from pathlib import Path

    from clamd import RealClamd
    from jtc.storage import Disk


@pytest.fixture
def storage(clamd: RealClamd, tmp_path: Path) -> StorageManager:
    local = {"driver": "local", "root": str(tmp_path), "base_url": BASE, "secret": "s" * 32}
    layer = {"name": "clamav", "address": clamd.socket, "staging": "unscanned"}
    disks = {"media": {**local, "layers": [layer]}, "behind": local}
    return StorageManager.isolated({"default": "media", "disks": disks})


@pytest.fixture
def field(storage: StorageManager) -> Field:
    return added(Registry(namespace="app", secret=SECRET, storage=storage), max_size=1000)


async def sent(field: Field, disk: Disk, content: bytes) -> str:
    """Send a file straight to an application that serves a disk; return its token."""
    upload = await begin_upload(field, 1, size=len(content))
    assert upload.request is not None
    app = Starlette(routes=[Mount("/storage", serve(disk))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        await client.put(upload.request.url, headers=upload.request.headers, content=content)
    return upload.token


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".jtc" not in path.parts]


async def test_ingest_and_hold_refuse_an_infected_file(field: Field, tmp_path: Path) -> None:
    for call in (ingest(field, EICAR), hold(field, EICAR, 1)):
        with pytest.raises(RejectedException) as raised:
            await call
        assert raised.value.reason == "virus"
    assert files(tmp_path) == []


@pytest.mark.parametrize("served", ["media", "behind"])
async def test_claim_scans_what_was_sent_straight_to_the_store(
    field: Field, storage: StorageManager, tmp_path: Path, served: str
) -> None:
    disk = storage.disk(served)
    token = await sent(field, disk, EICAR)
    with pytest.raises(RejectedException) as raised:
        await claim_token(field, token, 1)
    # The layer itself has refused it, where it was served.
    assert raised.value.reason == ("upload" if served == "media" else "virus")
    assert files(tmp_path) == []
    token = await sent(field, disk, b"clean")
    for _ in range(2):
        claimed = await claim_token(field, token, 1)
        assert await field.disk.get(claimed.attachment.key) == b"clean"
