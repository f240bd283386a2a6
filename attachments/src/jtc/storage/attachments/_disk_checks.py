"""Checks of the disks that attachments are stored on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.layer import unwrap
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["check_disk", "warn_if_not_durable"]

logger = logging.getLogger("jtc.storage.attachments")


async def check_disk(disk: Disk, *, is_direct: bool, field: str) -> None:
    """Check that a disk has what the attachments of a field need. It sends no request.

    Args:
        disk: The disk.
        is_direct: Whether clients get the URLs of the disk.
        field: The name of the field.

    Raises:
        StorageConfigException: There is no such disk, or it lacks something.
    """
    # The first use imports the driver.
    capabilities = await in_thread(lambda: disk.capabilities)
    needed = {
        "creation-only writes (the option 'overwrite' of a put)": "overwrite"
        in capabilities.put_options,
        "listings (the capability 'listing')": "listing" in capabilities,
    }
    if missing := [name for name, is_there in needed.items() if not is_there]:
        raise StorageConfigException(
            f"The disk {disk.name!r} of the attachment field {field!r} has no "
            f"{' and no '.join(missing)}: attachments need that, so choose another disk"
        )
    if is_direct:
        _check_public(disk, field)


def _check_public(disk: Disk, field: str) -> None:
    hint = "use serve='route', which serves private disks too"
    try:
        disk.url("original")
    except StorageException as error:
        raise StorageConfigException(
            f"The field {field!r} has serve='direct', and its disk {disk.name!r} no URLs: {hint}"
        ) from error
    if getattr(unwrap(disk.driver), "default_visibility", None) is Visibility.PRIVATE:
        raise StorageConfigException(
            f"The field {field!r} has serve='direct', and files on its disk {disk.name!r} are "
            f"private: set visibility='public' there, or {hint}"
        )


def warn_if_not_durable(disk: Disk) -> None:
    """Log a warning where a power cut may lose a file that a committed row names."""
    # Other drivers' stores answer when a file is stored for good, or do not say.
    if getattr(unwrap(disk.driver), "durable", True) is False:
        logger.warning(
            "The local disk %r is not durable: after a power cut, rows may name attachments that "
            "are lost. Set its option durable=True, except in development",
            disk.name,
        )
