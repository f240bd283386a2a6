"""Visibility, URLs, presigned URLs and presigned forms."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_ways import Awaited, disk_of
from jtc.storage import (
    Disk,
    InvalidPathException,
    Layer,
    PresignedForm,
    PresignedRequest,
    SignOptions,
    StorageManager,
    StoragePermissionException,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage._capabilities import resolve
from jtc.storage.driver_support.url_signing import make_signer
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage._capabilities import ResolvedDriver


class Signing(EightMethods):
    """Returns what it was called with as a URL, and supports no option beyond `BASE_OPTIONS`."""

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        return _shown(path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        return PresignedRequest(method="PUT", url=_shown(path, options), headers={}, expires_at=0.0)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        return PresignedForm(
            url=_shown(path, options), fields={"signature": "hush"}, expires_at=0.0
        )


def _shown(path: str, options: SignOptions) -> str:
    given = {name: value for name, value in asdict(options).items() if value is not None}
    return json.dumps({"path": path} | given)


@pytest.mark.parametrize("expires_in", [90, 90.0, timedelta(minutes=1.5)])
async def test_a_time_is_seconds_or_a_timedelta(expires_in: Any) -> None:
    disk = disk_of(Signing())
    url = await disk.temporary_url("/a", expires_in)
    assert json.loads(url) == {"path": "a", "expires_in": 90}
    request = await disk.temporary_upload_url("/a", expires_in, content_type="x/y", size=3)
    assert json.loads(request.url) == {
        "path": "a", "expires_in": 90, "content_type": "x/y", "size": 3
    }  # fmt: skip
    form = await disk.temporary_upload_form("/a", expires_in, max_size=9, content_type="x/y")
    assert json.loads(form.url) == {
        "path": "a", "expires_in": 90, "content_type": "x/y", "max_size": 9
    }  # fmt: skip


async def test_temporary_url_passes_the_headers_of_the_response() -> None:
    url = await disk_of(Signing()).temporary_url(
        "a", 5, content_type="x/y", content_disposition="inline"
    )
    assert json.loads(url) == {
        "path": "a", "expires_in": 5, "content_type": "x/y", "content_disposition": "inline"
    }  # fmt: skip


@pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf"), timedelta(0)])
async def test_expiry_that_is_not_above_zero_is_refused(expires_in: Any) -> None:
    disk = disk_of(Signing())
    for use in (
        disk.temporary_url("a", expires_in),
        disk.temporary_upload_url("a", expires_in),
        disk.temporary_upload_form("a", expires_in, max_size=1),
    ):
        with pytest.raises(ValueError, match="expires_in is seconds above 0"):
            await use


@pytest.mark.parametrize("expires_in", ["60", None])
async def test_expiry_of_a_wrong_type_is_refused_with_the_right_ones(expires_in: Any) -> None:
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


async def test_bad_path_has_no_url_and_no_visibility() -> None:
    disk = disk_of(Signing())
    for method in (disk.url, disk.path):
        with pytest.raises(InvalidPathException) as raised:
            method("../a")
        assert (raised.value.disk, raised.value.operation) == ("d", method.__name__)
    for use in (
        disk.temporary_url("..", 5),
        disk.temporary_upload_url("..", 5),
        disk.temporary_upload_form("..", 5, max_size=1),
        disk.visibility(".."),
        disk.set_visibility("..", "public"),
    ):
        with pytest.raises(InvalidPathException):
            await use


def test_url_is_the_drivers_for_the_checked_path() -> None:
    disk = disk_of(EightMethods())
    assert disk.url("/a b") == "eight://a b"
    assert disk.path("/a b") == "/eight/a b"


def test_error_of_a_drivers_url_is_translated() -> None:
    class Closed(EightMethods):
        def url(self, path: str, /) -> str:
            raise PermissionError(path)

    with pytest.raises(StoragePermissionException) as raised:
        disk_of(Closed()).url("/a")
    assert (raised.value.operation, raised.value.path) == ("url", "/a")


# URLs that stay the same for a period, and many at once

SECRET = "0123456789abcdef0123456789abcdef"
START = 1_700_000_000.0


def signing_disk() -> Disk:
    return disk_of(MemoryDriver(base_url="https://files.test/s", secret=SECRET))


def faked_disk() -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(base_url="https://files.test/s", secret=SECRET), "d")
    return manager.fake("d")


STABLE: dict[str, Callable[[], Any]] = {
    "memory": signing_disk,
    "scope": lambda: signing_disk().scoped("s"),
    "layer": lambda: signing_disk().with_layer(Layer),
    "read-only": lambda: signing_disk().read_only(),
    "fake": faked_disk,
    "sync": lambda: Awaited(signing_disk().sync),
}


def expiry(url: str) -> float:
    return float(dict(parse_qsl(urlsplit(url).query))["expires"])


@pytest.mark.parametrize("make", STABLE)
@pytest.mark.parametrize("period", [600, timedelta(minutes=10)])
async def test_temporary_url_is_the_same_within_a_period_and_not_across(
    make: str, period: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = STABLE[make]()
    begin = 600 * 3_000_000.0
    urls = []
    for now in (begin, begin + 1, begin + 599.9, begin + 600, begin + 1199.9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        urls.append(await disk.temporary_url("a.png", 60, stable_for=period))
        assert now + 60 <= expiry(urls[-1]) <= now + 60 + 600 + 1
    assert urls[0] == urls[1] == urls[2]
    assert urls[2] != urls[3] == urls[4]
    assert await disk.temporary_url("b.png", 60, stable_for=period) != urls[4]


@given(
    at=st.floats(0, 4e9),
    later=st.floats(0, 1),
    period=st.floats(0.5, 1e7),
    expires_in=st.floats(0.5, 1e7),
)
def test_signer_ends_all_urls_of_one_period_together(
    at: float, later: float, period: float, expires_in: float
) -> None:
    signer = make_signer(SECRET, "https://files.test")
    assert signer is not None
    options = SignOptions(expires_in=expires_in, stable_for=period)
    numbers, urls = [], []
    for now in (at, at + later * period):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(time, "time", lambda now=now: now)
            urls.append(signer.download_url("a", options))
        numbers.append(now // period)
        # A float near 4e9 is exact to half a microsecond.
        assert now + expires_in - 1e-5 <= expiry(urls[-1]) <= now + period + expires_in + 1 + 1e-5
    assert numbers[0] != numbers[1] or urls[0] == urls[1]


async def test_temporary_url_differs_from_call_to_call_without_stable_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = signing_disk()
    urls = set()
    for second in range(3):
        monkeypatch.setattr(time, "time", lambda second=second: START + second)
        urls.add(await disk.temporary_url("a", 60))
    assert len(urls) == 3


@pytest.mark.parametrize("stable_for", [0, -1, float("nan"), float("inf"), timedelta(0)])
async def test_temporary_url_is_stable_for_some_time(stable_for: Any) -> None:
    with pytest.raises(ValueError, match="stable_for is seconds above 0"):
        await signing_disk().temporary_url("a", 60, stable_for=stable_for)
    with pytest.raises(TypeError, match="stable_for is seconds or a timedelta, not str"):
        await signing_disk().temporary_url("a", 60, stable_for="1h")  # type: ignore[arg-type]


async def test_options_that_driver_does_not_support_are_refused_and_never_passed() -> None:
    class Recording(Signing):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[SignOptions] = []

        async def temporary_url(self, path: str, options: SignOptions, /) -> str:
            self.asked.append(options)
            return path

        async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
            self.asked.append(options)
            return await super().temporary_upload_form(path, options)

    driver = Recording()
    disk = disk_of(driver)
    of_url, of_form = "'stable_for' of temporary_url()", "'min_size' of temporary_upload_form()"
    for use, option, path in (
        (disk.temporary_url("a", 60, stable_for=60), of_url, "a"),
        (disk.temporary_urls(["a"], 60, stable_for=60), of_url, None),
        (disk.temporary_upload_form("a", 60, max_size=9, min_size=1), of_form, "a"),
    ):
        with pytest.raises(
            UnsupportedOperationException,
            match=f"'Recording' does not support the option {re.escape(option)}",
        ) as raised:
            await use
        assert raised.value.path == path
    assert driver.asked == []
    await disk.temporary_url("a", 60, stable_for=None)
    await disk.temporary_upload_form("a", 60, max_size=9, min_size=None)
    assert len(driver.asked) == 2


@pytest.mark.parametrize("make", STABLE)
async def test_temporary_urls_are_those_of_each_path_as_it_was_given(
    make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: START)
    disk = STABLE[make]()
    urls = await disk.temporary_urls(
        iter(["a b.png", "/c.png"]), timedelta(minutes=1), content_type="x/y", stable_for=5
    )
    assert list(urls) == ["a b.png", "/c.png"]
    for path, url in urls.items():
        assert url == await disk.temporary_url(path, 60, content_type="x/y", stable_for=5)
    assert await disk.temporary_urls([], 60) == {}


async def test_temporary_urls_refuses_one_path_and_fails_for_a_bad_one() -> None:
    with pytest.raises(TypeError, match=r"temporary_urls\(\) takes an iterable of paths"):
        await signing_disk().temporary_urls("abc", 60)
    with pytest.raises(InvalidPathException) as raised:
        await signing_disk().temporary_urls(["a", "../b"], 60)
    assert (raised.value.path, raised.value.disk) == ("../b", "d")
    assert raised.value.operation == "temporary_urls"


async def test_temporary_urls_of_wrong_option_names_no_path() -> None:
    with pytest.raises(ValueError, match="expires_in is seconds above 0") as caught:
        await signing_disk().temporary_urls(["a", "b"], 0)
    assert caught.value.__notes__ == ["in temporary_urls() on the disk 'd'"]


async def test_temporary_urls_finds_driver_and_checks_options_once() -> None:
    class Recording(Signing):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[tuple[str, SignOptions]] = []

        async def temporary_url(self, path: str, options: SignOptions, /) -> str:
            self.asked.append((path, options))
            return path

    driver = Recording()
    found = []

    def resolved() -> ResolvedDriver:
        found.append(resolve(driver))
        return found[-1]

    disk = Disk("d", StorageManager.isolated({}), resolved)
    paths = [f"{number}.png" for number in range(100)]
    assert await disk.temporary_urls(paths, 60) == dict(zip(paths, paths, strict=True))
    assert len(found) == 1
    assert [path for path, _ in driver.asked] == paths
    assert len({id(options) for _, options in driver.asked}) == 1


async def test_temporary_upload_form_binds_the_smallest_length() -> None:
    disk = signing_disk()
    for view in (disk, disk.scoped("s")):
        form = await view.temporary_upload_form("a", 60, min_size=1, max_size=9)
        grant = disk.driver_as(MemoryDriver).signer.verify("POST", form.url, form.fields)  # type: ignore[union-attr]
        assert (grant.min_length, grant.length) == (1, 9)
    form = await faked_disk().temporary_upload_form("a", 60, min_size=1, max_size=9)
    assert (form.fields["min_length"], form.fields["length"]) == ("1", "9")
    with pytest.raises(ValueError, match="min_size must be 0 or more"):
        await disk.temporary_upload_form("a", 60, min_size=-1, max_size=9)
    with pytest.raises(ValueError, match="min_size \\(10\\) is above max_size \\(9\\)"):
        await disk.temporary_upload_form("a", 60, min_size=10, max_size=9)


@pytest.mark.parametrize("value", [True, 1.5, "5"])
@pytest.mark.parametrize("name", ["size", "min_size", "max_size"])
def test_sign_options_refuse_size_that_is_no_int(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is a number of bytes"):
        SignOptions(expires_in=60, **{name: value})


async def test_temporary_upload_form_needs_max_size() -> None:
    disk = disk_of(MemoryDriver(base_url="http://testserver", secret="s" * 32))
    with pytest.raises(TypeError, match="max_size is a number of bytes"):
        await disk.temporary_upload_form("a", 60, max_size=None)  # type: ignore[arg-type]


async def test_temporary_url_refuses_bool_and_int_beyond_float() -> None:
    disk = disk_of(MemoryDriver(base_url="http://testserver", secret="s" * 32))
    with pytest.raises(TypeError, match="expires_in is seconds"):
        await disk.temporary_url("a", expires_in=True)
    with pytest.raises(ValueError, match="stable_for is seconds above 0"):
        await disk.temporary_url("a", 60, stable_for=10**400)
