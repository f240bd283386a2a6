"""Cache-Control of responses: what is for one client is private, and ends with its URL."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from jtc.storage.asgi import DiskResponse, serve
from jtc.storage.asgi._caching import private_caching
from jtc.storage.drivers.memory_driver import MemoryDriver
from web_disks import disk_of

if TYPE_CHECKING:
    import httpx

    from jtc.storage import Disk
    from web_disks import Client

YEAR = "public, max-age=31536000, s-maxage=31536000, stale-while-revalidate=86400, immutable"


def mounted(disk: Disk, cache_control: str | None = None) -> Starlette:
    return Starlette(routes=[Mount("/storage", serve(disk, cache_control=cache_control))])


def check_private(response: httpx.Response, most: int | None) -> None:
    directives = [each.strip() for each in response.headers["cache-control"].split(",")]
    assert "private" in directives
    assert "expires" not in response.headers
    assert "age" not in response.headers
    named = {each.partition("=")[0] for each in directives}
    assert not named & {"public", "s-maxage", "stale-while-revalidate", "stale-if-error"}
    ages = [int(each.partition("=")[2]) for each in directives if each.startswith("max-age=")]
    assert ages or named & {"no-cache", "no-store"}
    if ages:
        assert most is not None
        assert 0 <= ages[0] <= most


@pytest.mark.parametrize("declared", [None, YEAR, "public", "max-age=99999", "no-store"])
async def test_presigned_response_is_private_and_ends_with_its_url(
    signing: Disk, client: Client, declared: str | None
) -> None:
    await signing.put("a.txt", b"0123456789", cache_control=declared)
    http = client(mounted(signing, cache_control=YEAR))
    url = await signing.temporary_url("a.txt", 60)
    whole = await http.get(url)
    etag = whole.headers["etag"]
    responses = [
        whole,
        await http.head(url),
        await http.get(url, headers={"Range": "bytes=0-1"}),
        await http.get(url, headers={"If-None-Match": etag}),
        await http.head(url, headers={"If-None-Match": etag}),
    ]
    assert [each.status_code for each in responses] == [200, 200, 206, 304, 304]
    for each in responses:
        check_private(each, 60)
    if declared == "no-store":
        assert "no-store" in whole.headers["cache-control"]


async def test_presigned_response_of_a_public_file_is_private(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.txt", b"1", cache_control=YEAR, visibility="public")
    http = client(mounted(signing))
    check_private(await http.get(await signing.temporary_url("a.txt", 60)), 60)
    assert (await http.get("/storage/a.txt")).headers["cache-control"] == YEAR


async def test_presigned_response_late_in_its_time_may_be_kept_for_the_rest_only(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signing.put("a.txt", b"1", cache_control=YEAR)
    http = client(mounted(signing))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    stable = await signing.temporary_url("a.txt", 60, stable_for=3600)
    url = await signing.temporary_url("a.txt", 60)
    expires = int(re.findall(r"expires=(\d+)", stable)[0])
    monkeypatch.setattr(time, "time", lambda: now + 50)
    check_private(await http.get(url), 10)
    check_private(await http.get(stable), int(expires - now - 50))


async def test_public_file_without_cache_control_stays_cacheable(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.txt", b"1", visibility="public")
    for app in (serve(signing), DiskResponse(signing, "a.txt")):
        assert "cache-control" not in (await client(app).get("/a.txt")).headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_disk_response_of_a_private_file_is_private(
    disk: Disk, client: Client, method: str
) -> None:
    await disk.put("a.txt", b"0123456789", visibility="private")
    await disk.put("b.txt", b"0123456789", visibility="private", cache_control=YEAR)
    plain, declared = (client(DiskResponse(disk, name)) for name in ("a.txt", "b.txt"))
    response = await plain.request(method, "/")
    assert response.headers["cache-control"] == "private, no-cache"
    kept = {"if-none-match": response.headers["etag"]}
    response = await plain.request(method, "/", headers=kept)
    assert (response.status_code, response.headers["cache-control"]) == (304, "private, no-cache")
    response = await declared.request(method, "/", headers={"Range": "bytes=0-1"})
    assert response.headers["cache-control"].startswith("private, max-age=31536000, immutable")
    assert "public" not in response.headers["cache-control"]


async def test_disk_response_cache_control_does_not_make_a_private_file_public(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.txt", b"1", visibility="private")
    response = await client(DiskResponse(signing, "a.txt", cache_control="max-age=5")).get("/")
    assert response.headers["cache-control"] == "private, max-age=5"
    chosen = DiskResponse(signing, "a.txt", headers={"Cache-Control": "public, max-age=5"})
    assert (await client(chosen).get("/")).headers["cache-control"] == "public, max-age=5"


@pytest.mark.parametrize(("private", "sent"), [(True, "private, max-age=5"), (False, "max-age=5")])
async def test_disk_response_private_given_does_not_ask_for_the_visibility(
    client: Client, monkeypatch: pytest.MonkeyPatch, *, private: bool, sent: str
) -> None:
    driver = MemoryDriver()
    monkeypatch.setattr(driver, "visibility", None)
    disk = disk_of(driver)
    await disk.put("a.txt", b"1", cache_control="max-age=5")
    response = await client(DiskResponse(disk, "a.txt", private=private)).get("/")
    assert response.headers["cache-control"] == sent


@pytest.mark.parametrize(
    ("declared", "lifetime", "sent"),
    [
        (None, None, "private, no-cache"),
        (None, 60.9, "private, no-cache"),
        ("public", None, "private"),
        ("public", 60, "private, no-cache"),
        ("public, max-age=90", 60.9, "private, max-age=60, must-revalidate"),
        ("MAX-AGE = 5", 60, "private, max-age=5"),
        ('max-age="90"', 60, "private, max-age=60, must-revalidate"),
        ("max-age=90", -1, "private, max-age=0, must-revalidate"),
        ("max-age=-1", 60, "private, max-age=0"),
        ("max-age=1e9", 60, "private, max-age=0"),
        ("max-age=90, max-age=5", None, "private, max-age=90"),
        ("no-store, max-age=90", 60, "private, max-age=60, no-store, must-revalidate"),
        ('no-cache="set-cookie"', 60, "private, no-cache"),
        ('private="x, public", max-age=9', 60, "private, max-age=9"),
        ("max-age=9, stale-if-error=8", None, "private, max-age=9, stale-if-error=8"),
        ("max-age=9, stale-if-error=8", 60, "private, max-age=9"),
        ("must-revalidate, max-age=9", 60, "private, max-age=9, must-revalidate"),
    ],
)
def test_private_caching_keeps_what_is_stricter(
    declared: str | None, lifetime: float | None, sent: str
) -> None:
    assert private_caching(declared, lifetime) == sent


@given(st.text(), st.floats(0, 1e6))
def test_private_caching_of_anything_never_outlives_its_url(text: str, lifetime: float) -> None:
    directives = private_caching(text, lifetime).split(", ")
    assert directives[0] == "private"
    ages = [int(each[8:]) for each in directives if each.startswith("max-age=")]
    assert all(age <= lifetime for age in ages)
    assert ages or {"no-cache", "no-store"} & set(directives)
