"""GET and HEAD of any disk's files: conditions, ranges, visibility (RFC 9110)."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from jtc.storage.asgi import serve
from jtc.storage.asgi._conditions import _DATE, failed_condition, requested_range
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from web_disks import BASE, SECRET, disk_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Client

    from jtc.storage import Disk

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes: several chunks


async def test_a_file_is_sent_whole_with_its_metadata(disk: Disk, client: Client) -> None:
    await disk.put("d/größe 1.bin", CONTENT)
    answer = await client(serve(disk, public=True)).get("/d/größe 1.bin")
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"].startswith('"')
    info = await disk.stat("d/größe 1.bin")
    assert answer.headers["last-modified"] == formatdate(int(info.last_modified), usegmt=True)


async def test_head_has_the_headers_of_get_and_no_body(disk: Disk, client: Client) -> None:
    await disk.put("a.png", CONTENT)
    http = client(serve(disk, public=True))
    get, head = await http.get("/a.png"), await http.head("/a.png")
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)
    ranged = await http.head("/a.png", headers={"Range": "bytes=0-1"})
    assert (ranged.status_code, ranged.headers["content-length"]) == (200, str(len(CONTENT)))


async def test_an_empty_file_is_sent(disk: Disk, client: Client) -> None:
    await disk.put("empty.txt", b"")
    http = client(serve(disk, public=True))
    for headers in ({}, {"Range": "bytes=-5"}):
        answer = await http.get("/empty.txt", headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=1000-300000", 1000, 300_001),
        ("bytes=-5", -5, None),
        ("bytes=-99999999", 0, None),
        ("bytes=1023999-", 1_023_999, None),
        ("bytes=1000000-99999999999999999999", 1_000_000, None),
        ("BYTES= 3-4 ", 3, 5),
    ],
)
async def test_a_range_is_sent(
    disk: Disk, client: Client, asked: str, start: int, end: int | None
) -> None:
    await disk.put("a.bin", CONTENT)
    answer = await client(serve(disk, public=True)).get("/a.bin", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-length"] == str(len(answer.content))
    first = start if start >= 0 else len(CONTENT) + start
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=1024000-", "bytes=99999999999-", "bytes=-0"])
async def test_a_range_after_the_end_is_refused(disk: Disk, client: Client, asked: str) -> None:
    await disk.put("a.bin", CONTENT)
    answer = await client(serve(disk, public=True)).get("/a.bin", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5-4",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1-2-3",
        "lines=0-1",
        "bytes 0-1",
        "bytes=0-1,2-3",
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=0-" + "9" * 5000,
        "bytes=\u00b2-",
    ],
)
async def test_what_is_no_single_range_is_answered_whole_once(
    client: Client, asked: str, signing: Disk
) -> None:
    await signing.put("a.bin", CONTENT)
    http = client(serve(signing, public=True))
    answer = await http.get("/a.bin", headers={"Range": asked.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 200
    assert answer.content == CONTENT


async def test_two_range_headers_are_several_ranges(signing: Disk, client: Client) -> None:
    await signing.put("a.bin", CONTENT)
    headers = [("Range", "bytes=0-1"), ("Range", "bytes=2-3")]
    answer = await client(serve(signing, public=True)).get("/a.bin", headers=headers)
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


async def test_conditions_are_answered(disk: Disk, client: Client) -> None:
    await disk.put("a.bin", CONTENT)
    http = client(serve(disk, public=True))
    first = await http.get("/a.bin")
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    earlier, later = (formatdate(time.time() + s, usegmt=True) for s in (-9999, 9999))

    async def status(**headers: str) -> int:
        answer = await http.get(
            "/a.bin", headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        if answer.status_code == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == etag
            assert "content-type" not in answer.headers
            assert "content-length" not in answer.headers
        return answer.status_code

    assert await status(If_None_Match=etag) == 304
    assert await status(If_None_Match=f"W/{etag}") == 304
    assert await status(If_None_Match=f'"x,y", {etag}') == 304
    assert await status(If_None_Match="*") == 304
    assert await status(If_None_Match='"other"') == 200
    assert await status(If_None_Match=etag.strip('"')) == 200
    assert await status(If_Modified_Since=modified) == 304
    assert await status(If_Modified_Since=earlier) == 200
    assert await status(If_Modified_Since="no date") == 200
    assert await status(If_None_Match='"other"', If_Modified_Since=modified) == 200
    assert await status(If_Match=etag) == 200
    assert await status(If_Match="*") == 200
    assert await status(If_Match='"other"') == 412
    assert await status(If_Match=f"W/{etag}") == 412
    assert await status(If_Unmodified_Since=later) == 200
    assert await status(If_Unmodified_Since=earlier) == 412
    assert await status(If_Unmodified_Since="no date") == 200
    assert await status(If_Match=etag, If_Unmodified_Since=earlier) == 200
    assert await status(If_Match=etag, If_None_Match=etag) == 304
    assert await status(If_None_Match=etag, Range="bytes=0-1") == 304
    assert await status(If_Match='"other"', Range="bytes=0-1") == 412


LIST = [formatdate(at, usegmt=True) for at in (1, 4e9)]


@pytest.mark.parametrize(
    "date",
    [
        ", ".join(LIST),
        "Tue, 31 Jan 1970 99:99:99 GMT",
        "Sat, 31 Jan 1970 00:00:00 +0100",
        "Sat, 31 Jan 1970 00:00:00 GMT; length=5",
        "Sat, 31 Jan 1970 00:00:00",
        "31 Jan 1970 00:00:00 GMT",
        "0",
    ],
)
def test_what_is_no_single_date_of_http_is_no_condition(date: str) -> None:
    for name in ("if-unmodified-since", "if-modified-since"):
        assert failed_condition("GET", Headers({name: date}), '"1"', 100) is None
        assert failed_condition("GET", Headers({name: date}), '"1"', 5e9) is None
    twice = Headers(raw=[(b"if-unmodified-since", each.encode()) for each in LIST])
    assert failed_condition("GET", twice, '"1"', 100) is None


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_a_date_is_read_in_each_of_the_three_ways_of_http(date: str) -> None:
    asked = Headers({"if-unmodified-since": date})
    assert failed_condition("GET", asked, '"1"', 784_111_777) is None
    assert failed_condition("GET", asked, '"1"', 784_111_778) == 412


@given(st.from_regex(_DATE, fullmatch=True))
def test_no_date_is_too_odd_to_be_answered(date: str) -> None:
    assert failed_condition("GET", Headers({"if-modified-since": date}), None, 0) in (None, 304)


async def test_if_range_sends_the_part_of_the_same_version_only(
    disk: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await disk.put("a.bin", CONTENT)
    http = client(serve(disk, public=True))
    first = await http.get("/a.bin")
    etag, modified = first.headers["etag"], first.headers["last-modified"]

    async def status(condition: str) -> int:
        headers = {"Range": "bytes=5-9", "If-Range": condition}
        answer = await http.get("/a.bin", headers=headers)
        assert answer.content == (CONTENT[5:10] if answer.status_code == 206 else CONTENT)
        return answer.status_code

    assert await status(etag) == 206
    assert await status('"other"') == 200
    assert await status(f"W/{etag}") == 200
    assert await status("no date") == 200
    assert await status(formatdate(0, usegmt=True)) == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert await status(modified) == 206
    await disk.put("a.bin", CONTENT + b"!")
    headers = {"Range": "bytes=5-9", "If-Range": etag}
    assert (await http.get("/a.bin", headers=headers)).content == CONTENT + b"!"


async def test_within_its_second_a_date_names_no_version(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signing.put("a.bin", CONTENT)
    written = (await signing.stat("a.bin")).last_modified
    monkeypatch.setattr(time, "time", lambda: float(int(written)))
    headers = {"Range": "bytes=5-9", "If-Range": formatdate(int(written), usegmt=True)}
    answer = await client(serve(signing, public=True)).get("/a.bin", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("condition", "answer"), [("if-match", 412), ("if-none-match", 304), ("if-range", None)]
)
def test_a_weak_etag_names_no_bytes(condition: str, answer: int | None) -> None:
    asked = Headers({condition: 'W/"1"', "range": "bytes=0-0"})
    assert failed_condition("GET", asked, 'W/"1"', 0) == answer
    if answer is None:
        assert requested_range(asked, 'W/"1"', 0, 10) is None
    assert failed_condition("GET", Headers({"if-match": '"1"'}), 'W/"1"', 0) == 412


async def test_unsigned_requests_get_public_files_only(signing: Disk, client: Client) -> None:
    await signing.put("public.txt", b"1", visibility="public")
    await signing.put("private.txt", b"1")
    http = client(serve(signing))
    assert (await http.get("/public.txt?v=3")).status_code == 200
    answers = [await http.get(path) for path in ("/private.txt", "/missing.txt")]
    answers += [await http.head("/private.txt")]
    answers += [await http.get("/private.txt", headers={"If-None-Match": "*"})]
    answers += [await http.get("/private.txt", headers={"Range": "bytes=0-0"})]
    assert {answer.status_code for answer in answers} == {404}
    assert dict(answers[0].headers) == dict(answers[1].headers)
    assert answers[0].content == answers[1].content
    await signing.set_visibility("public.txt", "private")
    assert (await http.get("/public.txt")).status_code == 404


async def test_without_visibility_no_file_is_public(signing: Disk, client: Client) -> None:
    driver: Any = signing.driver
    driver.unsupported = frozenset({"visibility"})
    manager = signing._manager
    manager.set_driver(driver, "media")
    await signing.put("a.txt", b"1")
    assert (await client(serve(signing)).get("/a.txt")).status_code == 404
    assert (await client(serve(signing, public=True)).get("/a.txt")).status_code == 200


async def test_a_file_that_becomes_private_in_between_is_not_sent(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced between the check of its visibility and its opening."""
    await signing.put("a.txt", b"public", visibility="public")
    driver: Any = signing.driver
    ask = driver.visibility

    async def replaced_meanwhile(path: str) -> Any:
        found = await ask(path)
        await signing.put("a.txt", b"secret", visibility="private")
        return found

    monkeypatch.setattr(driver, "visibility", replaced_meanwhile)
    signing._manager.set_driver(driver, "media")
    answer = await client(serve(signing)).get("/a.txt")
    assert answer.status_code == 404
    assert b"secret" not in answer.content


