"""Pages of keys, as the entries of a listing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.http_support.key_listing import entries_of_keys, key_before
from jtc.storage.models import listed_file
from jtc.storage.options import ListOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.models import Entry

    Page = list[tuple[str, int | None]]


def file(path: str, size: int) -> Entry:
    return listed_file(path, size, 0.0, None)


class Pages:
    """Pages of a store, and whether they were closed."""

    def __init__(self, *pages: Page) -> None:
        self.pages, self.is_closed = pages, False

    async def generator(self) -> AsyncGenerator[Page, None]:
        try:
            for page in self.pages:
                yield page
        finally:
            self.is_closed = True


async def listed(prefix: str, *pages: Page, **options: Any) -> list[str]:
    """Return the paths of entries, those of directories with a slash."""
    found = Pages(*pages)
    entries = entries_of_keys(prefix, ListOptions(**options), found.generator(), file)
    paths = [each.path + ("" if hasattr(each, "size") else "/") async for each in entries]
    assert found.is_closed
    return paths


async def test_entries_of_keys_are_files_and_directories_in_the_order_of_the_pages() -> None:
    pages: list[Page] = [[("a", 1), ("b/", None)], [("b/", None), ("c", 2)]]
    assert await listed("", *pages) == ["a", "b/", "c"]


async def test_entries_of_keys_leave_out_markers_of_directories_in_a_walk() -> None:
    page: Page = [("x/", 0), ("x/a/", 0), ("x/a/b", 1), ("x/c", 1)]
    assert await listed("x", page, recursive=True) == ["x/a/b", "x/c"]


async def test_entries_of_keys_have_each_directory_of_a_walk_once_before_its_files() -> None:
    pages: list[Page] = [[("a/b/c", 1), ("a/b/d", 1)], [("a/b/e", 1), ("a/f", 1), ("g/h", 1)]]
    walked = await listed("", *pages, recursive=True, directories=True)
    assert walked == ["a/", "a/b/", "a/b/c", "a/b/d", "a/b/e", "a/f", "g/", "g/h"]


async def test_entries_of_keys_leave_out_and_log_what_breaks_the_path_policy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page: Page = [("../up", 1), ("/a", 1), ("a//b", 1), ("fine", 1)]
    assert await listed("", page, recursive=True) == ["fine"]
    assert "Left out 3 names below '' that break the path policy" in caplog.text


async def test_entries_of_keys_that_are_read_no_further_close_their_pages() -> None:
    pages = Pages([("a", 1), ("b", 1)])
    entries = entries_of_keys("", ListOptions(), pages.generator(), file)
    assert (await anext(entries)).path == "a"
    await entries.aclose()
    assert pages.is_closed


def test_entries_of_keys_in_a_loop_that_ends_are_closed_with_it() -> None:
    pages = Pages([("a", 1), ("b", 1)])

    async def main() -> None:
        entries = entries_of_keys("", ListOptions(), pages.generator(), file)
        assert (await anext(entries)).path == "a"
        main.entries = entries  # type: ignore[attr-defined]

    asyncio.run(main())
    assert pages.is_closed


@pytest.mark.parametrize(
    ("prefix", "start_after", "recursive", "expected"),
    [
        ("", None, False, ""),
        ("a", None, False, ""),
        ("a", "a/b", False, "a/b"),
        ("a", "a/b/c", False, "a/b/"),
        ("a", "a/b/c", True, "a/b/c"),
        ("b", "a/x", True, ""),
        ("b", "c", True, None),
        ("b", "b.", True, ""),
    ],
)
def test_key_before_is_where_a_listing_begins(
    prefix: str, start_after: str | None, recursive: bool, expected: str | None
) -> None:
    options = ListOptions(start_after=start_after, recursive=recursive)
    assert key_before(prefix, options) == expected


def test_key_before_goes_by_the_order_of_the_store() -> None:
    options = ListOptions(start_after="\U00010000", recursive=True)
    assert key_before("\uffff", options) is None
    assert key_before("\uffff", options, lambda key: key.encode("utf-16-be")) == ""
