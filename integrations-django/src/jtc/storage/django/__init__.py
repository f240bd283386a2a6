"""Django integration: any disk as a file storage.

In ``STORAGES``: ``{"BACKEND": "jtc.storage.django.DiskStorage", "OPTIONS": {"disk": "media"}}``.
"""

from jtc.storage.django._backend import DiskStorage
from jtc.storage.django._files import DiskFile

__all__ = ["DiskFile", "DiskStorage"]
