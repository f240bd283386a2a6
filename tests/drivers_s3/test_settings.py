"""Construction of the driver: options, the environment, URLs, and no secrets in sight."""

from __future__ import annotations

import logging
import traceback

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import (
    InvalidPathException,
    StorageConfigException,
    StorageException,
)
from jtc.storage.options import SignOptions


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bucket": ""}, "AWS_BUCKET"),
        ({"bucket": "a/b"}, "scoped"),
        ({"region": ""}, "region"),
        ({"access_key": "a"}, "together"),
        ({"secret_key": "a"}, "together"),
        ({"session_token": "a"}, "session_token needs"),
        ({"access_key": "a", "secret_key": "b", "profile": "c"}, "given twice"),
        ({"endpoint_url": "s3.example.com"}, "endpoint_url"),
        ({"endpoint_url": "https://id:secret@s3.example.com"}, "must not hold credentials"),
        ({"public_url": "https://cdn.test/?a=b"}, "public_url"),
        ({"addressing_style": "dns"}, "addressing_style"),
        ({"part_size": 1024}, "part_size"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"connect_timeout": "3"}, "connect_timeout must be a number, not a str"),
        ({"checksums": "false"}, "checksums must be true or false, not 'false'"),
        ({"credentials": "id:secret@"}, "credentials must be an async function"),
        ({"driver_options": {"StorageClas": "GLACIER"}}, "StorageClas"),
    ],
)
def test_a_wrong_option_is_refused_at_once_and_by_name(options, words):
    with pytest.raises(StorageConfigException, match=words) as caught:
        S3Driver(**{"bucket": "b", **options})
    assert "secret@" not in str(caught.value)


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
    assert S3Driver("a.b").url("c") == "https://s3.us-east-1.amazonaws.com/a.b/c"


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


async def test_no_secret_is_logged_not_even_by_the_sdk(make_driver, caplog):
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
    assert "botocore.auth" in {record.name for record in caplog.records}
    for secret in ("test-secret-key", "hidden-secret", "hidden/token", *signatures):
        assert secret not in caplog.text
        assert secret not in error
