"""Presigned URLs and forms, which the store holds to the public key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import google.auth.credentials
import httpx
import pytest

from google_store import EMAIL
from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver import GCSDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from google_store import GoogleStore
    from jtc.storage import Disk

NAMES = ["a.txt", "größe/日本 50%.txt", "a b+c&d=e~(f)!'*;:@,$[g].txt"]


class TokensOnly(google.auth.credentials.Credentials):
    """Credentials without a key, as those of a machine or of workload identity federation."""

    def __init__(self, store: GoogleStore, email: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tokens = store.tokens
        if email is not None:
            self.service_account_email = email

    def refresh(self, request: Any) -> None:  # noqa: ARG002
        self.token = "token-of-a-machine"
        self._tokens.add(self.token)


@pytest.mark.parametrize("name", NAMES)
async def test_temporary_url_reads_the_file_without_credentials(
    store: GoogleStore, disk: Disk, name: str
) -> None:
    store.requires_token = True
    await disk.put(name, b"Hello")
    url = await disk.temporary_url(
        name, 60, content_type="text/x-a", content_disposition='attachment; filename="b c.txt"'
    )
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.content) == (200, b"Hello")
        assert answer.headers["content-type"] == "text/x-a"
        assert answer.headers["content-disposition"] == 'attachment; filename="b c.txt"'
        changed = await client.get(url.replace("text%2Fx-a", "text%2Fhtml"))
        assert changed.status_code == 403
        assert (await client.put(url, content=b"x")).status_code == 403


async def test_temporary_url_stable_for_is_the_same_within_a_period(disk: Disk) -> None:
    with mock.patch("time.time", return_value=1_800_000_000.0):
        first = await disk.temporary_url("a", 60, stable_for=100)
    with mock.patch("time.time", return_value=1_800_000_099.0):
        assert await disk.temporary_url("a", 60, stable_for=100) == first
    with mock.patch("time.time", return_value=1_800_000_101.0):
        assert await disk.temporary_url("a", 60, stable_for=100) != first


async def test_temporary_url_is_refused_once_it_has_expired(disk: Disk) -> None:
    await disk.put("a", b"1")
    with mock.patch("time.time", return_value=time.time() - 300):
        url = await disk.temporary_url("a", 60)
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 400


async def test_temporary_upload_url_stores_a_file_of_that_type_and_size(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(visibility="public", driver_options={"storageClass": "NEARLINE"})
    store.requires_token = True
    wanted = await disk.temporary_upload_url("a/b.txt", 60, content_type="text/x-a", size=5)
    async with httpx.AsyncClient() as client:
        longer = await client.put(wanted.url, headers=dict(wanted.headers), content=b"Hello!")
        assert longer.status_code == 400
        other = {**wanted.headers, "Content-Type": "text/html"}
        assert (await client.put(wanted.url, headers=other, content=b"Hello")).status_code == 403
        stored = await client.put(wanted.url, headers=dict(wanted.headers), content=b"Hello")
        assert stored.status_code == 200
        assert (await client.get(disk.url("a/b.txt"))).content == b"Hello"
    assert (await disk.stat("a/b.txt")).content_type == "text/x-a"
    assert store.objects["a/b.txt"].fields["storageClass"] == "NEARLINE"


@pytest.mark.parametrize("name", NAMES)
async def test_temporary_upload_form_stores_a_file_within_its_limits(
    store: GoogleStore, make_disk: Callable[..., Disk], name: str
) -> None:
    disk = make_disk(visibility="public")
    store.requires_token = True
    form = await disk.temporary_upload_form(name, 60, min_size=2, max_size=5)

    async def sent(content: bytes, **changed: str) -> int:
        async with httpx.AsyncClient() as client:
            data = {**form.fields, **changed}
            answer = await client.post(form.url, data=data, files={"file": ("f", content)})
            return answer.status_code

    assert await sent(b"1") == 400
    assert await sent(b"123456") == 400
    assert await sent(b"123", key="other") == 403
    assert await sent(b"123", acl="private") == 403
    assert await sent(b"123", policy=form.fields["policy"][:-4] + "AAAA") == 403
    assert await sent(b"123") == 204
    assert await disk.get(name) == b"123"
    assert (await disk.stat(name)).content_type == "text/plain"


async def test_temporary_url_is_signed_by_iam_without_a_key(
    store: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    driver = make_driver(credentials=TokensOnly(store, EMAIL), iam_endpoint_url=store.url)
    store.requires_token = True
    await driver.put("a.txt", b"Hello")
    from jtc.storage.options import SignOptions

    url = await driver.temporary_url("a.txt", SignOptions(expires_in=60))
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"Hello"
    assert store.requests[-2].endswith(":signBlob")


async def test_temporary_url_refuses_what_cannot_sign(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    nameless = make_disk(credentials=TokensOnly(store), iam_endpoint_url=store.url)
    with pytest.raises(exceptions.StorageConfigException, match="signing_email"):
        await nameless.temporary_url("a", 60)
    other = make_disk(
        credentials=TokensOnly(store), signing_email="b@c", iam_endpoint_url=store.url
    )
    with pytest.raises(exceptions.StoragePermissionException, match="serviceAccountTokenCreator"):
        await other.temporary_url("a", 60)
    anonymous = make_disk(anonymous=True)
    assert "temporary_urls" not in anonymous.capabilities
    with pytest.raises(exceptions.UnsupportedOperationException):
        await anonymous.temporary_url("a", 60)


async def test_temporary_upload_form_refuses_a_path_that_google_replaces(disk: Disk) -> None:
    with pytest.raises(exceptions.InvalidPathException):
        await disk.temporary_upload_form("a/${filename}", 60, max_size=5)


async def test_temporary_url_names_who_pays(make_disk: Callable[..., Disk]) -> None:
    url = await make_disk(requester_pays=True, project="ours").temporary_url("a", 60)
    assert "&userProject=ours&" in url
