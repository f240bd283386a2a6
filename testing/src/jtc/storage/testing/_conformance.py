"""The kit's one class: every group of tests together."""

from __future__ import annotations

from jtc.storage.testing._groups.bulk import BulkDeletes
from jtc.storage.testing._groups.cancellation import Cancellation
from jtc.storage.testing._groups.capabilities import Capabilities
from jtc.storage.testing._groups.concurrency import Concurrency
from jtc.storage.testing._groups.conditions import Conditions
from jtc.storage.testing._groups.contents import Contents
from jtc.storage.testing._groups.copies import Copies
from jtc.storage.testing._groups.directories import Directories
from jtc.storage.testing._groups.errors import Errors
from jtc.storage.testing._groups.listing import Listing
from jtc.storage.testing._groups.metadata import Metadata
from jtc.storage.testing._groups.metadata_of_files import Facts
from jtc.storage.testing._groups.paths import Paths
from jtc.storage.testing._groups.streams import Streams
from jtc.storage.testing._groups.urls import Addresses
from jtc.storage.testing._groups.visibility import VisibilityOfFiles
from jtc.storage.testing._groups.whole_files import WholeFiles

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
    what each means, are those of `jtc.storage.testing._suite.Suite`.
    """
