"""The conformance kit on the S3 driver, against a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.bulk import BulkDeletes
from jtc.storage.testing._groups.cancellation import Cancellation
from jtc.storage.testing._groups.concurrency import Concurrency
from jtc.storage.testing._groups.conditions import Conditions
from jtc.storage.testing._groups.copies import Copies
from jtc.storage.testing._groups.directories import Directories
from jtc.storage.testing._groups.errors import Errors
from jtc.storage.testing._groups.listing import Listing
from jtc.storage.testing._groups.metadata import Metadata
from jtc.storage.testing._groups.metadata_of_files import Facts
from jtc.storage.testing._groups.paths import Paths
from jtc.storage.testing._groups.streams import Streams
from jtc.storage.testing._groups.visibility import VisibilityOfFiles
from jtc.storage.testing._groups.whole_files import WholeFiles
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
        # Port 9 is discard's: nobody listens there.
        return S3Driver(
            "bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1
        )


class TestS3(OnAnEmptyBucket, DriverConformance): ...


class LegitimatePaths(Paths):
    """All of them together: what is refused, is refused before there is a request."""

    test_a_legitimate_path_is_kept_as_it_is = None  # type: ignore[assignment]
    test_a_path_that_could_mean_another_is_refused_by_every_method = None  # type: ignore[assignment]


class TestS3BySdk(
    OnAnEmptyBucket,
    WholeFiles,
    Facts,
    Streams,
    Listing,
    Directories,
    Copies,
    Conditions,
    Metadata,
    VisibilityOfFiles,
    LegitimatePaths,
    Errors,
    BulkDeletes,
    Concurrency,
    Cancellation,
):
    """What is asked of the store otherwise, where a setting sends all requests to the SDK.

    Contents, capabilities and URLs are the driver's own by the same code both ways.
    """

    stands_alone = False
    way = "sdk"
