"""A folder on the path with distributions in it, as pip leaves them behind."""

from __future__ import annotations

import importlib
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from jtc.storage import _discovery as discovery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DRIVER", "Site", "site"]

DRIVER = """
    class Driver:
        def __init__(self, *, region="nowhere", secret=None):
            self.region = region

        async def put(self, path, content, /):
            return path

        async def get(self, path, /):
            return self.region.encode()

        async def exists(self, path, /):
            return True

        async def delete(self, path, /):
            return True

        async def size(self, path, /):
            return 0

        async def last_modified(self, path, /):
            return 0.0

        def url(self, path, /):
            return path

        def path(self, path, /):
            return path
"""


class Site:
    """A folder on the path, as ``site-packages`` is one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def install(
        self,
        distribution: str,
        drivers: dict[str, str],
        module: str | None = None,
        source: str = DRIVER,
        *,
        group: str = discovery.DRIVERS,
        entry_points: bytes | None = None,
    ) -> None:
        """Write a distribution: what pip leaves behind, as far as it is read."""
        record = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = "".join(f"{name} = {value}\n" for name, value in drivers.items())
        (record / "entry_points.txt").write_bytes(entry_points or f"[{group}]\n{lines}".encode())
        if module is not None:
            (self.folder / f"{module}.py").write_text(textwrap.dedent(source))
        # Folders are read again only where their time changed, which is not exact enough here.
        importlib.invalidate_caches()
        discovery.forget_scan()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a folder on the path, before all that is installed."""
    before = set(sys.modules)
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    for name in ("FILESYSTEM_CONFIG", "FILESYSTEM_DISK"):
        monkeypatch.delenv(name, raising=False)
    discovery.forget_scan()
    yield site
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    discovery.forget_scan()
