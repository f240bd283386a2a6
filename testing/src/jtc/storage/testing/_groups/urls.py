"""url, path, and the signed addresses."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["Addresses"]

_NAMES = ["a b.txt", "50%.txt", "%2e%2e/x", "a?b=c", "a#b", "größe/日本.txt", "\U0001f600", "a;b&c"]


class Addresses(Suite):
    """None of these asks whether the file exists."""

    @pytest.fixture
    def addressed(self, storage: Disk) -> Disk:
        """Give the storage, if its files have addresses."""
        if not self.gives_urls:
            pytest.skip("the suite says that files have no addresses")
        return storage

    async def test_where_files_have_no_addresses_url_says_so(self, storage: Disk) -> None:
        if self.gives_urls:
            pytest.skip("the suite says that files have addresses")
        with pytest.raises(UnsupportedOperationException):
            storage.url("a.txt")

    async def test_a_url_ends_with_the_path(self, addressed: Disk) -> None:
        assert addressed.url("d/a.txt").endswith("/d/a.txt")

    async def test_a_url_needs_no_file(self, addressed: Disk) -> None:
        assert isinstance(addressed.url("missing.txt"), str)

    @pytest.mark.parametrize("path", _NAMES)
    async def test_a_url_is_percent_encoded(self, addressed: Disk, path: str) -> None:
        url = addressed.url(path)
        assert unquote(url).endswith(f"/{path}")
        assert url.isascii()
        assert not set(url) & set(' <>"{}|\\^`')
        encoded = url[-len(quote(path, safe="/!$&'()*+,;=:@")) :]
        assert "?" not in encoded
        assert "#" not in encoded

    async def test_each_path_has_its_own_url(self, addressed: Disk) -> None:
        paths = [*_NAMES, "a%20b.txt", "A b.txt", "a+b.txt", "a.txt", "d/a.txt"]
        assert len({addressed.url(path) for path in paths}) == len(paths)

    async def test_a_leading_slash_makes_no_difference_to_a_url(self, addressed: Disk) -> None:
        assert addressed.url("/d/a.txt") == addressed.url("d/a.txt")

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
    async def test_a_timedelta_is_so_many_seconds(self, disk: Disk) -> None:
        assert await disk.temporary_url("a", timedelta(minutes=5))

    @needs("temporary_urls")
    async def test_a_temporary_url_binds_the_headers_to_answer_with(self, disk: Disk) -> None:
        plain = await disk.temporary_url("a", 60)
        named = await disk.temporary_url("a", 60, content_disposition='attachment; filename="b"')
        typed = await disk.temporary_url("a", 60, content_type="text/plain")
        assert len({plain, named, typed}) == 3

    @needs("temporary_urls")
    @pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf")])
    async def test_a_temporary_url_ends_at_some_time_to_come(
        self, disk: Disk, expires_in: float
    ) -> None:
        with pytest.raises(ValueError, match=r"."):
            await disk.temporary_url("a", expires_in)

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
