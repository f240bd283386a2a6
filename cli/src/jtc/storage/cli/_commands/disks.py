"""The command `disks`: the disks and where they come from."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jtc.storage import Storage
from jtc.storage.cli._options import Json
from jtc.storage.cli._places.locations import disk_names
from jtc.storage.cli._terminal.tables import write_table

EXAMPLES = ("jtc-storage disks", "jtc-storage --config production.toml disks --json")


def command(*, json: Json = False) -> None:
    """List the disks: driver, layers, and where they are configured. No option of one is shown."""
    names = disk_names()  # reads and checks the configuration
    tables = _tables()
    rows = []
    for name in names:
        table = tables.get(name, {"driver": name})
        layers = ", ".join(map(_layer_name, table.get("layers", ())))
        default = "default" if name == Storage.name else ""
        rows.append((name, str(table["driver"]), layers, default, _source(name)))
    write_table(("name", "driver", "layers", "default", "source"), rows, json=json)


def _source(name: str) -> str:
    text = Storage.source_of(name)
    return "environment variables" if text.startswith("the environment variables of") else text


def _tables() -> Mapping[str, Any]:
    """Return the tables of the configuration, in which variables are still names."""
    path = os.environ.get("FILESYSTEM_CONFIG")
    if not path:
        return {}
    disks: Mapping[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8")).get(
        "disks", {}
    )
    return disks


def _layer_name(layer: Any) -> str:
    return layer if isinstance(layer, str) else str(layer["name"])
