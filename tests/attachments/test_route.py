"""The application that the URLs of attachments lead to."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import os
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from attachment_fields import PNG, SECRET, added, local_registry, redeclared
from counted_recipes import Counted
from jtc.storage import Disk, Layer, StorageManager
from jtc.storage.attachments import Field, Registry
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments._leases import Leases
from jtc.storage.attachments._variants import find_original, make_variant
from jtc.storage.attachments.asgi import route
from jtc.storage.attachments.derivations import derive
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    RejectedException,
    StorageTimeoutException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage.attachments import Attachment

    Connect = Callable[..., httpx.AsyncClient]

ROW = (
    '{"v": 1, "id": "0123456789abcdef0123456789abcdef", "disk": "media", "size": 3, "stored_at": 1,'
    ' "directory": "app/avatars", "file": "original.txt", "type": "text/plain"}'
)
YEAR = "private, max-age=31536000, immutable"


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients of a registry's route in this process."""
    async with AsyncExitStack() as stack:

        def make(registry: Registry, **options: Any) -> httpx.AsyncClient:
            app = Starlette(routes=[Mount("/attachments", route(registry, **options))])
            transport = httpx.ASGITransport(app=app)
            client = httpx.AsyncClient(transport=transport, base_url="http://files.test")
            stack.push_async_callback(client.aclose)
            return client

        yield make


def back(
    registry: Registry, log: Path, settings: dict[str, Any] | None = None, **counted: Any
) -> tuple[Counted, Field]:
    """Return a recipe and a field that has it as the variant `back`."""
    made = Counted(log, **counted)
    return made, added(registry, variants={"back": made.recipe()}, **(settings or {}))


async def test_route_serves_original_of_each_driver(registry: Registry, connect: Connect) -> None:
    field = added(registry)
    url = (await ingest(field, PNG, name="a.png")).url()
    for delivery in ("auto", "stream"):
        http = connect(registry, delivery=delivery)
        response = await http.get(url)
        if response.status_code == 302:
            assert delivery == "auto"
            assert response.headers["cache-control"] == "private, max-age=450"
            # Browsers keep the redirect, so the presigned URL is the same for a while.
            assert (await http.get(url)).headers["location"] == response.headers["location"]
            async with httpx.AsyncClient() as direct:
                response = await direct.get(response.headers["location"])
        else:
            assert response.headers["cache-control"] == YEAR
        assert (response.status_code, response.content) == (200, PNG)
        assert response.headers["content-type"] == "image/png"
        assert "content-disposition" not in response.headers
        head = await http.head(url)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(PNG)))


