"""Fakes for the tests of an application that has attachments."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage import FakeDisk
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["AttachmentFakes", "fake_disks"]


class AttachmentFakes:
    """The faked disks of a registry, with assertions on the files of attachments."""

    def __init__(self, disk: FakeDisk) -> None:
        self._disk = disk

    def disk(self, name: str) -> FakeDisk:
        """Return one of the disks: its operations can be made to fail, or to wait."""
        return self._disk.disk(name)

    def assert_stored(self, attachment: Attachment, content: bytes | str | None = None) -> None:
        """Assert that the original and all recorded variants of an attachment are stored.

        Args:
            attachment: The attachment.
            content: That of the original, to compare with.

        Raises:
            AssertionError: A file is missing, or the original has other content.
        """
        disk = self.disk(attachment.disk)
        disk.assert_exists(attachment.key, content)
        for variant in attachment.variants.values():
            disk.assert_exists(f"{attachment.own_directory}/{variant.file}")

    def assert_deleted(self, attachment: Attachment) -> None:
        """Assert that no file of an attachment is left.

        Raises:
            AssertionError: There is one.
        """
        self.disk(attachment.disk).assert_empty(attachment.own_directory)


@contextmanager
def fake_disks(registry: Registry) -> Iterator[AttachmentFakes]:
    """Replace the disks of all fields by memory within the block.

    A fake behaves as the disk that it replaces (see `StorageManager.fake`); the route of
    attachments serves its files too.

    Args:
        registry: The application's registry, with its fields.

    Raises:
        StorageConfigException: The registry has no fields: import the modules that declare them.
    """
    if not registry.fields:
        raise StorageConfigException(
            f"{registry!r} has no fields to fake: import the modules that declare them first"
        )
    names = sorted({disk for field in registry.fields.values() for disk, _ in field.places})
    with registry.storage.fake(*names) as disk:
        yield AttachmentFakes(disk)
