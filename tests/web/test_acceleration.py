"""Files sent by nginx and Apache in front of the application, with the configuration of web.md."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from jtc.storage import Disk
from jtc.storage.asgi import DiskResponse, XAccel, XSendfile, serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layer import Layer
from nginx import NGINX, documented, write_configuration
from web_disks import SECRET, disk_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from web_disks import Client

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
APACHE = shutil.which("apache2", path=PATH)
MODULES = Path("/usr/lib/apache2/modules")
NAMES = ["a.txt", "d/größe 1%41?#&+;.bin", "d/..a/'\"b.txt", "page.html"]
CONTENT = bytes(range(256)) * 100


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def root() -> Iterator[Path]:
    """Give a directory that other users can read, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "root").mkdir()
        yield Path(folder) / "root"


@asynccontextmanager
async def process(port: int, *command: str) -> AsyncIterator[str]:
    """Run a server until the block ends, once it accepts connections."""
    started = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        for _ in range(500):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                break
            if started.returncode is not None:
                break
            await asyncio.sleep(0.02)
        assert started.returncode is None, (await started.communicate())[0]
        yield f"http://127.0.0.1:{port}"
    finally:
        if started.returncode is None:
            started.terminate()
        await started.communicate()


@asynccontextmanager
async def nginx(root: Path, upstream: str, *, cache: bool = False) -> AsyncIterator[str]:
    if NGINX is None:
        pytest.skip("nginx is not installed: make tools")
    ports, folder = (free_port(), free_port()), root.parent
    configuration = write_configuration(folder, root, upstream.removeprefix("http://"), ports)
    command = (NGINX, "-c", str(configuration), "-p", str(folder))
    async with process(ports[cache], *command) as base:
        yield base


@asynccontextmanager
async def apache(root: Path, upstream: str) -> AsyncIterator[str]:
    if APACHE is None or not (MODULES / "mod_xsendfile.so").exists():
        pytest.skip("Apache and mod_xsendfile are not installed: make tools")
    port, folder = free_port(), root.parent
    modules = "".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "proxy", "proxy_http", "xsendfile")
    )
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    (block,) = documented("apache")
    servers = block.replace("http://127.0.0.1:8000", upstream).replace("/srv/media", str(root))
    configuration = folder / "apache.conf"
    configuration.write_text(
        f"{modules}{user}ServerName files.test\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\n"
        f"DefaultRuntimeDir {folder}\nErrorLog /dev/stderr\n{servers}"
    )
    command = (APACHE, "-d", str(folder), "-f", str(configuration), "-DFOREGROUND")
    async with process(port, *command) as base:
        yield base


SERVERS = pytest.mark.parametrize(
    ("front", "accelerate"),
    [(nginx, XAccel("/internal/")), (apache, XSendfile())],
    ids=["nginx", "apache"],
)


@SERVERS
async def test_server_in_front_sends_what_the_application_would(
    front: Any, accelerate: Any, root: Path
) -> None:
    driver = LocalDriver(root)
    disk = disk_of(driver)
    for name in NAMES:
        await disk.put(name, CONTENT, visibility="public", cache_control="max-age=60")
    await disk.put("private.txt", CONTENT, visibility="private")
    (root / "link.txt").symlink_to(root / "a.txt")
    sent: list[int] = []

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        async def count(message: Any) -> None:
            sent.append(len(message.get("body", b"")))
            await send(message)

        await serve(disk, accelerate=accelerate)(scope, receive, count)

    plain = Mount("/plain", serve(disk))
    app = Starlette(routes=[Mount("/storage", counting), plain])
    async with (
        running(app) as upstream,
        front(root, upstream) as base,
        httpx.AsyncClient(base_url=base) as http,
        httpx.AsyncClient(base_url=f"{upstream}/plain") as direct,
    ):
        for name in NAMES:
            await compare(http, direct, f"/{disk.url(name).removeprefix('/storage/')}")
        assert sum(sent) < 1000  # the words of 416 only
        for name in ("private.txt", "link.txt", "missing.txt", "d/", "../root/a.txt"):
            response = await http.get(f"/storage/{name}")
            assert response.status_code == 404
            assert CONTENT not in response.content
        assert (await http.get("/internal/private.txt")).status_code == 404
        etag = (await http.get("/storage/a.txt")).headers["etag"]
        sent.clear()
        for headers, status, content in (
            ({"If-Match": etag}, 200, CONTENT),
            ({"If-Match": '"x"'}, 412, None),
            ({"If-Range": etag, "Range": "bytes=0-1"}, 206, CONTENT[:2]),
            ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200, CONTENT),
        ):
            response = await http.get("/storage/a.txt", headers=headers)
            assert response.status_code == status
            assert content is None or response.content == content


