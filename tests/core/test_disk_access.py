"""Visibility and addresses: what is asked of the driver, and what is refused before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jtc.storage import (
    Disk,
    InvalidPathException,
    PresignedForm,
    PresignedRequest,
    StorageManager,
    StoragePermissionException,
    Visibility,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods


class Signing(EightMethods):
    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
    ) -> str:
        return repr((path, expires_in, content_type, content_disposition))

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        url = repr((path, expires_in, content_type, size))
        return PresignedRequest(method="PUT", url=url, headers={}, expires_at=0.0)

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        url = repr((path, expires_in, content_type, max_size))
        return PresignedForm(url=url, fields={"signature": "hush"}, expires_at=0.0)


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.mark.parametrize("expires_in", [90, 90.0, timedelta(minutes=1.5)])
async def test_a_time_is_seconds_or_a_timedelta(expires_in: Any) -> None:
    disk = disk_of(Signing())
    url = await disk.temporary_url("/a", expires_in)
    assert eval(url) == ("a", 90, None, None)
    request = await disk.temporary_upload_url("/a", expires_in, content_type="x/y", size=3)
    assert eval(request.url) == ("a", 90, "x/y", 3)
    form = await disk.temporary_upload_form("/a", expires_in, max_size=9, content_type="x/y")
    assert eval(form.url) == ("a", 90, "x/y", 9)


async def test_what_the_answer_says_of_itself_is_handed_on() -> None:
    url = await disk_of(Signing()).temporary_url(
        "a", 5, content_type="x/y", content_disposition="inline"
    )
    assert eval(url) == ("a", 5, "x/y", "inline")


@pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf"), timedelta(0)])
async def test_an_address_expires_some_time(expires_in: Any) -> None:
    disk = disk_of(Signing())
    for use in (
        disk.temporary_url("a", expires_in),
        disk.temporary_upload_url("a", expires_in),
        disk.temporary_upload_form("a", expires_in, max_size=1),
    ):
        with pytest.raises(ValueError, match="expires after some seconds"):
            await use


@pytest.mark.parametrize("expires_in", ["60", None])
async def test_a_time_of_another_type_is_told_the_right_ones(expires_in: Any) -> None:
    with pytest.raises(TypeError, match="expires_in is seconds or a timedelta, not"):
        await disk_of(Signing()).temporary_url("a", expires_in)


def test_signatures_are_not_in_a_repr() -> None:
    request = PresignedRequest(method="PUT", url="https://hush", headers={}, expires_at=0.0)
    form = PresignedForm(url="https://x", fields={"signature": "hush"}, expires_at=0.0)
    assert "hush" not in repr(request) + repr(form)


async def test_visibility_is_set_as_a_str_or_as_itself() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"")
    await disk.set_visibility("/a", "public")
    assert await disk.visibility("/a") is Visibility.PUBLIC
    await disk.set_visibility("a", Visibility.PRIVATE)
    assert await disk.visibility("a") is Visibility.PRIVATE
    with pytest.raises(ValueError, match="'public' or 'private', not 'hidden'"):
        await disk.set_visibility("a", "hidden")


async def test_a_bad_path_has_no_address_and_no_visibility() -> None:
    disk = disk_of(Signing())
    for address in (disk.url, disk.path):
        with pytest.raises(InvalidPathException) as raised:
            address("../a")
        assert (raised.value.disk, raised.value.operation) == ("d", address.__name__)
    for use in (
        disk.temporary_url("..", 5),
        disk.temporary_upload_url("..", 5),
        disk.temporary_upload_form("..", 5, max_size=1),
        disk.visibility(".."),
        disk.set_visibility("..", "public"),
    ):
        with pytest.raises(InvalidPathException):
            await use


def test_an_address_is_the_drivers_for_the_checked_path() -> None:
    disk = disk_of(EightMethods())
    assert disk.url("/a b") == "eight://a b"
    assert disk.path("/a b") == "/eight/a b"


def test_what_a_driver_raises_for_an_address_is_mapped() -> None:
    class Closed(EightMethods):
        def url(self, path: str, /) -> str:
            raise PermissionError(path)

    with pytest.raises(StoragePermissionException) as raised:
        disk_of(Closed()).url("/a")
    assert (raised.value.operation, raised.value.path) == ("url", "/a")
