"""The diagnosis of containers of Azurite, and of answers that it does not give."""

from __future__ import annotations

import base64
import time
import urllib.request
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from azurite import ACCOUNT, KEY
from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.drivers.azure_driver._transport.sas import VERSION, utc
from jtc.storage.drivers.azure_driver._transport.shared_key import authorization, signature
from jtc.storage.options import ListOptions
from scripted_store import ALWAYS, Answer, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from azurite import Azurite
    from faulty_proxy import FaultyProxy
    from jtc.storage.drivers.azure_driver import AzureDriver
    from scripted_store import ScriptedStore


SERVICE = (
    "<StorageServiceProperties><Cors><CorsRule><AllowedOrigins>https://*.example.com"
    "</AllowedOrigins><AllowedMethods>GET,PUT</AllowedMethods><MaxAgeInSeconds>600"
    "</MaxAgeInSeconds><ExposedHeaders>ETag</ExposedHeaders><AllowedHeaders>*</AllowedHeaders>"
    "</CorsRule></Cors><DeleteRetentionPolicy><Enabled>true</Enabled><Days>7</Days>"
    "</DeleteRetentionPolicy></StorageServiceProperties>"
)


def sas(container: str, *, permissions: str = "racwdl", seconds: float = 30 * 86400) -> str:
    """Sign for a container."""
    end = utc(time.time() + seconds)
    resource = f"/blob/{ACCOUNT}/{container}"
    lines = [permissions, "", end, resource, "", "", "", VERSION, "c", "", "", *[""] * 5]
    made = signature(base64.b64decode(KEY), "\n".join(lines))
    return urlencode({"sp": permissions, "se": end, "sv": VERSION, "sr": "c", "sig": made})


async def found(driver: AzureDriver, **options: Any) -> list[Finding]:
    findings = [each async for each in driver.diagnose(DiagnosisOptions(**options))]
    assert all(each.message.endswith(".") and each.evidence for each in findings)
    assert {each.id for each in findings} <= IDS
    return findings


def faults(findings: list[Finding]) -> list[str]:
    known = (Severity.ERROR, Severity.WARNING)
    return [each.id for each in findings if each.severity in known]


def set_up(azurite: Azurite, target: str, query: dict[str, str], body: bytes = b"") -> None:
    """Send a request that sets something up, with the account's key."""
    path = f"/{ACCOUNT}{target}"
    headers = {"x-ms-version": VERSION, "x-ms-date": formatdate(usegmt=True)}
    headers |= {"content-type": "application/xml"}
    headers |= {"x-ms-blob-public-access": "container"} if query.get("public") else {}
    query = {name: value for name, value in query.items() if name != "public"}
    text = urlencode(sorted(query.items()))
    key = base64.b64decode(KEY)
    headers["authorization"] = authorization(ACCOUNT, key, "PUT", path, text, headers, len(body))
    url = f"{azurite.endpoint_url.removesuffix(f'/{ACCOUNT}')}{path}?{text}"
    request = urllib.request.Request(url, data=body, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass


async def test_diagnose_of_healthy_container_invents_nothing_and_leaves_nothing(
    make_driver: Callable[..., AzureDriver], azurite: Azurite, folder: str
) -> None:
    set_up(azurite, "/healthy", {"restype": "container"})
    driver = make_driver(container="healthy")
    assert faults(await found(driver)) == []
    assert faults(await found(driver, probe=False)) == []
    assert [each async for each in driver.list_entries("", ListOptions())] == []
    del folder


async def test_diagnose_without_probe_sends_only_what_reads(
    make_driver: Callable[..., AzureDriver], proxy: FaultyProxy
) -> None:
    driver = make_driver(endpoint_url=f"{proxy.endpoint_url}/{ACCOUNT}")
    assert faults(await found(driver, probe=False)) == []
    assert {each.split()[0] for each in proxy.requests} == {"GET", "HEAD"}
    await found(driver)
    assert {each.split()[0] for each in proxy.requests} == {"GET", "HEAD", "PUT", "DELETE"}


async def test_diagnose_reads_the_settings_of_the_account(
    make_driver: Callable[..., AzureDriver], azurite: Azurite
) -> None:
    driver = make_driver()
    before = await found(driver, origin="https://app.example.com")
    assert faults(before) == ["azure.cors"]
    [fault] = [each for each in before if each.id == "azure.cors"]
    assert "https://app.example.com" in fault.fix
    set_up(azurite, "/", {"restype": "service", "comp": "properties"}, SERVICE.encode())
    try:
        after = await found(driver, origin="https://app.example.com")
        assert faults(after) == []
        assert "azure.soft-delete-off" not in {each.id for each in after}
        assert faults(await found(driver, origin="https://other.org")) == ["azure.cors"]
    finally:
        empty = b"<StorageServiceProperties><Cors/></StorageServiceProperties>"
        set_up(azurite, "/", {"restype": "service", "comp": "properties"}, empty)


async def test_diagnose_warns_of_container_that_is_public(
    make_driver: Callable[..., AzureDriver], azurite: Azurite
) -> None:
    set_up(azurite, "/open", {"restype": "container", "public": "yes"})
    assert faults(await found(make_driver(container="open"), probe=False)) == ["azure.public"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"container": "missing"}, "azure.container-missing"),
        ({"account_key": base64.b64encode(b"wrong").decode()}, "azure.denied"),
        ({"account_key": None, "anonymous": True}, "azure.not-public"),
        ({"endpoint_url": "http://127.0.0.1:9/devstoreaccount1"}, "http.unreachable"),
        ({"account_key": None, "sas_token": "{expired}"}, "azure.sas-expired"),
        ({"account_key": None, "sas_token": "{read}"}, "azure.sas-permissions"),
        ({"account_key": None, "sas_token": "{other}"}, "azure.denied"),
        ({"account_key": None, "sas_token": "sp=r&sr=b&sig=x"}, "azure.sas-scope"),
        ({"account_key": None, "sas_token": "st=2100-01-01T00:00:00Z&sig=x"}, "azure.sas-expired"),
        ({"account_key": None, "sas_token": "spr=https&sig=x"}, "azure.sas-scope"),
        ({"account_key": None, "sas_token": "ss=f&srt=sco&sig=x"}, "azure.sas-scope"),
    ],
)
async def test_diagnose_of_what_stops_all_is_one_finding_with_the_cause(
    make_driver: Callable[..., AzureDriver], options: dict[str, Any], expected: str
) -> None:
    texts = {
        "{expired}": sas("test-container", seconds=-60),
        "{read}": sas("test-container", permissions="r"),
        "{other}": sas("other-container"),
    }
    given = {name: texts.get(str(value), value) for name, value in options.items()}
    findings = await found(make_driver(**given))
    assert [each.id for each in findings] == [expected]
    assert findings[0].blocks
    assert "sig=" not in repr(findings)


