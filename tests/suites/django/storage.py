"""File storages that stand in for Django's `FileSystemStorage`, on disks of each kind."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from typing import Any

from django.conf import settings
from django.core.files.storage.mixins import StorageSettingsMixin
from django.core.signals import setting_changed
from django.utils.deconstruct import deconstructible
from django.utils.functional import cached_property

from jtc.storage import Storage
from jtc.storage.django import DiskStorage

KIND = os.environ["SUITE_DISK"]


@cache
def disk_of(location: str) -> str:
    """Return the name of the disk, or of the store's part, that stands for a directory."""
    name = hashlib.sha256(location.encode()).hexdigest()[:16]
    Storage.set_driver(_driver(location, name), name)
    return name


def _driver(location: str, name: str) -> Any:
    if KIND == "memory":
        from jtc.storage.drivers.memory_driver import MemoryDriver

        return MemoryDriver()
    if KIND == "local":
        from jtc.storage.drivers.local_driver import LocalDriver

        return LocalDriver(location, durable=False)
    from jtc.storage.layers.scoped import Scoped

    return Scoped(Storage.disk("s3").driver, name)


@deconstructible(path="django.core.files.storage.FileSystemStorage")
class FileSystemStorage(DiskStorage, StorageSettingsMixin):
    """A `DiskStorage` that takes the options of Django's `FileSystemStorage`.

    Each directory is a disk of its own. The attributes are those that Django's code and tests read.
    """

    OS_OPEN_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL

    def __init__(
        self,
        location: Any = None,
        base_url: Any = None,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        allow_overwrite: bool = False,
    ) -> None:
        super().__init__(
            base_url=base_url,
            file_permissions_mode=file_permissions_mode,
            directory_permissions_mode=directory_permissions_mode,
            allow_overwrite=allow_overwrite,
        )
        self._location = location
        setting_changed.connect(self._clear_cached_properties)

    @cached_property
    def base_location(self) -> Any:
        return self._value_or_setting(self._location, settings.MEDIA_ROOT)

    @cached_property
    def location(self) -> str:
        return os.path.abspath(self.base_location)  # noqa: PTH100 - as Django does, links stay

    @property
    def disk(self) -> Any:
        if self.location is None:
            self.path("")  # StaticFilesStorage without a STATIC_ROOT raises its error
        return Storage.sync.disk(disk_of(self.location))

    @cached_property
    def base_url(self) -> Any:
        return super().base_url or settings.MEDIA_URL
