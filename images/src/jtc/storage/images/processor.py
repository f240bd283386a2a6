"""Processing of images in worker processes: `Processor`."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING, Final, Self

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.images._pool import WorkerPool
from jtc.storage.images._sources import Source, StoredImage, opener
from jtc.storage.images._worker_process import Job, WorkerLimits
from jtc.storage.images.models import ImageInfo, Processed, Rendered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from jtc.storage import Disk
    from jtc.storage.images.recipes import Recipe

__all__ = [
    "Processor",
    "Source",
    "StoredImage",
    "configure",
    "inspect",
    "open",
    "process",
    "transform",
]

_LEAST_MEMORY: Final = 192 << 20


class Processor:
    """Worker processes that decode images, and their limits.

    The functions of this package use one that they share; `configure` replaces it. The processes
    start at first use and remain until `close` or the end of this process. Threads and event loops
    may share a processor.

    Args:
        workers: The most processes at once.
        memory: The bytes of address space that each may take.
        max_pixels: The most pixels of an image: width x height x frames, from its header.
        max_bytes: The most bytes of an image's file.
        timeout: For how many seconds one image may be processed.
        svg: Whether SVG is read. It is drawn without scripts and without other files.

    Raises:
        StorageConfigException: A setting is invalid.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        memory: int = 512 << 20,
        max_pixels: int = 50_000_000,
        max_bytes: int = 100 << 20,
        timeout: float = 30,
        svg: bool = False,
    ) -> None:
        if min(workers, max_pixels, max_bytes, timeout) <= 0:
            raise StorageConfigException("workers and the limits of images are above 0")
        if memory < _LEAST_MEMORY:
            raise StorageConfigException(
                f"memory is at least {_LEAST_MEMORY} bytes, which libvips alone takes"
            )
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._pool = WorkerPool(workers, WorkerLimits(memory, svg))
        _open_processors.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes. A later call starts new ones."""
        self._pool.close()

    async def process(
        self, source: Source, recipes: Mapping[str, Recipe], *, placeholder: bool = True
    ) -> Processed:
        """Return an image's metadata and what recipes make of it, from one decoding.

        Args:
            source: The image.
            recipes: The recipes by name.
            placeholder: Whether the thumbhash is wanted.

        Raises:
            RejectedException: The content is refused, see `reason`: ``"type"`` is not a format
                that is read, ``"image"`` is broken, ``"pixels"``, ``"size"``, ``"memory"`` and
                ``"time"`` exceed a limit.
            StorageUnavailableException: The worker was killed from outside. Retry.
            StorageConfigException: No worker can start.
        """
        described = [recipe.description for recipe in recipes.values()]
        blobs: list[bytes] = []
        of_recipes = []
        for description, images in described:
            of_recipes.append({**description, "blobs": len(blobs)})
            blobs.extend(images)
        request = {
            "recipes": of_recipes,
            "placeholder": placeholder,
            "max_pixels": self._max_pixels,
        }
        try:
            opening = await opener(source, max_bytes=self._max_bytes)
            answer = await self._pool.run(opening, Job(request, blobs, self._timeout))
        except (StorageException, OSError) as error:
            if isinstance(source, StoredImage):
                reraise(error, operation="process", path=source.path, disk=source.disk.name)
            reraise(error, operation="process")
        made = zip(recipes.items(), answer.answer["rendered"], answer.contents, strict=True)
        return Processed(
            ImageInfo(**answer.answer["info"]),
            {
                name: Rendered(content, recipe.content_type, *size)
                for (name, recipe), size, content in made
            },
        )

    async def inspect(self, source: Source, *, placeholder: bool = True) -> ImageInfo:
        """Return an image's metadata.

        Args:
            source: The image.
            placeholder: Whether the thumbhash is wanted. Without it, only the header is read, and
                a broken image may pass.

        Raises:
            RejectedException: See `process`.
            StorageUnavailableException: See `process`.
            StorageConfigException: See `process`.
        """
        return (await self.process(source, {}, placeholder=placeholder)).info

    async def transform(self, source: Source, recipe: Recipe) -> Rendered:
        """Return what a recipe makes of an image.

        Args:
            source: The image.
            recipe: The recipe.

        Raises:
            RejectedException: See `process`.
            StorageUnavailableException: See `process`.
            StorageConfigException: See `process`.
        """
        made = await self.process(source, {"": recipe}, placeholder=False)
        return made.rendered[""]


_open_processors: weakref.WeakSet[Processor] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for processor in list(_open_processors):
        processor.close()


class _Shared:
    processor: Processor | None = None


def configure(
    *,
    workers: int = 2,
    memory: int = 512 << 20,
    max_pixels: int = 50_000_000,
    max_bytes: int = 100 << 20,
    timeout: float = 30,
    svg: bool = False,
) -> None:
    """Set what the functions of this package use: see `Processor`, whose arguments these are.

    Raises:
        StorageConfigException: A setting is invalid.
    """
    replaced = _Shared.processor
    _Shared.processor = Processor(
        workers=workers,
        memory=memory,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
        timeout=timeout,
        svg=svg,
    )
    if replaced is not None:
        replaced.close()


def _shared() -> Processor:
    if _Shared.processor is None:
        _Shared.processor = Processor()
    return _Shared.processor


def open(disk: Disk, path: str) -> StoredImage:  # noqa: A001 - read as images.open
    """Return an image on a disk, as a source for the other functions. Nothing is read yet.

    Args:
        disk: The disk.
        path: The path on it.
    """
    return StoredImage(disk, path)


async def process(
    source: Source, recipes: Mapping[str, Recipe], *, placeholder: bool = True
) -> Processed:
    """Return an image's metadata and what recipes make of it: see `Processor.process`."""
    return await _shared().process(source, recipes, placeholder=placeholder)


async def inspect(source: Source, *, placeholder: bool = True) -> ImageInfo:
    """Return an image's metadata: see `Processor.inspect`."""
    return await _shared().inspect(source, placeholder=placeholder)


async def transform(source: Source, recipe: Recipe) -> Rendered:
    """Return what a recipe makes of an image: see `Processor.transform`."""
    return await _shared().transform(source, recipe)
