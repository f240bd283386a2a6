"""Any disk as a Django file storage: ``{"BACKEND": "jtc.storage.django.DiskStorage"}``."""

from jtc.storage.django.backend import DiskStorage
from jtc.storage.django.files import DiskFile

__all__ = ["DiskFile", "DiskStorage"]
