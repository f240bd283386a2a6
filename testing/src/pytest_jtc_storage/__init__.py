"""Pytest plugin of jtc-storage: fixtures for the tests of applications.

``pip install 'jtc-storage[testing]'`` installs it; no import is needed. To use a fixture in every
test of a project, name it in ``pyproject.toml`` (a ``pytestmark`` in a ``conftest.py`` does
nothing)::

    [tool.pytest.ini_options]
    usefixtures = ["storage_guard"]

Nothing of ``jtc`` is imported before a test asks for a fixture: pytest loads plugins before
coverage measures, and every run would pay for the import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage import FakeDisk

__all__ = ["fake_storage", "storage_guard"]


@pytest.fixture
def fake_storage() -> Iterator[FakeDisk]:
    """Put memory behind every disk for one test.

    Yields:
        The default disk; its `disk(name)` returns the others.
    """
    from jtc.storage import Storage  # noqa: PLC0415 - see above

    with Storage.fake("*") as disk:
        yield disk


@pytest.fixture
def storage_guard() -> Iterator[None]:
    """Fail a test that touches a disk which is neither faked, nor memory's, nor set by hand.

    It fails also where the application catches the error.
    """
    from jtc.storage import Storage  # noqa: PLC0415

    with Storage.guarded() as refused:
        yield
    if refused:
        names = ", ".join(repr(name) for name in dict.fromkeys(refused))
        pytest.fail(f"The test touched the real disks {names}: use Storage.fake()", pytrace=False)
