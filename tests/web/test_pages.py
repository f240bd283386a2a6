"""`serve(html=True)`: a site with pages of directories, as Starlette's `StaticFiles` serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from jtc.storage.asgi import serve
from web_disks import BASE, disk_of

if TYPE_CHECKING:
    import httpx

    from jtc.storage import Disk
    from web_disks import Client

PAGES = {
    "index.html": b"home",
    "404.html": b"no page",
    "docs/index.html": b"docs",
    "docs/größe 1/index.html": b"deep",
    "docs/a.txt": b"text",
    "empty/a.txt": b"text",
}


@pytest.fixture
async def site(disk: Disk) -> Disk:
    for path, content in PAGES.items():
        await disk.put(path, content)
    return disk


def mounted(disk: Disk, **options: Any) -> Starlette:
    return Starlette(routes=[Mount("/site", serve(disk, html=True, **options))])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/site/", b"home"),
        ("/site/index.html", b"home"),
        ("/site/docs/", b"docs"),
        ("/site/docs/größe 1/", b"deep"),
        ("/site/docs/a.txt", b"text"),
    ],
)
async def test_page_is_shown(site: Disk, client: Client, path: str, content: bytes) -> None:
    http = client(mounted(site, public=True))
    response = await http.get(path)
    assert (response.status_code, response.content) == (200, content)
    assert "content-disposition" not in response.headers
    assert "content-security-policy" not in response.headers
    head = await http.head(path)
    assert (head.status_code, head.headers) == (200, response.headers)
    again = await http.get(path, headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = await http.get(path, headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, content[1:3])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "location", "url"),
    [
        ("/site/docs", "./docs/", "/site/docs/"),
        ("/site/docs?a=1&b=%20", "./docs/?a=1&b=%20", "/site/docs/?a=1&b=%20"),
        ("/site/docs/größe 1", "./gr%C3%B6%C3%9Fe%201/", "/site/docs/gr%C3%B6%C3%9Fe%201/"),
    ],
)
async def test_directory_without_slash_is_redirected(
    site: Disk, client: Client, path: str, location: str, url: str, method: str
) -> None:
    http = client(mounted(site, public=True))
    response = await http.request(method, path)
    assert (response.status_code, response.content) == (307, b"")
    assert response.headers["location"] == location
    followed = await http.get(path, follow_redirects=True)
    assert followed.status_code == 200
    assert str(followed.url).removeprefix("http://files.test") == url


@pytest.mark.parametrize("path", ["missing", "missing/", "docs/missing", "empty", "empty/"])
async def test_missing_page_has_a_page_of_its_own(site: Disk, client: Client, path: str) -> None:
    http = client(mounted(site, public=True))
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
        response = await http.get(f"/site/{path}", headers=headers)
        assert (response.status_code, response.content) == (404, b"no page")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert (await http.head(f"/site/{path}")).status_code == 404
    await site.delete("404.html")
    response = await http.get(f"/site/{path}")
    assert (response.status_code, response.text) == (404, "Not Found\n")


async def test_without_html_there_are_no_pages_of_directories(site: Disk, client: Client) -> None:
    http = client(serve(site, public=True))
    for path in ("/", "/docs", "/docs/", "/missing"):
        assert (await http.get(path)).text == "Not Found\n"


async def test_private_pages_are_missing(signing: Disk, client: Client) -> None:
    for path, content in PAGES.items():
        await signing.put(path, content)
    http = client(mounted(signing))

    async def get(path: str) -> httpx.Response:
        return await http.get(f"/site/{path}")

    for path in ("", "docs", "docs/", "docs/a.txt"):
        assert ((await get(path)).status_code, (await get(path)).text) == (404, "Not Found\n")
    await signing.set_visibility("404.html", "public")
    await signing.set_visibility("docs/index.html", "public")
    assert (await get("")).text == "no page"
    assert (await get("docs")).headers["location"] == "./docs/"
    assert (await get("docs/")).text == "docs"


@pytest.mark.parametrize("path", ["//docs", "//evil.test/", "/docs//", "/%2e%2e/"])
async def test_odd_path_leads_nowhere(signing: Disk, client: Client, path: str) -> None:
    await signing.put("docs/index.html", b"docs")
    http = client(serve(signing, html=True, public=True))
    request = http.build_request("GET", BASE)
    request.url = request.url.copy_with(raw_path=path.encode())
    response = await http.send(request)
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize("path", [".jtc", ".jtc/"])
async def test_reserved_directory_has_no_page(tmp_path: Any, client: Client, path: str) -> None:
    from jtc.storage.drivers.local_driver import LocalDriver

    (tmp_path / ".jtc").mkdir()
    (tmp_path / ".jtc" / "index.html").write_text("secret")
    http = client(serve(disk_of(LocalDriver(tmp_path)), html=True, public=True))
    assert (await http.get(f"/{path}")).text == "Not Found\n"
