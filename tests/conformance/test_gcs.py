"""The conformance tests on the Google Cloud Storage driver, against two emulators.

`GoogleStore` is of ours, after Google's documentation, and keeps all that the driver relies on.
fake-gcs-server is not: it keeps conditions of puts, and none of other requests, and its
metagenerations never change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from engines.engine import EngineMissing
from fake_gcs_server import FakeGCSServer
from google_store import GoogleStore
from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.copies import CopyTests
from jtc.storage.testing._groups.declared_metadata import DeclaredMetadataTests
from jtc.storage.testing._groups.directories import DirectoryTests
from jtc.storage.testing._groups.listing import ListingTests
from jtc.storage.testing._groups.ranges import RangeTests
from jtc.storage.testing._groups.whole_files import WholeFileTests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage.testing import ConnectionFaults

_WAITS: dict[str, Any] = {"read_timeout": 0.5, "connect_timeout": 0.5, "request_timeout": 2.0}

_LOST = {
    "copy_file": {"overwrite", "if_source_match", "metadata"},
    "move_file": {"overwrite", "if_source_match", "metadata"},
    "update_metadata": {"if_match", "metadata"},
}
"""The options whose conditions fake-gcs-server ignores; and a null in a patch does not remove."""


@pytest.fixture(scope="module")
def google_store() -> Iterator[GoogleStore]:
    with GoogleStore() as store:
        yield store


@pytest.fixture(scope="module")
def fake_gcs_server() -> Iterator[FakeGCSServer]:
    try:
        server = FakeGCSServer().__enter__()
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield server
    server.__exit__()


@pytest_asyncio.fixture(loop_scope="class", scope="class")
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[GCSDriver]:
    """Open a driver once a class: each event loop has connections of its own."""
    server = request.getfixturevalue(request.cls.server)
    options = getattr(request.cls, "bucket_options", {})
    driver = GCSDriver(server.bucket, **server.options, **options)
    yield driver
    await driver.aclose()


class TestGCS(DriverConformance):
    server = "google_store"
    one_loop = True  # for tests/conformance/conftest.py
    # A request that was sent may take effect after its task was cancelled.
    changes_nothing_after_cancellation = False
    # Google keeps the old file's ACL neither for a new generation nor for a copy.
    keeps_visibility = False
    files_may_shadow_directories = True

    @pytest.fixture
    def driver(self, google_store: GoogleStore, opened: GCSDriver) -> GCSDriver:
        google_store.reset()
        return opened

    def make_failing_driver(self) -> GCSDriver:
        return _failing()

    @pytest.fixture
    def networked_driver(self, google_store: GoogleStore, faults: ConnectionFaults) -> GCSDriver:
        google_store.reset()
        return _networked(google_store.url, faults, google_store.bucket)


@pytest.mark.no_cover
class TestFakeGCSServer(
    WholeFileTests,
    RangeTests,
    ListingTests,
    DirectoryTests,
    CopyTests,
    ConditionalWriteTests,
    DeclaredMetadataTests,
):
    """What another store than ours shows; the rest is the driver's own."""

    server = "fake_gcs_server"
    one_loop = True
    stands_alone = False  # TestGCS covers that
    changes_nothing_after_cancellation = False
    keeps_visibility = False
    files_may_shadow_directories = True
    metadata_changes_etags = False

    @pytest.fixture
    def driver(self, fake_gcs_server: FakeGCSServer, opened: GCSDriver) -> GCSDriver:
        fake_gcs_server.empty()
        opened.supported_options = {
            method: names - _LOST.get(method, set())
            for method, names in GCSDriver.supported_options.items()
        }
        opened.unsupported |= {"conditional_delete", "visibility"}
        return opened


def _failing() -> GCSDriver:
    # Port 9 is discard's: nothing listens there.
    return GCSDriver("bucket", endpoint_url="http://127.0.0.1:9", anonymous=True, max_attempts=1)


def _networked(url: str, faults: ConnectionFaults, bucket: str) -> GCSDriver:
    at = urlsplit(url)
    host, port = faults.through(str(at.hostname), int(at.port or 80))
    return GCSDriver(bucket, endpoint_url=f"http://{host}:{port}", anonymous=True, **_WAITS)


@pytest.mark.no_cover
class TestHierarchicalNamespace(DirectoryTests):
    """A bucket whose directories are folders, on the server of ours."""

    server = "google_store"
    bucket_options: ClassVar[dict[str, Any]] = {"hierarchical_namespace": True}
    one_loop = True
    stands_alone = False
    files_may_shadow_directories = True

    @pytest.fixture
    def driver(self, google_store: GoogleStore, opened: GCSDriver) -> GCSDriver:
        google_store.reset()
        google_store.hierarchical = True
        return opened
