"""Layer of `Disk.read_only`, which refuses writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NoReturn

from jtc.storage.exceptions import ReadOnlyException
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Visibility

__all__ = ["ReadOnly"]


class ReadOnly(Layer, guards={"write"}):
    """Refuse everything that would change something; `Disk.read_only` makes one.

    Args:
        inner: The inner driver.

    Raises:
        ReadOnlyException: From each method that would write.
    """

    def __init__(self, inner: StorageDriver) -> None:
        super().__init__(inner)
        self.read_only = True

    async def put(self, _path: str, _content: bytes | str | BinaryIO, /) -> str:
        """Refuse."""
        self._refuse()

    async def delete(self, _path: str, /) -> bool:
        """Refuse."""
        self._refuse()

    # Without this the whole capability would be unsupported, `visibility` included.
    async def set_visibility(self, _path: str, _visibility: Visibility, /) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnlyException("The disk is a read-only view")
