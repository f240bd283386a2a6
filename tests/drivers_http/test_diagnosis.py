"""The way to a store: names, connections, TLS with certificates of openssl, proxies, clocks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from certificates import certificate
from jtc.storage.driver_support.diagnosing import (
    fault,
    findings_of,
    findings_of_checks,
    undisturbed,
    without,
)
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.exceptions import StoragePermissionException
from jtc.storage.http_support import diagnosis
from jtc.storage.http_support.diagnosis import anonymous_get, clock_finding, look_at, plain_finding
from jtc.storage.http_support.settings import HttpSettings
from scripted_store import ALWAYS, Answer, Rule, ScriptedStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def ids(url: str, *, seconds: float = 2.0, **options: Any) -> list[str]:
    settings = HttpSettings(endpoint_url=url, **options)
    contact = await look_at(settings, url, seconds=seconds)
    last = contact.findings[-1]
    assert last.blocks == (contact.status == 0)
    assert last.blocks or last.id == "http.latency"
    assert all(each.evidence and each.message.endswith(".") for each in contact.findings)
    return [each.id for each in contact.findings if each.id != "http.latency"]


async def test_look_at_sees_each_step_of_a_request(tmp_path: Path) -> None:
    bundle, context = certificate(tmp_path)
    async with ScriptedStore(tls=context) as store:
        settings = HttpSettings(endpoint_url=store.endpoint_url, ca_bundle=bundle)
        contact = await look_at(settings, f"{store.endpoint_url}/bucket", seconds=5)
    assert contact.status == 200
    assert list(contact.seconds) == ["DNS", "connection", "TLS", "first byte"]
    [latency] = contact.findings
    assert latency.id == "http.latency"
    assert all(step in latency.evidence for step in contact.seconds)
    assert abs(contact.clock or 0.0) < 5
    assert [each.method for each in store.requests] == ["HEAD"]


@pytest.mark.parametrize(
    ("made", "trusted", "expected"),
    [
        ({"days": -1}, True, ["http.tls-expired"]),
        ({}, False, ["http.tls-untrusted"]),
        ({"name": "subjectAltName=DNS:other.example.com"}, True, ["http.tls-wrong-name"]),
        ({"days": 3}, True, ["http.tls-expiring"]),
    ],
)
async def test_look_at_names_what_is_wrong_with_a_certificate(
    tmp_path: Path, made: dict[str, Any], trusted: bool, expected: list[str]
) -> None:
    bundle, context = certificate(tmp_path, **made)
    async with ScriptedStore(tls=context) as store:
        options = {"ca_bundle": bundle} if trusted else {}
        assert await ids(store.endpoint_url, **options) == expected


async def test_look_at_warns_of_certificates_that_are_not_checked(tmp_path: Path) -> None:
    _, context = certificate(tmp_path, days=-1)
    async with ScriptedStore(tls=context) as store:
        assert await ids(store.endpoint_url, verify=False) == ["http.tls-unverified"]
        plain = store.endpoint_url.replace("https", "http")
        assert await ids(plain) == ["http.tls-needed"]


async def test_look_at_of_http_server_by_https_says_so() -> None:
    async with ScriptedStore() as store:
        secure = store.endpoint_url.replace("http", "https")
        assert await ids(secure, seconds=0.3) == ["http.tls-not-spoken"]


async def test_look_at_of_server_that_answers_400_to_http_on_its_port_of_https(
    tmp_path: Path,
) -> None:
    _, context = certificate(tmp_path)
    async with ScriptedStore(tls=context) as secure, both_on_one_port(secure) as url:
        assert await ids(url) == ["http.tls-needed"]


@asynccontextmanager
async def serving(serve: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
    """Serve on loopback; what is under way at the end is stopped and closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(one(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@asynccontextmanager
async def both_on_one_port(secure: ScriptedStore) -> AsyncIterator[str]:
    """Answer HTTP 400 to plain requests, and pass TLS on, as nginx does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first != b"\x16":
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        port = int(secure.endpoint_url.rpartition(":")[2])
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        outer.write(first)
        await pass_on(reader, writer, inner, outer)

    async with serving(serve) as place:
        yield f"http://{place}"


async def pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner: asyncio.StreamReader,
    outer: asyncio.StreamWriter,
) -> None:
    async def one(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                target.write(piece)
                await target.drain()
        except OSError:
            pass
        finally:
            target.transport.abort()

    await asyncio.gather(one(reader, outer), one(inner, writer))


@asynccontextmanager
async def proxy(status: int = 200) -> AsyncIterator[str]:
    """Serve a proxy of CONNECT that answers so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Said\r\n\r\n" % status)
        if status == 200:
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            await pass_on(reader, writer, inner, outer)
        await writer.drain()

    async with serving(serve) as place:
        yield f"http://user:password@{place}"


async def test_look_at_goes_through_the_proxy_that_the_driver_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, context = certificate(tmp_path)
    async with ScriptedStore(tls=context) as store, proxy() as url:
        options = {"ca_bundle": bundle}
        assert await ids(store.endpoint_url, **options, proxy=url) == ["http.proxy"]
        monkeypatch.setenv("HTTPS_PROXY", url)
        settings = HttpSettings(endpoint_url=store.endpoint_url, **options)
        contact = await look_at(settings, store.endpoint_url, seconds=2)
        [finding, _] = contact.findings
        assert finding.id == "http.proxy-local"
        assert finding.evidence.endswith("from HTTPS_PROXY")
        assert "password" not in finding.evidence
        assert finding.fix == "Add 127.0.0.1 to NO_PROXY"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert await ids(store.endpoint_url, **options) == []


async def test_look_at_says_that_a_proxy_is_dead_or_refuses() -> None:
    dead = {"proxy": "http://127.0.0.1:9"}
    assert await ids("https://s.example.com", **dead) == ["http.proxy", "http.proxy-unreachable"]
    async with proxy(403) as url:
        found = await ids("https://s.example.com", proxy=url)
    assert found == ["http.proxy", "http.proxy-refuses"]


async def test_look_at_says_that_the_environment_has_a_proxy_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    settings = HttpSettings(endpoint_url="https://127.0.0.1:9")
    [finding] = (await look_at(settings, "https://127.0.0.1:9", seconds=2)).findings
    assert finding.id == "http.unreachable"
    assert finding.evidence == "Connection refused; the environment has a proxy for http only"


async def test_look_at_of_names_that_are_not_found_and_servers_that_speak_no_http() -> None:
    assert await ids("http://store.invalid") == ["http.dns"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    async with serving(serve) as place:
        assert await ids(f"http://{place}") == ["http.no-answer"]


async def test_look_at_warns_of_slow_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_SLOW_DNS", -1.0)
    async with ScriptedStore() as store:
        assert await ids(store.endpoint_url) == ["http.dns-slow"]


async def test_look_at_of_silent_server_ends() -> None:
    async with ScriptedStore() as store:
        store.rule(Rule(times=ALWAYS, silent=True))
        settings = HttpSettings(endpoint_url=store.endpoint_url)
        contact = await look_at(settings, store.endpoint_url, seconds=0.2)
    assert [each.id for each in contact.findings] == ["http.no-answer"]
    assert contact.findings[0].evidence == "nothing within 0.2 s"


async def test_anonymous_get_reads_a_beginning_and_names_redirects() -> None:
    async with ScriptedStore() as store:
        store.store("a", b"content" * 20_000)
        settings = HttpSettings(endpoint_url=store.endpoint_url)
        found = await anonymous_get(settings, f"{store.endpoint_url}/bucket/a", seconds=2)
        assert found.body == (b"content" * 20_000)[: 64 * 1024]
        answer = Answer(302, {"location": "https://me:secret@x.example.com/a"})
        store.rule(Rule(answer=answer))
        found = await anonymous_get(settings, f"{store.endpoint_url}/bucket/a", seconds=2)
        assert found.redirect == "https://x.example.com"


def test_plain_finding_is_of_other_machines_alone() -> None:
    for url in ("http://localhost:1", "http://127.0.0.2", "http://[::1]", "https://example.com"):
        assert plain_finding(HttpSettings(endpoint_url=url)) is None
    assert plain_finding(HttpSettings(endpoint_url="http://192.168.1.2")) is not None


def test_clock_finding_is_an_error_where_stores_refuse() -> None:
    assert clock_finding("s3", None) is None
    assert clock_finding("s3", 30.0) is None
    for seconds, severity in ((90.0, Severity.WARNING), (-301.0, Severity.ERROR)):
        finding = clock_finding("s3", seconds)
        assert finding is not None
        assert (finding.severity, finding.blocks) == (severity, False)


async def test_findings_of_check_that_fails_is_not_visible() -> None:
    async def denied() -> list[Finding]:
        raise StoragePermissionException("Access denied")

    async def broken() -> list[Finding]:
        raise KeyError("secret")

    async def silent() -> list[Finding]:
        await asyncio.sleep(60)
        return []

    for check, said in ((denied, "Access denied"), (broken, "(KeyError)"), (silent, "0.05 s")):
        [finding] = await findings_of(check(), of="s3", subject="It", seconds=0.05)
        assert (finding.id, finding.severity) == ("s3.not-visible", Severity.NOT_VISIBLE)
        assert said in finding.evidence
        assert "secret" not in finding.evidence


async def test_findings_of_checks_end_with_one_that_blocks() -> None:
    async def denied() -> list[Finding]:
        raise StoragePermissionException("Access denied")

    async def blocked() -> list[Finding]:
        return [fault(id="s3.region", message="It is elsewhere.", evidence="", fix="")]

    async def unreached() -> list[Finding]:
        raise AssertionError

    checks = {"One": denied, "Two": blocked, "Three": unreached}
    found = [each async for each in findings_of_checks(checks, of="s3", seconds=1)]
    assert [each.id for each in found] == ["s3.not-visible", "s3.region"]


async def test_undisturbed_ends_its_work_before_it_raises_a_cancellation() -> None:
    steps = []

    async def work() -> None:
        steps.append("begun")
        await asyncio.sleep(0.05)
        steps.append("done")

    task = asyncio.create_task(undisturbed(work(), seconds=5))
    await asyncio.sleep(0)
    for _ in range(2):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["begun", "done"]


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 " + "9" * 5000 + " OK",
        "HTTP/1.1 200 OK\r\ncontent-length: " + "9" * 5000,
        "HTTP/1.1 302 Found\r\nlocation: http://[nonsense",
        "HTTP/1.1 200 OK\r\ndate: Mon, 99 Foo 99999 99:99:99 GMT",
        "HTTP/1.1 200 OK\r\nx: " + "x" * 100_000,
        "HTTP/1.1",
    ],
)
async def test_anonymous_get_of_nonsense_ends_without_an_error(head: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}\r\n\r\nbody".encode())
        await writer.drain()

    async with serving(serve) as place:
        settings = HttpSettings(endpoint_url=f"http://{place}")
        contact = await anonymous_get(settings, f"http://{place}/", seconds=2)
    assert contact.redirect == ""
    assert contact.clock is None


async def test_anonymous_get_sends_names_beyond_ascii_as_clients_do() -> None:
    async with ScriptedStore() as store:
        settings = HttpSettings(endpoint_url=store.endpoint_url)
        await anonymous_get(settings, f"{store.endpoint_url}/b/ä b%20c?d=é", seconds=2)
    assert store.requests[0].target == "/b/%C3%A4%20b%20c?d=%C3%A9"


def test_without_leaves_no_secret_in_the_evidence() -> None:
    finding = Finding(id="a.b", severity=Severity.ERROR, message="A.", evidence="x SECRET-KEY y")
    assert without(finding, ["SECRET-KEY", None, "x"]).evidence == "x *** y"
    assert without(finding, ["OTHER-KEY"]) is finding