async def compare(http: httpx.AsyncClient, direct: httpx.AsyncClient, path: str) -> None:
    """Send requests by the server in front and to the application: the responses are the same."""
    first = await direct.get(path)
    for headers, status in (
        ({}, 200),
        ({"Range": "bytes=5-9"}, 206),
        ({"Range": "bytes=-3"}, 206),
        ({"Range": "bytes=999999-"}, 416),
        ({"If-None-Match": first.headers["etag"]}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "Range": "bytes=0-0"}, 206),
        ({"If-Modified-Since": first.headers["last-modified"]}, 304),
    ):
        for method in ("GET", "HEAD"):
            ours = await direct.request(method, path, headers=headers)
            response = await http.request(method, f"/storage{path}", headers=headers)
            if method == "HEAD" and "Range" in headers:
                continue  # defined for GET only: nginx sends 206, others the whole
            assert (response.status_code, response.content) == (status, ours.content)
            for name in (
                *("content-type", "content-length", "content-range", "content-disposition"),
                *("etag", "last-modified", "cache-control"),
                *("x-content-type-options", "content-security-policy"),
            ):
                if status in (416, 304) and name not in ("etag", "cache-control"):
                    continue
                assert response.headers.get(name) == ours.headers.get(name), (name, headers)


@SERVERS
async def test_server_in_front_sends_presigned_files(
    front: Any, accelerate: Any, root: Path
) -> None:
    late: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await late[0](scope, receive, send)

    async with running(app) as upstream, front(root, upstream) as base:
        disk = disk_of(LocalDriver(root, f"{base}/storage", secret=SECRET))
        late.append(Starlette(routes=[Mount("/storage", serve(disk, accelerate=accelerate))]))
        await disk.put("a b.txt", CONTENT, cache_control="public, max-age=99999")
        (root / "a b.txt").chmod(0o640 if os.geteuid() else 0o644)
        await disk.set_visibility("a b.txt", "public")
        url = await disk.temporary_url("a b.txt", 60, content_type="image/png")
        async with httpx.AsyncClient() as http:
            response = await http.get(url)
            assert (response.status_code, response.content) == (200, CONTENT)
            assert response.headers["content-type"] == "image/png"
            assert response.headers["cache-control"].startswith("private, max-age=")
            assert (await http.get(url.replace("signature=", "signature=x"))).status_code == 403


async def test_nginx_cache_answers_for_public_files_and_asks_for_private_ones(root: Path) -> None:
    late: list[Any] = []
    requested: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        requested.append(scope["path"])
        await late[0](scope, receive, send)

    async with (
        running(app) as upstream,
        nginx(root, upstream, cache=True) as base,
        httpx.AsyncClient(base_url=base) as http,
    ):
        disk = disk_of(LocalDriver(root, f"{base}/storage", secret=SECRET))
        late.append(Starlette(routes=[Mount("/storage", serve(disk, cache_control="max-age=60"))]))
        await disk.put("a.txt", CONTENT, visibility="public")
        await disk.put("b.txt", CONTENT)
        first = await http.get("/storage/a.txt")
        for headers, status, content in (
            ({}, 200, CONTENT),
            ({"Range": "bytes=5-9"}, 206, CONTENT[5:10]),
            ({"If-None-Match": first.headers["etag"]}, 304, b""),
            ({"If-None-Match": '"x"'}, 200, CONTENT),
        ):
            response = await http.get("/storage/a.txt", headers=headers)
            assert (response.status_code, response.content) == (status, content)
            assert response.headers["etag"] == first.headers["etag"]
            assert response.headers["cache-control"] == "max-age=60"
        assert first.content == CONTENT
        assert requested == ["/storage/a.txt"]
        private = await disk.temporary_url("b.txt", 60)
        for url in (private, private, "/storage/b.txt", "/storage/b.txt"):
            response = await http.get(url)
            assert response.status_code == (200 if url == private else 404)
        assert requested[1:] == ["/storage/b.txt"] * 4


