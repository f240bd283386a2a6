"""Clients of a scripted store, whose retries do not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from jtc.storage.exceptions import StorageException
from jtc.storage.http_support.client import HttpClient, Service
from jtc.storage.http_support.requests import Answer, Refusal, Request
from jtc.storage.http_support.settings import HttpSettings
from recorded_pauses import recorded_pauses
from scripted_store import ScriptedStore

MakeClient = Callable[..., HttpClient]


class PlainService(Service):
    """A store without signatures, which counts what it is asked."""

    def __init__(self) -> None:
        self.token = "old"
        self.renewals: list[bool] = []
        self.learned: list[int] = []

    async def signed(self, request: Request[Any], *, is_renewed: bool) -> Mapping[str, str]:
        self.renewals.append(is_renewed)
        self.token = "new" if is_renewed else self.token
        return {**request.headers, "authorization": f"Bearer {self.token}"}

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        request_id = headers.get("x-amz-request-id", "")
        return Refusal(status, "", document.decode(), request_id, headers)

    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:
        return StorageException(f"{request.operation}: HTTP {refusal.status}")

    def has_old_credentials(self, refusal: Refusal) -> bool:
        return refusal.status == 401

    def learn(self, request: Request[Any], answer: Answer) -> None:  # noqa: ARG002
        self.learned.append(answer.status)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the pauses between retries instead of waiting; the longest of the random ones."""
    return recorded_pauses(monkeypatch)


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    async with ScriptedStore() as scripted:
        yield scripted


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    """Make clients; each is closed when the test ends."""
    clients: list[HttpClient] = []

    def make(url: str, **options: Any) -> HttpClient:
        settings = HttpSettings(endpoint_url=url, **options)
        clients.append(HttpClient(settings, PlainService(), "jtc-storage-test"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(
    store: ScriptedStore,
    make_client: MakeClient,
    pauses: list[float],  # noqa: ARG001
) -> HttpClient:
    return make_client(store.endpoint_url)
