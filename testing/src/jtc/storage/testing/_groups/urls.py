"""URLs: `url`, `path`, presigned URLs and forms."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["UrlTests"]

_CLOCK = 30
"""How far the clock that signs may be from ours, in seconds."""
# Of all backends S3 signs for the shortest time: a week.
_PERIOD = 5 * 86_400
_NAMES = ["a b.txt", "50%.txt", "%2e%2e/x", "a?b=c", "a#b", "größe/日本.txt", "\U0001f600", "a;b&c"]


class UrlTests(Suite):
    """None of these looks whether the file exists."""

    rules = "`url`, `path`, `temporary_url`, `temporary_upload_url`, `temporary_upload_form`"

    @pytest.fixture
    def with_urls(self, storage: Disk) -> Disk:
        """Return the storage, if its files have URLs."""
        if not self.gives_urls:
            pytest.skip("the suite says that files have no URLs")
        return storage

    async def test_url_is_unsupported_where_files_have_no_urls(self, storage: Disk) -> None:
        if self.gives_urls:
            pytest.skip("the suite says that files have URLs")
        with pytest.raises(UnsupportedOperationException):
            storage.url("a.txt")

    async def test_a_url_ends_with_the_path(self, with_urls: Disk) -> None:
        assert with_urls.url("d/a.txt").endswith("/d/a.txt")

    async def test_a_url_needs_no_file(self, with_urls: Disk) -> None:
        assert isinstance(with_urls.url("missing.txt"), str)

    @pytest.mark.parametrize("path", _NAMES)
    async def test_a_url_is_percent_encoded(self, with_urls: Disk, path: str) -> None:
        url = with_urls.url(path)
        assert unquote(url).endswith(f"/{path}")
        assert url.isascii()
        assert not set(url) & set(' <>"{}|\\^`')
        encoded = url[-len(quote(path, safe="/!$&'()*+,;=:@")) :]
        assert "?" not in encoded
        assert "#" not in encoded

    async def test_each_path_has_its_own_url(self, with_urls: Disk) -> None:
        paths = [*_NAMES, "a%20b.txt", "A b.txt", "a+b.txt", "a.txt", "d/a.txt"]
        assert len({with_urls.url(path) for path in paths}) == len(paths)

    async def test_a_leading_slash_makes_no_difference_to_a_url(self, with_urls: Disk) -> None:
        assert with_urls.url("/d/a.txt") == with_urls.url("d/a.txt")

    async def test_a_backend_path_ends_with_the_path_as_it_is(self, storage: Disk) -> None:
        assert storage.path("d/größe 50%.txt").endswith("d/größe 50%.txt")

    async def test_a_leading_slash_makes_no_difference_to_a_backend_path(
        self, storage: Disk
    ) -> None:
        assert storage.path("/d/a.txt") == storage.path("d/a.txt")

    @needs("temporary_urls")
    async def test_a_temporary_url_is_a_signed_one_of_the_file(self, disk: Disk) -> None:
        await disk.put("d/größe 50%.txt", b"content")
        url = await disk.temporary_url("d/größe 50%.txt", 60)
        assert url.isascii()
        assert "/d/größe 50%.txt" in unquote(url.partition("?")[0])
        assert "?" in url

    @needs("temporary_urls")
    async def test_a_temporary_url_binds_its_file(self, disk: Disk) -> None:
        one, two = [await disk.temporary_url(path, 60) for path in ("one", "two")]
        assert one.partition("?")[2] != two.partition("?")[2]

    @needs("temporary_urls")
    async def test_a_temporary_url_binds_its_end(self, disk: Disk) -> None:
        assert await disk.temporary_url("a", 60) != await disk.temporary_url("a", 600)

    @needs("temporary_urls")
    async def test_a_timedelta_is_its_number_of_seconds(self, disk: Disk) -> None:
        assert await disk.temporary_url("a", timedelta(minutes=5))

    @needs("temporary_urls")
    async def test_a_temporary_url_binds_the_headers_to_answer_with(self, disk: Disk) -> None:
        plain = await disk.temporary_url("a", 60)
        named = await disk.temporary_url("a", 60, content_disposition='attachment; filename="b"')
        typed = await disk.temporary_url("a", 60, content_type="text/plain")
        assert len({plain, named, typed}) == 3

    @needs("temporary_urls")
    @pytest.mark.parametrize("expires_in", [61, 7_200])
    async def test_temporary_url_ends_after_the_seconds_that_were_asked_for(
        self, disk: Disk, expires_in: int
    ) -> None:
        now = time.time()
        ends = self.expiry_of(await disk.temporary_url("a", expires_in))
        if ends is None:
            pytest.skip("no value of the URL says when it ends: define expiry_of(self, url)")
        assert now + expires_in - _CLOCK < ends < now + expires_in + _CLOCK

    @needs("temporary_uploads")
    async def test_temporary_upload_url_ends_when_its_record_says(self, disk: Disk) -> None:
        request = await disk.temporary_upload_url("a", 7_200)
        ends = self.expiry_of(request.url)
        if ends is None:
            pytest.skip("no value of the URL says when it ends: define expiry_of(self, url)")
        assert abs(ends - request.expires_at) < _CLOCK

    @needs("temporary_urls")
    async def test_temporary_url_can_be_made_from_any_thread_and_loop(self, disk: Disk) -> None:
        assert await disk.temporary_url("a", 60)
        assert await asyncio.to_thread(disk.sync.temporary_url, "a", 60)
        assert await asyncio.to_thread(asyncio.run, disk.temporary_url("a", 60))

    @needs("temporary_urls")
    @pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf")])
    async def test_a_temporary_url_ends_at_some_time_to_come(
        self, disk: Disk, expires_in: float
    ) -> None:
        with pytest.raises(ValueError, match=r"."):
            await disk.temporary_url("a", expires_in)

    @needs("temporary_urls", options={"temporary_url": ["stable_for"]})
    async def test_temporary_url_stable_for_is_the_same_within_a_period(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, passed = time.time, 0.0
        # Drivers that read the time elsewhere get it by waiting.
        monkeypatch.setattr(time, "time", lambda: clock() + passed)
        plain, stable = [], []
        for _ in range(3):
            plain.append(await disk.temporary_url("a", 60))
            if plain[-1] in plain[:-1]:
                await asyncio.sleep(1.1)
                plain[-1] = await disk.temporary_url("a", 60)
            stable.append(await disk.temporary_url("a", 60, stable_for=_PERIOD))
            passed += 1.5
        assert len(set(plain)) == 3, "a URL without stable_for ends in its own second"
        # A period may end between two of them, but not twice.
        assert stable[1] in {stable[0], stable[2]}, "URLs of one period are the same"

    @needs("temporary_urls", options={"temporary_url": ["stable_for"]})
    async def test_temporary_url_stable_for_binds_the_file_and_the_options(
        self, disk: Disk
    ) -> None:
        urls = [
            await disk.temporary_url("a", 60, stable_for=_PERIOD),
            await disk.temporary_url("b", 60, stable_for=_PERIOD),
            await disk.temporary_url("a", 600, stable_for=_PERIOD),
            await disk.temporary_url("a", 60, stable_for=_PERIOD, content_type="text/plain"),
        ]
        assert len(set(urls)) == 4

    @needs("temporary_urls")
    async def test_temporary_urls_has_one_for_each_path_as_it_was_given(self, disk: Disk) -> None:
        paths = ["a", "/d/b", "größe/日本 50%.txt", "c", "d/c", "e"]
        urls = await disk.temporary_urls(paths, 60)
        assert list(urls) == paths
        for path, url in urls.items():
            assert unquote(url.partition("?")[0]).endswith(f"/{path.removeprefix('/')}")
        assert len(set(urls.values())) == len(paths)

    @needs("temporary_uploads")
    async def test_a_temporary_upload_is_a_signed_put(self, disk: Disk) -> None:
        request = await disk.temporary_upload_url("d/ä b.txt", 60)
        assert request.method == "PUT"
        assert "/d/ä b.txt" in unquote(request.url.partition("?")[0])
        assert 0 < request.expires_at - time.time() <= 61

    @needs("temporary_uploads")
    async def test_a_temporary_upload_says_the_headers_to_send(self, disk: Disk) -> None:
        request = await disk.temporary_upload_url("a", 60, content_type="text/x-own", size=7)
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["content-type"] == "text/x-own"

    @needs("temporary_uploads")
    async def test_a_temporary_upload_keeps_its_url_out_of_its_repr(self, disk: Disk) -> None:
        request = await disk.temporary_upload_url("a", 60)
        assert request.url not in repr(request)

    @needs("upload_forms")
    async def test_an_upload_form_has_an_action_and_fields(self, disk: Disk) -> None:
        form = await disk.temporary_upload_form("d/a.txt", 60, max_size=1000)
        assert form.url
        assert form.fields
        assert 0 < form.expires_at - time.time() <= 61

    @needs("upload_forms")
    async def test_an_upload_form_keeps_its_fields_out_of_its_repr(self, disk: Disk) -> None:
        form = await disk.temporary_upload_form("d/a.txt", 60, max_size=1000)
        assert not [
            value for value in form.fields.values() if len(value) > 12 and value in repr(form)
        ]

    @needs("upload_forms", options={"temporary_upload_form": ["min_size"]})
    async def test_an_upload_form_binds_the_smallest_size(self, disk: Disk) -> None:
        fields: list[dict[str, str]] = []
        for _ in range(5):
            fields = [
                dict((await disk.temporary_upload_form("a", 60, max_size=9, min_size=least)).fields)
                for least in (None, 1, 7, None)
            ]
            if fields[0] == fields[-1]:  # all were made in one second
                break
        assert fields[0] != fields[1] != fields[2] != fields[0]
