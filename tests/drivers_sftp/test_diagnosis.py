"""The diagnosis of logins at a real OpenSSH server, of its host key and of what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.drivers.sftp_driver import SFTPDriver

if TYPE_CHECKING:
    from pathlib import Path

    from openssh import OpenSSH


async def found(options: dict[str, Any], **more: Any) -> list[Finding]:
    driver = SFTPDriver(**options)
    try:
        findings = [each async for each in driver.diagnose(DiagnosisOptions(**more))]
    finally:
        await driver.aclose()
    assert all(each.message.endswith(".") and each.evidence for each in findings)
    assert {each.id for each in findings} <= IDS
    return findings


def faults(findings: list[Finding]) -> list[str]:
    known = (Severity.ERROR, Severity.WARNING)
    return [each.id for each in findings if each.severity in known]


async def test_diagnose_of_healthy_server_invents_nothing_and_leaves_nothing(
    openssh: OpenSSH,
) -> None:
    findings = await found(openssh.options)
    assert [each.id for each in findings] == ["sftp.free-space"]
    assert [*openssh.files.iterdir()] == []


async def test_diagnose_of_server_without_extensions_says_what_it_cannot(limited: OpenSSH) -> None:
    findings = await found(limited.options)
    assert faults(findings) == ["sftp.no-rename", "sftp.no-hardlink"]
    assert "sftp.not-visible" in {each.id for each in findings}
    findings = await found({**limited.options, "replace_by_removal": True})
    assert "missing for a moment" in next(each.message for each in findings if each.fix)
    assert faults(await found(limited.options, writable=False)) == []


async def test_diagnose_says_that_host_key_is_unknown_or_changed(
    openssh: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {**openssh.options, "host_key": None}
    [finding] = await found(options)
    assert (finding.id, finding.blocks) == ("sftp.host-key-unknown", True)
    assert "SHA256:" in finding.evidence
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{openssh.port} {other}")
    for given in (str(hosts), hosts.read_text()):
        [finding] = await found({**options, "known_hosts": given})
        assert finding.id == "sftp.host-key-changed"
    [finding] = await found({**options, "host_key": other.strip()})
    assert finding.id == "sftp.host-key-changed"


async def test_diagnose_of_refused_login_is_one_finding(openssh: OpenSSH) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    [finding] = await found({**openssh.options, "private_key": key})
    assert (finding.id, finding.blocks) == ("sftp.login-refused", True)
    assert "PRIVATE KEY" not in repr(finding)


async def test_diagnose_warns_of_private_key_that_others_may_read(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(openssh.private_key)
    key.chmod(0o640)
    findings = await found({**openssh.options, "private_key": str(key)})
    assert faults(findings) == ["sftp.key-modes"]
    assert findings[0].fix == f"chmod 600 {key}"
    assert "0640" in findings[0].evidence
    key.chmod(0o600)
    assert faults(await found({**openssh.options, "private_key": str(key)})) == []
    [missing] = await found({**openssh.options, "private_key": str(tmp_path / "nothing")})
    assert missing.id == "sftp.options"


async def test_diagnose_warns_of_any_host_key(openssh: OpenSSH) -> None:
    options = {**openssh.options, "host_key": None, "insecure_accept_any_host_key": True}
    assert faults(await found(options)) == ["sftp.any-host-key"]


async def test_diagnose_of_dead_server_is_one_finding(openssh: OpenSSH) -> None:
    [finding] = await found({**openssh.options, "port": 9})
    assert (finding.id, finding.blocks) == ("sftp.unreachable", True)


async def test_diagnose_of_root_that_is_missing_or_no_directory(openssh: OpenSSH) -> None:
    [finding] = await found({**openssh.options, "root": f"{openssh.files}/missing"})
    assert (finding.id, finding.blocks) == ("sftp.root-missing", True)
    (openssh.files / "file").touch()
    [finding] = await found({**openssh.options, "root": f"{openssh.files}/file"})
    assert (finding.id, finding.blocks) == ("sftp.root-no-directory", True)
