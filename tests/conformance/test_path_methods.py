"""The conformance tests of paths try every method of `Disk` that takes a path."""

from __future__ import annotations

import inspect

from jtc.storage import Disk
from jtc.storage.driver import StorageDriver
from jtc.storage.testing._groups.paths import FURTHER_METHODS

# Of these the tests of paths have tests of their own, or the paths are made by the library.
ELSEWHERE = {"copy", "move", "delete_many", "get_many", "copy_many"}


def test_path_methods_are_all_tried() -> None:
    tried = {name.partition(" ")[0] for name in FURTHER_METHODS} | ELSEWHERE
    tried |= {name for name in vars(StorageDriver) if not name.startswith("_")}
    takes_path = {
        name
        for name, method in inspect.getmembers(Disk, inspect.isfunction)
        if not name.startswith("_")
        and {"path", "paths", "src"} & set(inspect.signature(method).parameters)
    }
    assert takes_path - tried == set()
