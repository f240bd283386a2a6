"""The time that `Disk` adds to the driver's own method, and that hooks add to `Disk`.

The driver does nothing, so that only the time of `Disk` is left.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from measuring import Row, in_turns, print_rows, repeat
from sizes import Sizes

from jtc.storage import Disk, StorageManager
from jtc.storage.hookspecs import hookimpl
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from measuring import Way

PATH = "a/b.txt"
ROUNDS_MORE = 3
CALLS_MORE = 20


class Nothing:
    """A driver of eight methods that do nothing."""

    async def put(self, path: str, _content: Any, /) -> str:
        return path

    async def get(self, _path: str, /) -> bytes:
        return b""

    async def exists(self, _path: str, /) -> bool:
        return True

    delete = exists

    async def size(self, _path: str, /) -> int:
        return 0

    last_modified = size

    def url(self, path: str, /) -> str:
        return path

    path = url


class WithoutHooks(Disk):
    """`Disk.get` as it would be if there were no hooks."""

    async def get(
        self, path: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> bytes:
        try:
            checked = check_path(path)
            resolved = self._resolved()
            if if_match is None and if_none_match is None:
                return await resolved.methods.get(checked)
        except Exception as error:
            self._fail(error, "get", path)
        raise NotImplementedError


class Plugin:
    """One hook."""

    @hookimpl
    def storage_after_get(self, event: Any) -> None:
        """Do nothing with the event."""


async def main(sizes: Sizes) -> None:
    without_plugin, with_plugin = StorageManager.isolated({}), StorageManager.isolated({})
    for manager in (without_plugin, with_plugin):
        manager.set_driver(Nothing(), "d")
    with_plugin.hooks.register(Plugin())
    disk, driver = without_plugin.disk("d"), without_plugin.disk("d").driver
    calls, rounds = sizes.calls * CALLS_MORE, sizes.rounds * ROUNDS_MORE

    def way(method: Any, *content: bytes) -> Way:
        return repeat(calls, lambda _: method(PATH, *content))

    async def row(name: str, ways: dict[str, Way]) -> Row:
        return await in_turns(name, ways, rounds=rounds, per=calls)

    rows = [
        await row(
            f"Disk.{name}",
            {
                "Disk": way(getattr(disk, name), *content),
                "the driver's own method": way(getattr(driver, name), *content),
            },
        )
        for name, *content in (("get",), ("put", b"x"), ("exists",), ("size",), ("delete",))
    ]
    rows.append(
        await row(
            "hooks",
            {
                "Disk": way(disk.get),
                "Disk, were there no hooks": way(
                    WithoutHooks("d", without_plugin, disk._resolved).get
                ),
                "Disk, with one after-hook": way(with_plugin.disk("d").get),
            },
        )
    )
    print_rows(rows)


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
