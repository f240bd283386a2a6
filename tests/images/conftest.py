"""One processor for all tests of a process, as an application has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.images import Processor

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def processor() -> Iterator[Processor]:
    with Processor(workers=1) as processor:
        yield processor
