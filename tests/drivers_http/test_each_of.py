"""One call for each of many paths."""

from __future__ import annotations

import asyncio

import pytest

from jtc.storage.exceptions import FileNotFoundException, StorageUnavailableException
from jtc.storage.http_support.client import HttpClient, Service
from jtc.storage.http_support.each_of import each_of, first_failure
from jtc.storage.http_support.settings import HttpSettings


class _Unused(Service):
    """A service of a client that sends nothing."""

    signed = refusal = exception_for = None  # type: ignore[assignment]


@pytest.fixture
def client() -> HttpClient:
    settings = HttpSettings(endpoint_url="http://127.0.0.1:1", max_connections=6)
    return HttpClient(settings, _Unused(), "test")


async def test_each_of_keeps_half_of_the_connections_busy(client: HttpClient) -> None:
    busy: set[str] = set()
    most = 0

    async def call(given: HttpClient, key: str) -> str:
        nonlocal most
        assert given is client
        busy.add(key)
        most = max(most, len(busy))
        await asyncio.sleep(0)
        busy.remove(key)
        return key.upper()

    keys = [f"a{number}" for number in range(20)]
    assert await each_of(client, keys, call) == {key: key.upper() for key in keys}
    assert most == 3
    assert await each_of(client, [], call) == {}


async def test_each_of_returns_errors_of_the_store_and_raises_others(client: HttpClient) -> None:
    failure = StorageUnavailableException("down")

    async def call(_: HttpClient, key: str) -> bool:
        if key == "refused":
            raise failure
        if key == "wrong":
            raise ZeroDivisionError
        return True

    assert await each_of(client, ["a", "refused"], call) == {"a": True, "refused": failure}
    with pytest.raises(ZeroDivisionError):
        await each_of(client, ["wrong"], call)


def test_first_failure_names_its_path_and_passes_over_what_is_gone() -> None:
    failure = StorageUnavailableException("down")
    gone = FileNotFoundException("File not found")
    assert first_failure({"a": True, "b": gone, "c": failure}) is failure
    assert failure.path == "c"
    assert first_failure({"a": True, "b": gone}) is None
