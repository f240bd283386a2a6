"""The diagnosis of buckets of a store with Google's API, and of a public emulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import pytest
from aiohttp import web

from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google_store import GoogleStore
    from jtc.storage.drivers.gcs_driver import GCSDriver

CORS = {
    "origin": ["https://*.example.com"],
    "method": ["GET", "PUT"],
    "responseHeader": ["Content-Type", "ETag"],
}


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


class Credentials(google.auth.credentials.Credentials):
    """Has a token at once: the signature of a key takes a quarter of a second."""

    def refresh(self, request: object) -> None:
        del request
        self.token = "quick"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


@pytest.fixture
def make_driver(make_driver: Callable[..., GCSDriver]) -> Callable[..., GCSDriver]:
    given = {"credentials", "credentials_file", "credentials_info", "anonymous"}

    def make(**options: Any) -> GCSDriver:
        more = {} if given & options.keys() else {"credentials": Credentials()}
        return make_driver(**more, **options)

    return make


@pytest.fixture
def private(store: GoogleStore) -> GoogleStore:
    """Serve a bucket in which nothing is wrong."""
    store.requires_token = True
    store.tokens.add("quick")
    return store


async def found(driver: GCSDriver, **options: Any) -> list[Finding]:
    findings = [each async for each in driver.diagnose(DiagnosisOptions(**options))]
    assert all(each.message.endswith(".") and each.evidence for each in findings)
    assert {each.id for each in findings} <= IDS
    return findings


def faults(findings: list[Finding]) -> list[str]:
    known = (Severity.ERROR, Severity.WARNING)
    return [each.id for each in findings if each.severity in known]


async def test_diagnose_of_healthy_bucket_invents_nothing_and_leaves_nothing(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    findings = await found(make_driver())
    assert faults(findings) == []
    assert "gcs.not-visible" not in {each.id for each in findings}
    assert findings[0].id == "gcs.credentials"
    assert findings[0].evidence.startswith("by the option credentials; valid until 2")
    assert private.objects == {}


async def test_diagnose_without_probe_sends_only_what_reads(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    assert faults(await found(make_driver(), probe=False)) == []
    assert {each.split()[0] for each in private.requests if "/token" not in each} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({}, {"origin": "https://app.example.com"}, ["gcs.cors"]),
        ({"cors": [CORS]}, {"origin": "https://app.example.com"}, []),
        ({"cors": [CORS]}, {"origin": "https://other.org"}, ["gcs.cors"]),
        ({"iamConfiguration": {"publicAccessPrevention": "enforced"}}, {}, []),
    ],
)
async def test_diagnose_reads_the_settings_of_the_bucket(
    private: GoogleStore,
    make_driver: Callable[..., GCSDriver],
    settings: dict[str, Any],
    options: dict[str, Any],
    expected: list[str],
) -> None:
    private.settings = settings
    assert faults(await found(make_driver(), **options)) == expected


async def test_diagnose_names_visibility_that_the_bucket_does_not_take(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    private.uniform = True
    assert faults(await found(make_driver(visibility="private"))) == ["gcs.uniform-access"]
    assert faults(await found(make_driver())) == []
    private.uniform = False
    private.settings = {"iamConfiguration": {"publicAccessPrevention": "enforced"}}
    findings = await found(make_driver(visibility="public"))
    assert faults(findings) == ["gcs.public-access-prevention"]


async def test_diagnose_writes_nothing_where_files_are_kept_for_a_time(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    private.settings = {"retentionPolicy": {"retentionPeriod": "3600"}}
    private.settings |= {"softDeletePolicy": {"retentionDurationSeconds": "0"}}
    findings = await found(make_driver())
    assert faults(findings) == []
    assert [each.id for each in findings][-3:] == [
        "gcs.soft-delete-off",
        "gcs.cors",
        "gcs.retention",
    ]
    assert findings[-1].blocks
    assert not [each for each in private.requests if each.startswith("POST /upload")]


async def test_diagnose_names_the_permissions_that_credentials_lack(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    private.lacking = frozenset({"storage.objects.create", "storage.objects.delete"})
    findings = await found(make_driver())
    assert faults(findings) == ["gcs.permission-create", "gcs.permission-delete"]
    assert [each.blocks for each in findings[-2:]] == [False, True]
    assert faults(await found(make_driver(), writable=False)) == []
    rights = ("create", "delete", "get", "list")
    private.lacking = frozenset(f"storage.objects.{each}" for each in rights)
    assert faults(await found(make_driver())) == ["gcs.denied"]


async def test_diagnose_says_that_anyone_may_list(
    store: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    assert store.requires_token is False
    assert faults(await found(make_driver())) == ["gcs.public-listing"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bucket": "missing-bucket"}, "gcs.bucket-missing"),
        ({"anonymous": True}, "gcs.not-public"),
        ({"credentials_file": "/nothing/key.json"}, "gcs.credentials-missing"),
        ({"credentials_info": {"type": "authorized"}}, "gcs.credentials-missing"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "http.unreachable"),
        ({"endpoint_url": "https://127.0.0.1:9"}, "http.unreachable"),
    ],
)
async def test_diagnose_of_what_stops_all_is_one_finding_with_the_cause(
    private: GoogleStore,
    make_driver: Callable[..., GCSDriver],
    options: dict[str, Any],
    expected: str,
) -> None:
    assert private.requires_token
    findings = await found(make_driver(**options))
    assert [each.id for each in findings] == [expected]
    assert findings[0].blocks


async def test_diagnose_names_each_place_where_credentials_were_looked_for(
    make_driver: Callable[..., GCSDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nothing/key.json")
    [finding] = await found(make_driver(credentials_info=None))
    assert finding.id == "gcs.credentials-missing"
    assert "GOOGLE_APPLICATION_CREDENTIALS names /nothing/key.json, which is not there" in (
        finding.evidence
    )
    assert "application_default_credentials.json is not there" in finding.evidence


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "gcs.credentials-refused"), (503, "gcs.unavailable"), (400, "gcs.endpoint")],
)
async def test_diagnose_of_refused_listing_is_one_finding(
    store: GoogleStore, make_driver: Callable[..., GCSDriver], status: int, expected: str
) -> None:
    store.before = lambda request: (
        web.Response(status=status) if request.path.endswith("/o") else None
    )
    findings = await found(make_driver(max_attempts=1))
    assert [each.id for each in findings] == [expected]


async def test_diagnose_says_by_how_much_a_clock_is_wrong(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    headers = {"date": formatdate(time() - 1000, usegmt=True)}

    def answer(request: web.Request) -> web.Response | None:
        if "token" in request.path:
            return None
        return web.Response(status=401, headers=headers)

    private.before = answer
    [finding] = await found(make_driver(max_attempts=1))
    assert finding.id == "gcs.clock-skew"
    assert any(f"{seconds} s ahead of" in finding.message for seconds in (1000, 1001, 1002))


async def test_diagnose_names_conditions_that_an_emulator_ignores(
    store: GoogleStore,
    make_driver: Callable[..., GCSDriver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "_check", lambda *_, **__: None)
    findings = await found(make_driver(anonymous=True))
    assert faults(findings) == ["gcs.conditions"]
    assert store.objects == {}


async def test_diagnose_of_what_the_store_does_not_say_is_not_visible(
    private: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    def answer(request: web.Request) -> web.Response | None:
        if request.path.endswith("/iam/testPermissions"):
            return web.Response(text="no JSON")
        return web.Response(status=403) if request.path.endswith("/b/test-bucket") else None

    private.before = answer
    findings = await found(make_driver())
    assert faults(findings) == []
    assert [each.id for each in findings].count("gcs.not-visible") == 2
