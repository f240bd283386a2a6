"""The command `layers`: the layers that are installed."""

from jtc.storage.cli._installed import LAYERS, rows
from jtc.storage.cli._options import Json
from jtc.storage.cli._terminal.tables import write_table

EXAMPLES = ("jtc-storage layers", "jtc-storage layers --json")


def command(*, json: Json = False) -> None:
    """List the layers that are installed, with their distributions. None is imported."""
    write_table(("name", "distribution", "version"), rows(LAYERS), json=json)
