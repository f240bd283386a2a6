"""A signed address, changed in whatever way, opens nothing else."""

from __future__ import annotations

import asyncio
import random
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import pytest

from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT = b"kept"
SENT = b"sent!"
TYPE = "text/plain"
HUNG_UP = 499
DISPOSITION = 'attachment; filename="a.txt"'


def ask(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except ConnectionResetError:  # RemoteDisconnected is one
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


def tampered(url: str, method: str, chance: random.Random) -> tuple[str, str, str]:
    """Return what was changed, the method and the address."""
    query = query_of(url)
    names = [name for name, _ in query]
    way = chance.choice(("value", "value", "value", "drop", "add", "key", "method", "expiry"))
    if way == "value":
        name = chance.choice(names)
        changed = [(n, another(v, chance) if n == name else v) for n, v in query]
        return f"value of {name}", method, with_query(url, changed)
    if way == "drop":
        name = chance.choice(names)
        return f"without {name}", method, with_query(url, [q for q in query if q[0] != name])
    if way == "add":
        name = chance.choice(("response-content-type", "versionId", "acl", "uploads", "unknown"))
        if name in names:
            name = "x-id"
        return f"with {name}", method, with_query(url, [*query, (name, "text/html")])
    if way == "key":
        parts = urlsplit(url)
        folder, _, _ = parts.path.rpartition("/")
        path = chance.choice((f"{folder}/secret", f"{folder}/file2", folder, f"{parts.path}/x"))
        return "key", method, urlunsplit(parts._replace(path=path))
    if way == "method":
        methods = [each for each in ("GET", "PUT", "DELETE", "POST", "HEAD") if each != method]
        return "method", chance.choice(methods), url
    seconds = str(chance.choice((59, 61, 6000, 604_800)))
    changed = [(n, seconds if n == "X-Amz-Expires" else v) for n, v in query]
    return "expiry", method, with_query(url, changed)


@pytest.mark.row(15)
async def test_no_tampered_address_is_accepted(
    driver: S3Driver,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(200, brief=60)
    path = await driver.put(f"{folder}/file", KEPT)
    await driver.put(f"{folder}/secret", b"another")
    download = await driver.temporary_url(
        path, 60, content_type=TYPE, content_disposition=DISPOSITION
    )
    upload = await driver.temporary_upload_url(
        f"{folder}/new", 60, content_type=TYPE, size=len(SENT)
    )
    assert await asyncio.to_thread(ask, "GET", download) == (200, KEPT)
    accepted = []
    ways: Counter[str] = Counter()
    for number in range(count):
        chance = random.Random(number)
        headers: Mapping[str, str] = {}
        body = None
        if number % 2:
            what, method, url = tampered(download, "GET", chance)
            if method in ("PUT", "POST"):
                body = SENT
        elif number % 4:
            what, method, url = tampered(upload.url, "PUT", chance)
            body, headers = SENT, dict(upload.headers)
        else:
            method, url, body, headers = "PUT", upload.url, SENT, dict(upload.headers)
            what = chance.choice(("type", "length"))
            if what == "type":
                headers["Content-Type"] = chance.choice(("text/html", "", "text/plain2"))
            else:
                body = chance.choice((SENT + b"x", SENT[:-1], b""))
                headers["Content-Length"] = str(len(body))
        status, _ = await asyncio.to_thread(ask, method, url, body, headers)
        ways[what.partition(" ")[0]] += 1
        if status < 400:
            accepted.append((what, method, url, status))
    told = ", ".join(f"{number} {way}" for way, number in sorted(ways.items()))
    report(f"S3: {count} tampered ({told}), {len(accepted)} accepted")
    assert accepted == []
    assert await driver.get(path) == KEPT
    assert not await driver.exists(f"{folder}/new")
    status, _ = await asyncio.to_thread(ask, "PUT", upload.url, SENT, upload.headers)
    assert (status, await driver.get(f"{folder}/new")) == (200, SENT)


@pytest.mark.row(15)
async def test_an_address_is_of_no_use_after_its_time(
    driver: S3Driver, folder: str, report: Callable[[str], None]
) -> None:
    path = await driver.put(f"{folder}/file", KEPT)
    url = await driver.temporary_url(path, 1)
    upload = await driver.temporary_upload_url(path, 1)
    # The store tells whole seconds.
    await asyncio.sleep(2.5)
    late = [
        (await asyncio.to_thread(ask, "GET", url))[0],
        (await asyncio.to_thread(ask, "PUT", upload.url, SENT, upload.headers))[0],
    ]
    assert late == [403, 403]
    assert await driver.get(path) == KEPT
    report("2 late ones, 0 accepted; local and memory disks sign nothing yet")
