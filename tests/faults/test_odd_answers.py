"""A store that answers nonsense: a typed error or a plausible answer, nothing else."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from jtc.storage import StorageManager
from jtc.storage.exceptions import StorageException, StorageTimeoutException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jtc.storage import Disk

BODIES = (
    "",
    "content",
    "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>",
    "<Error><Code>SlowDown</Code></Error>",
    """<ListBucketResult><IsTruncated>true</IsTruncated><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>
<NextContinuationToken>t</NextContinuationToken><Contents><Key>a/b</Key><Size>7</Size>
<LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>"0"</ETag></Contents>
<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>""",
    """<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>
<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>a</Key><UploadId>u</UploadId>
<Initiated>2020-01-02T03:04:05Z</Initiated></Upload></ListMultipartUploadsResult>""",
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    '<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>',
    """<CopyObjectResult><ETag>1</ETag><LastModified>2026-01-02T03:04:05Z</LastModified>
</CopyObjectResult>""",
    """<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>
</Error></DeleteResult>""",
    """<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant>
<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">
<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>
<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>""",
)
HEADERS = {
    "ETag": ('"0"', "", "x" * 5000, "W/"),
    "Last-Modified": ("Fri, 02 Jan 2026 03:04:05 GMT", "never", "", "0", "9" * 40),
    "Content-Length": ("0", "1", "7", "-1", "x", "99999999999999999999"),
    "Content-Range": ("bytes 0-6/7", "bytes 0-6/*", "bytes x", "", "bytes 3-2/1", "bytes 0-6/-7"),
    "Content-Type": ("text/plain", "", "\xff", "a" * 9000),
    "x-amz-checksum-crc32": ("AAAAAA==", "?", "", "AAAA-3"),
    "x-amz-checksum-type": ("FULL_OBJECT", "COMPOSITE", "x"),
    "x-amz-meta-a": ("b", "=?UTF-8?B?w7w=?=", "=?x?B?!?=", "=?UTF-8?Q?=FF?="),
    "x-amz-request-id": ("1",),
    "Transfer-Encoding": ("chunked", "gzip", "identity"),
    "Content-Encoding": ("gzip", "br", "x"),
    "Location": ("http://127.0.0.1:1/", "//", "file:///etc/passwd"),
    "x-amz-bucket-region": ("eu-west-1", "", "\xe9"),
    "Connection": ("close", "keep-alive"),
}
SPOILS = (
    *(
        "<",
        ">",
        "&",
        "&#0;",
        "&#xFFFF;",
        "\x00",
        "\xff",
        "]]>",
        "<![CDATA[",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    ),
    *(
        "-1",
        "9" * 30,
        "true",
        "",
        "null",
        "..",
        "../x",
        "\u202e",
        "%00",
        "<Key>",
        "<a><b></a>",
        "\ud800",
    ),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(SPOILS)) + text[at + draw(st.integers(0, 30)) :]
    body = text.encode("utf-8", "surrogatepass")
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 5)) == 0 else body


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 20)) == 0:
        return draw(st.binary(max_size=200) | st.sampled_from((b"", b"HTTP/1.1", b"\r\n\r\n")))
    status = draw(
        st.sampled_from((200, 200, 200, 200, 204, 206, 206, 304, 307, 301, 400, 404, 412, 416))
        | st.integers(100, 999)
    )
    body = draw(bodies())
    names = draw(st.sets(st.sampled_from(sorted(HEADERS)), max_size=8))
    if draw(st.booleans()):
        # Mostly right, or nothing but the first check of each would be tried.
        names |= {"ETag", "Last-Modified"}
        lines = [f"{name}: {HEADERS[name][0]}" for name in sorted(names - {"Transfer-Encoding"})]
        lines = [line for line in lines if not line.startswith(("Content-Length", "Content-Enc"))]
    else:
        lines = [f"{name}: {draw(st.sampled_from(HEADERS[name]))}" for name in sorted(names)]
    if not any(line.startswith("Content-Length") for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join((f"HTTP/1.1 {status} X", *lines, "", ""))
    return head.encode("latin-1") + body


class OddStore:
    """Answers each request with the next of some answers, over and over."""

    def __init__(self) -> None:
        self.answers: itertools.cycle[bytes] = itertools.cycle([b""])
        self.asked = 0

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if b"100-continue" in head.lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.write(next(self.answers))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()
        # What it still has of connections is closed a round of the loop later.
        if serving := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(serving, timeout=10)
        await asyncio.sleep(0)


async def content() -> AsyncIterator[bytes]:
    yield bytes(6 * 1024 * 1024)


async def listed(disk: Disk, **options: Any) -> None:
    async with aclosing(disk.list("", **options).__aiter__()) as entries:  # type: ignore[type-var]
        number = 0
        async for _ in entries:
            number += 1
            if number > 20:
                return


def calls(disk: Disk) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "get": lambda: disk.get("a"),
        "get_range": lambda: disk.get_range("a", 1, 5),
        "get the end": lambda: disk.get_range("a", -3),
        "exists": lambda: disk.exists("a"),
        "stat": lambda: disk.stat("a"),
        "checksum": lambda: disk.checksum("a"),
        "mime_type": lambda: disk.mime_type("a"),
        "list": lambda: listed(disk),
        "list all": lambda: listed(disk, recursive=True, start_after="a"),
        "directory_exists": lambda: disk.directory_exists("a"),
        "make_directory": lambda: disk.make_directory("a"),
        "delete_directory": lambda: disk.delete_directory("a"),
        "put": lambda: disk.put("a", b"content", overwrite=False),
        "append": lambda: disk.append("a", b"content"),
        "put in parts": lambda: disk.put("a", content()),
        "delete": lambda: disk.delete("a"),
        "delete_many": lambda: disk.delete_many(["a", "b"]),
        "copy": lambda: disk.copy("a", "b"),
        "move": lambda: disk.move("a", "b"),
        "visibility": lambda: disk.visibility("a"),
        "set_visibility": lambda: disk.set_visibility("a", "public"),
        "check": disk.check,
        "abort_stale_uploads": lambda: disk.driver.abort_stale_uploads(-1),  # type: ignore[attr-defined]
    }


@pytest.mark.row("fuzzing: a store's answers")
def test_an_odd_answer_is_a_typed_error_or_a_plausible_answer(
    rounds: Callable[..., int], report: Callable[[str], None]
) -> None:
    seen = {"errors": 0, "answers": 0}
    store = OddStore()
    with asyncio.Runner() as runner:
        storage = StorageManager.isolated(
            {
                "default": "odd",
                "disks": {
                    "odd": {
                        "driver": "s3",
                        "bucket": "b",
                        "access_key": "a",
                        "secret_key": "s",
                        "endpoint_url": runner.run(store.start()),
                        "multipart_threshold": 5 * 1024 * 1024,
                        "part_size": 5 * 1024 * 1024,
                        "max_attempts": 1,
                        "request_timeout": 10,
                    }
                },
            }
        )
        disk = storage.disk()
        tried = calls(disk)

        async def one(name: str) -> None:
            before = store.asked
            try:
                async with asyncio.timeout(60):
                    await tried[name]()
                seen["answers"] += 1
            except StorageTimeoutException:
                raise
            except StorageException:
                seen["errors"] += 1
            # The listing of a store that never reports the end must not go on forever.
            assert store.asked - before < 500

        @fuzzed(rounds(2500, brief=120))
        @given(st.sampled_from(sorted(tried)), st.lists(answers(), min_size=1, max_size=4))
        def fuzz(name: str, answers: list[bytes]) -> None:
            store.answers = itertools.cycle(answers)
            runner.run(one(name))

        began = time.perf_counter()
        try:
            fuzz()
        finally:
            runner.run(storage.aclose())
            runner.run(store.stop())
    report(
        f"{store.asked} odd answers: {seen['errors']} typed errors, {seen['answers']} plausible "
        f"answers, nothing else, in {time.perf_counter() - began:.0f} s"
    )
    assert seen["errors"] > 0
    # A few per cent are plausible: among the few of a brief run there may be none.
    assert seen["answers"] >= rounds(1, brief=0)
