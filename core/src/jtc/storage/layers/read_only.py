"""`ReadOnly`: everything that reads, and nothing that writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NoReturn

from jtc.storage.exceptions import ReadOnlyException
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Visibility

__all__ = ["ReadOnly"]


class ReadOnly(Layer, guards={"write"}):
    """Refuse whatever would change something; `Disk.read_only` makes one.

    Args:
        inner: The driver within.

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

    # Without it the capability would be unsupported, and nobody could ask for a visibility.
    async def set_visibility(self, _path: str, _visibility: Visibility, /) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnlyException("The disk is a read-only view")
