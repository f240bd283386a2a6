"""Any disk as a Django file storage: ``{"BACKEND": "jtc.storage.django.DiskStorage"}``."""

from jtc.storage.django._backend import DiskStorage
from jtc.storage.django._files import DiskFile

__all__ = ["DiskFile", "DiskStorage"]