async def test_a_file_replaced_at_each_attempt_is_a_503(
    signing: Disk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signing.put("a.txt", b"0")
    driver: Any = signing.driver
    stat = driver.stat

    async def replaced_meanwhile(path: str) -> Any:
        found = await stat(path)
        await signing.put("a.txt", b"1")
        return found

    monkeypatch.setattr(driver, "stat", replaced_meanwhile)
    signing._manager.set_driver(driver, "media")
    http = client(serve(signing, public=True))
    answer = await http.get("/a.txt", headers={"If-None-Match": '"x"'})
    assert answer.status_code == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/d/", 404),
        ("/d", 404),
        ("/missing", 404),
        ("/a.txt/", 404),
        ("//a.txt", 400),
        ("/%2Fa.txt", 400),
        ("/d//a.txt", 400),
        ("/d/%2e%2e/a.txt", 400),
        ("/..%2f..%2fetc/passwd", 400),
        ("/d/%5c..%5ca.txt", 400),
        ("/a.txt%00", 400),
        ("/a.txt%0d%0aX:1", 400),
        ("/%E2%80%AEa", 400),
        ("/" + "a" * 300, 400),
        ("/a.txt/b", 404),
    ],
)
async def test_what_names_no_file_is_refused(
    signing: Disk, client: Client, path: str, status: int
) -> None:
    await signing.put("a.txt", b"1")
    await signing.put("d/a.txt", b"1")
    http = client(serve(signing, public=True))
    # Not normalised by the client.
    request = http.build_request("GET", "http://files.test")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await http.send(request)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


