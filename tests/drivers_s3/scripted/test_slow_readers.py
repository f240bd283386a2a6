"""What is kept in memory of a file whose reader is slow."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from certificates import loopback_certificate
from jtc.storage.http_support.connections import OpenBody
from scripted_store import ScriptedStore

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

CONTENT = bytes(range(256)) * 8192
CHUNK = 65_536


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_stream_of_small_chunks_keeps_few_of_them(
    make_disk: MakeDisk, tmp_path: Path, scheme: str
) -> None:
    options: dict[str, str] = {}
    context = None
    if scheme == "https":
        if shutil.which("openssl") is None:
            pytest.skip("openssl makes the certificate")
        options["ca_bundle"], context = loopback_certificate(tmp_path)
    async with ScriptedStore(tls=context) as store:
        store.store("a", CONTENT)
        others = bodies()  # of other tests, which the garbage collector has not found yet
        content, kept = b"", []
        async with await make_disk(store, **options).stream("a", chunk_size=CHUNK) as stream:
            async for chunk in stream:
                content += chunk
                if len(content) < CHUNK * 8:
                    await asyncio.sleep(0.01)  # the store sends all meanwhile
                    kept.append(unread(others))
        assert content == CONTENT
        # Over TLS, also what was decrypted of the next one.
        assert 0 < max(kept) <= (2 * CHUNK if context else CHUNK)


def bodies() -> list[Any]:
    """Return the answers that are in memory."""
    return [each for each in gc.get_objects() if type(each) in (aiohttp.StreamReader, OpenBody)]


def unread(others: list[Any]) -> int:
    """Return how many bytes of answers are in memory, and were given to no reader.

    Args:
        others: Answers that do not count.
    """
    known = set(map(id, others))
    own = [each for each in bodies() if id(each) not in known]
    arrived = (each._buffer for each in own if type(each) is aiohttp.StreamReader)
    taken = (each._rest for each in own if type(each) is OpenBody)
    return sum(len(piece) for pieces in arrived for piece in pieces) + sum(map(len, taken))
