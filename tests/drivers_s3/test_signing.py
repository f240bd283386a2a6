"""Presigned URLs and forms, used as a browser would use them."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlsplit

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import InvalidPathException, StorageConfigException
from jtc.storage.options import SignOptions


async def send(method, url, data=None, headers=None):
    def blocking():
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    return await asyncio.to_thread(blocking)


async def test_temporary_url_reads_one_file_in_the_way_it_says(driver, folder):
    path = f"{folder}/a b/ü+%20&.txt"
    await driver.put(path, b"content")
    url = await driver.temporary_url(
        path,
        SignOptions(
            expires_in=60,
            content_type="text/x-a",
            content_disposition='attachment; filename="b.txt"',
        ),
    )
    status, body, headers = await send("GET", url)
    assert (status, body) == (200, b"content")
    assert headers["Content-Type"] == "text/x-a"
    assert headers["Content-Disposition"] == 'attachment; filename="b.txt"'
    tampered = [
        ("GET", url.replace("text%2Fx-a", "text%2Fhtml")),
        ("GET", url.replace("a%20b", "a%20c")),
        ("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
        ("DELETE", url),
        ("PUT", url),
    ]
    for method, other in tampered:
        assert (await send(method, other, b"x" if method == "PUT" else None))[0] == 403


async def test_a_signed_upload_binds_type_and_length(driver, folder):
    path = f"{folder}/file"
    begins = time.time()
    request = await driver.temporary_upload_url(
        path, SignOptions(expires_in=60, content_type="text/plain", size=5)
    )
    assert request.method == "PUT"
    assert 59 < request.expires_at - begins < 62
    assert request.headers == {"Content-Type": "text/plain", "Content-Length": "5"}
    refused = [
        (b"123456", "text/plain"),
        (b"1234", "text/plain"),
        (b"12345", "text/html"),
    ]
    for body, content_type in refused:
        status, *_ = await send("PUT", request.url, body, {"Content-Type": content_type})
        assert status == 403
    assert not await driver.exists(path)
    assert (await send("PUT", request.url, b"12345", dict(request.headers)))[0] == 200
    assert await driver.get(path) == b"12345"
    anything = await driver.temporary_upload_url(path, SignOptions(expires_in=60))
    assert (await send("PUT", anything.url, b"more", {"Content-Type": "a/b"}))[0] == 200
    assert (await driver.stat(path)).content_type == "a/b"


async def test_a_form_binds_size_key_and_type(driver, folder):
    form = await driver.temporary_upload_form(
        f"{folder}/image.png", SignOptions(expires_in=60, min_size=2, max_size=5)
    )
    assert form.fields["Content-Type"] == "image/png"

    async def post(content, **changed):
        boundary = uuid.uuid4().hex
        fields = {**form.fields, **changed}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = "".join((*parts, file)).encode() + content + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return (await send("POST", form.url, body, kind))[0]

    assert await post(b"123456") in (400, 403)
    assert await post(b"1") in (400, 403)
    assert await post(b"1234", **{"Content-Type": "text/html"}) in (400, 403)
    assert await post(b"1234", key=f"{folder}/other") in (400, 403)
    assert not await driver.exists(f"{folder}/image.png")
    assert await post(b"12345") in (200, 201, 204)
    assert await driver.get(f"{folder}/image.png") == b"12345"
    assert (await driver.stat(f"{folder}/image.png")).content_type == "image/png"
    with pytest.raises(InvalidPathException):
        await driver.temporary_upload_form(
            f"{folder}/${{filename}}", SignOptions(expires_in=60, max_size=5)
        )


async def test_form_refuses_sizes_that_nothing_can_have(driver):
    for sizes in (
        {"max_size": -1},
        {"min_size": -1, "max_size": 1},
        {"min_size": 2, "max_size": 1},
        {},
    ):
        with pytest.raises(ValueError, match="_size"):
            await driver.temporary_upload_form("a", SignOptions(expires_in=60, **sizes))


async def test_times_are_from_a_second_to_a_week(driver):
    for seconds in (0, 0.5, -1, 7 * 24 * 3600 + 1):
        with pytest.raises(ValueError, match="expires_in"):
            await driver.temporary_url("a", SignOptions(expires_in=seconds))
        with pytest.raises(ValueError, match="expires_in"):
            await driver.temporary_upload_url("a", SignOptions(expires_in=seconds))
        with pytest.raises(ValueError, match="expires_in"):
            await driver.temporary_upload_form("a", SignOptions(expires_in=seconds, max_size=1))
    assert "X-Amz-Expires=604800" in await driver.temporary_url(
        "a", SignOptions(expires_in=7 * 24 * 3600)
    )


async def test_temporary_url_is_for_the_signing_endpoint(make_driver, seaweedfs):
    public = seaweedfs.endpoint_url.replace("127.0.0.1", "localhost")
    driver = make_driver(signing_endpoint_url=public)
    await driver.put("signed", b"1")
    url = await driver.temporary_url("signed", SignOptions(expires_in=60))
    assert urlsplit(url).netloc == urlsplit(public).netloc
    assert (await send("GET", url))[:2] == (200, b"1")
    assert (await send("GET", url.replace("localhost", "127.0.0.1")))[0] == 403


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({}, "my-bucket.s3.amazonaws.com/"),
        ({"region": "eu-west-1"}, "my-bucket.s3.eu-west-1.amazonaws.com/"),
        ({"addressing_style": "path", "region": "eu-west-1"}, "s3.eu-west-1.amazonaws.com/my-b"),
        ({"endpoint_url": "https://s3.test:9000"}, "s3.test:9000/my-bucket/"),
        (
            {"endpoint_url": "https://s3.test", "addressing_style": "virtual"},
            "my-bucket.s3.test/",
        ),
    ],
)
async def test_the_bucket_goes_where_the_addressing_style_says(options, host):
    driver = S3Driver("my-bucket", access_key="id", secret_key="secret", **options)
    url = await driver.temporary_url("a.txt", SignOptions(expires_in=60))
    await driver.aclose()
    assert url.startswith(f"https://{host}")
    assert "AWS4-HMAC-SHA256" in url
    assert driver.url("a.txt").startswith(f"https://{host}")


async def test_missing_credentials_error_names_the_ways_to_give_them(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    driver = S3Driver("bucket", endpoint_url="http://127.0.0.1:1")
    for call in (driver.get("a"), driver.temporary_url("a", SignOptions(expires_in=60))):
        with pytest.raises(StorageConfigException, match="AWS_ACCESS_KEY_ID"):
            await call
    await driver.aclose()


async def test_keys_come_from_the_environment_or_from_a_function(
    make_driver, seaweedfs, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.secret_key)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    driver = make_driver(access_key=None, secret_key=None)
    assert await driver.exists("no such file") is False
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    calls = []

    async def credentials():
        calls.append(1)
        return {"access_key": seaweedfs.access_key, "secret_key": seaweedfs.secret_key}

    driver = make_driver(access_key=None, secret_key=None, credentials=credentials)
    for _ in range(3):
        assert await driver.exists("no such file") is False
    assert calls == [1]

    async def expired():
        calls.append(2)
        return {**await credentials(), "token": "", "expires_at": time.time() + 30}

    driver = make_driver(access_key=None, secret_key=None, credentials=expired)
    for _ in range(2):
        assert await driver.exists("no such file") is False
    assert calls.count(2) >= 2
