"""Construction of the driver: options, the environment, URLs, and no secrets in sight."""

from __future__ import annotations

import base64
import logging
import math
import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.exceptions import (
    InvalidPathException,
    StorageConfigException,
    StorageException,
)
from jtc.storage.options import SignOptions

KEYS = {"access_key": "a", "secret_key": "b"}
ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/point"
SESSION = SimpleNamespace(get_credentials=None)
HTTP = {"endpoint_url": "http://s3.test"}


async def no_keys() -> None:
    """Stand for a function that returns keys."""


# Each begins with the option that the message names.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"bucket": ""}, "AWS_BUCKET"),
    ({"bucket": None}, "AWS_BUCKET"),
    ({"bucket": 5}, "bucket must be text"),
    ({"bucket": "a/b"}, "bucket .*scoped"),
    ({"bucket": "a\r\nHost: evil.test"}, "bucket contains a space"),
    ({"bucket": "a\r\n"}, "bucket ends in a newline"),
    ({"bucket": ".."}, "bucket must be a bucket's name"),
    ({"bucket": "a?b"}, "bucket must be a bucket's name"),
    ({"bucket": "a@evil.test"}, "bucket must be a bucket's name"),
    ({"bucket": "é"}, "bucket ends in '.xe9'"),
    ({"bucket": "a" * 256}, "bucket must be a bucket's name"),
    ({"bucket": "arn:aws:s3:::b"}, "bucket must be a bucket's name"),
    ({"bucket": ARN + "/object/x"}, "bucket must be a bucket's name"),
    ({"bucket": "b--use1-az4--x-s3"}, "bucket is a directory bucket of S3 Express"),
    ({"bucket": "p--use1-az4--xa-s3"}, "bucket is a directory bucket of S3 Express"),
    (
        {"bucket": "arn:aws:s3::123456789012:accesspoint:a.mrap"},
        "bucket is a multi-region .* SigV4A",
    ),
    ({"bucket": ARN.replace(":s3:", ":s3-object-lambda:")}, "bucket needs signatures of another"),
    (
        {"bucket": "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/p"},
        "bucket needs signatures of another",
    ),
    ({"region": ""}, "region is empty"),
    ({"region": None}, "region must be text"),
    ({"region": "us-east-1\n"}, "region ends in a newline"),
    ({"region": "us-east-1.evil.com/"}, "region must be a name"),
    ({"region": "US-EAST-1"}, "region must be a name"),
    ({"region": "a" * 65}, "region must be a name"),
    ({"region": "auto"}, "region may be 'auto' with an endpoint_url only"),
    ({"access_key": "a"}, "together"),
    ({"secret_key": "a"}, "together"),
    ({"access_key": "", "secret_key": ""}, "access_key is empty"),
    ({**KEYS, "secret_key": ""}, "secret_key is empty"),
    ({**KEYS, "access_key": "secret@\n"}, "access_key ends in a newline"),
    ({**KEYS, "access_key": "secret@é"}, "access_key ends in '.xe9'"),
    ({**KEYS, "secret_key": "secret@\r\n"}, "secret_key ends in a newline"),
    ({**KEYS, "secret_key": " secret@"}, "secret_key contains a space"),
    ({**KEYS, "secret_key": "secret@\x00"}, "secret_key ends in '.x00'"),
    ({**KEYS, "session_token": "secret@\t"}, "session_token ends in a tab"),
    ({**KEYS, "session_token": "secret@\r"}, "session_token ends in a carriage return"),
    ({**KEYS, "session_token": "secret@\u200b"}, "session_token ends in '.u200b'"),
    ({"session_token": "a"}, "session_token needs"),
    ({"profile": ""}, "profile is empty"),
    ({"profile": "a\n"}, "profile ends in a newline"),
    ({**KEYS, "profile": "c"}, "given twice: choose one of access_key, profile"),
    ({**KEYS, "anonymous": True}, "given twice: choose one of access_key, anonymous"),
    ({"session": SESSION, "profile": "c"}, "given twice: choose one of profile, session"),
    ({"session": SESSION, "credentials": no_keys}, "given twice: .* credentials, session"),
    ({"credentials": no_keys, "anonymous": True}, "given twice: .* credentials, anonymous"),
    ({"session": object()}, "session must be of aioboto3"),
    ({"session": "boto3"}, "session must be of aioboto3"),
    ({"session": 1}, "session must be of aioboto3"),
    ({"credentials": "id:secret@"}, "credentials must be an async function"),
    ({"endpoint_url": "s3.example.com"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "javascript:alert(1)"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "ftp://s3.test"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "https://"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "https://s3.test:99999"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "https://secret@[::1"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "https://s3.test\\evil.test"}, "endpoint_url must be a URL"),
    ({"endpoint_url": "https://s3.test\r\nHost:evil.test"}, "endpoint_url contains a newline"),
    ({"endpoint_url": "https://s3.test\n"}, "endpoint_url ends in a newline"),
    (
        {"endpoint_url": "https://id:secret@s3.example.com"},
        "endpoint_url must not hold credentials",
    ),
    ({"endpoint_url": "https://s3.test/?a=b"}, "endpoint_url must end with its path"),
    ({"endpoint_url": "https://s3.test/#"}, "endpoint_url must end with its path"),
    ({"signing_endpoint_url": "http://s3.test "}, "signing_endpoint_url ends in a space"),
    ({"signing_endpoint_url": "//s3.test"}, "signing_endpoint_url must be a URL"),
    ({"public_url": "https://cdn.test/?a=b"}, "public_url must end with its path"),
    ({"public_url": "javascript:alert(1)//"}, "public_url must be a URL"),
    ({"public_url": "https://cdn.test/\r\nSet-Cookie:a=b"}, "public_url contains a newline"),
    ({"proxy": "socks5://proxy.test"}, "proxy must be a URL"),
    ({"proxy": "http://id:secret@proxy.test\n"}, "proxy ends in a newline"),
    (
        {"bucket": "mine", "endpoint_url": "https://other.s3.eu-west-1.amazonaws.com"},
        "endpoint_url has the bucket 'other', not 'mine'",
    ),
    (
        {"bucket": "mine", "endpoint_url": "https://mine.test", "addressing_style": "virtual"},
        "endpoint_url has the bucket, .* leave it out",
    ),
    ({**HTTP, "use_dualstack": True}, "use_dualstack is for AWS's own hosts"),
    ({**HTTP, "use_fips": True}, "use_fips is for AWS's own hosts"),
    ({**HTTP, "use_accelerate": True}, "use_accelerate is for AWS's own hosts"),
    ({"addressing_style": "dns"}, "addressing_style must be 'auto', 'path' or 'virtual'"),
    ({"ca_bundle": ""}, "ca_bundle is empty"),
    ({"ca_bundle": True}, "ca_bundle must be text"),
    ({"verify": "false"}, "verify must be true or false, not 'false'"),
    ({"anonymous": 1}, "anonymous must be true or false, not 1"),
    ({"requester_pays": "requester"}, "requester_pays must be true or false"),
    ({"use_fips": "true"}, "use_fips must be true or false"),
    ({"checksums": "false"}, "checksums must be true or false, not 'false'"),
    ({"part_size": 1024}, "part_size must be from 5242880"),
    ({"part_size": 6e6}, "part_size must be a whole number, not 6000000.0"),
    ({"max_attempts": 0}, "max_attempts must be from 1 to 100, not 0"),
    ({"max_connections": True}, "max_connections must be a whole number, not True"),
    ({"max_transfer_memory": 1}, "max_transfer_memory must be from"),
    (
        {"max_transfer_memory": 6 * 2**20, "part_size": 7 * 2**20},
        "max_transfer_memory must be part_size",
    ),
    ({"connect_timeout": "3"}, "connect_timeout must be a number, not '3'"),
    ({"read_timeout": math.nan}, "read_timeout must be from 0.001 to 3600.0, not nan"),
    ({"request_timeout": math.inf}, "request_timeout must be from"),
    ({"copy_timeout": 0}, "copy_timeout must be from"),
    ({"pool_timeout": -1}, "pool_timeout must be from"),
    ({"conditions": "put"}, "conditions must be some of put, parts, copy, delete"),
    ({"conditions": 5}, "conditions must be some of"),
    ({"conditions": [["put"]]}, "conditions must be some of"),
    ({"conditions": {"puts"}}, "conditions must be some of"),
    ({"sse_customer_key": b"secret@"}, "sse_customer_key must be 32 bytes"),
    ({"sse_customer_key": "secret@" * 5}, "sse_customer_key must be 32 bytes"),
    ({"sse_customer_key": base64.b64encode(b"secret@").decode()}, "sse_customer_key must be 32"),
    ({"sse_customer_key": 5}, "sse_customer_key must be 32 bytes"),
    ({**HTTP, "sse_customer_key": b"k" * 32}, "sse_customer_key needs an endpoint_url by https"),
    ({"driver_options": {"StorageClas": "GLACIER"}}, "StorageClas"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_settings_refuse_a_wrong_option_by_its_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StorageConfigException, match=words) as caught:
        Settings(**{"bucket": "b", **options})
    assert "secret@" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "options",
    [
        {"bucket": "Legacy_Name.2017-"},
        {"bucket": "a" * 255},
        {"bucket": ARN},
        {"bucket": "point-0a1b-s3alias"},
        {"region": "auto", "endpoint_url": "https://0a1.r2.cloudflarestorage.com"},
        {**KEYS, "secret_key": "/+=~pässword"},
        {**KEYS, "session_token": ""},
        {"profile": "my profile é"},
        {"credentials": no_keys},
        {"session": SESSION},
        {"session": "aioboto3"},
        {"anonymous": True},
        {"endpoint_url": "http://[::1]:9000/below/"},
        {"public_url": "https://cdn.test/bücher/"},
        {"proxy": "http://id:password@proxy.test:3128"},
        {"ca_bundle": "/my files/ca.pem"},
        {
            "bucket": "bucket",
            "endpoint_url": "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com",
        },
        {"bucket": "b", "endpoint_url": "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com"},
        {"bucket": "b", "endpoint_url": "https://b.s3.cn-north-1.amazonaws.com.cn"},
        {"connect_timeout": 3, "max_transfer_memory": 6 * 2**20},
        {"conditions": []},
        {"use_dualstack": True, "use_fips": True},
    ],
)
def test_settings_accept_what_is_in_use(options: dict[str, Any]) -> None:
    settings = Settings(**{"bucket": "b", **options})
    assert settings.session_token is None


