"""Logins: keys, passwords, tunnels, and what a refused one says and does."""

from __future__ import annotations

import logging
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.exceptions import (
    StorageConfigException,
    StoragePermissionException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openssh import OpenSSH

PASSWORD = "correct-horse-battery"


class Passwords(asyncssh.SSHServer):
    """A server with one user, which counts the passwords that it is sent."""

    tried: list[str]

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.tried.append(password)
        return (username, password) == ("ada", PASSWORD)


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
    """Serve files by asyncssh's own server; give options of a driver and what it was sent."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    counted: list[str] = []

    class Counting(Passwords):
        tried = counted

    async with asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Counting,
        server_host_keys=[key],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(root).encode()),
    ) as server:
        options = {
            "host": "127.0.0.1",
            "port": server.get_port(),
            "username": "ada",
            "host_key": key.export_public_key().decode(),
            "root": "/",
        }
        yield options, counted


async def test_password_logs_in_at_a_server_of_another_kind(tmp_path: Path) -> None:
    async with served(tmp_path) as (options, _):
        driver = SFTPDriver(**options, password=PASSWORD)
        await driver.put("a/b.txt", b"Hello")
        await driver.put("a/b.txt", b"Hello again")
        assert await driver.get("a/b.txt") == b"Hello again"
        assert (tmp_path / "a" / "b.txt").read_bytes() == b"Hello again"
        assert await driver.delete("a/b.txt")
        await driver.aclose()


async def test_wrong_password_is_refused_without_showing_it_or_trying_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path) as (options, tried):
        driver = SFTPDriver(**options, password="wrong-horse-battery")
        shown = [await _shown_by(driver) for _ in range(5)]
        assert len(tried) <= 2, "by 'password', and by 'keyboard-interactive'"
        assert "login of 'ada'" in shown[0]
        assert "wrong-horse" not in "".join(shown) + repr(driver) + caplog.text
        await driver.aclose()


async def _shown_by(driver: SFTPDriver) -> str:
    """Return what an error reporter shows of a refused call."""
    with pytest.raises(StoragePermissionException) as caught:
        await driver.get("a")
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    return "".join(error.format())


async def test_private_key_may_be_a_path_or_a_text_with_a_passphrase(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    key = asyncssh.import_private_key(openssh.private_key)
    path = tmp_path / "key"
    key.write_private_key(path, passphrase="open sesame", rounds=64)
    for given in (path, path.read_text()):
        options = {**openssh.options, "private_key": given}
        driver = SFTPDriver(**options, passphrase="open sesame")
        assert await driver.exists("a") is False
        await driver.aclose()
        with pytest.raises(StorageConfigException, match="passphrase"):
            await SFTPDriver(**options, passphrase="wrong").exists("a")
    with pytest.raises(StorageConfigException, match="private_key"):
        await SFTPDriver(**{**openssh.options, "private_key": str(tmp_path / "none")}).get("a")


async def test_key_that_the_server_does_not_know_is_refused(openssh: OpenSSH) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(StoragePermissionException, match="private_key"):
        await SFTPDriver(**{**openssh.options, "private_key": other}).get("a")


@pytest.mark.parametrize("kind", ["text", "table"])
async def test_tunnel_leads_through_another_server(openssh: OpenSSH, kind: str) -> None:
    line = f"[127.0.0.1]:{openssh.port} {openssh.host_key}\n"
    text = f"{openssh.username}@127.0.0.1:{openssh.port}"
    table = {name: value for name, value in openssh.options.items() if name != "root"}
    options = {**openssh.options, "host_key": None, "known_hosts": line}
    driver = SFTPDriver(**options, tunnel=text if kind == "text" else table)
    await driver.put("a", b"through")
    assert await driver.get("a") == b"through"
    await driver.aclose()


async def test_configuration_file_names_host_port_user_and_key(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(openssh.private_key)
    key.chmod(0o600)
    config = tmp_path / "config"
    config.write_text(
        f"Host files\n  HostName 127.0.0.1\n  Port {openssh.port}\n"
        f"  User {openssh.username}\n  IdentityFile {key}\n"
    )
    driver = SFTPDriver(
        "files", config=str(config), host_key=openssh.host_key, root=str(openssh.files)
    )
    await driver.put("a", b"content")
    assert (openssh.files / "a").read_bytes() == b"content"
    await driver.aclose()


async def test_from_env_reads_laravel_s_names(openssh: OpenSSH, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(openssh.private_key)
    driver = SFTPDriver.from_env(
        {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(openssh.port),
            "SFTP_USERNAME": openssh.username,
            "SFTP_PRIVATE_KEY": str(key),
            "SFTP_HOST_KEY": openssh.host_key,
            "SFTP_ROOT": str(openssh.files),
        }
    )
    assert await driver.put("a", b"content") == "a"
    assert driver.path("a") == (
        f"sftp://{openssh.username}@127.0.0.1:{openssh.port}/{openssh.files}/a"
    )
    await driver.aclose()


async def test_server_that_is_down_is_unavailable_and_named() -> None:
    with pytest.raises(StorageUnavailableException, match="cannot be reached"):
        await SFTPDriver("127.0.0.1", 9, password="x").get("a")
