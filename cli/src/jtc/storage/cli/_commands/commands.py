"""The command `commands`: all commands with their distributions."""

from importlib.metadata import version

from jtc.storage.cli._app import BUILT_IN
from jtc.storage.cli._installed import COMMANDS, rows
from jtc.storage.cli._options import Json
from jtc.storage.cli._terminal.tables import write_table

EXAMPLES = ("jtc-storage commands",)

_OWN = "jtc-storage-cli"


def command(*, json: Json = False) -> None:
    """List all commands with the distributions that they come from."""
    ours = [(name, _OWN, version(_OWN)) for name in BUILT_IN]
    write_table(("name", "distribution", "version"), [*ours, *rows(COMMANDS)], json=json)
