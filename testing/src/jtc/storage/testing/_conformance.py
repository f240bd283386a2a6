"""`DriverConformance`: every group of tests in one class."""

from __future__ import annotations

from jtc.storage.testing._groups.bulk_deletes import BulkDeleteTests
from jtc.storage.testing._groups.cancellation import CancellationTests
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.changes import ChangeTests
from jtc.storage.testing._groups.concurrency import ConcurrencyTests
from jtc.storage.testing._groups.conditional_deletes import ConditionalDeleteTests
from jtc.storage.testing._groups.conditional_reads import ConditionalReadTests
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.connections import ConnectionTests
from jtc.storage.testing._groups.contents import ContentTests
from jtc.storage.testing._groups.copies import CopyTests
from jtc.storage.testing._groups.declared_metadata import DeclaredMetadataTests
from jtc.storage.testing._groups.directories import DirectoryTests
from jtc.storage.testing._groups.directory_moves import DirectoryMoveTests
from jtc.storage.testing._groups.errors import ErrorTests
from jtc.storage.testing._groups.file_info import FileInfoTests
from jtc.storage.testing._groups.listing import ListingTests
from jtc.storage.testing._groups.lookups import LookupTests
from jtc.storage.testing._groups.metadata_updates import MetadataUpdateTests
from jtc.storage.testing._groups.paths import PathTests
from jtc.storage.testing._groups.ranges import RangeTests
from jtc.storage.testing._groups.store_copies import StoreCopyTests
from jtc.storage.testing._groups.streams import StreamTests
from jtc.storage.testing._groups.urls import UrlTests
from jtc.storage.testing._groups.visibility import VisibilityTests
from jtc.storage.testing._groups.whole_files import WholeFileTests

__all__ = ["DriverConformance"]


class DriverConformance(
    WholeFileTests,
    FileInfoTests,
    StreamTests,
    RangeTests,
    ConditionalReadTests,
    ListingTests,
    LookupTests,
    DirectoryTests,
    DirectoryMoveTests,
    CopyTests,
    StoreCopyTests,
    ConditionalWriteTests,
    ConditionalDeleteTests,
    DeclaredMetadataTests,
    MetadataUpdateTests,
    VisibilityTests,
    PathTests,
    ErrorTests,
    UrlTests,
    ContentTests,
    BulkDeleteTests,
    ChangeTests,
    ConnectionTests,
    ConcurrencyTests,
    CancellationTests,
    CapabilityTests,
):
    """All conformance tests. Inherit from it in a class whose name begins with ``Test``.

    Give one factory, `make_driver`; where it needs pytest's own fixtures (``tmp_path``), override
    the fixture ``driver`` instead. The attributes that say what a backend does differently, with
    what each means, are those of `jtc.storage.testing._suite.Suite`.
    """
