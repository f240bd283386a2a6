"""Commands of other distributions, by entry points that are found without being imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from jtc.storage.cli._exits import Failed
from jtc.storage.cli._output import write_error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GROUP", "Plugin", "load", "plugins"]

GROUP = "jtc.storage.commands"
"""An entry-point group: the name is the command's, the value a `typer.Typer` or a function."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A command of another distribution.

    Attributes:
        name: The command's name.
        distributions: The distributions that have a command of this name.
        entry_point: The first one's entry point.
    """

    name: str
    distributions: tuple[str, ...]
    entry_point: metadata.EntryPoint


@cache
def plugins() -> Mapping[str, Plugin]:
    """Return the commands that other distributions have, by their names, importing none."""
    found: dict[str, dict[str, metadata.EntryPoint]] = {}
    # Not metadata.entry_points(): one unreadable distribution would break every command.
    for distribution in metadata.distributions():
        try:
            owner = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
            entry_points = [each for each in distribution.entry_points if each.group == GROUP]
        except Exception:  # noqa: S112 - the library's own scan warns of it
            continue
        for entry_point in entry_points:
            found.setdefault(entry_point.name, {}).setdefault(owner, entry_point)
    return {
        name: Plugin(name, tuple(owners), next(iter(owners.values())))
        for name, owners in sorted(found.items())
    }


def load(plugin: Plugin) -> Any:
    """Import a command.

    Returns:
        A `typer.Typer`, or a function that takes the arguments and returns the exit status.

    Raises:
        Failed: It cannot be imported, or two distributions have it: the reason is on standard
            error.
    """
    owners = " and ".join(plugin.distributions)
    if len(plugin.distributions) > 1:
        write_error(f"Two distributions have a command {plugin.name!r}: {owners}. Uninstall one")
        raise Failed
    try:
        loaded = plugin.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        write_error(
            f"The command {plugin.name!r} of {owners} cannot be imported "
            f"({type(error).__name__}: {error}). Repair or reinstall that distribution"
        )
        raise Failed from error
    if not callable(loaded):
        write_error(f"The command {plugin.name!r} of {owners} is neither a Typer nor a function")
        raise Failed
    return loaded
