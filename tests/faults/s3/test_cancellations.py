"""Cancelled puts to S3: a CancelledError each time, and whole files afterwards."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from faulty_proxy import FaultyProxy
    from jtc.storage.drivers.s3_driver import S3Driver
    from s3_fixtures import MakeDriver

MIB = 1024 * 1024
SIZE = 6 * MIB


async def stream(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), MIB):
        yield content[at : at + MIB]


KINDS: dict[str, tuple[Callable[[bytes], Any], list[str]]] = {
    "one request": (bytes, ["PUT"]),
    "parts": (stream, ["POST", "PUT", "PUT", "POST"]),
}


@pytest.mark.row(7)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_put_to_a_store_is_whole_or_nothing(
    make_driver: MakeDriver,
    driver: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    kind: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    make, methods = KINDS[kind]
    threshold = 5 * MIB if kind == "parts" else 64 * MIB
    cancelled = make_driver(
        endpoint_url=proxy.endpoint_url, multipart_threshold=threshold, part_size=5 * MIB
    )
    current = b"\0" * SIZE
    path = await driver.put(f"{folder}/file", current)
    count = rounds(100, brief=8)
    torn = landed = swallowed = 0
    for number in range(1, count + 1):
        content = bytes([number]) * SIZE
        task = asyncio.ensure_future(cancelled.put(path, make(content)))

        async def cancel(task: asyncio.Task[str] = task) -> None:
            task.cancel()

        moment = random.Random(number).choice(("before", "after"))
        proxy.faults = [
            Fault(method, **({moment: cancel} if place == number % len(methods) else {}))  # type: ignore[arg-type]
            for place, method in enumerate(methods)
        ]
        await asyncio.wait([task])
        # After the last answer the put may have returned before it was cancelled.
        late = moment == "after" and number % len(methods) == len(methods) - 1
        swallowed += not task.cancelled() and not late
        while proxy.busy:
            await asyncio.sleep(0.005)
        seen = await driver.get(path)
        landed += seen == content
        torn += seen not in (current, content)
        current = seen
    report(
        f"S3, {kind}: {count} cancellations, {swallowed} of them not raised, {torn} torn, "
        f"{landed} had landed"
    )
    assert (torn, swallowed) == (0, 0)
