"""Tampered presigned URLs, at a store and at an application: none is accepted.

The store serves the URLs of S3, and `jtc.storage.asgi` on a server those of local and memory disks.
tests/web/test_signed.py has the status of each change; tests/core/test_url_signing.py changes each
octet of the signed text.
"""

from __future__ import annotations

import asyncio
import hmac
import random
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import httpx
import pytest
from starlette.applications import Starlette

from jtc.storage.asgi import serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import UnsupportedOperationException
from web_disks import SECRET, disk_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from jtc.storage import Disk

DISKS = ("S3", "local", "memory")
SIGNING = ("local", "memory")
OTHER = "fedcba9876543210fedcba9876543210"

KEPT = b"kept"
SENT = b"sent!"
TYPE = "text/plain"
HUNG_UP = 499
DISPOSITION = 'attachment; filename="a.txt"'

EXPIRY = {"X-Amz-Expires", "expires"}
# A store signs all parameters; local and memory disks ignore those that have no meaning for them.
MORE_ON_S3 = ("response-content-type", "versionId", "acl", "uploads", "unknown", "length")
MORE = ("length", "min_length", "type", "disposition")


@dataclass(frozen=True)
class Call:
    """A request, as a presigned URL permits it, or tampered with."""

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    async def send(self) -> tuple[int, bytes]:
        return await asyncio.to_thread(self._send)

    def _send(self) -> tuple[int, bytes]:
        body, headers = self.body, dict(self.headers)
        if self.fields:
            form = httpx.Request(
                self.method, self.url, data=self.fields, files={"file": self.body or b""}
            )
            body, headers = form.read(), dict(form.headers)
        # Not by httpx, which would normalise the URL.
        request = urllib.request.Request(self.url, body, headers, method=self.method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (ConnectionResetError, urllib.error.URLError):  # RemoteDisconnected is the former
            return HUNG_UP, b""


def query_of(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def with_query(url: str, query: list[tuple[str, str]]) -> str:
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    return urlunsplit(urlsplit(url)._replace(query=text))


def another(value: str, chance: random.Random) -> str:
    """Return a value that differs in one letter."""
    if not value:
        return "x"
    place = chance.randrange(len(value))
    new = chance.choice([letter for letter in "0123456789abcdefAZ" if letter != value[place]])
    return value[:place] + new + value[place + 1 :]


def later(value: str, chance: random.Random) -> str:
    return str(int(value) + chance.choice((-1, 1, 5_940, 604_740)))


def with_another_key(call: Call, chance: random.Random) -> Call:
    parts = urlsplit(call.url)
    folder, _, _ = parts.path.rpartition("/")
    path = chance.choice((f"{folder}/secret", f"{folder}/file2", folder, f"{parts.path}/x"))
    return replace(call, url=urlunsplit(parts._replace(path=path)))


def with_another_method(call: Call, chance: random.Random, permitted: set[str]) -> Call:
    methods = {"GET", "PUT", "DELETE", "POST", "HEAD"} - permitted
    headers = {**call.headers, "Content-Type": TYPE, "Content-Length": str(len(SENT))}
    return replace(call, method=chance.choice(sorted(methods)), body=SENT, headers=headers)


def with_other_parameters(
    given: list[tuple[str, str]], way: str, chance: random.Random
) -> tuple[str, list[tuple[str, str]]]:
    """Return the name of a change of a URL's parameters or form fields, and the changed ones."""
    names = [name for name, _ in given]
    if way == "drop":
        name = chance.choice(names)
        return f"without {name}", [each for each in given if each[0] != name]
    if way == "add":
        more = MORE_ON_S3 if "X-Amz-Signature" in names else MORE
        name = chance.choice([each for each in more if each not in names])
        return f"with {name}", [*given, (name, "text/html")]
    if way == "twice":
        # The store takes the first signature, which is as good as alone.
        name, value = chance.choice([each for each in given if each[0] != "X-Amz-Signature"])
        return f"twice {name}", [*given, (name, another(value, chance))]
    if way == "expiry":
        changed = [(n, later(v, chance) if n in EXPIRY else v) for n, v in given]
        return "expiry", changed
    name = chance.choice(names)
    return f"value of {name}", [(n, another(v, chance) if n == name else v) for n, v in given]


def tampered_url(
    call: Call, permitted: set[str], turn: int, chance: random.Random
) -> tuple[str, Call]:
    ways = ("value", "drop", "value", "add", "twice", "key", "method", "expiry")
    way = ways[turn % len(ways)]
    if way == "key":
        return way, with_another_key(call, chance)
    if way == "method":
        return way, with_another_method(call, chance, permitted)
    what, query = with_other_parameters(query_of(call.url), way, chance)
    return what, replace(call, url=with_query(call.url, query))


def tampered_content(call: Call, turn: int, chance: random.Random) -> tuple[str, Call]:
    """Send another body to the URL of an upload; the URL may be changed accordingly."""
    what = ("type", "length")[turn % 2]
    body = SENT
    if what == "type":
        name, value = "Content-Type", chance.choice(("text/html", "", "text/plain2"))
    else:
        body = chance.choice((SENT + b"x", SENT[:-1], b""))
        name, value = "Content-Length", str(len(body))
    url = call.url
    if chance.random() < 0.5:
        url = with_query(url, [(n, value if n == what else v) for n, v in query_of(url)])
    return what, replace(call, url=url, body=body, headers={**call.headers, name: value})


def tampered_form(call: Call, turn: int, chance: random.Random) -> tuple[str, Call]:
    ways = ("value", "drop", "add", "expiry", "length", "type", "key", "method")
    way = ways[turn % len(ways)]
    if way == "length":
        body = SENT + bytes(chance.randrange(1, 100_000))
        declared = {"length": str(len(body))} if "length" in call.fields else {}
        return way, replace(call, body=body, fields={**call.fields, **declared})
    if way == "method":
        url = with_query(call.url, [*call.fields.items()])
        return way, Call("PUT", url, SENT, {"Content-Type": TYPE})
    if way == "key":
        # On S3 the key is a field, and the URL the bucket's.
        if "key" in call.fields:
            return way, replace(call, fields={**call.fields, "key": f"{call.fields['key']}2"})
        return way, with_another_key(call, chance)
    if way == "type":
        (name,) = {"Content-Type", "type"} & call.fields.keys()
        return way, replace(call, fields={**call.fields, name: "text/html"})
    if "policy" in call.fields and way in ("expiry", "add"):
        # On S3 the expiry is in the policy. Fields that it does not name AWS refuses; SeaweedFS
        # does not read them.
        way = "value"
    what, fields = with_other_parameters([*call.fields.items()], way, chance)
    return f"a form {what}", replace(call, fields=dict(fields))


def app_disk(name: str, root: Path, base_url: str, secret: Any) -> Disk:
    if name == "local":
        return disk_of(LocalDriver(root, base_url, secret=secret))
    return disk_of(MemoryDriver(base_url=base_url, secret=secret))


@pytest.fixture
async def signing(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Disk]:
    """Yield an empty disk whose presigned URLs are served."""
    if name == "S3":
        store = request.getfixturevalue("seaweedfs")
        driver = S3Driver(store.bucket, **store.options)
        await driver.delete_directory("signed")
        yield disk_of(driver).scoped("signed")
        await driver.aclose()
        return
    app = Starlette()
    async with running(app) as origin:
        disk = app_disk(name, tmp_path / "root", f"{origin}/storage", SECRET)
        app.mount("/storage", serve(disk))
        yield disk


@pytest.mark.row(15)
@pytest.mark.parametrize("name", DISKS)
async def test_tampered_presigned_url_is_refused(
    name: str,
    signing: Disk,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(200, brief=60)
    await signing.put("d/file", KEPT)
    await signing.put("d/secret", b"another")
    await signing.put("d/new", b"old")
    download = Call(
        "GET",
        await signing.temporary_url(
            "d/file", 60, content_type=TYPE, content_disposition=DISPOSITION
        ),
    )
    put = await signing.temporary_upload_url("d/new", 60, content_type=TYPE, size=len(SENT))
    upload = Call("PUT", put.url, SENT, put.headers)
    posted = await signing.temporary_upload_form("d/new", 60, content_type=TYPE, max_size=len(SENT))
    form = Call("POST", posted.url, SENT, fields=posted.fields)
    assert await download.send() == (200, KEPT)
    # Who may have the file may have its headers; S3 signs each method by itself.
    reading = {"GET"} if name == "S3" else {"GET", "HEAD"}
    accepted = []
    ways: Counter[str] = Counter()
    for number in range(count):
        turn, chance = number // 4, random.Random(number)
        match number % 4:
            case 0:
                what, call = tampered_content(upload, turn, chance)
            case 1:
                what, call = tampered_url(download, reading, turn, chance)
            case 2:
                what, call = tampered_url(upload, {"PUT"}, turn, chance)
            case _:
                what, call = tampered_form(form, turn, chance)
        status, _ = await call.send()
        ways[what.partition(" ")[0] if not what.startswith("a form") else "a form's fields"] += 1
        if status < 400:
            accepted.append((what, call, status))
    counted = ", ".join(f"{number} {way}" for way, number in sorted(ways.items()))
    report(f"{name}: {count} tampered ({counted}), {len(accepted)} accepted")
    assert [what for what, *_ in accepted] == []
    assert {"expiry", "key", "length", "method", "type", "value", "with"} <= ways.keys()
    assert await signing.all_files() == ["d/file", "d/new", "d/secret"]
    assert [await signing.get(f"d/{each}") for each in ("file", "new")] == [KEPT, b"old"]
    for call in (upload, form):
        assert (await call.send())[0] in (200, 204)
        assert await signing.get("d/new") == SENT
        await signing.delete("d/new")


@pytest.mark.row(15)
@pytest.mark.parametrize("name", DISKS)
async def test_presigned_url_is_refused_after_its_expiry(
    name: str, signing: Disk, report: Callable[[str], None]
) -> None:
    await signing.put("file", KEPT)
    put = await signing.temporary_upload_url("file", 1)
    form = await signing.temporary_upload_form("file", 1, max_size=len(SENT))
    calls = [
        Call("GET", await signing.temporary_url("file", 1)),
        Call("PUT", put.url, SENT, put.headers),
        Call("POST", form.url, SENT, fields=form.fields),
    ]
    # The store tells whole seconds.
    await asyncio.sleep(2.5)
    assert [(await call.send())[0] for call in calls] == [403, 403, 403]
    assert await signing.get("file") == KEPT
    report(f"{name}: {len(calls)} late ones, 0 accepted")


@pytest.mark.row(15)
@pytest.mark.parametrize("name", SIGNING)
async def test_secret_list_accepts_urls_of_the_old_secret_until_it_is_removed(
    name: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    app = Starlette()
    statuses = []
    async with running(app) as origin:
        base = f"{origin}/storage"
        disk = app_disk(name, tmp_path, base, SECRET)
        app.mount("/storage", serve(disk))
        await disk.put("file", KEPT)
        old = Call("GET", await disk.temporary_url("file", 60))
        for secrets in ([OTHER, SECRET], [OTHER]):
            signer = app_disk(name, tmp_path, base, secrets).driver.signer  # type: ignore[attr-defined]
            disk.driver.signer = signer  # type: ignore[attr-defined]
            new = Call("GET", await disk.temporary_url("file", 60))
            statuses.append(((await old.send())[0], (await new.send())[0]))
    assert statuses == [(200, 200), (403, 200)]
    report(f"{name}: a new secret beside the old one, then alone: the old one's URL is refused")


@pytest.mark.row(15)
@pytest.mark.parametrize("name", SIGNING)
async def test_without_a_secret_there_is_none(
    name: str, tmp_path: Path, report: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILESYSTEM_SECRET", raising=False)
    disk = app_disk(name, tmp_path, "/storage", None)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: disk.temporary_url("file", 60),
        lambda: disk.temporary_upload_url("file", 60),
        lambda: disk.temporary_upload_form("file", 60, max_size=1),
    ]
    for call in calls:
        with pytest.raises(UnsupportedOperationException):
            await call()
    report(f"{name}: no default secret")


@pytest.mark.row(15)
@pytest.mark.parametrize("name", SIGNING)
async def test_signatures_are_compared_in_constant_time_with_every_secret(
    name: str, tmp_path: Path, report: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = app_disk(name, tmp_path, "/storage", [SECRET, OTHER])
    await disk.put("file", KEPT)
    app = Starlette()
    app.mount("/storage", serve(disk))
    url = await disk.temporary_url("file", 60)
    compared = []
    compare = hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://files.test") as client:
        assert (await client.get(url)).status_code == 200
        # By the first secret, and nevertheless as often as what no secret fits.
        assert len(compared) == 2
        assert (await client.get(url[:-1] + ("A" if url[-1] != "A" else "Q"))).status_code == 403
    assert len(compared) == 4
    report(f"{name}: each signature compared by `hmac.compare_digest`, with every secret")
