"""Presigned URLs: what they permit, for how long, and what they bind."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from jtc.storage import StorageManager, exceptions
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.options import SignOptions

PATH = "größe/a b%2F+.txt"


async def fetch(url, method="GET", body=None, headers=None):
    """Return the status, the headers and the content of an answer."""

    def send():
        request = urllib.request.Request(url, method=method, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, b""

    return await asyncio.to_thread(send)


async def test_temporary_url_reads_the_file(driver, folder):
    path = f"{folder}/{PATH}"
    await driver.put(path, b"content")
    status, _, content = await fetch(await driver.temporary_url(path, SignOptions(expires_in=60)))
    assert (status, content) == (200, b"content")


async def test_temporary_url_sets_headers_of_the_answer(driver, folder):
    await driver.put(f"{folder}/a", b"1")
    disposition = "attachment; filename=\"a b\"; filename*=UTF-8''%C3%A4"
    options = SignOptions(expires_in=60, content_type="text/x-own", content_disposition=disposition)
    _, headers, _ = await fetch(await driver.temporary_url(f"{folder}/a", options))
    assert headers["content-type"] == "text/x-own"
    assert headers["content-disposition"] == disposition


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/a?", "/b?"),
        ("sp=r", "sp=rw"),
        ("sv=20", "sv=19"),
        ("sig=", "sig=A"),
        ("&rsct=text", "&rsct=html"),
    ],
)
async def test_temporary_url_that_is_changed_is_refused(driver, folder, old, new):
    for name in "ab":
        await driver.put(f"{folder}/{name}", b"1")
    options = SignOptions(expires_in=60, content_type="text/plain")
    url = await driver.temporary_url(f"{folder}/a", options)
    assert old in url
    status, _, _ = await fetch(url.replace(old, new))
    assert status == 403


async def test_temporary_url_ends(driver, folder):
    await driver.put(f"{folder}/a", b"1")
    url = await driver.temporary_url(f"{folder}/a", SignOptions(expires_in=1))
    end = parse_qs(urlsplit(url).query)["se"][0]
    later = url.replace(end.replace(":", "%3A"), "2099-01-01T00%3A00%3A00Z")
    assert later != url
    assert (await fetch(later))[0] == 403
    while (status := (await fetch(url))[0]) == 200:
        await asyncio.sleep(0.2)
    assert status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_temporary_url_permits_reading_alone(driver, folder, method):
    await driver.put(f"{folder}/a", b"1")
    url = await driver.temporary_url(f"{folder}/a", SignOptions(expires_in=60))
    body = b"2" if method == "PUT" else None
    status, _, _ = await fetch(url, method, body, {"x-ms-blob-type": "BlockBlob"})
    assert status == 403
    assert await driver.get(f"{folder}/a") == b"1"


async def test_temporary_upload_stores_the_file_with_its_type(make_driver, folder):
    driver = make_driver(driver_options={"AccessTier": "Cool"})
    options = SignOptions(expires_in=60, content_type="text/x-own", size=3)
    request = await driver.temporary_upload_url(f"{folder}/{PATH}", options)
    assert request.headers == {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-access-tier": "Cool",
        "Content-Type": "text/x-own",
        "Content-Length": "3",
    }
    status, _, _ = await fetch(request.url, "PUT", b"123", dict(request.headers))
    assert status == 201
    info = await driver.stat(f"{folder}/{PATH}")
    assert (info.size, info.content_type) == (3, "text/x-own")
    assert (await fetch(request.url))[0] == 403  # it does not permit reading
    assert abs(request.expires_at - time.time() - 60) < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expires_in": 0.5}, "expires_in must be from 1"),
        ({"expires_in": 7 * 86_400 + 1}, "expires_in must be from 1"),
        ({"expires_in": float("nan")}, "expires_in must be from 1"),
        ({"expires_in": 60, "stable_for": 7 * 86_400}, "stable_for must be from"),
        ({"expires_in": 60, "content_type": "tüxt"}, "content_type must be printable ASCII"),
    ],
)
async def test_option_of_a_url_that_is_invalid_is_refused(driver, options, message):
    with pytest.raises(ValueError, match=message):
        await driver.temporary_url("a", SignOptions(**options))


async def test_temporary_upload_of_less_than_nothing_is_refused(driver):
    with pytest.raises(ValueError, match="size must be 0 or more"):
        await driver.temporary_upload_url("a", SignOptions(expires_in=60, size=-1))


@pytest.mark.parametrize(
    "options",
    [{"sas_token": "sv=1&sig=a"}, {"anonymous": True}],
)
async def test_disk_without_a_key_signs_nothing(options):
    driver = AzureDriver("files", account="acme", **options)
    for call in (driver.temporary_url, driver.temporary_upload_url):
        with pytest.raises(exceptions.UnsupportedOperationException):
            await call("a", SignOptions(expires_in=60))


def test_url_is_signed_without_an_event_loop():
    manager = StorageManager.isolated()
    manager.set_driver(AzureDriver("files", account="acme", account_key="a2V5"), "azure")
    url = manager.disk("azure").sync.temporary_url("a.txt", 60)
    assert url.startswith("https://acme.blob.core.windows.net/files/a.txt?sp=r&se=")
    assert "spr=https" in url


async def test_signing_endpoint_begins_presigned_urls_alone():
    url = "https://files.example.com/acme"
    driver = AzureDriver("files", account="acme", account_key="a2V5", signing_endpoint_url=url)
    assert (await driver.temporary_url("a", SignOptions(expires_in=60))).startswith(
        f"{url}/files/a?"
    )
    assert driver.url("a") == "https://acme.blob.core.windows.net/files/a"


async def test_disk_with_a_signature_reads_and_writes(make_driver, container_sas, folder):
    driver = make_driver(account_key=None, sas_token=f"?{container_sas}")
    await driver.put(f"{folder}/a", b"1")
    assert await driver.get(f"{folder}/a") == b"1"
    assert await driver.delete(f"{folder}/a")
    await driver.check(f"{folder}/probe")


async def test_anonymous_disk_reads_what_is_public(azurite, make_driver):
    azurite.make_container("public", public="container")
    await make_driver(container="public").put("a", b"1")
    anonymous = make_driver(container="public", account_key=None, anonymous=True)
    assert await anonymous.get("a") == b"1"
    with pytest.raises(exceptions.StoragePermissionException):
        await anonymous.put("a", b"2")
    private = make_driver(account_key=None, anonymous=True)
    with pytest.raises(exceptions.StorageException):
        await private.get("a")
