"""The command `commands`: all commands with their distributions."""

from importlib.metadata import version

from jtc.storage.cli._app import BUILT_IN
from jtc.storage.cli._installed import COMMANDS, installed
from jtc.storage.cli._options import Json
from jtc.storage.cli._tables import write_table

EXAMPLES = ("jtc-storage commands",)

_OWN = "jtc-storage-cli"


def command(*, json: Json = False) -> None:
    """List all commands with the distributions that they come from."""
    rows = [(name, _OWN, version(_OWN)) for name in BUILT_IN]
    rows += [
        (found.name, owner, its_version)
        for found in installed(COMMANDS).values()
        for owner, its_version in found.distributions.items()
    ]
    write_table(("name", "distribution", "version"), rows, json=json)
