"""Fixtures for the tests of applications, for those who ask: they are registered nowhere.

In a ``conftest.py``::

    from pytest_jtc_storage import fake_storage, storage_guard  # noqa: F401

For every test, in the ``pyproject.toml`` (a ``pytestmark`` in a ``conftest.py`` does nothing)::

    [tool.pytest.ini_options]
    usefixtures = ["storage_guard"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage import Storage
from jtc.storage._fakes import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage._fakes import FakeDisk

__all__ = ["fake_storage", "storage_guard"]


@pytest.fixture
def fake_storage() -> Iterator[FakeDisk]:
    """Put memory behind every disk for one test; gives the default one, `disk(name)` the others."""
    with Storage.fake("*") as disk:
        yield disk


@pytest.fixture
def storage_guard() -> Iterator[None]:
    """Fail a test that touches a disk which is neither faked, nor memory's, nor set by hand.

    The test fails also when the application swallows the error.
    """
    with guarded(Storage) as touched:
        yield
    if touched:
        names = ", ".join(repr(name) for name in dict.fromkeys(touched))
        pytest.fail(f"The test touched the real disks {names}: use Storage.fake()", pytrace=False)
