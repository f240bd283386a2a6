"""Commands, drivers and layers that are installed, found by entry points and not imported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from jtc.storage.cli._exits import Failed
from jtc.storage.cli._terminal.output import write_error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMANDS", "DRIVERS", "LAYERS", "Installed", "installed", "load", "rows"]

COMMANDS = "jtc.storage.commands"
"""An entry-point group: the name is the command's, the value a `typer.Typer` or a function."""

DRIVERS = "jtc.storage.drivers"
LAYERS = "jtc.storage.layers"


@dataclass(slots=True)
class Installed:
    """A name of an entry-point group.

    Attributes:
        name: The name.
        entry_point: The entry point of the first distribution that has it.
        distributions: The versions of all distributions that have it, by their names.
    """

    name: str
    entry_point: metadata.EntryPoint
    distributions: dict[str, str] = field(default_factory=dict)

    @property
    def owners(self) -> str:
        """The names of the distributions."""
        return " and ".join(self.distributions)


@cache
def installed(group: str) -> Mapping[str, Installed]:
    """Return what the distributions have in an entry-point group, by its names."""
    found: dict[str, Installed] = {}
    # Not metadata.entry_points(): one unreadable distribution would break every command.
    for distribution in metadata.distributions():
        try:
            mine = [each for each in distribution.entry_points if each.group == group]
            if not mine:
                continue
            owner = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
            version = distribution.version
        except Exception:  # noqa: S112 - the library's own scan warns of it
            continue
        for entry_point in mine:
            by_name = found.setdefault(entry_point.name, Installed(entry_point.name, entry_point))
            by_name.distributions.setdefault(owner, version)
    return dict(sorted(found.items()))


def rows(group: str) -> list[tuple[str, str, str]]:
    """Return each name of an entry-point group with its distributions and their versions."""
    return [
        (found.name, owner, version)
        for found in installed(group).values()
        for owner, version in found.distributions.items()
    ]


def load(command: Installed) -> Any:
    """Import a command.

    Returns:
        A `typer.Typer`, or a function that takes the arguments and returns the exit status.

    Raises:
        Failed: It cannot be imported, or two distributions have it: the reason is on standard
            error.
    """
    what = f"The command {command.name!r} of {command.owners}"
    if len(command.distributions) > 1:
        write_error(
            f"Two distributions have a command {command.name!r}: {command.owners}. "
            "Uninstall one of them"
        )
        raise Failed
    try:
        loaded = command.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        write_error(
            f"{what} cannot be imported ({type(error).__name__}: {error}). "
            "Repair or reinstall that distribution"
        )
        raise Failed from error
    if not callable(loaded):
        write_error(f"{what} is neither a typer.Typer nor a function")
        raise Failed
    return loaded
