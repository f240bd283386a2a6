"""The page of stores says what the disks send, and what the kinds of stores in the tests do."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from disk_calls import CALLS, IN_PARTS, fill
from jtc.storage import Disk, StorageException, StorageManager
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import Request, ScriptedStore
from store_profiles import PROFILES

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples" / "gallery"))

from bucket_cors import rule_for

Call = Callable[[Disk], Awaitable[object]]

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text()

# The disks of the page, and the kinds of stores that they are for.
DISKS = {
    "r2": "Cloudflare R2",
    "b2": "Backblaze B2",
    "gcs": "Google Cloud Storage",
    "spaces": "DigitalOcean Spaces",
    "hetzner": "Hetzner",
    "ceph": "Ceph RGW",
    "oss": "Alibaba OSS",
    "cos": "Tencent COS",
    "obs": "Huawei OBS",
    "storagegrid": "StorageGRID",
    "oracle": "Oracle",
    "ovh": "OVHcloud",
    "scaleway": "Scaleway",
    "minio": "MinIO",
    "garage": "Garage",
    "supabase": "Supabase",
    "wasabi": "Wasabi",
}


def toml_disks(driver: str = "s3") -> dict[str, dict[str, Any]]:
    """Return the page's disks of a driver, by name."""
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    disks = [pair for block in blocks for pair in tomllib.loads(block)["disks"].items()]
    return {name: disk for name, disk in disks if disk["driver"] == driver}


def rows(heading: str) -> list[str]:
    """Return the rows of the table that begins with a heading."""
    start = PAGE.index(f"| {heading} |")
    table = PAGE[start:].partition("\n\n")[0].splitlines()
    return table[2:]


def test_every_disk_of_page_is_built_and_has_options_of_its_profile() -> None:
    disks = toml_disks()
    assert disks.keys() == DISKS.keys() | {"aws", "tigris"}
    manager = StorageManager.isolated({"disks": disks})
    for name, given in disks.items():
        assert manager.disk(name).driver_as(S3Driver)
        if name in DISKS:
            profile = PROFILES[DISKS[name]]
            set_here = dict(given)
            assert set_here.pop("driver") == "s3"
            assert set_here.pop("bucket")
            assert set_here.pop("endpoint_url") == f"https://{profile.endpoint}{profile.base}"
            has_acls = "visibility" not in profile.refused
            assert set_here.pop("disable", []) == ([] if has_acls else ["visibility"])
            assert set_here == {**profile.options}, name


def test_every_disk_by_opendal_is_built_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    disks = toml_disks("opendal")
    assert {"nextcloud", "ftp", "redis", "gdrive", "dropbox"} <= disks.keys()
    for name in re.findall(r"\$\{(\w+)\}", str(disks)):
        url = "postgresql://me:secret@127.0.0.1/media"
        monkeypatch.setenv(name, url if name == "DATABASE_URL" else "secret")
    manager = StorageManager.isolated({"disks": disks})
    for name, given in disks.items():
        assert given["scheme"] in repr(manager.disk(name).driver_as(OpenDALDriver))


def test_conditions_of_page_are_those_of_profiles() -> None:
    kept = {row.split(" | ")[0][2:]: row.split(" | ")[1] for row in rows("store | conditions")}
    for store in DISKS.values():
        profile = PROFILES[store]
        is_known = "conditions" in profile.options or store == "Scaleway"
        held = listed({*profile.conditions}) if is_known else "not known"
        assert kept[store] == (held or "none"), store


def test_cors_rule_of_page_is_that_of_the_gallery() -> None:
    block = PAGE.partition("# CORS")[2].partition("```json\n")[2].partition("```")[0]
    assert json.loads(block) == [rule_for(["https://app.example.com"])]


def test_table_of_differences_is_that_of_profiles() -> None:
    expected = []
    for store, profile in PROFILES.items():
        for difference in profile.deviations:
            links = ", ".join(
                f"[{number}]({url})" for number, url in enumerate(difference.evidence, start=1)
            )
            expected.append(f"| {store} | {difference.what} | {links} |")
    assert rows("store | what it does") == expected


# What each method sends