async def test_route_of_s3_redirects(seaweedfs: Any, connect: Connect) -> None:
    storage = StorageManager.isolated(
        {
            "default": "media",
            "disks": {"media": {"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options}},
        }
    )
    async with storage:
        registry = Registry(namespace="redirects", secret=SECRET, storage=storage)
        field = added(registry, variants={"back": Counted(Path(os.devnull)).recipe()})
        attachment = await ingest(field, b"<p>abc</p>", name="a.txt")
        http = connect(registry, redirect_lifetime=60)
        async with httpx.AsyncClient() as direct:
            variant = await http.get(attachment.url("back"))
            assert (variant.status_code, variant.headers["cache-control"]) == (
                302,
                "private, max-age=30",
            )
            made = await direct.get(variant.headers["location"])
            assert made.content == b">p/<cba>p<"
            assert made.headers["content-type"] == "text/plain"
            saved = await http.get(attachment.url(download="Größe.txt"))
            given = await direct.get(saved.headers["location"])
            assert given.headers["content-disposition"].startswith("attachment; filename=")
            soon = await http.get(attachment.url(expires_in=4))
            assert int(soon.headers["cache-control"].rpartition("=")[2]) <= 4
            # What is gone, only the store can say of an original.
            await field.disk.delete_directory(attachment.own_directory)
            assert (await http.get(attachment.url("back"))).status_code == 404
            gone = await direct.get((await http.get(attachment.url())).headers["location"])
            assert gone.status_code == 404


async def test_route_between_s3_and_local_finds_files_on_either(
    seaweedfs: Any, tmp_path: Path, connect: Connect
) -> None:
    bucket = {"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options}
    storage = StorageManager.isolated(
        {
            "default": "cloud",
            "disks": {"cloud": bucket, "here": {"driver": "local", "root": str(tmp_path)}},
        }
    )
    async with storage, httpx.AsyncClient() as direct:
        registry = Registry(namespace="between", secret=SECRET, storage=storage)
        for now, before in (("cloud", "here"), ("here", "cloud")):
            recipe = Counted(tmp_path / "log").recipe()
            field = Field(now, now, variants={"back": recipe}, moved_from=[(before, now)])
            registry.add(f"users.{now}", field)
            attachment = await ingest(field, b"abc", name="a.txt")
            await field.disk.move(attachment.key, attachment.key, to=registry.disk(before))
            http = connect(registry)
            for url, content in ((attachment.url(), b"abc"), (attachment.url("back"), b"cba")):
                response = await http.get(url)
                if before == "cloud":
                    response = await direct.get(response.headers["location"])
                assert (response.status_code, response.content) == (200, content)
            assert await registry.disk(now).all_files(attachment.own_directory) == []


async def test_route_redirects_to_presigned_urls_of_local_disk_by_choice(
    connect: Connect,
) -> None:
    storage = StorageManager.isolated()
    storage.set_driver(MemoryDriver(base_url="http://files.test/disk", secret=SECRET), "media")
    registry = Registry(namespace="app", secret=SECRET, storage=storage)
    attachment = await ingest(added(registry), b"abc", name="a.txt")
    chosen = await connect(registry, delivery="redirect").get(attachment.url())
    assert chosen.status_code == 302
    assert chosen.headers["location"].startswith("http://files.test/disk/app/avatars/")
    assert (await connect(registry).get(attachment.url())).content == b"abc"
    with pytest.raises(ValueError, match="delivery"):
        connect(registry, delivery="both")


async def test_route_conditions_and_ranges(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    _, field = back(registry, tmp_path / "log")
    attachment = await ingest(field, b"0123456789", name="a.txt")
    http = connect(registry)
    for url, content in (
        (attachment.url(), b"0123456789"),
        (attachment.url("back"), b"9876543210"),
    ):
        whole = await http.get(url)
        assert (whole.status_code, whole.content) == (200, content)
        known = await http.get(url, headers={"If-None-Match": whole.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["cache-control"] == YEAR
        part = await http.get(url, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, content[2:5])
        assert part.headers["content-range"] == "bytes 2-4/10"
        beyond = await http.get(url, headers={"Range": "bytes=10-"})
        assert beyond.status_code == 416


async def test_route_makes_variant_at_first_request_once(
    registry: Registry, tmp_path: Path, connect: Connect
) -> None:
    counted, field = back(registry, tmp_path / "log", seconds=0.1)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry, delivery="stream")
    responses = await asyncio.gather(*(http.get(attachment.url("back")) for _ in range(50)))
    assert {(each.status_code, each.content) for each in responses} == {(200, b"cba")}
    assert {each.headers["cache-control"] for each in responses} == {YEAR}
    assert {each.headers["content-type"] for each in responses} == {"text/plain; charset=utf-8"}
    assert counted.calls == 1


async def test_route_head_of_missing_variant_makes_it(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    _, field = back(registry, tmp_path / "log")
    attachment = await ingest(field, b"abc", name="a.txt")
    response = await connect(registry).head(attachment.url("back"))
    assert (response.status_code, response.headers["content-length"]) == (200, "3")


class Recorded(Layer):
    """A layer that records the calls of each method."""

    def __init__(self, inner: Any, calls: list[str]) -> None:
        super().__init__(inner)
        self._calls = calls

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def recorded(*args: Any, **keywords: Any) -> Any:
            self._calls.append(name)
            return method(*args, **keywords)

        return recorded


def recorded_registry() -> tuple[Registry, list[str]]:
    """Return a registry on memory, and the names of the methods that its disk calls."""
    calls: list[str] = []
    storage = StorageManager.isolated()
    storage.set_driver(Recorded(MemoryDriver(), calls), "media")
    return Registry(namespace="app", secret=SECRET, storage=storage), calls


async def test_route_asks_no_disk_before_signature_is_verified(
    tmp_path: Path, connect: Connect
) -> None:
    registry, calls = recorded_registry()
    _, field = back(registry, tmp_path / "log")
    attachment = await ingest(field, b"abc", name="a.txt")
    other = await ingest(field, b"other", name="b.txt")
    url, expiring = attachment.url("back"), attachment.url(expires_in=3600)
    file = field.variant_file("back")
    http = connect(registry)
    refused = [
        url.partition("?")[0],
        url.replace("?", "?expires=99999999999&"),
        url.replace("?", "?download=a.html&"),
        url + "&signature=x",
        url[:-1] + ("a" if url[-1] != "a" else "b"),
        url.replace(attachment.id, other.id),
        url.replace(file, attachment.file),
        url.replace(file, "back-00000000.txt"),
        url.replace(file, f"{file}/.."),
        url.replace(file, f".making-{file}"),
        url.replace("users.avatar", "users.other"),
        expiring.replace("expires=1", "expires=2"),
        "/attachments/",
        "/attachments/%2e%2e/%2e%2e/secret",
    ]
    calls.clear()
    for each in refused:
        response = await http.get(each)
        assert (response.status_code, response.content) == (403, b"Forbidden\n"), each
        assert response.headers["cache-control"] == "no-store"
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        response = await http.request(method, url)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert calls == []


async def test_url_of_200_attachments_asks_no_disk(tmp_path: Path) -> None:
    registry, calls = recorded_registry()
    _, field = back(registry, tmp_path / "log")
    attachments = [await ingest(field, b"abc", name="a.txt")] * 200
    calls.clear()
    assert len([field.load(each.to_json()).url("back") for each in attachments]) == 200
    assert calls == []


async def test_route_serves_variant_that_is_there_by_one_call(
    tmp_path: Path, connect: Connect
) -> None:
    registry, calls = recorded_registry()
    _, field = back(registry, tmp_path / "log")
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    await http.get(attachment.url("back"))
    calls.clear()
    assert (await http.get(attachment.url("back"))).content == b"cba"
    assert calls == ["open_read"]


async def test_route_of_what_is_gone_is_404(registry: Registry, connect: Connect) -> None:
    field = added(registry, variants={"back": Counted(Path(os.devnull)).recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    await field.disk.delete_directory(attachment.own_directory)
    http = connect(registry, delivery="stream")
    for url in (attachment.url(), attachment.url("back")):
        response = await http.get(url)
        assert (response.status_code, response.content) == (404, b"Not Found\n")
        assert response.headers["cache-control"] == "no-store"
    assert await field.disk.all_files(registry.namespace) == []


async def test_route_expiring_url_is_private_and_ends(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    attachment = await ingest(added(registry), b"abc", name="a.txt")
    http = connect(registry, public=True)
    lasting = await http.get(attachment.url())
    assert lasting.headers["cache-control"] == "public, max-age=31536000, immutable"
    soon = await http.get(attachment.url(expires_in=60))
    directives = soon.headers["cache-control"].split("=")
    assert directives[0] == "private, max-age"
    assert 0 < int(directives[1]) <= 60


async def test_route_disposition_is_safe(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, types=["image/*", "image/svg+xml", "text/html", "application/zip"])
    http = connect(registry)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    html = b"<!DOCTYPE html><script>alert(1)</script>"
    archive = b"PK\x03\x04" + bytes(26)
    for name, content, active in (
        ("a.svg", svg, True),
        ("a.html", html, True),
        ("a.zip", archive, False),
    ):
        attachment = await ingest(field, content, name=name)
        response = await http.get(attachment.url())
        assert response.status_code == 200
        assert response.headers["content-disposition"].startswith("attachment")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert ("sandbox" in response.headers.get("content-security-policy", "")) == active
    picture = await ingest(field, PNG, name='e"v\nil\u202e.png')
    shown = await http.get(picture.url())
    assert "content-disposition" not in shown.headers
    saved = await http.get(picture.url(download=True))
    assert saved.headers["content-disposition"].startswith('attachment; filename="')
    assert saved.headers["content-disposition"].isprintable()


@pytest.mark.parametrize("moved_from", [["archive"], [("archive", "avatars")]])
async def test_route_finds_files_of_field_that_moves(
    tmp_path: Path, connect: Connect, moved_from: Any
) -> None:
    registry = local_registry(tmp_path)
    counted, field = back(registry, tmp_path / "log", {"moved_from": moved_from})
    attachment = await ingest(field, b"abc", name="a.txt")
    await field.disk.move(attachment.key, attachment.key + ".moved")
    await registry.disk("archive").put(attachment.key, b"abc")
    await field.disk.delete_directory(attachment.own_directory)
    http = connect(registry)
    assert (await http.get(attachment.url())).content == b"abc"
    assert (await http.get(attachment.url("back"))).content == b"cba"
    made = f"{attachment.own_directory}/{field.variant_file('back')}"
    assert await registry.disk("archive").exists(made)
    assert (await find_original(field, attachment.id)).disk == "archive"
    assert (await http.get(attachment.url("back"))).content == b"cba"
    assert counted.calls == 1


async def test_route_while_missing_waits_for_another_process(
    tmp_path: Path, connect: Connect
) -> None:
    registry = local_registry(tmp_path)
    _, field = back(registry, tmp_path / "log", {"while_missing": "wait"})
    attachment = await ingest(field, b"abc", name="a.txt")
    async with marker_of_another_process(attachment):
        late = await connect(registry, wait=0.2).get(attachment.url("back"))
        assert (late.status_code, late.headers["cache-control"]) == (503, "no-store")
        assert int(late.headers["retry-after"]) > 0
        waiting = asyncio.create_task(connect(registry).get(attachment.url("back")))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).content == b"cba"


@pytest.mark.parametrize("while_missing", ["original", "placeholder"])
async def test_route_while_missing_answers_others_at_once(
    tmp_path: Path, connect: Connect, while_missing: str
) -> None:
    registry = local_registry(tmp_path)
    started, go_on = threading.Event(), threading.Event()

    def during() -> None:
        started.set()
        go_on.wait(20)

    settings = {"while_missing": while_missing}
    counted, field = back(registry, tmp_path / "log", settings, during=during)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    first = asyncio.create_task(http.get(attachment.url("back")))
    await asyncio.to_thread(started.wait, 20)
    for _ in range(3):
        other = await http.get(attachment.url("back"))
        assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
        assert "etag" in other.headers or while_missing == "placeholder"
        if while_missing == "original":
            assert other.content == b"abc"
        else:
            assert Image.open(io.BytesIO(other.content)).size == (1, 1)
    go_on.set()
    assert (await first).content == b"cba"
    now = await http.get(attachment.url("back"))
    assert (now.content, now.headers["cache-control"]) == (b"cba", YEAR)
    assert counted.calls == 1


async def test_route_of_failing_recipe_tries_once(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    fails = RejectedException("Secret words", reason="image")
    counted, field = back(registry, tmp_path / "log", fails=fails)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    for _ in range(200):
        response = await http.get(attachment.url("back"))
        assert (response.status_code, response.content) == (404, b"Not Found\n")
        assert response.headers["cache-control"] == "no-store"
    assert counted.calls == 1


async def test_route_of_failing_recipe_asks_for_the_file_only(
    tmp_path: Path, connect: Connect
) -> None:
    registry, calls = recorded_registry()
    fails = RejectedException("Bad", reason="image")
    _, field = back(registry, tmp_path / "log", fails=fails)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    await http.get(attachment.url("back"))
    calls.clear()
    assert (await http.get(attachment.url("back"))).status_code == 404
    assert calls == ["open_read"]


async def test_route_of_store_that_times_out_is_503_whatever_is_missing(
    tmp_path: Path, connect: Connect
) -> None:
    registry = local_registry(tmp_path)
    settings = {"while_missing": "placeholder"}
    _, field = back(registry, tmp_path / "log", settings, fails=StorageTimeoutException("Slow"))
    attachment = await ingest(field, b"abc", name="a.txt")
    assert (await connect(registry).get(attachment.url("back"))).status_code == 503


async def test_route_beyond_queue_is_503(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    go_on = threading.Event()
    counted, field = back(registry, tmp_path / "log", during=lambda: go_on.wait(20))
    attachments = [await ingest(field, b"abc", name="a.txt") for _ in range(5)]
    http = connect(registry, making=1, queue=1)
    requests = [asyncio.create_task(http.get(each.url("back"))) for each in attachments]
    async with asyncio.timeout(20):
        while sum(each.done() for each in requests) < 3:
            await asyncio.sleep(0.01)
    refused = [each.result() for each in requests if each.done()]
    assert [(each.status_code, each.headers["retry-after"]) for each in refused] == [(503, "5")] * 3
    go_on.set()
    responses = await asyncio.gather(*requests)
    assert sorted(each.status_code for each in responses) == [200, 200, 503, 503, 503]
    assert counted.calls == 2


async def test_route_of_unavailable_storage_is_503(tmp_path: Path, connect: Connect) -> None:
    registry = local_registry(tmp_path)
    fails = StorageUnavailableException("Secret words")
    counted, field = back(registry, tmp_path / "log", fails=fails)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    response = await http.get(attachment.url("back"))
    assert response.status_code == 503
    assert b"Secret" not in response.content
    counted.fails = None
    assert (await http.get(attachment.url("back"))).content == b"cba"


async def test_route_of_unavailable_store_is_503(connect: Connect) -> None:
    options = {
        "driver": "s3",
        "bucket": "none",
        "access_key": "key",
        "secret_key": "secret",
        "endpoint_url": "http://127.0.0.1:9",
        "region": "us-east-1",
        "max_attempts": 1,
    }
    storage = StorageManager.isolated({"default": "media", "disks": {"media": options}})
    async with storage:
        registry = Registry(namespace="app", secret=SECRET, storage=storage)
        field = added(registry, variants={"back": Counted(Path(os.devnull)).recipe()})
        url = field.load(json.loads(ROW)).url("back")
        for delivery in ("auto", "stream"):
            response = await connect(registry, delivery=delivery).get(url)
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def test_route_of_file_that_is_gone_when_it_was_made_is_404(
    tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = local_registry(tmp_path)
    counted, field = back(registry, tmp_path / "log")
    attachment = await ingest(field, b"abc", name="a.txt")
    await make_variant(field, attachment, "back")
    stream = Disk.stream

    def lying(disk: Disk, path: str, **options: Any) -> Any:
        return stream(disk, f"{path}.missing" if "/back-" in path else path, **options)

    monkeypatch.setattr(Disk, "stream", lying)
    assert (await connect(registry).get(attachment.url("back"))).status_code == 404
    assert counted.calls == 1


@pytest.mark.parametrize("while_missing", ["original", "placeholder"])
async def test_route_while_missing_of_what_is_gone_is_404(
    tmp_path: Path, connect: Connect, while_missing: str
) -> None:
    registry = local_registry(tmp_path)
    _, field = back(registry, tmp_path / "log", {"while_missing": while_missing})
    attachment = await ingest(field, b"abc", name="a.txt")
    await field.disk.delete_directory(attachment.own_directory)
    response = await connect(registry).get(attachment.url("back"))
    assert (response.status_code, response.content) == (404, b"Not Found\n")


async def test_route_of_original_that_is_gone_after_failure_is_404(
    tmp_path: Path, connect: Connect
) -> None:
    registry = local_registry(tmp_path)
    fails = RejectedException("Bad", reason="image")
    _, field = back(registry, tmp_path / "log", {"while_missing": "original"}, fails=fails)
    attachment = await ingest(field, b"abc", name="a.txt")
    http = connect(registry)
    assert (await http.get(attachment.url("back"))).content == b"abc"
    await field.disk.delete_directory(attachment.own_directory)
    assert (await http.get(attachment.url("back"))).status_code == 404


async def test_route_is_for_http_only(tmp_path: Path) -> None:
    app = route(local_registry(tmp_path))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
    with pytest.raises(RuntimeError, match="lifespan"):
        await app({"type": "lifespan"}, None, send)


@given(path=st.text(max_size=80), query=st.binary(max_size=120))
@settings(max_examples=50)
def test_route_refuses_any_other_url(path: str, query: bytes) -> None:
    registry, calls = recorded_registry()
    added(registry, variants={"back": Counted(Path(os.devnull)).recipe()})
    scope = {"type": "http", "method": "GET", "path": f"/{path}", "query_string": query}
    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    asyncio.run(route(registry)({**scope, "headers": []}, None, send))
    assert statuses == [403]
    assert calls == []


async def test_route_of_former_recipe_serves_its_file_or_the_current_one(
    tmp_path: Path, connect: Connect
) -> None:
    registry = local_registry(tmp_path)
    counted, field = back(registry, tmp_path / "log")
    kept, swept = [await ingest(field, b"abc", name="a.txt") for _ in range(2)]
    await make_variant(field, kept, "back")
    urls = [each.url("back") for each in (kept, swept)]
    http = connect(redeclared(registry, variants={"back": counted.recipe(2)}).registry)
    responses = [await http.get(url) for url in urls]
    assert [each.content for each in responses] == [b"cba", b"cba"]
    assert [each.headers["cache-control"] for each in responses] == [YEAR, "no-store"]
    csv = {"content_type": "text/csv", "extension": ".csv"}
    third = derive(counted, version=3, **csv)
    http = connect(redeclared(registry, variants={"back": third}).registry)
    former, current = [await http.get(url) for url in urls]
    assert former.headers["content-type"] == "text/plain; charset=utf-8"
    assert current.headers["content-type"] == "text/csv; charset=utf-8"
    http = connect(redeclared(registry).registry)
    assert (await http.get(urls[1])).status_code == 404


@asynccontextmanager
async def marker_of_another_process(attachment: Attachment) -> AsyncIterator[None]:
    """Hold the lease on the variant `back`."""
    assert attachment.field is not None
    stem = attachment.field.variant_file("back").partition(".")[0]
    leases = Leases(attachment.field.disk, seconds=15, remember=300)
    lease = await leases.take(f"{attachment.own_directory}/.making-{stem}")
    assert lease is not None
    async with lease:
        yield
