"""The example `people_api`: an API whose rows have attachments, on SQLite and PostgreSQL."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import event, insert

from jtc.storage import Storage
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.drivers.local_driver import LocalDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "people_api.py"


def picture(color: str, size: tuple[int, int] = (640, 480)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "JPEG")
    return file.getvalue()


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://people") as client,
    ):
        yield client


@pytest.fixture(params=["sqlite", "postgresql"])
async def people(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    database = f"sqlite+aiosqlite:///{tmp_path}/people.db"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql").url("asyncpg", "people")
    monkeypatch.setenv("DATABASE_URL", database)
    spec = importlib.util.spec_from_file_location("people_api", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "people_api", module)
    spec.loader.exec_module(module)
    Storage.set_driver(LocalDriver(tmp_path / "files", durable=True), "local")
    async with running(module.app) as client:
        yield module, client
        async with module.engine.begin() as connection:
            await connection.run_sync(module.Base.metadata.drop_all)
    Storage.forget("local")


async def stored(module: Any) -> set[str]:
    disk = module.registry.disk(module.DISK)
    return {each.path async for each in disk.list("people", recursive=True)} - {"people/.owner"}


async def test_people_api_stores_replaces_and_deletes_files_with_their_rows(people: Any) -> None:
    module, client = people
    files = {"avatar": ("me.jpg", picture("red"))}
    made = await client.post("/people", data={"name": "Ada"}, files=files)
    assert made.status_code == 201
    avatar = made.json()["avatar"]
    assert (avatar["name"], avatar["width"], avatar["height"]) == ("me.jpg", 640, 480)
    assert set(avatar["variants"]) == {"thumb", "card"}
    assert "people/avatars" not in made.text  # neither key
    assert "disk" not in avatar

    thumb = await client.get(avatar["variants"]["thumb"]["url"])  # made before the commit
    assert Image.open(io.BytesIO(thumb.content)).size == (200, 200)
    card = await client.get(avatar["variants"]["card"]["url"])  # made now
    assert Image.open(io.BytesIO(card.content)).size == (640, 480)
    assert card.headers["content-type"] == "image/webp"

    number = made.json()["id"]
    replaced = await client.put(
        f"/people/{number}/avatar", files={"avatar": ("new.jpg", picture("blue"))}
    )
    assert replaced.json()["avatar"]["url"] != avatar["url"]
    assert (await client.get(avatar["url"])).status_code == 200  # for as long as `keep`

    photos = [("photos", (f"{color}.jpg", picture(color))) for color in ("red", "green")]
    added = await client.post(f"/people/{number}/photos", files=photos)
    assert [each["name"] for each in added.json()["photos"]] == ["red.jpg", "green.jpg"]

    module.registry.keep = 0
    await run_outbox(module.registry)
    assert (await client.get(avatar["url"])).status_code == 404
    assert (await client.get(replaced.json()["avatar"]["url"])).status_code == 200
    assert (await client.delete(f"/people/{number}")).status_code == 204
    await run_outbox(module.registry)
    assert await stored(module) == set()


async def test_people_api_refuses_what_is_no_picture_and_stores_nothing(people: Any) -> None:
    module, client = people
    files = {"avatar": ("me.jpg", b"<html><script>alert(1)</script>")}
    refused = await client.post("/people", data={"name": "Eve"}, files=files)
    assert refused.status_code == 415
    assert await stored(module) == set()


async def test_people_api_keeps_the_file_of_a_form_by_its_token(people: Any) -> None:
    module, client = people
    files = {"avatar": ("me.jpg", picture("red"))}
    held = await client.post("/forms/avatar", data={"visitor": "v1"}, files=files)
    assert (await client.get(held.json()["preview"])).status_code == 200
    form = {"name": "Ada", "visitor": "v2", "token": held.json()["token"]}
    assert (await client.post("/forms/people", data=form)).status_code == 400
    form["visitor"] = "v1"
    assert (await client.post("/forms/people", data=form)).json()["avatar"]["name"] == "me.jpg"
    assert (await client.post("/forms/people", data=form)).status_code == 400  # used
    assert len(await stored(module)) == 2


async def test_people_api_lists_200_thumbnails_by_one_query_and_no_storage_call(
    people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, client = people
    async with module.sessions() as session:
        ada = module.Person(name="Ada <1>")
        ada.avatar = await module.store(module.Person.avatar, picture("red"), session=session)
        session.add(ada)
        await session.commit()
        others = [
            {"name": f"Ada {n}", "avatar": ada.avatar.changed(id=f"{n:032x}"), "photos": []}
            for n in range(2, 202)
        ]
        await (await session.connection()).execute(insert(module.Person.__table__), others)
        await session.commit()
    queries: list[str] = []
    event.listen(
        module.engine.sync_engine, "before_cursor_execute", lambda *each: queries.append(each[2])
    )

    def refused(*_: object) -> None:
        raise AssertionError("the list asked for a disk")

    monkeypatch.setattr(module.registry, "disk", refused)
    page = await client.get("/admin")
    shown = re.findall(r'src="([^"]+)"', page.text)
    assert len(set(shown)) == 200
    assert len([each for each in queries if "jtc_attachment_" not in each]) == 1  # no worker's
    assert "Ada &lt;1&gt;" in page.text
    monkeypatch.undo()
    assert (await client.get(unescape(shown[0]))).headers["content-type"] == "image/webp"
