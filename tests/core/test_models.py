"""Records of files."""

from __future__ import annotations

import pickle

from jtc.storage import FileInfo
from jtc.storage.models import listed_file


def test_what_a_listing_makes_quickly_is_what_the_constructor_makes() -> None:
    quick = listed_file("a.txt", 3, 1.5, "etag")
    made = FileInfo(path="a.txt", size=3, last_modified=1.5, etag="etag")
    assert quick == made
    assert repr(quick) == repr(made)
    assert pickle.loads(pickle.dumps(quick)) == made


def test_two_files_of_a_listing_share_nothing_that_can_be_changed() -> None:
    one, other = (listed_file(path, 3, 1.5, None) for path in ("a.txt", "b.txt"))
    assert one.metadata is not other.metadata
    assert one.checksums is not other.checksums
