"""The command `drivers`: the drivers that are installed."""

from jtc.storage.cli._installed import DRIVERS, rows
from jtc.storage.cli._options import Json
from jtc.storage.cli._terminal.tables import write_table

EXAMPLES = ("jtc-storage drivers", "jtc-storage drivers --json")


def command(*, json: Json = False) -> None:
    """List the drivers that are installed, with their distributions. None is imported."""
    write_table(("name", "distribution", "version"), rows(DRIVERS), json=json)
