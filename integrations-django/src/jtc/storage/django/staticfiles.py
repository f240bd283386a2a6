"""Static files on a disk, under names that change with their content.

In ``STORAGES["staticfiles"]``: ``{"BACKEND": "jtc.storage.django.staticfiles.ManifestDiskStorage",
"OPTIONS": {"disk": "static"}}``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.staticfiles.storage import ManifestFilesMixin

from jtc.storage.django._backend import DiskStorage

__all__ = ["ManifestDiskStorage"]


class ManifestDiskStorage(ManifestFilesMixin, DiskStorage):  # type: ignore[misc] # two url()s
    """A `DiskStorage` for ``collectstatic``, as Django's ``ManifestStaticFilesStorage``.

    Its URLs are not presigned unless `signed` says so: static files are for everyone.

    Args:
        disk: As for `DiskStorage`.
        manifest_storage: Another storage, for the manifest.
        **options: Those of `DiskStorage`.
    """

    def __init__(
        self, disk: str | None = None, *, manifest_storage: Any = None, **options: Any
    ) -> None:
        options.setdefault("signed", False)
        super().__init__(disk, manifest_storage=manifest_storage, **options)

    def read_manifest(self) -> str:
        """Return the manifest, JSON in a string; Django takes None where there is none yet.

        Raises:
            StorageException: The storage failed.
        """
        # Once per process, perhaps first in an async view: a new thread has no event loop.
        with ThreadPoolExecutor(1) as pool:
            found: str = pool.submit(super().read_manifest).result()
        return found
