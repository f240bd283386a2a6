"""The conformance tests on the S3 driver, against a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.bulk_deletes import BulkDeleteTests
from jtc.storage.testing._groups.cancellation import CancellationTests
from jtc.storage.testing._groups.concurrency import ConcurrencyTests
from jtc.storage.testing._groups.conditional_reads import ConditionalReadTests
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.copies import CopyTests
from jtc.storage.testing._groups.declared_metadata import DeclaredMetadataTests
from jtc.storage.testing._groups.directories import DirectoryTests
from jtc.storage.testing._groups.errors import ErrorTests
from jtc.storage.testing._groups.file_info import FileInfoTests
from jtc.storage.testing._groups.listing import ListingTests
from jtc.storage.testing._groups.metadata_updates import MetadataUpdateTests
from jtc.storage.testing._groups.paths import PathTests
from jtc.storage.testing._groups.ranges import RangeTests
from jtc.storage.testing._groups.streams import StreamTests
from jtc.storage.testing._groups.visibility import VisibilityTests
from jtc.storage.testing._groups.whole_files import WholeFileTests
from s3_conformance import OnS3, opened

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = ["opened"]


class OnAnEmptyBucket(OnS3):
    @pytest.fixture
    def driver(self, seaweedfs: SeaweedFS, opened: S3Driver) -> S3Driver:
        seaweedfs.empty()
        return opened

    def make_failing_driver(self) -> S3Driver:
        # Port 9 is discard's: nothing listens there.
        return S3Driver(
            "bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1
        )


class TestS3(OnAnEmptyBucket, DriverConformance): ...


class LegitimatePaths(PathTests):
    """All of them together: what is refused, is refused before there is a request."""

    test_a_legitimate_path_is_kept_as_it_is = None  # type: ignore[assignment]
    test_a_path_that_could_mean_another_is_refused_by_every_method = None  # type: ignore[assignment]


class TestS3BySdk(
    OnAnEmptyBucket,
    WholeFileTests,
    FileInfoTests,
    StreamTests,
    RangeTests,
    ConditionalReadTests,
    ListingTests,
    DirectoryTests,
    CopyTests,
    ConditionalWriteTests,
    DeclaredMetadataTests,
    MetadataUpdateTests,
    VisibilityTests,
    LegitimatePaths,
    ErrorTests,
    BulkDeleteTests,
    ConcurrencyTests,
    CancellationTests,
):
    """What is asked of the store otherwise, where a setting sends all requests to the SDK.

    Contents, capabilities and URLs are the driver's own by the same code both ways.
    """

    stands_alone = False
    way = "sdk"
