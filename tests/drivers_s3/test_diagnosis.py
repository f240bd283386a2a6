"""The diagnosis of buckets of a real store, and of keys that IAM lets do some things only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from healthy_stores import KEPT, RIGHTS, make_healthy_bucket
from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_fixtures import MakeDriver
    from seaweedfs import SeaweedFS

# Without a right that races of conditional writes need: SeaweedFS takes seconds for them.
NO_RACES = tuple(each for each in RIGHTS if each != "s3:GetObject")


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def bucket(store_client: Any) -> str:
    """Make a bucket in which nothing is wrong."""
    return make_healthy_bucket(store_client, "healthy-bucket")


@pytest.fixture
def keys_for(seaweedfs: SeaweedFS) -> Callable[..., dict[str, str]]:
    """Return a function that makes keys for some actions in one bucket."""
    return seaweedfs.keys_for


async def found(driver: S3Driver, **options: Any) -> list[Finding]:
    findings = [each async for each in driver.diagnose(DiagnosisOptions(**options))]
    assert all(each.message.endswith(".") and each.evidence for each in findings)
    assert {each.id for each in findings} <= IDS
    return findings


def faults(findings: list[Finding]) -> list[str]:
    """Return the ids of what is wrong."""
    known = (Severity.ERROR, Severity.WARNING)
    return [each.id for each in findings if each.severity in known]


def stored(client: Any, bucket: str) -> tuple[list[Any], list[Any]]:
    """Return all versions of all objects of a bucket, and its unfinished uploads."""
    versions = client.list_object_versions(Bucket=bucket)
    entries = [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return entries, uploads


async def test_diagnose_of_healthy_bucket_invents_nothing_and_leaves_nothing(
    make_driver: MakeDriver, bucket: str, store_client: Any
) -> None:
    findings = await found(
        make_driver(bucket=bucket), origin="https://app.example.com", probe=False
    )
    assert faults(findings) == []
    ids = {each.id for each in findings}
    assert {"s3.credentials", "http.latency", "s3.versioning-off"} <= ids
    assert stored(store_client, bucket) == ([], [])


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ("s3:ListBucket", ["s3.permission-list"]),
        ("s3:GetObject", ["s3.permission-get"]),
        ("s3:PutObject", ["s3.permission-put"]),
        ("s3:DeleteObject", ["s3.permission-delete"]),
    ],
)
async def test_diagnose_names_the_action_that_keys_lack(
    make_driver: MakeDriver,
    bucket: str,
    store_client: Any,
    keys_for: Callable[..., dict[str, str]],
    lacking: str,
    expected: list[str],
) -> None:
    allowed = [each for each in RIGHTS if each != lacking]
    driver = make_driver(bucket=bucket, conditions=KEPT, **keys_for(bucket, *allowed))
    findings = await found(driver)
    assert faults(findings) == expected
    [fault] = [each for each in findings if each.id == expected[0]]
    assert lacking in fault.message
    assert lacking in fault.fix
    assert stored(store_client, bucket) == ([], [])


async def test_diagnose_of_what_keys_may_not_look_at_is_no_fault(
    make_driver: MakeDriver, bucket: str, keys_for: Callable[..., dict[str, str]]
) -> None:
    findings = await found(make_driver(bucket=bucket, **keys_for(bucket, *RIGHTS)), probe=False)
    assert faults(findings) == []
    hidden = [each for each in findings if each.severity is Severity.NOT_VISIBLE]
    assert {each.id for each in hidden} == {"s3.not-visible"}
    assert any("s3:GetBucketCORS" in each.message for each in hidden)


async def test_diagnose_of_disk_that_is_read_only_needs_no_rights_to_write(
    make_driver: MakeDriver, bucket: str, keys_for: Callable[..., dict[str, str]]
) -> None:
    keys = keys_for(bucket, "s3:ListBucket", "s3:GetObject")
    findings = await found(make_driver(bucket=bucket, **keys), writable=False)
    assert faults(findings) == []


async def test_diagnose_of_bucket_of_others_is_one_finding(
    make_driver: MakeDriver, bucket: str, keys_for: Callable[..., dict[str, str]]
) -> None:
    driver = make_driver(bucket=bucket, **keys_for("another-bucket", *RIGHTS))
    findings = await found(driver)
    seen = [each.id for each in findings if each.severity is not Severity.NOTICE]
    assert seen == ["s3.bucket-denied"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bucket": "missing-bucket"}, "s3.bucket-missing"),
        ({"secret_key": "wrong"}, "s3.credentials-refused"),
        ({"access_key": "wrong"}, "s3.credentials-refused"),
        ({"secret_key": '"quoted"'}, "s3.credentials-malformed"),
        ({"secret_key": "AKIAIOSFODNN7EXAMPLE"}, "s3.credentials-malformed"),
        ({"access_key": "ASIAIOSFODNN7EXAMPLE"}, "s3.credentials-malformed"),
        ({"access_key": "${AWS_KEY}", "secret_key": "x"}, "s3.credentials-malformed"),
        ({"access_key": None, "secret_key": None}, "s3.credentials-missing"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "http.unreachable"),
        ({"endpoint_url": "{endpoint}/media"}, "s3.endpoint-path"),
        ({"endpoint_url": "https://{place}"}, "http.tls-not-spoken"),
        ({"endpoint_url": "http://store.invalid"}, "http.plain http.dns"),
    ],
)
async def test_diagnose_of_what_stops_all_is_one_finding_with_the_cause(
    make_driver: MakeDriver, seaweedfs: SeaweedFS, options: dict[str, Any], expected: str
) -> None:
    endpoint = seaweedfs.endpoint_url
    filled = {
        name: value.replace("{endpoint}", endpoint).replace("{place}", endpoint[7:])
        if isinstance(value, str)
        else value
        for name, value in options.items()
    }
    findings = await found(make_driver(**filled))
    assert [each.id for each in findings] == expected.split()
    assert findings[-1].blocks
    assert findings[-1].evidence
    assert findings[-1].fix
    secret = str(options.get("secret_key"))
    assert secret not in f"{findings[-1].message} {findings[-1].evidence} {findings[-1].fix}"


async def test_diagnose_of_host_that_the_bucket_is_added_to_says_addressing_style(
    make_driver: MakeDriver, seaweedfs: SeaweedFS
) -> None:
    endpoint = seaweedfs.endpoint_url.replace("127.0.0.1", "store.invalid")
    driver = make_driver(endpoint_url=endpoint, addressing_style="virtual")
    [*_, finding] = await found(driver)
    assert (finding.id, finding.fix) == ("s3.addressing-style", 'addressing_style = "path"')


async def test_diagnose_leaves_no_versions(
    make_driver: MakeDriver, store_client: Any, keys_for: Callable[..., dict[str, str]]
) -> None:
    name = "versioned-bucket"
    store_client.create_bucket(Bucket=name)
    store_client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    versions = "s3:ListBucketVersions", "s3:DeleteObjectVersion", "s3:GetBucketVersioning"
    keys = keys_for(name, *NO_RACES, *versions)
    findings = await found(make_driver(bucket=name, **keys))
    assert "Writes are not tried out." not in {each.message for each in findings}
    assert faults(findings) == ["s3.permission-get"]
    assert stored(store_client, name) == ([], [])


async def test_diagnose_writes_nothing_where_files_are_locked(
    make_driver: MakeDriver, store_client: Any
) -> None:
    name = "locked-bucket"
    store_client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    store_client.put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention},
    )
    findings = await found(make_driver(bucket=name, conditions=KEPT))
    assert "s3.object-lock" in {each.id for each in findings}
    assert (
        "default retention"
        in [each for each in findings if each.id == "s3.not-visible"][-1].evidence
    )
    assert stored(store_client, name) == ([], [])
