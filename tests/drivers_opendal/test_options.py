"""Options of the OpenDAL driver, and what it shows of them."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from jtc.storage import StorageConfigException, StorageManager, UnsupportedOperationException
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.drivers.opendal_driver._services import (
    HAS_TRUE_ETAGS,
    UNKEPT,
    WRITES_WHOLE,
    known_options,
    schemes,
)
from jtc.storage.drivers.opendal_driver._settings import OWN_OPTIONS

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheme": "webdav", "endpoint": "http://a", "pasword": SECRET}, "mean 'password'"),
        ({"scheme": "webdav", "endpoint": "http://a", "base_uri": "x"}, "mean 'base_url'"),
        ({"scheme": "webdaf"}, "no service 'webdaf': did you mean 'webdav'"),
        ({"scheme": "sftp", "endpoint": "x"}, "jtc-storage-sftp"),
        ({"scheme": "webdav"}, "endpoint is empty"),
        ({"scheme": "webdav", "endpoint": [SECRET]}, "'endpoint' is a text"),
        ({"scheme": "redis", "endpoint": "redis://a", "db": "x"}, "'db'"),
        ({"scheme": "gdrive", "client_secret": SECRET}, "access_token"),
        ({"scheme": ""}, "'scheme'"),
        ({"scheme": "memory", "request_timeout": 0}, "'request_timeout'"),
        ({"scheme": "memory", "max_attempts": True}, "'max_attempts'"),
        ({"scheme": "memory", "staged": "yes"}, "'staged'"),
        ({"scheme": "memory", "base_url": "javascript:x"}, "'base_url'"),
    ],
)
def test_invalid_option_is_named_without_any_secret(options: dict[str, Any], said: str) -> None:
    with pytest.raises(StorageConfigException) as caught:
        OpenDALDriver(**options)
    assert said in str(caught.value)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    for frame in list(shown.stack)[1:]:  # the first one is this function's
        assert SECRET not in str(frame.locals)
    assert SECRET not in str(caught.value) + repr(caught.value.__cause__)


def test_misspelt_option_of_configured_disk_is_named() -> None:
    disk = {"driver": "opendal", "scheme": "webdav", "endpoit": "http://127.0.0.1:9"}
    storage = StorageManager.isolated({"default": "a", "disks": {"a": disk}})
    with pytest.raises(StorageConfigException, match="did you mean 'endpoint'"):
        storage.disk("a").driver_as(OpenDALDriver)


def test_service_takes_numbers_and_booleans_as_configurations_have_them() -> None:
    driver = OpenDALDriver("redis", endpoint="redis://127.0.0.1:9", db=1, default_ttl=None)
    assert driver.location == "redis://127.0.0.1:9/?db=1"
    webdav = {"endpoint": "http://127.0.0.1:9", "disable_create_dir": True}
    assert OpenDALDriver("webdav", **webdav)


def test_repr_path_and_location_have_no_secret() -> None:
    driver = OpenDALDriver(
        "webdav",
        endpoint=f"http://me:{SECRET}@dav.example.com:81/files/",
        username="me",
        password=SECRET,
        root="/a/",
    )
    assert repr(driver) == "OpenDALDriver('webdav', root='/a', endpoint='dav.example.com:81')"
    assert driver.path("b c") == "webdav://dav.example.com:81/files/a/b c"
    assert driver.location == "webdav://dav.example.com:81/files/a?"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(driver)


async def test_error_and_log_of_failing_call_have_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    driver = OpenDALDriver(
        "redis", endpoint=f"redis://:{SECRET}@127.0.0.1:9", max_attempts=1, request_timeout=0.3
    )
    with pytest.raises(OSError) as caught:
        await driver.get("a")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    assert SECRET not in "".join(shown.format()) + caplog.text


def test_own_options_are_those_of_no_service() -> None:
    for scheme in schemes():
        assert (known_options(scheme) or set()) & OWN_OPTIONS <= {"root"}, scheme


def test_services_in_tables_are_opendals() -> None:
    known = {
        scheme for scheme in (*WRITES_WHOLE, *HAS_TRUE_ETAGS, *UNKEPT) if known_options(scheme)
    }
    assert known == WRITES_WHOLE | HAS_TRUE_ETAGS | UNKEPT.keys()


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"scheme": "memory", "base_url": "https://a.example/f"}, "https://a.example/f/b%20c"),
        ({"scheme": "memory"}, "memory:///b%20c"),
        ({"scheme": "redis", "endpoint": f"redis://:{SECRET}@a:1"}, "redis://a:1/b%20c"),
        (
            {"scheme": "webdav", "endpoint": f"https://me:{SECRET}@a.example/dav/", "root": "ö"},
            "https://a.example/dav/%C3%B6/b%20c",
        ),
    ],
)
def test_url_is_below_base_url_or_at_the_service(options: dict[str, Any], url: str) -> None:
    assert OpenDALDriver(**options).url("b c") == url


async def test_put_to_service_that_shows_half_a_file_needs_consent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hdfs = {"scheme": "webhdfs", "endpoint": "http://127.0.0.1:9", "max_attempts": 1}
    with pytest.raises(UnsupportedOperationException, match="accept_torn_writes"):
        await OpenDALDriver(**hdfs).put("a", b"content")  # type: ignore[arg-type]
    assert not caplog.records
    OpenDALDriver(**hdfs, accept_torn_writes=True)  # type: ignore[arg-type]
    assert "half a file" in caplog.text


@pytest.mark.parametrize("scheme", sorted({"webdav", "ftp", "redis", "gdrive", "memory", "s3"}))
def test_fake_asks_a_driver_without_keys(scheme: str) -> None:
    assert OpenDALDriver.for_fake({"scheme": scheme}).fake_traits.infers_types


async def test_fake_of_disk_keeps_files_in_memory() -> None:
    disk = {"driver": "opendal", "scheme": "webdav", "endpoint": "http://127.0.0.1:9"}
    storage = StorageManager.isolated({"default": "a", "disks": {"a": disk}})
    with storage.fake("a"):
        await storage.disk("a").put("b", b"content")
        assert await storage.disk("a").get("b") == b"content"


def test_environment_has_the_services_options_by_their_names() -> None:
    environ = {
        "OPENDAL_SCHEME": "webdav",
        "OPENDAL_ENDPOINT": "http://127.0.0.1:9",
        "OPENDAL_PASSWORD": SECRET,
        "OPENDAL_ROOT": "/media",
        "OPENDAL_BUCKET": "no option of this service",
    }
    driver = OpenDALDriver.from_env(environ)
    assert repr(driver) == "OpenDALDriver('webdav', root='/media', endpoint='127.0.0.1:9')"
    with pytest.raises(StorageConfigException, match="OPENDAL_SCHEME"):
        OpenDALDriver.from_env({})
