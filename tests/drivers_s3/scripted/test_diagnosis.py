"""The diagnosis of stores whose answers no engine gives here."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any

import pytest

from healthy_stores import XML, is_anonymous, make_healthy
from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from pathlib import Path

MakeDriver = Callable[..., S3Driver]

SETTINGS = (
    *("GetBucketVersioning", "GetObjectLockConfiguration", "GetBucketLifecycleConfiguration"),
    *("ListMultipartUploads", "GetBucketCors", "GetBucketEncryption"),
)


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    """Serve a private bucket in which nothing is wrong."""
    async with ScriptedStore() as scripted:
        make_healthy(scripted)
        yield scripted


@pytest.fixture
async def make_driver(store: ScriptedStore) -> AsyncIterator[MakeDriver]:
    made: list[S3Driver] = []

    def make(**options: Any) -> S3Driver:
        given = {"bucket": "bucket", "endpoint_url": store.endpoint_url, "access_key": "KEY"}
        driver = S3Driver(**{**given, "secret_key": "SECRET-KEY", **options})
        made.append(driver)
        return driver

    yield make
    for driver in made:
        await driver.aclose()


ACCELERATION = "S3 Transfer Acceleration is not configured on this bucket"


def first(store: ScriptedStore, rule: Rule) -> None:
    store.rules.insert(0, rule)


async def found(driver: S3Driver, **options: Any) -> list[Finding]:
    findings = [each async for each in driver.diagnose(DiagnosisOptions(**options))]
    assert all(each.message.endswith(".") and each.evidence for each in findings)
    assert {each.id for each in findings} <= IDS
    return findings


def faults(findings: list[Finding]) -> list[str]:
    known = (Severity.ERROR, Severity.WARNING)
    return [each.id for each in findings if each.severity in known]


async def test_diagnose_of_healthy_store_has_no_fault_and_leaves_nothing(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    assert faults(await found(make_driver())) == []
    assert store.objects == {}
    assert store.uploads == {}


async def test_diagnose_without_probe_sends_only_what_reads(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    assert faults(await found(make_driver(), probe=False)) == []
    assert {each.method for each in store.requests} == {"GET", "HEAD"}
    await found(make_driver(), probe=True)
    assert {each.method for each in store.requests} == {"GET", "HEAD", "PUT", "POST", "DELETE"}


async def test_diagnose_cancelled_at_any_request_leaves_nothing(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    await found(make_driver())
    number = len(store.requests)
    assert number > 40
    for skip in range(1, number, 13):
        arrived = Rule(skip=skip, edit={})
        first(store, arrived)
        task = asyncio.create_task(found(make_driver()))
        await arrived.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.rules.remove(arrived)
        assert store.objects == {}, skip
        assert store.uploads == {}, skip


async def test_diagnose_leaves_no_upload_whose_id_it_never_learned(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    first(store, Rule(operations="CreateMultipartUpload", times=ALWAYS, apply=True, cut=3))
    store.begin_upload("of-others")
    findings = await found(make_driver(max_attempts=1))
    assert faults(findings) == ["s3.unfinished-uploads", "s3.parts-failed"]
    assert [each.key for each in store.uploads.values()] == ["of-others"]


@pytest.mark.parametrize("seconds", [-3600, 3600, -400])
async def test_diagnose_says_by_how_much_a_clock_is_wrong(
    store: ScriptedStore, make_driver: MakeDriver, seconds: int
) -> None:
    edit = {"date": formatdate(time() + seconds, usegmt=True)}
    store.rules.clear()
    store.rule(Rule(where=is_anonymous, times=ALWAYS, answer=refusal(403, "No"), edit=edit))
    code = "RequestTimeTooSkewed" if abs(seconds) > 900 else "SignatureDoesNotMatch"
    store.rule(Rule(times=ALWAYS, answer=refusal(403, code), edit=edit))
    [finding] = await found(make_driver())
    assert finding.id == "s3.clock-skew"
    assert finding.blocks
    assert any(f"{abs(seconds) + more} s" in finding.message for more in (-2, -1, 0, 1))
    assert ("behind" if seconds > 0 else "ahead of") in finding.message


async def test_diagnose_warns_of_clock_that_is_not_refused_yet(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    edit = {"date": formatdate(time() + 120, usegmt=True)}
    store.rules[0].edit = edit
    findings = await found(make_driver(), probe=False)
    assert faults(findings) == ["s3.clock-skew"]
    assert not findings[0].blocks


async def test_diagnose_names_region_that_requests_are_signed_anew_for(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    answer = refusal(400, "AuthorizationHeaderMalformed", inside="<Region>eu-west-3</Region>")
    first(store, Rule(where=lambda each: each.region == "us-east-1", times=ALWAYS, answer=answer))
    findings = await found(make_driver(), probe=False)
    assert faults(findings) == ["s3.region"]
    [finding] = [each for each in findings if each.id == "s3.region"]
    assert finding.fix == 'region = "eu-west-3"'


async def test_diagnose_names_region_of_bucket_that_is_at_another_endpoint(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    answer = refusal(301, "PermanentRedirect", inside="<Region>eu-west-3</Region>")
    store.rules.clear()
    store.rule(Rule(times=ALWAYS, answer=answer))
    [finding] = await found(make_driver())
    assert (finding.id, finding.blocks) == ("s3.region", True)
    assert "eu-west-3" in finding.fix


async def test_diagnose_names_where_an_endpoint_redirects_to(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    store.rules.clear()
    answer = Answer(302, {"location": "https://elsewhere.example.com/login?x"})
    store.rule(Rule(times=ALWAYS, answer=answer))
    [finding] = await found(make_driver())
    assert finding.id == "s3.redirect"
    assert finding.evidence == "HTTP 302 to https://elsewhere.example.com"


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        (refusal(403, "ExpiredToken"), {}, "s3.credentials-expired"),
        (refusal(403, "SecondLevelDomainForbidden"), {}, "s3.addressing-style"),
        (Answer(200, {}, b"<html>Console</html>"), {}, "s3.endpoint"),
        (Answer(200, {}, b"not XML"), {}, "s3.endpoint"),
        (refusal(405, "MethodNotAllowed"), {}, "s3.endpoint"),
        (refusal(400, "InvalidBucketState"), {}, "s3.refused"),
        (refusal(400, "InvalidRequest", ACCELERATION), {}, "s3.acceleration-off"),
        (refusal(503, "ServiceUnavailable"), {"max_attempts": 1}, "s3.unavailable"),
        (
            Answer(200, {}, b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"),
            {},
            "s3.addressing-style",
        ),
        (
            Answer(200, {}, b"<ListBucketResult><Name>other</Name></ListBucketResult>"),
            {},
            "s3.endpoint-path",
        ),
    ],
)
async def test_diagnose_of_what_stops_all_is_one_finding(
    store: ScriptedStore,
    make_driver: MakeDriver,
    answer: Answer,
    options: dict[str, Any],
    expected: str,
) -> None:
    first(store, Rule(operations="ListObjectsV2", times=ALWAYS, answer=answer))
    assert [each.id for each in await found(make_driver(**options))] == [expected]


async def test_diagnose_of_endpoint_that_has_the_bucket_says_what_to_write(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    endpoint = store.endpoint_url.replace("127.0.0.1", "localhost")
    driver = make_driver(bucket="localhos", endpoint_url=endpoint)
    first(store, Rule(times=ALWAYS, answer=refusal(404, "NoSuchBucket")))
    assert [each.id for each in await found(driver)] == ["s3.bucket-missing"]
    driver = make_driver(bucket="127", endpoint_url=store.endpoint_url)
    [finding] = await found(driver)
    assert finding.id == "s3.endpoint-bucket"
    assert "//0.0.1:" in finding.fix


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "AccessDenied"),
        refusal(501, "NotImplemented"),
        Answer(200, {}, b"<html>"),
        Answer(200, {}, b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"),
        Answer(200, {}, b""),
    ],
)
async def test_diagnose_of_what_store_does_not_say_is_not_visible(
    store: ScriptedStore, make_driver: MakeDriver, answer: Answer
) -> None:
    for operation in SETTINGS:
        first(store, Rule(operations=operation, times=ALWAYS, answer=answer))
    findings = await found(make_driver(), probe=False)
    assert faults(findings) == []
    assert [each.id for each in findings].count("s3.not-visible") == len(SETTINGS)


@pytest.mark.parametrize("is_permitted", [True, False])
async def test_diagnose_where_versioning_is_not_visible_leaves_no_version(
    store: ScriptedStore, make_driver: MakeDriver, *, is_permitted: bool
) -> None:
    denied = refusal(403, "AccessDenied")
    first(store, Rule(operations="GetBucketVersioning", times=ALWAYS, answer=denied))
    first(store, Rule(operations="HeadObject", times=ALWAYS, edit={"x-amz-version-id": "v1"}))
    if not is_permitted:
        first(store, Rule(operations="ListObjectVersions", times=ALWAYS, answer=denied))
    findings = await found(make_driver())
    assert faults(findings) == []
    assert (findings[-1].id, findings[-1].blocks) == ("s3.versions-kept", True)
    removed = [each.query.get("versionId") for each in store.of("DeleteObject")]
    assert ("v1" in removed) == (not is_permitted)
    assert len(store.of("ListObjectVersions")) > 1 - is_permitted
    hidden = [each.message for each in findings if each.id == "s3.not-visible"]
    assert ("Further writes are not tried out." in hidden) == (not is_permitted)


async def test_diagnose_of_store_that_is_silent_about_a_setting_goes_on(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    first(store, Rule(operations="GetBucketCors", times=ALWAYS, silent=True))
    findings = await found(make_driver(), probe=False, timeout=0.2)
    [finding] = [each for each in findings if each.severity is Severity.NOT_VISIBLE]
    assert "0.2 s" in finding.evidence
    assert "s3.encryption-off" in [each.id for each in findings]


async def test_diagnose_says_which_settings_of_bucket_lack(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    store.rules = store.rules[:1]
    store.begin_upload("large")
    findings = await found(make_driver(), origin="https://app.example.com", probe=False)
    assert faults(findings) == ["s3.lifecycle-uploads", "s3.unfinished-uploads", "s3.cors"]
    texts = {each.id: f"{each.evidence} {each.fix}" for each in findings}
    assert "AbortIncompleteMultipartUpload" in texts["s3.lifecycle-uploads"]
    assert "1 unfinished uploads, the oldest of" in texts["s3.unfinished-uploads"]
    assert '"AllowedOrigins": ["https://app.example.com"]' in texts["s3.cors"]


async def test_diagnose_names_rules_that_lack_the_origin_of_pages(
    make_driver: MakeDriver, store: ScriptedStore
) -> None:
    document = XML["GetBucketCors"].replace(">*</AllowedO", ">https://a.example.com</AllowedO")
    first(
        store,
        Rule(operations="GetBucketCors", times=ALWAYS, answer=Answer(200, {}, document.encode())),
    )
    assert faults(await found(make_driver(), probe=False)) == []
    findings = await found(make_driver(), probe=False, origin="https://b.example.com")
    assert faults(findings) == ["s3.cors"]
    findings = await found(make_driver(), probe=False, origin="https://a.example.com")
    assert faults(findings) == []


async def test_diagnose_warns_of_versioning_that_was_suspended(
    make_driver: MakeDriver, store: ScriptedStore
) -> None:
    document = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    first(
        store,
        Rule(operations="GetBucketVersioning", times=ALWAYS, answer=Answer(200, {}, document)),
    )
    findings = await found(make_driver(), probe=False)
    assert faults(findings) == ["s3.versioning-suspended"]


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        (
            refusal(400, "InvalidArgument", "Unsupported header x-amz-checksum-crc32"),
            {},
            "s3.checksums",
        ),
        (refusal(400, "AccessControlListNotSupported"), {"visibility": "public"}, "s3.acls-off"),
        (refusal(403, "AccessDenied"), {}, "s3.permission-put"),
        (refusal(507, "QuotaExceeded"), {}, "s3.put-failed"),
    ],
)
async def test_diagnose_says_why_nothing_can_be_stored(
    store: ScriptedStore,
    make_driver: MakeDriver,
    answer: Answer,
    options: dict[str, Any],
    expected: str,
) -> None:
    first(store, Rule(operations="PutObject", times=ALWAYS, answer=answer))
    findings = await found(make_driver(**options))
    assert faults(findings) == [expected]
    assert findings[-1].blocks


async def test_diagnose_names_missing_right_to_abort_uploads(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    denied = refusal(403, "AccessDenied")
    first(store, Rule(operations="AbortMultipartUpload", times=ALWAYS, answer=denied))
    assert faults(await found(make_driver())) == ["s3.permission-abort"]
    assert store.uploads == {}


async def test_diagnose_of_keys_that_may_upload_only_leaves_nothing(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    operations = "GetObject HeadObject ListObjectsV2 DeleteObject DeleteObjects"
    denied = refusal(403, "AccessDenied")
    first(store, Rule(operations=operations, times=ALWAYS, answer=denied))
    findings = await found(make_driver())
    assert faults(findings) == ["s3.permission-list", "s3.permission-delete"]
    assert store.objects == {}
    assert store.uploads == {}


async def test_diagnose_says_that_public_files_are_not(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    document = (
        b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls>"
        b"</PublicAccessBlockConfiguration>"
    )
    first(
        store,
        Rule(operations="GetPublicAccessBlock", times=ALWAYS, answer=Answer(200, {}, document)),
    )
    findings = await found(make_driver(visibility="public"))
    assert faults(findings) == ["s3.public-access-block", "s3.not-public"]


async def test_diagnose_says_that_private_files_are_public(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    del store.rules[0]
    private = await found(make_driver(visibility="private"))
    assert faults(private) == ["s3.public-listing", "s3.public"]
    assert Severity.ERROR in [each.severity for each in private if each.id == "s3.public"]
    public = await found(make_driver(visibility="public"))
    assert faults(public) == ["s3.public-listing"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(403, "AccessDenied"), "HTTP 403"),
        (refusal(404, "NoSuchKey"), "HTTP 404"),
        (Answer(200, {}, b"another site"), "other content"),
        (Answer(301, {"location": "https://www.example.com/"}), "to https://www.example.com"),
    ],
)
async def test_diagnose_says_that_public_url_does_not_serve_files(
    make_driver: MakeDriver, answer: Answer, said: str
) -> None:
    async with ScriptedStore() as site:
        site.rule(Rule(times=ALWAYS, answer=answer))
        findings = await found(make_driver(public_url=f"{site.endpoint_url}/files"))
        assert site.requests[0].target.startswith("/files/.jtc-check-")
    assert faults(findings) == ["s3.public-url"]
    [finding] = [each for each in findings if each.id == "s3.public-url"]
    assert said in finding.evidence


async def test_diagnose_of_public_url_that_nothing_answers_says_why(
    make_driver: MakeDriver,
) -> None:
    findings = await found(make_driver(public_url="http://127.0.0.1:9"))
    [finding] = [each for each in findings if each.id == "s3.public-url"]
    assert "cannot be reached" in finding.evidence


async def test_diagnose_names_conditions_that_the_store_ignores(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    first(
        store,
        Rule(operations="PutObject CopyObject", times=ALWAYS, ignore=("if-none-match", "if-match")),
    )
    findings = await found(make_driver())
    assert faults(findings) == ["s3.conditions"]
    [finding] = [each for each in findings if each.id == "s3.conditions"]
    assert finding.evidence == "not kept: copy, put"
    assert finding.fix == 'conditions = ["delete", "delete_any", "delete_many", "parts"]'
    findings = await found(make_driver(conditions=["put", "delete"]))
    assert faults(findings) == ["s3.conditions-lost"]
    [finding] = [each for each in findings if each.id == "s3.conditions-lost"]
    assert finding.fix == 'conditions = ["delete"]'


async def test_diagnose_says_that_content_is_other_than_was_stored(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    answer = Answer(200, {"etag": '"x"'}, b"other")
    first(
        store,
        Rule(
            operations="GetObject",
            where=lambda each: not is_anonymous(each),
            times=ALWAYS,
            answer=answer,
        ),
    )
    assert "s3.content" in faults(await found(make_driver(conditions=[])))
    assert store.objects == {}


async def test_diagnose_says_where_keys_come_from_and_how_long_they_last(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keys(seconds: float) -> dict[str, object]:
        return {"access_key": "K", "secret_key": "SECRET", "expires_at": time() + seconds}

    without = {"access_key": None, "secret_key": None}
    for seconds, expected in ((3600, "s3.credentials"), (60, "s3.credentials-expiring")):
        driver = make_driver(**without, credentials=lambda left=seconds: keys(left))
        finding = (await found(driver, probe=False))[0]
        assert finding.id == expected
        assert "the option credentials; valid until 2" in finding.evidence
        assert "SECRET" not in finding.evidence
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "K")
    [missing] = await found(make_driver(**without))
    assert missing.id in ("s3.credentials-missing", "s3.credentials-source")
    assert "AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY" in missing.evidence
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET\n")
    [malformed] = await found(make_driver(**without))
    assert malformed.id == "s3.credentials-malformed"
    assert "ends in a newline" in malformed.evidence
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    [first_one, *_] = await found(make_driver(**without), probe=False)
    assert first_one.evidence.startswith("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;")


async def test_diagnose_names_the_profile_or_the_container_that_keys_come_from(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = {"access_key": None, "secret_key": None}
    file = tmp_path / "credentials"
    file.write_text("[work]\naws_access_key_id = K\naws_secret_access_key = SECRET\n[none]\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    found_one = (await found(make_driver(**without, profile="work"), probe=False))[0]
    assert found_one.evidence.startswith(f"the profile 'work' of {file};")
    [missing] = await found(make_driver(**without, profile="none"))
    assert missing.id == "s3.credentials-missing"
    assert f"{file} has the profile 'none' without keys" in missing.evidence
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    async with ScriptedStore() as role:
        ends = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time() + 3600))
        keys = {"AccessKeyId": "K", "SecretAccessKey": "SECRET", "Token": "T", "Expiration": ends}
        role.rule(Rule(times=ALWAYS, answer=Answer(200, {}, json.dumps(keys).encode())))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role.endpoint_url}/keys")
        found_one = (await found(make_driver(**without), probe=False))[0]
    assert found_one.evidence.startswith("the role of the container; valid until 2")
    assert "SECRET" not in repr(found_one)


async def test_diagnose_names_options_that_exclude_each_other(make_driver: MakeDriver) -> None:
    given = {"endpoint_url": None, "use_accelerate": True}
    for more in ({"use_fips": True}, {"addressing_style": "path"}, {"bucket": "a.b"}):
        [finding] = await found(make_driver(**{**given, **more}))
        assert (finding.id, finding.blocks) == ("s3.options", True)


async def test_diagnose_shows_no_secret_that_a_store_repeats(
    store: ScriptedStore, make_driver: MakeDriver
) -> None:
    def repeat(request: Request) -> Answer:
        return refusal(400, "Odd", f"You sent {request.headers.get('x-amz-security-token')}")

    signed = Rule(where=lambda each: not is_anonymous(each), times=ALWAYS, answer=repeat)
    first(store, signed)
    [finding] = await found(make_driver(session_token="SESSION-TOKEN"))
    assert (finding.id, finding.evidence) == ("s3.refused", "HTTP 400 Odd: You sent ***")