@pytest.mark.parametrize("name", [*NAMES, "日本.txt"])
async def test_header_names_the_file(root: Path, client: Client, name: str) -> None:
    disk = disk_of(LocalDriver(root))
    await disk.put(name, CONTENT)
    scope = disk.scoped("d") if name.startswith("d/") else disk
    path = name.removeprefix("d/")
    for accelerate, header, value in (
        (XAccel("/internal/"), b"x-accel-redirect", "/internal/" + quote(name)),
        (XSendfile(), b"x-sendfile", f"{root}/{name}"),
    ):
        http = client(DiskResponse(scope, path, accelerate=accelerate))
        for method in ("GET", "HEAD"):
            for headers in ({}, {"Range": "bytes=0-1"}):
                response = await http.request(method, "/", headers=headers)
                assert (response.status_code, response.content) == (200, b"")
                assert dict(response.headers.raw)[header].decode() == value
                assert response.headers["content-length"] == "0"


async def test_what_the_application_answers_itself_has_no_such_header(
    root: Path, client: Client
) -> None:
    disk = disk_of(LocalDriver(root))
    await disk.put("a.txt", CONTENT, visibility="private")
    (root / "link.txt").symlink_to("/etc/hostname")
    http = client(serve(disk, accelerate=XAccel("/internal/")))
    for path in ("/a.txt", "/link.txt", "/missing.txt", "/.jtc/a"):
        response = await http.get(path)
        assert response.status_code == 404
        assert "x-accel-redirect" not in response.headers
    http = client(DiskResponse(disk, "a.txt", accelerate=XAccel("/internal/")))
    for headers, status in (
        ({"If-None-Match": "*"}, 304),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": "*"}, 200),
        ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200),
        ({"Range": "bytes=999999-"}, 416),
    ):
        response = await http.get("/", headers=headers)
        assert response.status_code == status
        assert "x-accel-redirect" not in response.headers
    teapot = DiskResponse(disk, "a.txt", status_code=418, accelerate=XAccel("/internal/"))
    assert (await client(teapot).get("/")).content == CONTENT


class Upper(Layer, guards={"content"}):
    """Changes what is read."""

    async def put(self, path: str, content: Any) -> str:
        return await self.inner.put(path, content)

    async def get(self, path: str) -> bytes:
        return (await self.inner.get(path)).upper()

    async def size(self, path: str) -> int:
        return await self.inner.size(path)

    def url(self, path: str) -> str:
        return self.inner.url(path)

    def path(self, path: str) -> str:
        return self.inner.path(path)


@pytest.mark.parametrize("kind", ["memory", "layer"])
async def test_other_disks_are_refused(
    kind: str, root: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    disk: Disk = disk_of(MemoryDriver() if kind == "memory" else Upper(LocalDriver(root)))
    await disk.put("a.txt", b"1")
    response = await client(DiskResponse(disk, "a.txt", accelerate=XSendfile())).get("/")
    assert response.status_code == 500
    assert "accelerate=XSendfile()" in caplog.text


@pytest.mark.parametrize("location", ["internal/", "/internal", ""])
def test_xaccel_location_begins_and_ends_with_a_slash(location: str) -> None:
    with pytest.raises(ValueError, match="begins and ends"):
        XAccel(location)
