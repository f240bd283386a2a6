"""Keys from a function: renewed, kept until they end, and asked for again when they are refused."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageConfigException, StorageException, StoragePermissionException
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal, until

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]


class Source:
    """A function that returns keys by turns, or raises; the last one stays.

    Args:
        turns: What it returns or raises.
    """

    def __init__(self, *turns: object) -> None:
        self.turns = turns
        self.calls = 0

    async def __call__(self) -> Any:
        turn = self.turns[min(self.calls, len(self.turns) - 1)]
        self.calls += 1
        if isinstance(turn, Exception):
            raise turn
        return turn


def keys(name: str, **more: object) -> dict[str, object]:
    return {"access_key": name, "secret_key": f"SECRET-OF-{name}", **more}


def signer(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


@pytest.fixture
def make(store: ScriptedStore, make_disk: MakeDisk) -> Callable[[Any], Disk]:
    store.store("a", b"content")
    return lambda source: make_disk(store, access_key=None, secret_key=None, credentials=source)


async def test_credentials_that_cannot_be_renewed_sign_until_they_end(
    store: ScriptedStore, make: Callable[[Any], Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    source = Source(keys("OLD", expires_at=real() + 30), OSError("down"))
    disk = make(source)
    for passed in (0, 25, 29):
        monkeypatch.setattr(time, "time", lambda passed=passed: real() + passed)
        assert await disk.get("a") == b"content"
        await asyncio.sleep(0.01)  # they are renewed beside the request
    assert {signer(request) for request in store.requests} == {"OLD"}
    assert source.calls > 1
    monkeypatch.setattr(time, "time", lambda: real() + 60)
    number = len(store.requests)
    with pytest.raises(StorageException, match="credentials") as caught:
        await disk.get("a")
    assert len(store.requests) == number
    assert "OLD" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [ValueError("no"), OSError("down"), TimeoutError("slow"), KeyError("x")], ids=repr
)
async def test_error_of_the_credentials_function_is_typed_and_named(
    store: ScriptedStore, make: Callable[[Any], Disk], error: Exception
) -> None:
    disk = make(Source(error))
    for call in (disk.get, disk.delete):
        with pytest.raises(StorageException, match="credentials") as caught:
            await call("a")
        causes = [caught.value.__cause__, getattr(caught.value.__cause__, "__cause__", None)]
        assert error in causes
        assert "did not answer" not in str(caught.value)
    assert store.requests == []


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
async def test_credentials_that_are_refused_are_asked_for_again(
    store: ScriptedStore, make: Callable[[Any], Disk], code: str
) -> None:
    source = Source(keys("OLD", expires_at=time.time() + 3600), keys("NEW"))
    store.rule(
        Rule(
            where=lambda request: signer(request) == "OLD",
            times=ALWAYS,
            answer=refusal(400 if code == "ExpiredToken" else 403, code),
        )
    )
    disk = make(source)
    assert await disk.get("a") == b"content"
    await disk.put("b", b"1")
    assert source.calls == 2
    assert [signer(request) for request in store.requests] == ["OLD", "NEW", "NEW"]


async def test_credentials_that_stay_refused_are_an_error_soon(
    store: ScriptedStore, make: Callable[[Any], Disk]
) -> None:
    source = Source(keys("OLD"))
    store.rule(Rule(times=ALWAYS, answer=refusal(400, "ExpiredToken")))
    with pytest.raises(StoragePermissionException, match="credentials"):
        await make(source).get("a")
    assert len(store.requests) <= 3


@pytest.mark.parametrize(
    "end",
    [
        lambda: datetime.now(UTC) + timedelta(hours=1),
        lambda: time.time() + 3600,
        lambda: None,
    ],
    ids=["datetime", "seconds", "none"],
)
async def test_credentials_expire_at_a_datetime_or_a_number(
    store: ScriptedStore, make: Callable[[Any], Disk], end: Callable[[], object]
) -> None:
    source = Source(keys("ONE", expires_at=end()), keys("TWO"))
    disk = make(source)
    for _ in range(2):
        assert await disk.get("a") == b"content"
    assert {signer(request) for request in store.requests} == {"ONE"}
    assert source.calls == 1


@pytest.mark.parametrize(
    "given",
    [
        None,
        "id:secret",
        {"access_key": "A"},
        {"access_key": "A", "secret_key": "S\n"},
        {"access_key": "A\n", "secret_key": "S"},
        {"access_key": "A", "secret_key": "S", "token": "T\n"},
        {"access_key": "", "secret_key": ""},
        {"access_key": "A", "secret_key": "S", "expires_at": "soon"},
    ],
    ids=repr,
)
async def test_credentials_function_that_returns_no_keys_is_a_configuration_error(
    store: ScriptedStore, make: Callable[[Any], Disk], given: object
) -> None:
    with pytest.raises(StorageConfigException, match="credentials"):
        await make(Source(given)).get("a")
    assert store.requests == []


async def test_credentials_that_are_refused_to_many_are_asked_for_once_more(
    store: ScriptedStore, make: Callable[[Any], Disk]
) -> None:
    source = Source(keys("OLD", expires_at=time.time() + 3600), keys("NEW"))
    disk = make(source)
    assert await disk.get("a") == b"content"
    refused = refusal(400, "ExpiredToken")
    # The last of them is refused when the keys are renewed already.
    late = asyncio.Event()
    for hold in (None, None, late):
        store.rule(Rule(where=lambda request: signer(request) == "OLD", answer=refused, hold=hold))
    calls = [asyncio.ensure_future(disk.get("a")) for _ in range(3)]
    await until(lambda: sum(call.done() for call in calls) == 2)
    late.set()
    assert await asyncio.gather(*calls) == [b"content"] * 3
    assert source.calls == 2


async def test_credentials_that_a_head_refuses_without_a_word_are_asked_for_again(
    store: ScriptedStore, make: Callable[[Any], Disk]
) -> None:
    source = Source(keys("OLD", token="T"), keys("NEW", token="T"))
    store.rule(
        Rule(where=lambda request: signer(request) == "OLD", times=ALWAYS, answer=Answer(400))
    )
    assert await make(source).exists("a")
    assert source.calls == 2


async def test_credentials_are_not_asked_for_again_and_again_by_a_head_that_stays_refused(
    store: ScriptedStore, make: Callable[[Any], Disk]
) -> None:
    source = Source(keys("OLD", token="T"))
    store.rule(Rule(times=ALWAYS, answer=Answer(400)))
    with pytest.raises(StorageException):
        await make(source).exists("a")
    assert source.calls == 2


async def test_credentials_that_end_beyond_all_numbers_are_asked_for_once(
    store: ScriptedStore, make: Callable[[Any], Disk]
) -> None:
    source = Source(keys("AKID", expires_at=10**400))
    with pytest.raises(StorageException, match="credentials raised OverflowError"):
        await make(source).get("a")
    assert source.calls == 1
    assert store.requests == []


async def test_credentials_function_that_cancels_itself_is_called_once(
    make: Callable[[Any], Disk],
) -> None:
    calls = []

    async def cancelled() -> None:
        calls.append(1)
        raise asyncio.CancelledError

    with pytest.raises(StorageException, match="credentials raised CancelledError"):
        await make(cancelled).get("a")
    assert len(calls) == 1


async def test_credentials_function_that_is_not_async_is_a_configuration_error(
    make: Callable[[Any], Disk],
) -> None:
    disk = make(lambda: keys("PLAIN"))
    with pytest.raises(StorageConfigException, match="write 'async def'") as caught:
        await disk.get("a")
    assert "SECRET" not in str(caught.value)


async def test_temporary_url_that_would_have_to_wait_leaves_no_error_behind(
    make: Callable[[Any], Disk],
) -> None:
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    source = Source(OSError("down"))
    with pytest.raises(RuntimeError, match="has to wait"):
        make(source).sync.temporary_url("a", 60)
    await until(lambda: source.calls == 1)
    for _ in range(10):  # until each waiter has the error
        await asyncio.sleep(0)
    gc.collect()
    assert reported == []
