"""Host keys: verified by default, and an error that names the fingerprint and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.exceptions import StorageConfigException, StoragePermissionException

if TYPE_CHECKING:
    from pathlib import Path

    from openssh import OpenSSH


def options_of(server: OpenSSH, **others: Any) -> dict[str, Any]:
    return {**server.options, "host_key": None, **others}


async def answers(**options: Any) -> bool:
    driver = SFTPDriver(**options)
    try:
        return await driver.exists("missing") is False
    finally:
        await driver.aclose()


def fingerprint_of(server: OpenSSH) -> str:
    return asyncssh.import_public_key(server.host_key).get_fingerprint()


async def test_host_key_that_is_another_is_refused_before_anything_is_sent(
    openssh: OpenSSH,
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    logins = openssh.log.count("Accepted")
    with pytest.raises(StoragePermissionException) as caught:
        await answers(**options_of(openssh, host_key=other, password="secret-word"))
    assert fingerprint_of(openssh) in str(caught.value)
    assert "'host_key'" in str(caught.value)
    assert openssh.log.count("Accepted") == logins
    assert "Failed password" not in openssh.log


async def test_host_key_in_no_known_hosts_is_refused_by_default(
    openssh: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StoragePermissionException, match="which is not in ~") as caught:
        await answers(**options_of(openssh))
    assert fingerprint_of(openssh) in str(caught.value)


async def test_host_key_in_known_hosts_of_the_user_is_accepted(
    openssh: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    line = f"[127.0.0.1]:{openssh.port} {openssh.host_key}\n"
    (tmp_path / ".ssh" / "known_hosts").write_text(line)
    assert await answers(**options_of(openssh))


async def test_known_hosts_may_be_a_path_or_a_text(openssh: OpenSSH, tmp_path: Path) -> None:
    line = f"[127.0.0.1]:{openssh.port} {openssh.host_key}\n"
    path = tmp_path / "hosts"
    path.write_text(line)
    assert await answers(**options_of(openssh, known_hosts=path))
    assert await answers(**options_of(openssh, known_hosts=line))
    with pytest.raises(StorageConfigException, match="known_hosts"):
        await answers(**options_of(openssh, known_hosts=str(tmp_path / "missing")))


async def test_host_key_may_be_a_fingerprint_or_one_of_several(openssh: OpenSSH) -> None:
    other = "SHA256:" + "A" * 43
    assert await answers(**options_of(openssh, host_key=fingerprint_of(openssh)))
    assert await answers(**options_of(openssh, host_key=[other, openssh.host_key]))
    with pytest.raises(StoragePermissionException, match="host key"):
        await answers(**options_of(openssh, host_key=other))


async def test_any_host_key_is_accepted_only_where_that_is_named_insecure(
    openssh: OpenSSH,
) -> None:
    assert await answers(**options_of(openssh, insecure_accept_any_host_key=True))
    with pytest.raises(StorageConfigException, match="contradicts"):
        SFTPDriver(**{**openssh.options, "insecure_accept_any_host_key": True})