def test_settings_conditions_are_a_set_of_their_own() -> None:
    given = ["put", "copy"]
    settings = Settings(bucket="b", conditions=given)
    given.clear()
    assert settings.conditions == {"put", "copy"}
    assert Settings(bucket="b").conditions is None


@pytest.mark.parametrize(
    "endpoint", [None, "https://s3.test", "http://127.0.0.1:9", "http://[::1]"]
)
def test_settings_sse_customer_key_is_bytes_or_their_base64(endpoint: str | None) -> None:
    key = bytes(range(32))
    for given in (key, base64.b64encode(key), base64.b64encode(key).decode()):
        settings = Settings(bucket="b", sse_customer_key=given, endpoint_url=endpoint)  # type: ignore[arg-type]
        assert settings.sse_customer_key == key
        assert settings.customer_key_headers("x-amz-copy-source-") == {
            "x-amz-copy-source-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-copy-source-server-side-encryption-customer-key": (
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
            ),
            "x-amz-copy-source-server-side-encryption-customer-key-md5": "tP/LI3N87DFaSk0aoqYgzg==",
        }
    assert Settings(bucket="b").customer_key_headers("x-amz-") == {}


def test_settings_repr_shows_no_secret() -> None:
    settings = Settings(
        bucket="b",
        access_key="hidden-1",
        secret_key="hidden-2",
        session_token="hidden-3",
        proxy="http://id:hidden-4@proxy.test",
        sse_customer_key=b"hidden-5" * 4,
    )
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("options", "words"), [*REFUSED[:1], ({"region": "us-east-1\n"}, "region")]
)
def test_driver_refuses_a_wrong_option_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StorageConfigException, match=words):
        S3Driver(**{"bucket": "b", **options})


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://b.s3.amazonaws.com/"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "https://b.s3.eu-west-1.amazonaws.com/"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "https://b.s3.cn-north-1.amazonaws.com.cn/"),
        ({"AWS_URL": "https://s3.test"}, "https://s3.test/b/"),
        (
            {"AWS_URL": "https://cdn.test/x/", "AWS_ENDPOINT_URL": "https://s3.test"},
            "https://cdn.test/x/",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.test/", "AWS_ENDPOINT_URL": "https://aws.test"},
            "https://s3.test/b/",
        ),
    ],
)
def test_the_environment_says_where_files_are(environ, url):
    driver = S3Driver.from_env({"AWS_BUCKET": "b", **environ})
    assert driver.url("/a b/ü#?.txt") == url + "a%20b/%C3%BC%23%3F.txt"
    assert driver.path("a b") == "s3://b/a b"
    with pytest.raises(InvalidPathException):
        driver.url("../a")


