"""Presigned URLs and forms as functions of keys, endpoint and time, and the store's judgement."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import httpx
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import StorageManager
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._objects.presigning import (
    check_presignable,
    download_url,
    upload_form,
    upload_request,
)
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.credentials import Keys
from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint
from jtc.storage.drivers.s3_driver._transport.sigv4 import Signer, Signing
from jtc.storage.exceptions import (
    InvalidPathException,
    StorageConfigException,
    UnsupportedOperationException,
)
from jtc.storage.hookspecs import Uploaded, hookimpl
from jtc.storage.options import SignOptions
from jtc.storage.testing import ACCEPTED_PATHS

NOW = 1_700_000_000.75
WEEK = 7 * 24 * 3600
KEYS = Keys("id", "secret", "token+/=")
ENDPOINT = Endpoint("https", "bucket.s3.amazonaws.com", "/", "us-east-1")
SIGNER = Signer("us-east-1")
SIGNING = Signing(SIGNER, ENDPOINT, KEYS)
OPTIONS = SignOptions(expires_in=60, content_type="text/x-a", size=5, max_size=5)
HEADERS = {"x-amz-storage-class": "STANDARD_IA", "x-amz-tagging": "a=b&c=d"}


def at(moment: float) -> Any:
    return mock.patch("time.time", return_value=moment)


def url_at(moment: float, **options: Any) -> str:
    with at(moment):
        return download_url(SIGNING, "a b.txt", SignOptions(**options))


def parameters_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def life_of(url: str) -> tuple[float, float]:
    """Return when a URL begins to be valid, and when it expires."""
    parameters = parameters_of(url)
    begins = dt.datetime.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%S%z").timestamp()
    return begins, begins + int(parameters["X-Amz-Expires"])


def sdk_client() -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        aws_session_token=KEYS.token,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )


def test_download_url_of_every_legitimate_path_is_that_of_the_sdk():
    client = sdk_client()
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    for case in ACCEPTED_PATHS:
        with at(NOW):
            url = download_url(SIGNING, case.path, OPTIONS)
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
            expected = client.generate_presigned_url(
                "get_object",
                {"Bucket": "bucket", "Key": case.path, "ResponseContentType": "text/x-a"},
                ExpiresIn=60,
            )
        assert urlsplit(url)[:3] == urlsplit(expected)[:3]
        assert parameters_of(url) == parameters_of(expected)


def test_upload_request_is_that_of_the_sdk():
    with at(NOW):
        request = upload_request(SIGNING, "a/ü", OPTIONS, HEADERS)
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        expected = sdk_client().generate_presigned_url(
            "put_object",
            {
                "Bucket": "bucket",
                "Key": "a/ü",
                "ContentType": "text/x-a",
                "ContentLength": 5,
                "StorageClass": "STANDARD_IA",
                "Tagging": "a=b&c=d",
            },
            ExpiresIn=60,
        )
    assert parameters_of(request.url) == parameters_of(expected)
    assert request.headers == {**HEADERS, "Content-Type": "text/x-a", "Content-Length": "5"}
    assert request.method == "PUT"
    assert request.expires_at == int(NOW) + 60


def test_upload_form_binds_every_field_and_the_bucket():
    with at(NOW):
        options = SignOptions(expires_in=60, max_size=5)
        form = upload_form(SIGNING, "bucket", "a.png", options, HEADERS)
    assert form.url == "https://bucket.s3.amazonaws.com/"
    assert form.expires_at == int(NOW) + 60
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert policy["expiration"] == "2023-11-14T22:14:20Z"
    unbound = {"policy", "x-amz-signature"}
    bound = {name: value for name, value in form.fields.items() if name not in unbound}
    assert policy["conditions"] == [
        {"bucket": "bucket"},
        ["content-length-range", 0, 5],
        *({name: value} for name, value in bound.items()),
    ]
    assert (
        bound.items()
        >= {
            "x-amz-storage-class": "STANDARD_IA",
            "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag>"
            "<Tag><Key>c</Key><Value>d</Value></Tag></TagSet></Tagging>",
            "key": "a.png",
            "Content-Type": "image/png",
            "x-amz-security-token": KEYS.token,
        }.items()
    )


def test_upload_form_refuses_what_its_policy_cannot_bind():
    def form(key, **options):
        options = SignOptions(expires_in=60, **options)
        return upload_form(SIGNING, "bucket", key, options, {})

    with pytest.raises(InvalidPathException):
        form("a/${filename}", max_size=1)
    for sizes in (
        {},
        {"max_size": -1},
        {"min_size": -1, "max_size": 1},
        {"min_size": 2, "max_size": 1},
    ):
        with pytest.raises(ValueError, match="_size"):
            form("a", **sizes)


@given(
    period=st.floats(0.1, 2 * 24 * 3600),
    expires_in=st.floats(1, 2 * 24 * 3600),
    moment=st.floats(1e9, 4e9),
)
def test_stable_url_lasts_from_expires_in_to_one_period_more(period, expires_in, moment):
    begins, expires = life_of(url_at(moment, expires_in=expires_in, stable_for=period))
    assert begins <= moment
    # The store counts whole seconds.
    assert expires_in <= expires - moment + 1e-3
    assert expires - moment <= expires_in + period + 1 + 1e-3


def test_stable_urls_of_one_period_are_the_same():
    urls = [
        url_at(moment, expires_in=60, stable_for=900)
        for moment in (900_000.0, 900_000.5, 900_500, 900_899.9, 900_900.0)
    ]
    assert len(set(urls[:4])) == 1
    assert urls[3] != urls[4]
    assert life_of(urls[0]) == (900_000, 900_960)


def test_times_are_up_to_seven_days_with_the_period():
    assert life_of(url_at(NOW, expires_in=1.5)) == (int(NOW), int(NOW) + 2)
    begins, expires = life_of(url_at(NOW, expires_in=WEEK - 900.5, stable_for=900.5))
    assert expires - begins == WEEK
    for options in (
        {"expires_in": 0.5},
        {"expires_in": WEEK + 1},
        {"expires_in": float("nan")},
    ):
        with pytest.raises(ValueError, match="expires_in must be from 1 to 604800"):
            url_at(NOW, **options)
    for period in (900, 0, 1e-300, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"at most 604800 \(7 days\) together"):
            url_at(NOW, expires_in=WEEK - 899, stable_for=period)


def test_upload_ends_with_the_keys_that_signed_it():
    keys = Keys("id", "secret", "token", ends_at=NOW + 30)
    signing = Signing(SIGNER, ENDPOINT, keys)
    with at(NOW):
        request = upload_request(signing, "a", OPTIONS, {})
        form = upload_form(signing, "bucket", "a", OPTIONS, {})
    assert request.expires_at == form.expires_at == NOW + 30


def test_download_url_of_requester_pays_is_in_the_query():
    url = download_url(SIGNING, "a", OPTIONS, requester_pays=True)
    assert parameters_of(url)["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" not in url_at(NOW, expires_in=60)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("content_type", {"content_type": "text/plain; name=ü"}),
        ("content_disposition", {"content_disposition": "attachment; filename=ü"}),
    ],
)
def test_header_of_a_response_must_be_printable_ascii(name, options):
    with pytest.raises(ValueError, match=f"{name} must be printable ASCII"):
        url_at(NOW, expires_in=60, **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"anonymous": True}, "no keys"),
        ({"sse_customer_key": b"k" * 32}, "sse_customer_key"),
    ],
)
def test_disk_that_cannot_presign_says_why(options, reason):
    with pytest.raises(UnsupportedOperationException, match=reason):
        check_presignable(Settings(bucket="b", **options))
    check_presignable(Settings(bucket="b"))


async def test_store_accepts_what_is_signed_and_nothing_else(seaweedfs, store_client):
    keys = Keys(seaweedfs.access_key, seaweedfs.secret_key)
    host = urlsplit(seaweedfs.endpoint_url).netloc
    endpoint = Endpoint("http", host, f"/{seaweedfs.bucket}/", "us-east-1")
    signing = Signing(SIGNER, endpoint, keys)
    headers = {"x-amz-storage-class": "STANDARD_IA", "x-amz-tagging": "a=b&c=d"}
    key = "presigned/a b+ü~'%20${x}.txt"
    request = upload_request(signing, key, OPTIONS, headers)
    # SeaweedFS does not know the field of tags, which AWS documents.
    kept = {"x-amz-storage-class": "STANDARD_IA"}
    form = upload_form(signing, seaweedfs.bucket, key, OPTIONS, kept)
    stable = SignOptions(expires_in=60, stable_for=24 * 3600, content_type="text/x-b")
    url = download_url(signing, key, stable)
    async with httpx.AsyncClient() as client:

        async def put(**changed: str) -> int:
            sent = {**request.headers, **changed}
            return (await client.put(request.url, content=b"12345", headers=sent)).status_code

        async def post(**changed: str) -> int:
            fields = {**form.fields, **changed}
            answer = await client.post(form.url, data=fields, files={"file": b"54321"})
            return answer.status_code

        for send, content in ((put, b"12345"), (post, b"54321")):
            assert await send(**{"x-amz-storage-class": "GLACIER"}) == 403
            assert await send() in (200, 204)
            answer = await client.get(url)
            assert (answer.status_code, answer.content) == (200, content)
            assert answer.headers["content-type"] == "text/x-b"
            assert answer.headers["x-amz-storage-class"] == "STANDARD_IA"
            if send is put:
                tags = store_client.get_object_tagging(Bucket=seaweedfs.bucket, Key=key)["TagSet"]
                assert {each["Key"]: each["Value"] for each in tags} == {"a": "b", "c": "d"}


async def test_temporary_url_is_valid_for_what_it_says_alone(driver, folder):
    path = f"{folder}/a b/ü+%20&.txt"
    await driver.put(path, b"content")
    options = SignOptions(
        expires_in=60,
        content_type="text/x-a",
        content_disposition='attachment; filename="b.txt"',
    )
    url = await driver.temporary_url(path, options)
    tampered = [
        ("GET", url.replace("text%2Fx-a", "text%2Fhtml")),
        ("GET", url.replace("a%20b", "a%20c")),
        ("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
        ("DELETE", url),
        ("PUT", url),
    ]
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.content) == (200, b"content")
        assert answer.headers["content-type"] == "text/x-a"
        assert answer.headers["content-disposition"] == 'attachment; filename="b.txt"'
        for method, other in tampered:
            assert method != "GET" or other != url
            assert (await client.request(method, other)).status_code == 403
    assert await driver.get(path) == b"content"


async def test_temporary_upload_url_binds_type_and_length(driver, folder):
    path = f"{folder}/file"
    options = SignOptions(expires_in=60, content_type="text/plain", size=5)
    request = await driver.temporary_upload_url(path, options)
    anything = await driver.temporary_upload_url(path, SignOptions(expires_in=60))
    async with httpx.AsyncClient() as client:

        async def put(url: str, content: bytes, content_type: str) -> int:
            headers = {"Content-Type": content_type}
            return (await client.put(url, content=content, headers=headers)).status_code

        for content, content_type in (
            (b"123456", "text/plain"),
            (b"1234", "text/plain"),
            (b"12345", "text/html"),
        ):
            assert await put(request.url, content, content_type) == 403
        assert not await driver.exists(path)
        assert await put(request.url, b"12345", "text/plain") == 200
        assert await driver.get(path) == b"12345"
        assert await put(anything.url, b"more", "a/b") == 200
    assert (await driver.stat(path)).content_type == "a/b"


async def test_confirm_upload_of_presigned_upload_has_the_key_of_its_version(driver, folder):
    class Uploads:
        events: list[Uploaded] = []  # noqa: RUF012 - of one test

        @hookimpl
        def storage_uploaded(self, event):
            self.events.append(event)

    manager = StorageManager.isolated({})
    manager.set_driver(driver, "s3")
    manager.hooks.register(Uploads)
    disk = manager.disk("s3")
    path = f"{folder}/confirmed.txt"
    request = await disk.temporary_upload_url(path, 60, content_type="text/plain")
    async with httpx.AsyncClient() as client:
        await client.put(request.url, content=b"12345", headers=dict(request.headers))
    assert Uploads.events == []
    info = await disk.confirm_upload(path)
    await disk.confirm_upload(path, if_match=info.etag)
    await disk.put(path, b"12345")
    await disk.put(path, b"another")
    first, again, put, other = Uploads.events
    assert (first.size, first.content_type, first.etag) == (5, "text/plain", info.etag)
    assert first.idempotency_key == again.idempotency_key == put.idempotency_key
    assert first.idempotency_key != other.idempotency_key


async def test_temporary_upload_form_binds_size_key_and_type(driver, folder):
    options = SignOptions(expires_in=60, min_size=2, max_size=5)
    form = await driver.temporary_upload_form(f"{folder}/image.png", options)
    async with httpx.AsyncClient() as client:

        async def post(content: bytes, **changed: str) -> int:
            fields = {**form.fields, **changed}
            answer = await client.post(form.url, data=fields, files={"file": content})
            return answer.status_code

        assert await post(b"123456") in (400, 403)
        assert await post(b"1") in (400, 403)
        assert await post(b"1234", **{"Content-Type": "text/html"}) in (400, 403)
        assert await post(b"1234", key=f"{folder}/other") in (400, 403)
        assert not await driver.exists(f"{folder}/image.png")
        assert await post(b"12345") in (200, 201, 204)
    assert await driver.get(f"{folder}/image.png") == b"12345"
    assert (await driver.stat(f"{folder}/image.png")).content_type == "image/png"


async def test_temporary_url_is_for_the_signing_endpoint(make_driver, seaweedfs):
    public = seaweedfs.endpoint_url.replace("127.0.0.1", "localhost")
    driver = make_driver(signing_endpoint_url=public)
    await driver.put("signed", b"1")
    url = await driver.temporary_url("signed", SignOptions(expires_in=60))
    assert urlsplit(url).netloc == urlsplit(public).netloc
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"1"
        assert (await client.get(url.replace("localhost", "127.0.0.1"))).status_code == 403


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
async def test_temporary_url_has_the_bucket_where_the_addressing_style_says(options, host):
    driver = S3Driver("my-bucket", access_key="id", secret_key="secret", **options)
    url = await driver.temporary_url("a.txt", SignOptions(expires_in=60))
    assert url.startswith(f"https://{host}")
    assert "AWS4-HMAC-SHA256" in url
    assert driver.url("a.txt").startswith(f"https://{host}")


async def test_temporary_url_without_credentials_names_the_ways_to_give_them(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    driver = S3Driver("bucket", endpoint_url="http://127.0.0.1:1")
    for call in (driver.temporary_url("a", SignOptions(expires_in=60)), driver.get("a")):
        with pytest.raises(StorageConfigException, match="AWS_ACCESS_KEY_ID") as caught:
            await call
        for way in ("AWS_SECRET_ACCESS_KEY", "access_key and secret_key", "profile", "credentials"):
            assert way in str(caught.value)
    await driver.aclose()