async def test_diagnose_with_a_signature_says_how_long_it_lasts(
    make_driver: Callable[..., AzureDriver],
) -> None:
    options = {"account_key": None, "sas_token": sas("test-container", seconds=86400)}
    findings = await found(make_driver(**options))
    assert faults(findings) == ["azure.sas-expiring"]
    assert "azure.not-visible" in {each.id for each in findings}
    read = {"account_key": None, "sas_token": sas("test-container", permissions="rl")}
    assert faults(await found(make_driver(**read), writable=False)) == []


def refusal(status: int, code: str, **headers: str) -> Answer:
    document = f"<Error><Code>{code}</Code><Message>No</Message></Error>".encode()
    return Answer(status, {"x-ms-error-code": code, **headers}, document)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(403, "AuthorizationPermissionMismatch"), "azure.permission-list"),
        (refusal(403, "AccountIsDisabled"), "azure.account"),
        (refusal(403, "AuthenticationFailed"), "azure.credentials-refused"),
        (refusal(503, "ServerBusy"), "azure.unavailable"),
        (Answer(200, {}, b"<html>"), None),
        (Answer(400, {}, b"<html>"), "azure.endpoint"),
        (Answer(307, {"location": "https://x.example.com/"}), "azure.redirect"),
    ],
)
async def test_diagnose_of_refused_listing_is_one_finding(
    scripted: ScriptedStore,
    scripted_driver: Callable[..., AzureDriver],
    answer: Answer,
    expected: str | None,
) -> None:
    scripted.rule(Rule(times=ALWAYS, answer=answer))
    findings = await found(scripted_driver(max_attempts=1), probe=False)
    assert faults(findings) == ([expected] if expected else [])


async def test_diagnose_says_by_how_much_a_clock_is_wrong(
    scripted: ScriptedStore, scripted_driver: Callable[..., AzureDriver]
) -> None:
    date = formatdate(time.time() + 1000, usegmt=True)
    answer = refusal(403, "AuthenticationFailed", date=date)
    scripted.rule(Rule(times=ALWAYS, answer=answer))
    [finding] = await found(scripted_driver())
    assert finding.id == "azure.clock-skew"
    assert any(f"{seconds} s behind" in finding.message for seconds in (998, 999, 1000))


async def test_diagnose_says_that_entra_id_gives_no_token(
    make_driver: Callable[..., AzureDriver],
) -> None:
    class Credential:
        def get_token(self, *_: str) -> Any:
            raise RuntimeError("secret")

    options = {"account_key": None, "credential": Credential()}
    driver = make_driver(**options, endpoint_url="https://127.0.0.1:9/account")
    [finding] = await found(driver)
    assert (finding.id, finding.blocks) == ("azure.credentials-missing", True)
    assert "secret" not in finding.evidence
