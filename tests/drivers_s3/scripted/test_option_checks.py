"""Options and environment variables: checked at once, and found as an SDK user expects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jtc.storage import StorageConfigException, StorageManager
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import ALWAYS, Answer, Rule, ScriptedStore

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "SECRET-KEY"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access_key": "AKIDEXAMPLE\n"}, "access_key.* ends in a newline"),
        ({"secret_key": "SECRET-KEY\n"}, "secret_key.* ends in a newline"),
        ({"secret_key": "SECRET-KEY\r\n"}, "secret_key.* ends in a newline"),
        ({"session_token": "SESSION-TOKEN\n"}, "session_token.* ends in a newline"),
        ({"access_key": "AKID\tEXAMPLE"}, "access_key"),
        ({"session_token": "SESSION\0TOKEN"}, "session_token"),
        ({"access_key": "", "secret_key": ""}, "access_key"),
        ({"access_key": "AKIDEXAMPLE", "secret_key": ""}, "secret_key"),
        ({"bucket": "bucket\r\nX-Evil: 1"}, "bucket"),
        ({"bucket": "bucket\n"}, "bucket"),
        ({"bucket": "a b"}, "bucket"),
        ({"bucket": ".."}, "bucket"),
        ({"region": "us-east-1.evil.com/"}, "region"),
        ({"region": "us-east-1\n"}, "region"),
        ({"region": "us-east-1.evil.com"}, "region"),
        ({"region": "us east"}, "region"),
        ({"endpoint_url": "https://s3.test\r\nX-Evil: 1"}, "endpoint_url"),
        ({"endpoint_url": "https://s3.test/\n"}, "endpoint_url"),
        ({"endpoint_url": "https://s3 .test/"}, "endpoint_url"),
        ({"endpoint_url": "https://s3.test:99999/"}, "endpoint_url"),
        ({"endpoint_url": "ftp://s3.test"}, "endpoint_url"),
        ({"signing_endpoint_url": "https://s3.test\n"}, "signing_endpoint_url"),
        ({"public_url": "https://cdn.test/\r\nX-Evil: 1"}, "public_url"),
        ({"public_url": "javascript:alert(1)"}, "public_url"),
        ({"max_connections": float("nan")}, "max_connections"),
        ({"read_timeout": float("inf")}, "read_timeout"),
    ],
    ids=repr,
)
def test_option_that_cannot_work_is_refused_by_name(options: dict[str, Any], words: str) -> None:
    given = {"bucket": "bucket", **KEYS, **options}
    with pytest.raises(StorageConfigException, match=words) as caught:
        S3Driver(**given)
    assert "SECRET-KEY" not in str(caught.value)
    assert "SESSION-TOKEN" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
async def test_environment_key_that_ends_in_a_newline_is_refused_by_name(
    store: ScriptedStore, make_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-KEY")
    monkeypatch.setenv(name, "VALUE\n")
    disk = make_disk(store, access_key=None, secret_key=None)
    with pytest.raises(StorageConfigException, match="newline") as caught:
        await disk.get("a")
    assert "SECRET-KEY" not in str(caught.value)
    with pytest.raises(StorageConfigException, match="newline"):
        await disk.temporary_url("a", 60)
    assert store.requests == []


# Regions

CONFIG = "[default]\nregion = eu-north-1\n[profile p]\nregion = eu-south-1\n"
SECRETS = "".join(
    f"[{name}]\naws_access_key_id = A\naws_secret_access_key = S\n" for name in ("default", "p")
)


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, "us-east-1"),
        ({"AWS_REGION": "eu-west-2"}, {}, "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, {}, "eu-west-3"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-3"}, {}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2"}, {"region": "eu-west-1"}, "eu-west-1"),
        ({"file": "yes"}, {}, "eu-north-1"),
        ({"file": "yes", "AWS_PROFILE": "p"}, {}, "eu-south-1"),
        ({"file": "yes"}, {"profile": "p"}, "eu-south-1"),
        ({"file": "yes", "AWS_REGION": "eu-west-2"}, {}, "eu-west-2"),
    ],
)
async def test_region_is_found_as_the_sdk_finds_it(
    store: ScriptedStore,
    make_disk: MakeDisk,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environ: dict[str, str],
    options: dict[str, Any],
    expected: str,
) -> None:
    environ = dict(environ)
    if environ.pop("file", None):
        (tmp_path / "config").write_text(CONFIG)
        (tmp_path / "credentials").write_text(SECRETS)
        environ["AWS_CONFIG_FILE"] = str(tmp_path / "config")
        environ["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "credentials")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if "profile" in options:
        options = {"access_key": None, "secret_key": None, **options}
    disk = make_disk(store, **options)
    assert not await disk.exists("a")
    assert {request.region for request in store.requests} == {expected}
    query = parse_qs(urlsplit(await disk.temporary_url("a", 60)).query)
    assert query["X-Amz-Credential"][0].split("/")[2] == expected


async def test_presigned_urls_follow_the_region_of_the_bucket(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(
        Rule(
            where=lambda request: request.region != "eu-west-1",
            times=ALWAYS,
            answer=Answer(301, {"x-amz-bucket-region": "eu-west-1"}),
        )
    )
    await disk.exists("a")
    url = await disk.temporary_url("a", 60)
    form = await disk.temporary_upload_form("a", 60, max_size=9)
    assert "%2Feu-west-1%2Fs3" in url
    credential = {name.lower(): value for name, value in form.fields.items()}["x-amz-credential"]
    assert "/eu-west-1/s3" in credential


# driver_options of presigned uploads

SIGNED = {
    "ServerSideEncryption": ("x-amz-server-side-encryption", "aws:kms"),
    "SSEKMSKeyId": ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
    "StorageClass": ("x-amz-storage-class", "STANDARD_IA"),
}


async def test_presigned_upload_has_the_driver_options(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    options = {name: value for name, (_, value) in SIGNED.items()}
    disk = make_disk(store, driver_options={**options, "Tagging": "a=b"})
    request = await disk.temporary_upload_url("a", 60)
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = parse_qs(urlsplit(request.url).query)["X-Amz-SignedHeaders"][0].split(";")
    form = await disk.temporary_upload_form("a", 60, max_size=9)
    fields = {name.lower(): value for name, value in form.fields.items()}
    for header, value in SIGNED.values():
        assert headers[header] == value
        assert header in signed
        assert fields[header] == value
    assert headers["x-amz-tagging"] == "a=b"
    assert "<Key>a</Key><Value>b</Value>" in fields["tagging"]


# Endpoints


async def test_endpoint_that_ends_in_the_bucket_shifts_no_key(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("a", b"content")
    try:
        disk = make_disk(store, endpoint_url=f"{store.endpoint_url}/bucket")
        content = await disk.get("a")
    except StorageConfigException as error:
        assert "endpoint_url" in str(error)  # noqa: PT017 - refused, or understood
        return
    assert content == b"content"
    await disk.put("b", b"1")
    assert sorted(store.objects) == ["a", "b"]
    assert disk.url("a") == f"{store.endpoint_url}/bucket/a"


def test_endpoint_variable_of_other_libraries_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "https://s3.test")
    S3Driver("bucket")
    assert [record.name for record in caplog.records] == ["jtc.storage"]
    assert "AWS_ENDPOINT_URL" in caplog.text


def test_filesystem_driver_variable_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FILESYSTEM_DRIVER", "s3")
    assert StorageManager.isolated().disk().capabilities
    assert "FILESYSTEM_DISK" in caplog.text


# Presigning without awaiting


async def test_sync_temporary_url_works_inside_a_running_loop(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, session_token="SESSION-TOKEN")
    url = disk.sync.temporary_url("a", 60)
    assert url.startswith(f"{store.endpoint_url}/bucket/a?")
    assert "X-Amz-Signature=" in url
    assert list(disk.sync.temporary_urls(["a", "b"], 60)) == ["a", "b"]
    assert disk.sync.temporary_upload_url("a", 60).method == "PUT"
    assert "policy" in {
        name.lower() for name in disk.sync.temporary_upload_form("a", 60, max_size=9).fields
    }
    assert store.connections == 0


async def test_sync_temporary_url_inside_a_loop_uses_the_keys_that_a_function_returned(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    async def source() -> dict[str, str]:
        return KEYS

    disk = make_disk(store, access_key=None, secret_key=None, credentials=source)
    await disk.exists("a")
    assert "AKIDEXAMPLE" in disk.sync.temporary_url("a", 60)


async def test_sync_temporary_url_that_would_wait_says_how_to_await_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    import asyncio

    async def source() -> dict[str, str]:
        # Not the patched one: this really waits.
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        return KEYS

    disk = make_disk(store, access_key=None, secret_key=None, credentials=source)
    with pytest.raises(RuntimeError, match=r"await disk\.temporary_url"):
        disk.sync.temporary_url("a", 60)
    assert "AKIDEXAMPLE" in await disk.temporary_url("a", 60)
