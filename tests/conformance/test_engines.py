"""The conformance tests on other S3 engines than SeaweedFS.

`make test` runs those of what engines differ in; `make engines` all of them, on all engines.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engines.juicefs import JuiceFS
from engines.moto import Moto
from engines.rclone import Rclone
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.conditional_reads import ConditionalReadTests
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.copies import CopyTests
from jtc.storage.testing._groups.errors import ErrorTests
from jtc.storage.testing._groups.listing import ListingTests
from s3_conformance import OnAnEmptyBucket, engine, opened

if TYPE_CHECKING:
    from engines.engine import Engine

__all__ = ["engine", "opened"]


class Differing(
    ConditionalReadTests, ConditionalWriteTests, CopyTests, ErrorTests, ListingTests
): ...


ALL = os.environ.get("ENGINES") == "all"


class OnAnotherEngine(OnAnEmptyBucket, DriverConformance if ALL else Differing):  # type: ignore[misc]
    async def test_check_finds_the_conditions_that_the_engine_keeps(self, engine: Engine) -> None:
        driver = S3Driver(engine.bucket, **{**engine.options, "conditions": None})
        await driver.check("probes")
        assert driver._transport.learned.kept_conditions == engine.conditions
        await driver.aclose()


class TestMoto(OnAnotherEngine):
    engine_class = Moto


class TestRclone(OnAnotherEngine):
    engine_class = Rclone


if ALL:

    class TestJuiceFS(OnAnotherEngine):
        engine_class = JuiceFS
