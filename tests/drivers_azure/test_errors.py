"""What Azure's refusals mean."""

from __future__ import annotations

import pickle
import time
from email.utils import formatdate

import pytest

from jtc.storage import StorageManager, exceptions
from jtc.storage.drivers.azure_driver._transport import errors
from jtc.storage.options import ListOptions, SignOptions, WriteOptions
from scripted_store import ALWAYS, Answer, Rule

CASES = [
    (404, "BlobNotFound", exceptions.FileNotFoundException, "File not found"),
    (404, "ContainerNotFound", errors.NoContainerException, "no container 'container'"),
    (403, "AccountIsDisabled", exceptions.StoragePermissionException, "account is disabled"),
    (403, "AuthenticationFailed", exceptions.StoragePermissionException, "check account_key"),
    (403, "AuthorizationPermissionMismatch", exceptions.StoragePermissionException, "Blob Data"),
    (409, "PublicAccessNotPermitted", exceptions.StoragePermissionException, "not public"),
    (409, "BlobArchived", exceptions.StoragePermissionException, "archived"),
    (409, "BlobImmutableDueToPolicy", exceptions.StoragePermissionException, "immutable"),
    (409, "SnapshotsPresent", exceptions.StoragePermissionException, "delete_snapshots = true"),
    (412, "LeaseIdMissing", exceptions.StoragePermissionException, "leased by another program"),
    (409, "PendingCopyOperation", exceptions.StorageUnavailableException, "still being copied"),
    (409, "InvalidBlobType", exceptions.PathConflictException, "no block blob"),
    (400, "InvalidResourceName", exceptions.InvalidPathException, "refuses such a name"),
    (413, "RequestBodyTooLarge", exceptions.RejectedException, "larger than the store takes"),
    (400, "MetadataTooLarge", exceptions.RejectedException, "8 KB"),
    (400, "Md5Mismatch", exceptions.IntegrityException, "changed on its way"),
    (400, "Unheard", exceptions.StorageException, "HTTP 400 Unheard"),
    (401, "", exceptions.StoragePermissionException, "credentials"),
    (501, "", exceptions.UnsupportedOperationException, "cannot do this"),
    (307, "", exceptions.StorageConfigException, "redirects are not followed"),
    (503, "ServerBusy", exceptions.StorageUnavailableException, "HTTP 503 ServerBusy"),
    (500, "OperationTimedOut", exceptions.StorageTimeoutException, "did not answer in time"),
]


@pytest.mark.parametrize(("status", "code", "expected", "message"), CASES)
async def test_refusal_is_the_exception_of_its_code(
    scripted, scripted_driver, status, code, expected, message
):
    headers = {"x-ms-error-code": code, "x-ms-request-id": "REQUEST-ID"} if code else {}
    headers["location"] = "http://127.0.0.1:9/elsewhere"
    scripted.rule(Rule(answer=Answer(status, headers), times=ALWAYS))
    disk = StorageManager.isolated()
    disk.set_driver(scripted_driver(), "azure")
    with pytest.raises(expected, match=message) as caught:
        await disk.disk("azure").get("a.txt")
    assert type(caught.value) is expected
    assert (caught.value.disk, caught.value.path, caught.value.operation) == (
        "azure",
        "a.txt",
        "get",
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.__cause__ is None or again.__cause__.code == code


async def test_code_of_the_document_counts_where_no_header_says_it(scripted, scripted_driver):
    text = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>ContainerNotFound</Code>'
        "<Message>The specified container does not exist.</Message></Error>"
    )
    scripted.rule(Rule(answer=Answer(404, {}, text.encode()), times=ALWAYS))
    with pytest.raises(errors.NoContainerException):
        await scripted_driver().get("a.txt")


async def test_missing_container_is_never_an_empty_one(make_driver):
    driver = make_driver(container="no-such-container")
    calls = [
        lambda: driver.exists("a"),
        lambda: driver.get("a"),
        lambda: driver.put("a", b"1"),
        lambda: driver.delete("a"),
        lambda: anext(driver.list_entries("", ListOptions())),
        lambda: driver.write_file("a", b"1" * 100, WriteOptions(overwrite=False)),
        lambda: driver.copy_file("a", "b", WriteOptions()),
        lambda: driver.check("probe"),
        lambda: driver.delete_directory("a"),
    ]
    for call in calls:
        with pytest.raises(errors.NoContainerException, match="no-such-container"):
            await call()


async def test_wrong_key_is_a_permission_error(make_driver):
    with pytest.raises(exceptions.StoragePermissionException, match="check"):
        await make_driver(account_key="d3Jvbmc=").exists("a")


async def test_wrong_clock_is_named(scripted, scripted_driver):
    headers = {
        "x-ms-error-code": "AuthenticationFailed",
        "date": formatdate(time.time() + 3600, usegmt=True),
    }
    scripted.rule(Rule(answer=Answer(403, headers), times=ALWAYS))
    with pytest.raises(exceptions.StoragePermissionException, match=r"clock is 3[56]\d\d s behind"):
        await scripted_driver().get("a.txt")


async def test_busy_store_is_asked_again(scripted, scripted_driver):
    busy = Answer(503, {"x-ms-error-code": "ServerBusy", "retry-after": "0"})
    scripted.rule(Rule(answer=busy))
    there = {"etag": '"0x1"', "last-modified": "Fri, 26 Jun 2015 23:39:12 GMT"}
    scripted.rule(Rule(answer=Answer(200, there, b"content")))
    assert await scripted_driver().get("a.txt") == b"content"


async def test_leased_file_is_not_written_and_says_so(azurite, driver, folder):
    path = f"{folder}/leased"
    await driver.put(path, b"1")
    headers = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
    lease, _ = azurite.request("PUT", f"{azurite.container}/{path}", {"comp": "lease"}, headers)
    for call in (driver.put(path, b"2"), driver.delete(path)):
        with pytest.raises(exceptions.StoragePermissionException, match="leased"):
            await call
    assert await driver.get(path) == b"1"
    released = {"x-ms-lease-action": "release", "x-ms-lease-id": lease["x-ms-lease-id"]}
    azurite.request("PUT", f"{azurite.container}/{path}", {"comp": "lease"}, released)
    assert await driver.delete(path)


async def test_archived_file_is_not_read_and_says_so(driver, folder):
    path = f"{folder}/archived"
    await driver.write_file(path, b"1", WriteOptions(driver_options={"AccessTier": "Archive"}))
    with pytest.raises(exceptions.StoragePermissionException, match="archived"):
        await driver.get(path)
    assert (await driver.stat(path)).size == 1


async def test_snapshots_are_deleted_by_option_only(azurite, make_driver, folder):
    driver, path = make_driver(), f"{folder}/file"
    await driver.put(path, b"1")
    azurite.request("PUT", f"{azurite.container}/{path}", {"comp": "snapshot"})
    with pytest.raises(exceptions.StoragePermissionException, match="delete_snapshots"):
        await driver.delete(path)
    assert await make_driver(delete_snapshots=True).delete(path)
    assert not await driver.exists(path)


@pytest.mark.parametrize("path", ["a.", "a/b..", "a./b"])
async def test_name_that_azure_would_cut_is_refused(scripted_driver, path):
    driver = scripted_driver()
    for call in (
        driver.put(path, b"1"),
        driver.get(path),
        driver.stat(path),
        driver.make_directory(path),
        driver.temporary_url(path, SignOptions(expires_in=60)),
        anext(driver.list_entries(path, ListOptions())),
    ):
        with pytest.raises(exceptions.InvalidPathException, match="Azure drops a dot"):
            await call
