"""Presigned URLs and forms at the application: what was signed, and nothing else."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import yarl
from starlette.applications import Starlette
from starlette.routing import Mount

from jtc.storage.asgi import serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import hookimpl
from web_disks import BASE, SECRET, disk_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jtc.storage import Disk
    from web_disks import Client

PAGE = b"<script>alert(1)</script>"


def mounted(disk: Disk, **options: Any) -> Starlette:
    return Starlette(routes=[Mount("/storage", serve(disk, **options))])


async def test_a_private_file_is_read_by_its_presigned_url(signing: Disk, client: Client) -> None:
    await signing.put("d/größe 1.txt", b"private")
    url = await signing.temporary_url("d/größe 1.txt", 60)
    http = client(mounted(signing))
    assert (await http.get(url)).content == b"private"
    assert (await http.head(url)).headers["content-length"] == "7"
    answer = await http.get(url, headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (206, b"pr")
    assert answer.headers["cache-control"].startswith("private")
    assert (await http.get(url.partition("?")[0])).status_code == 404


async def test_the_signed_type_and_disposition_are_those_of_the_response(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.bin", b"1")
    url = await signing.temporary_url(
        "a.bin", 60, content_type="application/pdf", content_disposition='inline; filename="b.pdf"'
    )
    headers = (await client(mounted(signing)).get(url)).headers
    assert headers["content-type"] == "application/pdf"
    assert headers["content-disposition"] == 'inline; filename="b.pdf"'
    page = await signing.temporary_url(
        "a.bin", 60, content_type="text/html", content_disposition="inline"
    )
    headers = (await client(mounted(signing)).get(page)).headers
    assert headers["content-disposition"].startswith("attachment")


async def test_no_other_method_file_or_moment(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt"):
        await signing.put(name, b"1")
    url = await signing.temporary_url("a.txt", 60)
    http = client(mounted(signing))
    assert (await http.get(url.replace("a.txt", "b.txt"))).status_code == 403
    assert (await http.get(url + "&expires=99999999999")).status_code == 403
    assert (await http.get(url.replace("expires=1", "expires=2"))).status_code == 403
    assert (await http.put(url, content=b"2")).status_code == 403
    assert (await http.post(url, files={"file": b"2"})).status_code == 403
    assert (await http.delete(url)).status_code == 405
    assert await signing.get("a.txt") == b"1"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert (await http.get(url)).status_code == 403


async def test_presigned_url_works_where_a_client_or_proxy_writes_the_query_anew(
    signing: Disk, client: Client
) -> None:
    await signing.put("größe 1+1.txt", b"old")
    options = {"content_disposition": 'inline; filename="1+1 a/b~.txt"'}
    url = await signing.temporary_url("größe 1+1.txt", 60, **options)
    upload = await signing.temporary_upload_url("größe 1+1.txt", 60, content_type="text/x+y; q=1")
    http = client(mounted(signing))
    for again in (
        str(yarl.URL(url)),
        str(httpx.URL(url).copy_merge_params({"utm_source": "letter"})),
        url + "&utm_source=letter&fbclid",
    ):
        assert again != url
        answer = await http.get(again)
        assert (answer.status_code, answer.content) == (200, b"old")
        assert answer.headers["content-disposition"] == options["content_disposition"]
    for again in (str(yarl.URL(upload.url)), upload.url + "&utm_source=letter"):
        assert (await http.put(again, content=b"2", headers=upload.headers)).status_code == 200
    assert await signing.get("größe 1+1.txt") == b"2"


async def test_a_signature_that_does_not_fit_is_refused_also_where_none_is_needed(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.txt", b"1", visibility="public")
    http = client(mounted(signing))
    assert (await http.get("/storage/a.txt?signature=x")).status_code == 403
    assert (await http.get("/storage/a.txt?x=1")).status_code == 200


@pytest.mark.parametrize("visibility", ["public", "private"])
async def test_presigned_upload_keeps_the_visibility_of_what_it_replaces(
    signing: Disk, client: Client, visibility: str
) -> None:
    http = client(mounted(signing))
    for way in ("put", "form"):
        await signing.put("a.txt", b"old", visibility=visibility)
        if way == "put":
            put = await signing.temporary_upload_url("a.txt", 60)
            answer = await http.put(put.url, content=b"new", headers=put.headers)
        else:
            form = await signing.temporary_upload_form("a.txt", 60, max_size=9)
            answer = await http.post(form.url, data=form.fields, files={"file": b"new"})
        assert answer.is_success
        assert await signing.get("a.txt") == b"new"
        assert await signing.visibility("a.txt") == visibility


async def test_a_disk_that_signs_nothing_takes_no_signature(client: Client) -> None:
    disk = disk_of(MemoryDriver(base_url=BASE))
    await disk.put("a.txt", b"1", visibility="public")
    http = client(mounted(disk))
    assert (await http.get("/storage/a.txt?signature=x")).status_code == 403
    answer = await http.put("/storage/a.txt?signature=x", content=b"2")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_disabled_capability_is_not_served(tmp_path: Path, client: Client) -> None:
    driver = LocalDriver(tmp_path, BASE, secret=SECRET)
    disk = disk_of(driver)
    await disk.put("a.txt", b"1")
    url, put = await disk.temporary_url("a.txt", 60), await disk.temporary_upload_url("a.txt", 60)
    http = client(mounted(disk))
    assert (await http.get(url)).status_code == 200
    driver.unsupported = frozenset({"temporary_urls", "temporary_uploads"})
    disk._manager.set_driver(driver, "media")
    assert (await http.get(url)).status_code == 403
    answer = await http.put(put.url, content=b"2")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_scopes_and_read_only_views_serve_what_is_theirs(
    signing: Disk, client: Client
) -> None:
    scope = signing.scoped("tenants/42")
    await scope.put("a.txt", b"1")
    url = await scope.temporary_url("a.txt", 60)
    assert (await client(mounted(signing)).get(url)).content == b"1"
    within = Starlette(routes=[Mount("/storage/tenants/42", serve(scope))])
    assert (await client(within).get(url)).content == b"1"
    other = Starlette(routes=[Mount("/storage/tenants/42", serve(signing.scoped("tenants/43")))])
    assert (await client(other).get(url)).status_code == 403
    put = await signing.temporary_upload_url("a.txt", 60)
    answer = await client(mounted(signing.read_only())).put(put.url, content=b"2")
    assert answer.status_code == 405
    assert (await client(mounted(signing.read_only())).get(url)).content == b"1"


async def test_a_presigned_url_of_one_disk_reads_no_other_disk_with_the_same_secret(
    client: Client,
) -> None:
    one, two = [
        disk_of(MemoryDriver(base_url=f"http://files.test/{name}", secret=SECRET))
        for name in ("one", "one/two")
    ]
    for disk, path in ((one, "two/a.txt"), (two, "a.txt")):
        await disk.put(path, b"private")
    app = Starlette(routes=[Mount("/one/two", serve(two)), Mount("/one", serve(one))])
    url = await one.temporary_url("two/a.txt", 60)
    assert (await client(app).get(url)).status_code == 403


async def test_a_presigned_put_stores_a_private_file(signing: Disk, client: Client) -> None:
    content = os.urandom(1_000_000)
    request = await signing.temporary_upload_url(
        "d/ü.bin", 60, content_type="image/x-own", size=len(content)
    )
    http = client(mounted(signing))
    answer = await http.put(request.url, content=content, headers=dict(request.headers))
    assert (answer.status_code, answer.content) == (200, b"")
    assert await signing.get("d/ü.bin") == content
    assert await signing.mime_type("d/ü.bin") == "image/x-own"
    assert await signing.visibility("d/ü.bin") == "private"
    assert (await http.get("/storage/d/ü.bin")).status_code == 404


async def test_a_presigned_put_binds_type_and_length(signing: Disk, client: Client) -> None:
    request = await signing.temporary_upload_url("a.txt", 60, content_type="text/plain", size=3)
    http = client(mounted(signing))

    async def chunked() -> AsyncIterator[bytes]:
        yield b"123"

    async def status(content: Any = b"123", **headers: str) -> int:
        fields = dict(request.headers) | {n.replace("_", "-"): v for n, v in headers.items()}
        del fields["Content-Length"]
        return (await http.put(request.url, content=content, headers=fields)).status_code

    assert await status(Content_Type="text/html") == 403
    assert await status(Content_Type="text/plain; charset=utf-8") == 403
    assert await status(b"1234") == 403
    assert await status(b"12") == 403
    assert await status(chunked()) == 411
    assert await status(Content_Range="bytes 0-2/9") == 400
    assert await status(Content_Encoding="gzip") == 415
    assert await status(If_Match="*") == 412
    assert not await signing.exists("a.txt")
    assert await status() == 200


async def test_a_length_that_is_a_lie_stores_nothing(signing: Disk) -> None:
    """As from a server that does not count the bytes."""
    await signing.put("a.txt", b"old")
    request = await signing.temporary_upload_url("a.txt", 60, size=3)
    for body, status in ((b"12", 400), (b"1234", 400)):
        answer = await raw(mounted(signing), "PUT", request.url, [body], {"content-length": "3"})
        assert answer == status
    assert await signing.get("a.txt") == b"old"


async def test_a_put_without_a_signed_size_has_a_limit(signing: Disk, client: Client) -> None:
    request = await signing.temporary_upload_url("a.txt", 60)
    http = client(mounted(signing, max_upload_size=1000))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(600)

    assert (await http.put(request.url, content=bytes(1001))).status_code == 413
    assert (await http.put(request.url, content=endless())).status_code == 413
    assert not await signing.exists("a.txt")
    assert (await http.put(request.url, content=bytes(1000))).status_code == 200


async def test_an_uploader_cannot_say_that_a_picture_is_a_page(
    signing: Disk, client: Client
) -> None:
    request = await signing.temporary_upload_url("a.png", 60)
    http = client(mounted(signing))
    html = {"content-type": "text/html"}
    assert (await http.put(request.url, content=PAGE, headers=html)).status_code == 200
    answer = await http.get(await signing.temporary_url("a.png", 60))
    assert answer.headers["content-type"] == "image/png"


async def test_a_put_on_condition_is_free_of_races(signing: Disk, client: Client) -> None:
    request = await signing.temporary_upload_url("a.txt", 60)
    http = client(mounted(signing))

    async def put(content: bytes, **headers: str) -> int:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await http.put(request.url, content=content, headers=fields)).status_code

    assert await put(b"1", If_None_Match="*", If_Match='"other"') == 412
    assert not await signing.exists("a.txt")
    assert await put(b"1", If_None_Match="*") == 200
    assert await put(b"2", If_None_Match="*") == 412
    assert await put(b"2", If_None_Match="*", If_Match="*") == 412
    etag = (await http.get(await signing.temporary_url("a.txt", 60))).headers["etag"]
    assert await put(b"2", If_Match='"other"') == 412
    assert await put(b"2", If_None_Match=etag) == 412
    assert await put(b"2", If_Match=etag) == 200
    assert await put(b"3", If_Match=etag) == 412
    assert await signing.get("a.txt") == b"2"


async def test_a_client_that_disconnects_stores_nothing(signing: Disk) -> None:
    await signing.put("a.txt", b"old")
    request = await signing.temporary_upload_url("a.txt", 60)
    app = mounted(signing)
    assert await raw(app, "PUT", request.url, [b"new"], {}, ends=False) == 400
    assert await signing.get("a.txt") == b"old"
    form = await signing.temporary_upload_form("a.txt", 60, max_size=100)
    body, kind = multipart([*form.fields.items()], b"new")
    parts = [body[:-30]]
    assert await raw(app, "POST", form.url, parts, {"content-type": kind}, ends=False) == 400
    assert await raw(app, "POST", form.url, parts, {"content-type": kind}) == 400
    assert await signing.get("a.txt") == b"old"


async def test_a_form_uploads_a_private_file(signing: Disk, client: Client) -> None:
    content = os.urandom(500_000)
    form = await signing.temporary_upload_form("d/ü.png", 60, max_size=500_000)
    answer = await client(mounted(signing)).post(
        form.url, data=dict(form.fields), files={"file": ("evil.html", content, "text/html")}
    )
    assert answer.status_code == 204
    assert await signing.get("d/ü.png") == content
    assert (await signing.stat("d/ü.png")).content_type in (None, "image/png")
    assert await signing.visibility("d/ü.png") == "private"


async def test_form_and_presigned_upload_run_the_hook_of_uploads(
    signing: Disk, client: Client
) -> None:
    class Uploads:
        events: list[Any] = []  # noqa: RUF012 - of one test

        @hookimpl
        def storage_uploaded(self, event: Any) -> None:
            self.events.append(event)

    signing._manager.hooks.register(Uploads)
    http = client(mounted(signing))
    form = await signing.temporary_upload_form("a.txt", 60, max_size=9)
    await http.post(form.url, data=dict(form.fields), files={"file": b"12345"})
    put = await signing.temporary_upload_url("b.txt", 60)
    await http.put(put.url, content=b"1234", headers=put.headers)
    assert [(e.path, e.size, e.content_type) for e in Uploads.events] == [
        ("a.txt", 5, "text/plain"),
        ("b.txt", 4, "text/plain"),
    ]


async def test_a_form_has_the_type_that_was_signed(signing: Disk, client: Client) -> None:
    form = await signing.temporary_upload_form("a", 60, max_size=9, content_type="image/x-own")
    http = client(mounted(signing))
    assert (await http.post(form.url, data=dict(form.fields), files={"file": b"1"})).is_success
    assert await signing.mime_type("a") == "image/x-own"
    forged = dict(form.fields) | {"type": "text/html"}
    assert (await http.post(form.url, data=forged, files={"file": b"1"})).status_code == 403


def multipart(
    fields: list[tuple[str, str]], content: bytes, after: bytes = b"", filename: str = "f"
) -> tuple[bytes, str]:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    return b"".join(parts) + head.encode() + content + b"\r\n" + after + b"--x--\r\n", (
        "multipart/form-data; boundary=x"
    )


async def test_a_forms_limit_holds(signing: Disk, client: Client) -> None:
    form = await signing.temporary_upload_form("a.txt", 60, max_size=1000)
    http = client(mounted(signing))
    for size, status in ((1001, 413), (2_000_000, 413), (1000, 204), (0, 204)):
        data = dict(form.fields)
        answer = await http.post(form.url, data=data, files={"file": bytes(size)})
        assert answer.status_code == status
    assert await signing.size("a.txt") == 0


async def test_form_min_size_refuses_a_shorter_file(signing: Disk, client: Client) -> None:
    await signing.put("a.txt", b"old")
    form = await signing.temporary_upload_form("a.txt", 60, min_size=3, max_size=5)
    http = client(mounted(signing))
    for content, status in ((b"", 400), (b"12", 400), (b"123456", 413)):
        data = dict(form.fields)
        answer = await http.post(form.url, data=data, files={"file": content})
        assert answer.status_code == status
    assert await signing.get("a.txt") == b"old"
    for content in (b"123", b"12345"):
        data = dict(form.fields)
        assert (await http.post(form.url, data=data, files={"file": content})).status_code == 204
        assert await signing.get("a.txt") == content


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [f for f in fields if f[0] != "min_length"],
        lambda fields: [(n, v if n != "min_length" else "0") for n, v in fields],
    ],
    ids=["none", "lower"],
)
async def test_form_min_size_is_part_of_the_signature(
    signing: Disk, client: Client, change: Any
) -> None:
    form = await signing.temporary_upload_form("a.txt", 60, min_size=3, max_size=5)
    body, kind = multipart(change([*form.fields.items()]), b"1")
    http = client(mounted(signing))
    answer = await http.post(form.url, content=body, headers={"content-type": kind})
    assert answer.status_code == 403
    assert not await signing.exists("a.txt")


async def test_form_without_a_file_keeps_the_old_one(signing: Disk, client: Client) -> None:
    """A browser sends an empty part without a name where no file was chosen."""
    await signing.put("a.txt", b"old")
    form = await signing.temporary_upload_form("a.txt", 60, max_size=10)
    http = client(mounted(signing))
    for filename, content, status in (("", b"", 400), ("", b"1", 204), ("a", b"", 204)):
        body, kind = multipart([*form.fields.items()], content, filename=filename)
        answer = await http.post(form.url, content=body, headers={"content-type": kind})
        assert answer.status_code == status
        assert await signing.get("a.txt") == (b"old" if status == 400 else content)


async def test_temporary_url_stable_for_is_one_url_in_a_period(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signing.put("a.txt", b"1")
    http = client(mounted(signing))
    start = time.time() // 3600 * 3600
    urls = []
    for second in (0, 3599, 3600):
        monkeypatch.setattr(time, "time", lambda now=start + second: now)
        urls.append(await signing.temporary_url("a.txt", 60, stable_for=3600))
        answer = await http.get(urls[-1])
        assert (answer.status_code, answer.content) == (200, b"1")
        # The browser has the response under this URL, and it is still the file's.
        again = await http.get(urls[-1], headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert urls[0] == urls[1] != urls[2]
    # At the end of its period a URL is valid for 60 seconds more.
    for second, status in ((3659, 200), (3660, 403)):
        monkeypatch.setattr(time, "time", lambda now=start + second: now)
        assert (await http.get(urls[0])).status_code == status


async def test_a_file_of_its_own_cache_control_keeps_it_at_a_presigned_url(
    signing: Disk, client: Client
) -> None:
    await signing.put("a.txt", b"1", cache_control="private, max-age=50")
    url = await signing.temporary_url("a.txt", 60, stable_for=3600)
    answer = await client(mounted(signing)).get(url)
    assert answer.headers["cache-control"] == "private, max-age=50"


MORE = b'--x\r\nContent-Disposition: form-data; name="more"\r\n\r\n1\r\n'


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda fields: fields, 204),
        (lambda fields: [*fields, ("acl", "public-read")], 403),
        (lambda fields: [*fields, ("expires", "99999999999")], 400),
        (lambda fields: [*fields, *((f"f{n}", "") for n in range(20))], 400),
        (lambda fields: [*fields, ("long", "x" * 10_000)], 400),
        (lambda fields: fields[:0], 403),
        (lambda fields: [f for f in fields if f[0] != "length"], 403),
        (lambda fields: [(n, v if n != "length" else "9999") for n, v in fields], 403),
    ],
    ids=["as signed", "more", "twice", "many", "long", "none", "no limit", "another limit"],
)
async def test_a_form_has_the_signed_fields_and_no_others(
    signing: Disk, client: Client, change: Any, status: int
) -> None:
    form = await signing.temporary_upload_form("a.txt", 60, max_size=10)
    body, kind = multipart(change([*form.fields.items()]), b"1")
    http = client(mounted(signing))
    answer = await http.post(form.url, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert await signing.exists("a.txt") is (status == 204)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=" + "x" * 300, b"x", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"no form at all", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100, 400),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 10_000, 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n',
            400,
        ),
    ],
)
async def test_what_is_no_form_is_refused(
    signing: Disk, client: Client, kind: str, body: bytes, status: int
) -> None:
    http = client(mounted(signing))
    answer = await http.post("/storage/a.txt", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert not await signing.exists("a.txt")


async def test_nothing_comes_after_a_forms_file(signing: Disk, client: Client) -> None:
    form = await signing.temporary_upload_form("a.txt", 60, max_size=10)
    body, kind = multipart([*form.fields.items()], b"1", after=MORE)
    http = client(mounted(signing))
    answer = await http.post(form.url, content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert not await signing.exists("a.txt")


async def test_a_form_that_comes_byte_by_byte_is_the_same_form(signing: Disk) -> None:
    content = b"\r\n--x\r\n--\r\n--y\r\n" * 20
    form = await signing.temporary_upload_form("a.txt", 60, max_size=1000)
    body, kind = multipart([*form.fields.items()], content.replace(b"--x", b"-x-"))
    pieces = [body[at : at + 1] for at in range(len(body))]
    assert await raw(mounted(signing), "POST", form.url, pieces, {"content-type": kind}) == 204
    assert await signing.get("a.txt") == content.replace(b"--x", b"-x-")


async def raw(
    app: Any,
    method: str,
    url: str,
    body: list[bytes],
    headers: dict[str, str],
    *,
    ends: bool = True,
) -> int | None:
    """Call an application as a server does; with `ends` False the client disconnects early."""
    parts = urlsplit(url)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in body
    ]
    if ends:
        messages[-1]["more_body"] = False
    messages.append({"type": "http.disconnect"})
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": method,
        "path": str(httpx.URL(url).path),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    return statuses[0] if statuses else None