_PUT = "s3:PutObject"
ACTIONS = {
    "GetObject": ("s3:GetObject",),
    "HeadObject": ("s3:GetObject",),
    "PutObject": (_PUT,),
    "CopyObject": ("s3:GetObject", _PUT),
    "CreateMultipartUpload": (_PUT,),
    "UploadPart": (_PUT,),
    "UploadPartCopy": ("s3:GetObject", _PUT),
    "CompleteMultipartUpload": (_PUT,),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "DeleteObject": ("s3:DeleteObject",),
    "DeleteObjects": ("s3:DeleteObject",),
    "ListObjectsV2": ("s3:ListBucket",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "GetObjectAcl": ("s3:GetObjectAcl",),
    "PutObjectAcl": ("s3:PutObjectAcl",),
}


def actions_of(request: Request) -> set[str]:
    actions = {*ACTIONS[request.operation]}
    if "if-match" in request.headers:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
        actions.add("s3:GetObject")
    if "x-amz-acl" in request.headers:
        actions.add("s3:PutObjectAcl")
    return actions


async def broken() -> AsyncIterator[bytes]:
    yield bytes(6 * 1024**2)
    raise ZeroDivisionError


async def fail_in_parts(disk: Disk) -> None:
    with suppress(ZeroDivisionError):
        await disk.put("new", broken())


async def download(disk: Disk) -> None:
    with TemporaryDirectory() as directory:
        await disk.download("a", f"{directory}/a")


async def read_by_handle(disk: Disk) -> None:
    async with disk.open("a") as file:
        await file.read()


async def write_by_handle(disk: Disk) -> None:
    async with disk.open("new", "wb") as file:
        await file.write(b"content")


async def replace(disk: Disk, name: str, content: bytes) -> None:
    await disk.put(name, content, if_match=(await disk.stat(name)).etag)


LARGE = bytes(6 * 1024**2)

METHODS: dict[str, list[Call]] = {
    "`get`, `get_range`, `stream`, `download`, `open` to read, `checksum`": [
        *(CALLS[name] for name in ("get", "get_range", "stream", "checksum")),
        download,
        read_by_handle,
    ],
    "`exists`, `stat`, `size`, `last_modified`, `mime_type`, `confirm_upload`": [
        *(CALLS[name] for name in ("exists", "stat")),
        lambda disk: disk.size("a"),
        lambda disk: disk.last_modified("a"),
        lambda disk: disk.mime_type("a"),
        lambda disk: disk.confirm_upload("a"),
    ],
    "the same, of a missing file, until one was found": [lambda disk: disk.exists("missing")],
    "`list`, `files`, `glob`, `usage`, `directory_exists`": [
        CALLS["list"],
        lambda disk: disk.glob("d/*"),
        lambda disk: disk.usage("d"),
    ],
    "`put`, `put_file`, `open` to write": [
        *(CALLS[name] for name in ("put", "put in parts")),
        write_by_handle,
        fail_in_parts,
    ],
    "the same with `overwrite=False` or `if_match`; `append`": [
        *(CALLS[name] for name in ("put if new", "append")),
        lambda disk: replace(disk, "a", b"new"),
        lambda disk: replace(disk, "large", LARGE),
    ],
    "`copy`, and `move` to another disk": [CALLS["copy"], CALLS["copy in parts"]],
    "`move` within the disk": [CALLS["move"], CALLS["move in parts"]],
    "`set_metadata`": [CALLS["set_metadata"]],
    "`delete`, `delete_many`": [CALLS["delete"], CALLS["delete_many"]],
    "`delete_directory`": [CALLS["delete_directory"]],
    "`make_directory`": [CALLS["make_directory"]],
    "`visibility`": [CALLS["visibility"]],
    "`set_visibility`": [CALLS["set_visibility"]],
    "`visibility=` of a put or a copy": [
        lambda disk: disk.put("new", b"content", visibility="public"),
        lambda disk: disk.copy("a", "new", visibility="public"),
    ],
    "`check`": [lambda disk: disk.check()],
    "`S3Driver.abort_stale_uploads`": [CALLS["abort_stale_uploads"]],
}


@pytest.fixture(scope="module")
def sent() -> dict[str, list[Request]]:
    """Record the requests of each method, on a store as AWS."""
    return asyncio.run(record())


async def record() -> dict[str, list[Request]]:
    recorded: dict[str, list[Request]] = {}
    for method, calls in METHODS.items():
        recorded[method] = []
        for call in calls:
            async with ScriptedStore() as store:
                options = {
                    "driver": "s3",
                    "bucket": store.bucket,
                    "endpoint_url": store.endpoint_url,
                    "access_key": "key",
                    "secret_key": "secret",
                    **IN_PARTS,
                }
                manager = StorageManager.isolated({"default": "s3", "disks": {"s3": options}})
                fill(store)
                store.begin_upload("left")
                with suppress(StorageException):
                    await call(manager.disk())
                await manager.aclose()
                recorded[method] += store.requests
    return recorded


def listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def test_iam_actions_are_those_of_the_requests_that_each_method_sends(
    sent: dict[str, list[Request]],
) -> None:
    expected = []
    for method, requests in sent.items():
        actions = set[str]().union(*map(actions_of, requests))
        operations = {request.operation for request in requests}
        expected.append(f"| {method} | {listed(actions)} | {listed(operations)} |")
    assert rows("method | actions") == expected


POLICIES = {
    "reads": [0, 1, 2, 3],
    "uploads": [4],
    "does all": [*range(len(METHODS))],
}


def test_policies_allow_what_their_methods_need_and_no_more(
    sent: dict[str, list[Request]],
) -> None:
    methods = [*sent]
    for name, numbers in POLICIES.items():
        block = PAGE.partition(f"that {name}")[2].partition("```json\n")[2].partition("```")[0]
        statements = json.loads(block)["Statement"]
        allowed = {action for statement in statements for action in statement["Action"]}
        requests = [request for number in numbers for request in sent[methods[number]]]
        assert allowed == set[str]().union(*map(actions_of, requests)), name
        for statement in statements:
            is_bucket = all("Bucket" in action for action in statement["Action"])
            assert statement["Resource"].endswith("media" if is_bucket else "media/*")
