"""Options: each is checked when the driver is made."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from jtc.storage import StorageManager, Visibility
from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"host": ""}, "host"),
        ({"host": "sftp://example.test"}, "host"),
        ({"host": "me@example.test"}, "host"),
        ({"host": "-oProxyCommand=x"}, "host"),
        ({"port": 0}, "port"),
        ({"port": "22"}, "port"),
        ({"username": ""}, "username"),
        ({"password": "secret\n"}, "password.*newline"),
        ({"agent": 1}, "agent"),
        ({"root": "../up"}, "root"),
        ({"root": "$HOME/files"}, "root"),
        ({"root": "sftp://host/files"}, "root"),
        ({"root": 3}, "root"),
        ({"host_key": "MD5:00"}, "host_key"),
        ({"host_key": 3}, "host_key"),
        ({"insecure_accept_any_host_key": "yes"}, "insecure_accept_any_host_key"),
        ({"tunnel": "a b"}, "tunnel"),
        ({"tunnel": {"host": "x", "proxy": 1}}, "tunnel.*'proxy'"),
        ({"tunnel": {"port": 22}}, "tunnel.*'host'"),
        ({"config": [1]}, "config"),
        ({"base_url": "javascript:x"}, "base_url"),
        ({"visibility": "all"}, "visibility"),
        ({"file_modes": {"public": "999"}}, "file_modes"),
        ({"durable": 1}, "durable"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_attempts": True}, "max_attempts"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"connect_timeout": float("nan")}, "connect_timeout"),
    ],
)
def test_invalid_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(StorageConfigException, match=named) as caught:
        SFTPDriver(**{"host": "example.test", **options})
    assert "secret" not in str(caught.value)


def test_from_env_without_a_host_names_the_variable() -> None:
    with pytest.raises(StorageConfigException, match="SFTP_HOST"):
        SFTPDriver.from_env({})
    with pytest.raises(StorageConfigException, match="SFTP_PORT"):
        SFTPDriver.from_env({"SFTP_HOST": "x", "SFTP_PORT": "ssh"})


def test_repr_shows_the_place_and_no_secret() -> None:
    driver = SFTPDriver("example.test", 2222, "ada", "secret-word", root="~/files/")
    assert repr(driver) == "SFTPDriver('sftp://ada@example.test:2222/files')"
    assert "secret-word" not in repr(vars(driver))


def test_driver_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SFTPDriver("example.test"))


def test_url_needs_a_base_url() -> None:
    with pytest.raises(UnsupportedOperationException, match="base_url"):
        SFTPDriver("example.test").url("a b")
    driver = SFTPDriver("example.test", base_url="https://files.test/x/")
    assert driver.url("a b") == "https://files.test/x/a%20b"


async def test_fake_of_a_disk_needs_no_server_and_no_secret() -> None:
    manager = StorageManager.isolated()
    options = {"driver": "sftp", "host": "example.test", "private_key": "/none"}
    manager.configure({"default": "remote", "disks": {"remote": options}})
    with manager.fake("remote") as fake:
        await fake.put("a/b", b"x", visibility=Visibility.PRIVATE)
        assert await fake.visibility("a/b") is Visibility.PRIVATE
        assert "metadata" not in fake.capabilities.put_options
