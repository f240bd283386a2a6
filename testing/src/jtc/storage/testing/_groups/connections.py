"""Connections that are dropped, broken or stalled on their way to a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from jtc.storage import StorageManager
from jtc.storage.driver_support.derived import resolve
from jtc.storage.exceptions import StorageException, StorageTimeoutException
from jtc.storage.testing._connection_faults import ConnectionFaults, Drop
from jtc.storage.testing._suite import DISK_NAME, Suite, assert_same, awaited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from jtc.storage import Disk

__all__ = ["ConnectionTests"]

_EACH_WAY = pytest.mark.parametrize("way", ["closed", "reset", "silently"])
_READS: dict[str, tuple[Callable[[Disk], Any], object]] = {
    "get": (lambda disk: disk.get("a"), b"content"),
    "exists": (lambda disk: disk.exists("a"), True),
    "size": (lambda disk: disk.size("a"), 7),
    "get_range": (lambda disk: disk.get_range("a", 3), b"tent"),
}
_CALLS: dict[str, Callable[[Disk], Any]] = {
    **{name: call for name, (call, _) in _READS.items()},
    "last_modified": lambda disk: disk.last_modified("a"),
    "stat": lambda disk: disk.stat("a"),
    "put": lambda disk: disk.put("b", b"content"),
    "delete": lambda disk: disk.delete("c"),
}
_LARGE = bytes(range(251)) * 8_000


class ConnectionTests(Suite):
    """Need `make_networked_driver`."""

    rules = "every method"

    @pytest.fixture
    def faults(self) -> Iterator[ConnectionFaults]:
        """Give the proxy between the driver and its server."""
        with ConnectionFaults() as faults:
            yield faults

    @pytest_asyncio.fixture
    async def networked_driver(self, faults: ConnectionFaults) -> Any:
        """Make the driver behind the proxy."""
        return await awaited(self.make_networked_driver(faults))

    @pytest_asyncio.fixture
    async def networked(self, networked_driver: Any) -> AsyncIterator[Disk]:
        """Give a disk behind the proxy, where the suite has one."""
        if networked_driver is None:
            pytest.skip("the suite gives no driver to break connections of: reconnects not tested")
        manager = StorageManager.isolated()
        manager.set_driver(networked_driver, DISK_NAME)
        yield manager.disk(DISK_NAME)
        resolved = resolve(networked_driver)
        if "close" in resolved.capabilities:
            await resolved.methods.aclose()

    @_EACH_WAY
    async def test_reads_after_idle_connections_were_dropped_reconnect(
        self, networked: Disk, faults: ConnectionFaults, way: Drop
    ) -> None:
        await networked.put("a", b"content")
        for name, (call, expected) in _READS.items():
            await asyncio.gather(*(networked.get("a") for _ in range(4)))
            faults.drop(way)
            found = await awaited(call(networked))
            assert found == expected, f"{name}() after four idle connections were dropped"

    @_EACH_WAY
    async def test_put_after_idle_connections_were_dropped_reconnects(
        self, networked: Disk, faults: ConnectionFaults, way: Drop
    ) -> None:
        await networked.put("a", b"old")
        await asyncio.gather(*(networked.get("a") for _ in range(4)))
        faults.drop(way)
        await networked.put("a", b"new")
        assert await networked.get("a") == b"new"

    @pytest.mark.parametrize("read", _READS)
    async def test_read_whose_connection_is_cut_before_the_answer_is_sent_again(
        self, networked: Disk, faults: ConnectionFaults, read: str
    ) -> None:
        call, expected = _READS[read]
        await networked.put("a", b"content")
        faults.cut_answer(after=0)
        assert await awaited(call(networked)) == expected

    @pytest.mark.parametrize("after", [10, 1_000, 200_000, 1_900_000])
    async def test_content_whose_connection_is_cut_is_whole_or_fails(
        self, networked: Disk, faults: ConnectionFaults, after: int
    ) -> None:
        await networked.put("a", _LARGE)
        for read in (_got, _streamed):
            faults.cut_answer(after)
            try:
                found = await read(networked)
            except StorageException:
                continue
            assert_same(found, _LARGE)

    @pytest.mark.parametrize("after", [10, 1_000, 200_000])
    async def test_put_whose_connection_is_cut_is_whole_or_fails(
        self, networked: Disk, faults: ConnectionFaults, after: int
    ) -> None:
        await networked.put("a", b"old")
        faults.cut_request(after)
        try:
            await networked.put("a", _LARGE)
        except StorageException:
            assert await networked.get("a") in {b"old", _LARGE}
        else:
            assert_same(await networked.get("a"), _LARGE)

    async def test_calls_to_stalled_server_end_with_a_typed_timeout(
        self, networked: Disk, faults: ConnectionFaults
    ) -> None:
        await networked.put("a", b"content")
        faults.stall()
        calls = [awaited(call(networked)) for call in _CALLS.values()]
        ended = asyncio.gather(*calls, return_exceptions=True)
        try:
            outcomes = await asyncio.wait_for(ended, self.patience)
        except TimeoutError:
            pytest.fail(f"a call to a server that stalls did not end in {self.patience} seconds")
        finally:
            faults.resume()
        for name, outcome in zip(_CALLS, outcomes, strict=True):
            assert isinstance(outcome, StorageTimeoutException), f"{name}() of a stalled server"
        assert await networked.get("a") == b"content", "it works when the server does"

    async def test_stream_that_stalls_ends_with_a_typed_timeout(
        self, networked: Disk, faults: ConnectionFaults
    ) -> None:
        await networked.put("a", _LARGE)
        read = b""

        async def go_on() -> None:
            nonlocal read
            async for chunk in networked.stream("a", chunk_size=1_000):
                faults.stall()
                read += chunk

        try:
            await asyncio.wait_for(go_on(), self.patience)
        except StorageTimeoutException:
            pass
        except TimeoutError:
            pytest.fail(f"a stream that stalls did not end in {self.patience} seconds")
        else:
            assert_same(read, _LARGE)  # it had all of it already
        finally:
            faults.resume()
        assert await networked.exists("a") is True

    async def test_call_to_stalled_server_can_be_cancelled(
        self, networked: Disk, faults: ConnectionFaults
    ) -> None:
        await networked.put("a", b"content")
        faults.stall()
        for name, call in _CALLS.items():
            task = asyncio.create_task(awaited(call(networked)))
            await asyncio.sleep(0.01)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=self.patience)
            assert done, f"{name}() of a stalled server goes on after it was cancelled"
            assert task.cancelled(), f"{name}() of a stalled server, cancelled"
        faults.resume()
        # What answers the cancelled calls is not taken for the answer to later ones.
        assert await networked.get("a") == b"content"
        assert await networked.exists("missing") is False


async def _got(disk: Disk) -> bytes:
    return await disk.get("a")


async def _streamed(disk: Disk) -> bytes:
    return b"".join([chunk async for chunk in disk.stream("a", chunk_size=50_000)])