RESERVED = [".jtc", ".jtc/", ".jtc/a", ".JTC/a", ".jtc/staged/a.txt", "%2ejtc/a", ".jtc%2Fa"]


@pytest.mark.parametrize("path", RESERVED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
async def test_serve_never_serves_the_reserved_directory(
    tmp_path: Path, client: Client, path: str, method: str
) -> None:
    """There is one in a local disk's root, and everything else there is public."""
    for folder in (".jtc/staged", ".JTC", "tenants/.jtc"):
        (tmp_path / folder).mkdir(parents=True)
    for name in (".jtc/a", ".JTC/a", ".jtc/staged/a.txt", "tenants/.jtc/a"):
        (tmp_path / name).write_bytes(b"secret")
    disk = disk_of(LocalDriver(tmp_path, BASE, secret=SECRET))
    http = client(serve(disk, public=True))
    request = http.build_request(method, "http://files.test")
    request.url = request.url.copy_with(raw_path=f"/{path}".encode())
    answer = await http.send(request)
    assert answer.status_code == 404
    assert b"secret" not in answer.content
    await disk.put("tenants/a.txt", b"1")
    http = client(serve(disk.scoped("tenants"), public=True))
    assert (await http.get("/a.txt")).status_code == 200
    assert (await http.get("/.jtc/a")).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
async def test_other_methods_are_refused_and_change_nothing(
    disk: Disk, client: Client, method: str
) -> None:
    await disk.put("a.txt", b"1")
    http = client(serve(disk, public=True))
    request = http.build_request("GET", "/a.txt", content=b"changed")
    request.method = method
    answer = await http.send(request)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert await disk.get("a.txt") == b"1"


async def test_a_scope_is_served_alone(disk: Disk, client: Client) -> None:
    await disk.put("in/a.txt", b"in")
    await disk.put("out.txt", b"out")
    http = client(serve(disk.scoped("in"), public=True))
    assert (await http.get("/a.txt")).content == b"in"
    assert (await http.get("/out.txt")).status_code == 404


async def test_what_was_declared_is_said(signing: Disk, client: Client) -> None:
    await signing.put(
        "a.bin",
        b"1",
        content_type="image/x-own",
        cache_control="max-age=5",
        content_disposition='attachment; filename="b"',
    )
    await signing.put("plain.txt", b"1")
    http = client(serve(signing, public=True, cache_control="no-cache"))
    headers = (await http.get("/a.bin")).headers
    assert headers["content-type"] == "image/x-own"
    assert headers["cache-control"] == "max-age=5"
    assert headers["content-disposition"] == 'attachment; filename="b"'
    headers = (await http.get("/plain.txt")).headers
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert "content-disposition" not in headers


async def test_an_etag_of_memory_is_not_given_again_by_another_process(client: Client) -> None:

    seen = set()
    for content in (b"one", b"two"):
        disk = disk_of(MemoryDriver())
        await disk.put("a.txt", content)
        seen.add((await client(serve(disk, public=True)).get("/a.txt")).headers["etag"])
    assert len(seen) == 2
