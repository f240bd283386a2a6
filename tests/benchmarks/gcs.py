"""The driver of Google Cloud Storage beside obstore, in turns within one run.

On the server of ours, to which both speak, or on fake-gcs-server, which takes only obstore's
reads::

    python tests/support/google_store.py bench-bucket python tests/benchmarks/gcs.py
    python tests/support/fake_gcs_server.py bench-bucket python tests/benchmarks/gcs.py
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import obstore
from obstore.store import GCSStore

from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions

MIB = 1024 * 1024
ROUNDS = 9
SMALL, MIDDLE, LARGE = b"x" * 1000, b"y" * MIB, b"z" * (64 * MIB)
FILES = 300

Call = Callable[[], Awaitable[object]]


def times(number: int, call: Call, at_once: int = 1) -> Call:
    """Return a call that makes some others, one after the other or some at once."""

    async def calls() -> None:
        for _ in range(number // at_once):
            await asyncio.gather(*(call() for _ in range(at_once)))

    return calls


def rows(driver: GCSDriver, store: GCSStore) -> dict[str, tuple[Call, Call]]:
    """Return what is compared: a call of ours and one of obstore's."""

    async def get(key: str) -> int:
        return len(await (await obstore.get_async(store, key)).bytes_async())

    async def stream() -> int:
        opened = await driver.open_read("large", ReadOptions(chunk_size=MIB, read_ahead=True))
        size = sum([len(chunk) async for chunk in opened])
        await opened.aclose()
        return size

    async def their_stream() -> int:
        answer = await obstore.get_async(store, "large")
        return sum([len(chunk) async for chunk in answer.stream(min_chunk_size=MIB)])

    async def entries() -> int:
        options = ListOptions(recursive=True)
        return len([entry async for entry in driver.list_entries("listed", options)])

    async def their_entries() -> int:
        return sum([len(page) async for page in obstore.list(store, "listed/")])

    def put(content: bytes) -> tuple[Call, Call]:
        return (
            lambda: driver.write_file("put", content, WriteOptions()),
            lambda: obstore.put_async(store, "put", content, use_multipart=False),
        )

    def each(number: int, pair: tuple[Call, Call], at_once: int = 1) -> tuple[Call, Call]:
        return times(number, pair[0], at_once), times(number, pair[1], at_once)

    small = (lambda: driver.get("small"), lambda: get("small"))
    middle = (lambda: driver.get("middle"), lambda: get("middle"))
    heads = (lambda: driver.stat("small"), lambda: obstore.head_async(store, "small"))
    return {
        "get 1 kB, 100 times": each(100, small),
        "get 1 kB, 100 times, 20 at once": each(100, small, 20),
        "get 1 MiB, 20 times": each(20, middle),
        "stream 64 MiB": (stream, their_stream),
        "stat, 100 times": each(100, heads),
        f"list {FILES}": (entries, their_entries),
        "put 1 kB, 100 times": each(100, put(SMALL)),
        "put 1 MiB, 20 times": each(20, put(MIDDLE)),
        "put 64 MiB": put(LARGE),
    }


async def main() -> None:
    url, bucket = os.environ["STORAGE_EMULATOR_HOST"], os.environ["GCS_BUCKET"]
    key: dict[str, Any] = {"gcs_base_url": url, "disable_oauth": True}
    key |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    store = GCSStore(
        bucket, service_account_key=json.dumps(key), client_options={"allow_http": True}
    )
    driver = GCSDriver(bucket)
    for name, content in (("small", SMALL), ("middle", MIDDLE), ("large", LARGE)):
        await driver.write_file(name, content, WriteOptions())
    await asyncio.gather(*(driver.put(f"listed/{n:04}", b"") for n in range(FILES)))
    for name, calls in rows(driver, store).items():
        try:
            taken: tuple[list[float], list[float]] = [], []
            for number in range(ROUNDS + 1):
                for turn in (0, 1) if number % 2 else (1, 0):
                    began = time.perf_counter()
                    await calls[turn]()
                    if number:  # the first opens connections
                        taken[turn].append(time.perf_counter() - began)
        except obstore.exceptions.BaseError as error:
            sys.stdout.write(f"{name:34} obstore: {type(error).__name__}\n")
            continue
        ours, theirs = map(statistics.median, taken)
        both = f"{ours * 1000:8.1f} ms, obstore {theirs * 1000:8.1f} ms"
        sys.stdout.write(f"{name:34} {both}: {ours / theirs:.2f}\n")
    await driver.aclose()


if __name__ == "__main__":
    asyncio.run(main())