def test_a_bucket_with_dots_is_in_the_path_because_of_the_certificate():
    assert S3Driver("a.b").url("c") == "https://s3.amazonaws.com/a.b/c"


def test_missing_bucket_error_names_variable_and_option():
    with pytest.raises(StorageConfigException, match=r"AWS_BUCKET .* option bucket"):
        S3Driver.from_env({"AWS_ACCESS_KEY_ID": "a"})


def test_the_first_five_arguments_may_be_given_by_position():
    driver = S3Driver("b", "eu-west-1", "id", "secret", "https://s3.test")
    assert driver.url("a") == "https://s3.test/b/a"


def test_no_secret_is_shown():
    driver = S3Driver(
        "b",
        access_key="AKIA-hidden",
        secret_key="hidden-too",
        session_token="hidden-also",
        endpoint_url="https://s3.test:9000",
    )
    assert repr(driver) == "S3Driver('b', region='us-east-1', endpoint='s3.test:9000')"
    for shown in (repr(driver), str(driver), repr(driver._settings), repr(vars(driver))):
        assert "hidden" not in shown


async def test_no_secret_is_logged_at_any_level(make_driver, caplog):
    caplog.set_level(logging.DEBUG)
    driver = make_driver()
    await driver.put("logged", b"1")
    assert await driver.get("logged") == b"1"
    url = await driver.temporary_url("logged", SignOptions(expires_in=60))
    temporary = make_driver(secret_key="hidden-secret", session_token="hidden/token+=")
    signed = await temporary.temporary_url("logged", SignOptions(expires_in=60))
    with pytest.raises(StorageException) as caught:
        await temporary.get("logged")
    error = "".join(traceback.format_exception(caught.value))
    signatures = [one.partition("X-Amz-Signature=")[2] for one in (url, signed)]
    for secret in ("test-secret-key", "hidden-secret", "hidden/token", *signatures):
        assert secret not in caplog.text
        assert secret not in error
