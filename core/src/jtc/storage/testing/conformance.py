"""The kit's one class: every group of tests together."""

from __future__ import annotations

from jtc.storage.testing.groups.addresses import Addresses
from jtc.storage.testing.groups.bulk import BulkDeletes
from jtc.storage.testing.groups.cancellation import Cancellation
from jtc.storage.testing.groups.capabilities import Capabilities
from jtc.storage.testing.groups.concurrency import Concurrency
from jtc.storage.testing.groups.conditions import Conditions
from jtc.storage.testing.groups.contents import Contents
from jtc.storage.testing.groups.copies import Copies
from jtc.storage.testing.groups.directories import Directories
from jtc.storage.testing.groups.errors import Errors
from jtc.storage.testing.groups.facts import Facts
from jtc.storage.testing.groups.listing import Listing
from jtc.storage.testing.groups.metadata import Metadata
from jtc.storage.testing.groups.paths import Paths
from jtc.storage.testing.groups.streams import Streams
from jtc.storage.testing.groups.visibility import VisibilityOfFiles
from jtc.storage.testing.groups.whole_files import WholeFiles

__all__ = ["DriverConformance"]


class DriverConformance(
    WholeFiles,
    Facts,
    Streams,
    Listing,
    Directories,
    Copies,
    Conditions,
    Metadata,
    VisibilityOfFiles,
    Paths,
    Errors,
    Addresses,
    Contents,
    BulkDeletes,
    Concurrency,
    Cancellation,
    Capabilities,
):
    """All tests of the kit. Inherit from it in a class whose name begins with ``Test``.

    Give one factory, `make_driver`; where it needs pytest's own fixtures (``tmp_path``), override
    the fixture ``driver`` instead. The attributes that say what a backend does differently, with
    what each means, are those of `jtc.storage.testing.suite.Suite`.
    """
