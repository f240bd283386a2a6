"""A driver's own health check, through each layer."""

from __future__ import annotations

from typing import Any

import pytest

from jtc.storage import ReadOnlyException, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver

LAYERS: dict[str, dict[str, Any]] = {
    "timeout": {},
    "limit": {"operations": 1},
    "retry": {"delay": 0},
    "validate": {"max_size": 100, "name_pattern": r"\.jtc-check-.*"},
    "otel": {},
}


class Checking(MemoryDriver):
    """Makes a check of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.checked: list[str] = []

    async def check(self, path: str, /) -> None:
        self.checked.append(path)


@pytest.mark.parametrize("layer", LAYERS)
async def test_check_of_driver_passes_through_layer(layer: str) -> None:
    driver = Checking()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = manager.disk("d").with_layer(layer, **LAYERS[layer])
    await disk.check()
    await disk.scoped("s").check()
    assert [path.partition(".jtc-check-")[0] for path in driver.checked] == ["", "s/"]


async def test_check_of_driver_is_not_made_on_read_only_view() -> None:
    driver = Checking()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    view = manager.disk("d").read_only()
    assert "health_check" not in view.capabilities
    with pytest.raises(ReadOnlyException):
        await view.check()
    assert driver.checked == []
