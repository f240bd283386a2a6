"""The conformance tests on real S3 engines, with one client for all of a class's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from engines.engine import EngineMissing
from jtc.storage import StorageManager
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing._suite import DISK_NAME, Suite
from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from engines.engine import Engine
    from jtc.storage.testing import ConnectionFaults

__all__ = ["OnAnEmptyBucket", "OnS3", "engine", "opened"]

_NEEDING = {
    "put": [("write_file", "overwrite"), ("write_file", "if_match")],
    "copy": [("copy_file", "overwrite"), ("move_file", "overwrite")],
    "delete": [("move_file", "if_source_match")],
}
"""The options of methods that need conditional requests of a kind, by the kind."""


@pytest.fixture(scope="class")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Start the class's engine; SeaweedFS is one for the whole run."""
    engine_class: type[Engine] = request.cls.engine_class
    if engine_class is SeaweedFS:
        yield request.getfixturevalue("seaweedfs")
        return
    try:
        engine_class.version()
    except EngineMissing as missing:
        pytest.skip(str(missing))
    with engine_class() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="class", scope="class")
async def opened(engine: Engine) -> AsyncIterator[S3Driver]:
    """Open a driver once a class: each event loop has a client of its own, slow to open."""
    driver = driver_of(engine)
    yield driver
    await driver.aclose()


def driver_of(engine: Engine, **options: Any) -> S3Driver:
    """Make a driver that claims what the engine keeps.

    Args:
        engine: The engine.
        **options: In place of its own.
    """
    driver = S3Driver(engine.bucket, **{**engine.options, **options})
    if engine.conditions is not None:
        lost = {name for kind in _NEEDING.keys() - engine.conditions for name in _NEEDING[kind]}
        driver.supported_options = {
            method: frozenset(name for name in names if (method, name) not in lost)
            for method, names in S3Driver.supported_options.items()
        }
    driver.unsupported = set(engine.disable)  # type: ignore[attr-defined]
    if engine.conditions is not None and "delete" not in engine.conditions:
        driver.unsupported.add("conditional_delete")  # type: ignore[attr-defined]
    return driver


# Tracing the SDK doubles the time of these tests; tests/drivers_s3 measures the same lines.
@pytest.mark.no_cover
class OnS3(Suite):
    one_loop = True  # for tests/conformance/conftest.py
    engine_class: ClassVar[type[Engine]] = SeaweedFS

    # The engine's own ways: it lists by directory, and keeps a file and a directory of one name
    # apart from AWS; a request that was sent may take effect after its task was cancelled.
    lists_in_key_order = False
    files_may_shadow_directories = True
    changes_nothing_after_cancellation = False
    metadata_changes_etags = False  # they are MD5 sums of the content
    keeps_visibility = False  # the ACL of the old file is not read

    @pytest_asyncio.fixture(loop_scope="class")
    async def manager(self, driver: Any) -> AsyncIterator[StorageManager]:
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()


class OnAnEmptyBucket(OnS3):
    @pytest.fixture
    def driver(self, engine: Engine, opened: S3Driver) -> S3Driver:
        engine.empty()
        return opened

    def make_failing_driver(self) -> S3Driver:
        # Port 9 is discard's: nothing listens there.
        return S3Driver(
            "bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1
        )

    @pytest.fixture
    def networked_driver(self, engine: Engine, faults: ConnectionFaults) -> S3Driver:
        engine.empty()
        at = urlsplit(engine.endpoint_url)
        host, port = faults.through(str(at.hostname), int(at.port or 80))
        url = f"http://{host}:{port}"
        waits = {"read_timeout": 0.5, "connect_timeout": 0.5, "request_timeout": 2.0}
        return driver_of(engine, endpoint_url=url, **waits)
