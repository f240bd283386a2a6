"""Who checks the content of an upload: the store by its checksum, else by its signature."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from certificates import loopback_certificate
from scripted_store import ALWAYS, Rule, ScriptedStore

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

CONTENTS = (b"first", b"second", b"third")
SIGNATURES = [sha256(content).hexdigest() for content in CONTENTS]
UNSIGNED = "UNSIGNED-PAYLOAD"


async def payloads(store: ScriptedStore, disk: Disk) -> list[str]:
    for content in CONTENTS:
        await disk.put("a", content)
    return [request.headers["x-amz-content-sha256"] for request in store.of("PutObject")]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("checks", [True, False], ids=["checks", "ignores checksums"])
async def test_content_over_https_is_signed_where_the_store_ignores_its_checksum(
    make_disk: MakeDisk, tmp_path: Path, checks: bool
) -> None:
    certificate, context = loopback_certificate(tmp_path)
    async with ScriptedStore(tls=context) as store:
        disk = make_disk(store, ca_bundle=certificate)
        if not checks:
            store.rule(Rule(times=ALWAYS, edit={"x-amz-checksum-crc32": None}))
        sent = await payloads(store, disk)
        # What the first answer says is known afterwards.
        assert sent == [UNSIGNED, *([UNSIGNED] * 2 if checks else SIGNATURES[1:])]


async def test_content_over_http_is_signed(store: ScriptedStore, disk: Disk) -> None:
    assert await payloads(store, disk) == SIGNATURES
