"""Making of variants: the eager ones before a commit, the others when they are first requested."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from jtc.storage.attachments._flights import BusyError, Flights, Places
from jtc.storage.attachments._leases import Lease, Leases, RememberedFailure
from jtc.storage.attachments._rendering import (
    Rendered,
    inspected,
    local_file,
    readable,
    render,
)
from jtc.storage.attachments.models import Attachment, Variant
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    PathConflictException,
    RejectedException,
    StorageException,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from jtc.storage import Disk, FileInfo, PutOptions
    from jtc.storage.attachments._rendering import Source
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.recipes import Recipe
    from jtc.storage.attachments.registry import Registry

__all__ = [
    "Made",
    "VariantMaker",
    "find_original",
    "make_eager",
    "make_variant",
    "maker_of",
    "stale_files",
    "use_maker",
]

logger = logging.getLogger("jtc.storage.attachments")

_MARKER_PREFIX = ".making-"
_SHORTEST_LOOK, _LONGEST_LOOK = 0.05, 1.0
"""Seconds between looks at what another process makes."""

_MOST_FAILURES = 4096


async def make_eager(
    field: Field,
    attachment: Attachment,
    source: Source,
    *,
    names: Collection[str] | None = None,
) -> Attachment:
    """Make the eager variants of an attachment, those that are images from one decode.

    When one fails, others may be stored already: the caller deletes the directory of an attachment
    that no row names.

    Args:
        field: The field.
        attachment: The attachment, whose original is stored.
        source: The original: bytes, a local file or an open one.
        names: The names of the variants to make; None is all eager ones.

    Returns:
        The attachment with its variants, and the dimensions and placeholder of an image.

    Raises:
        RejectedException: The original is no valid image, or no variant can be made of it.
        StorageException: The storage failed.
        Exception: The exception of a function that was given to `derive`.
    """
    disk = field.registry.disk(attachment.disk)
    recipes = {name: field.variants[name] for name in (field.eager if names is None else names)}
    made: dict[str, Variant] = {}
    async with readable(recipes, source, attachment.file) as original:
        rendered, info = await render(recipes, original, placeholder=field.placeholder)
        if info is None:
            info = await inspected(field, attachment.content_type, original)
        for name, each in rendered.items():
            made[name] = await _store(disk, attachment, field.variant_file(name), each)
    if info is not None:
        attachment = attachment.changed(
            width=info.width,
            height=info.height,
            placeholder=info.placeholder,
        )
    return attachment.changed(variants={**attachment.variants, **made})


async def make_variant(field: Field, attachment: Attachment, variant: str) -> Variant:
    """Make a variant of a stored original, unless it is there; one process of all makes it.

    Args:
        field: The field.
        attachment: The attachment. Only its disk, its directory and its file are looked at.
        variant: The name of the variant.

    Raises:
        ValueError: The field has no such variant.
        FileNotFoundException: The original is gone.
        RejectedException: The variant cannot be made of this original, or could not be lately.
        BusyError: Another process has been at work on it for too long.
        StorageException: The storage failed.
    """
    maker = maker_of(field.registry)
    result, _ = maker.begin(field, attachment.id, variant, original=attachment)
    return (await result).variant


def stale_files(field: Field, attachment: Attachment, names: Collection[str]) -> list[str]:
    """Return the files of an attachment's directory that no recipe of its field makes any more.

    What the row names remains, whatever the recipes are, and so does what is being made.

    Args:
        field: The field.
        attachment: The attachment, as its row has it.
        names: The names of all files in its directory.
    """
    current = {field.variant_file(name) for name in field.variants}
    kept = {attachment.file, *current, *(each.file for each in attachment.variants.values())}
    # A maker that was killed at the end leaves its marker beside the variant.
    kept |= {_marker(name) for name in current if name not in names}
    return sorted(set(names) - kept)


def use_maker(registry: Registry, maker: VariantMaker) -> None:
    """Let a registry's lazy variants be made by a maker with other limits."""
    _makers[registry] = maker


def maker_of(registry: Registry) -> VariantMaker:
    """Return the maker of a registry's lazy variants in this process."""
    return _makers.get(registry) or _makers.setdefault(registry, VariantMaker())


class Made(NamedTuple):
    """A variant that is stored.

    Attributes:
        original: The attachment, of which disk, directory and file are known.
        variant: The variant.
    """

    original: Attachment
    variant: Variant


@dataclass(frozen=True, slots=True)
class _Job:
    """A variant to be made.

    Attributes:
        original: The attachment, of which disk, directory and file are known.
        disk: The disk of the original.
        name: The name of the variant.
        recipe: Its recipe.
        file: The name of its file.
    """

    original: Attachment
    disk: Disk
    name: str
    recipe: Recipe
    file: str

    @property
    def path(self) -> str:
        """The path of the variant."""
        return f"{self.original.own_directory}/{self.file}"

    @property
    def marker(self) -> str:
        """The path of the marker."""
        return f"{self.original.own_directory}/{_marker(self.file)}"

    async def find(self) -> Variant | None:
        """Return the variant if it is there."""
        try:
            info = await self.disk.stat(self.path)
        except FileNotFoundException:
            return None
        return _variant(self.file, info, Rendered(b"", self.recipe.content_type))

    async def make(self, lease: Lease) -> Variant:
        """Make the variant under a lease.

        Raises:
            FileNotFoundException: The original is gone; nothing of the variant is left then.
            RejectedException: It cannot be made, which the marker now remembers.
        """
        async with lease:
            if (found := await self.find()) is not None:
                return found  # it was made just before the lease was taken
            async with local_file(None, self.original.file) as local:
                await self.disk.download(self.original.key, local)
                recipes = {self.name: self.recipe}
                try:
                    rendered, _ = await render(recipes, local, placeholder=False)
                except Exception as error:
                    refused = _refused(error, self.path)
                    if refused is None:
                        raise
                    await lease.fail(refused.reason)
                    raise refused from error
                made = await _store(self.disk, self.original, self.file, rendered[self.name])
            # Its directory may have been deleted since the variant was begun.
            if not await self.disk.exists(self.original.key):
                await self.disk.delete(self.path)
                raise FileNotFoundException("The original is gone", path=self.original.key)
            return made

    async def tidy(self) -> None:
        """Remove the directory if a marker was all that it had."""
        if "empty_directory_removal" in self.disk.capabilities:
            with suppress(PathConflictException):
                await self.disk.remove_empty_directory(self.original.own_directory)


class VariantMaker:
    """Makes lazy variants: each once at a time, and a limited number at the same time.

    Args:
        most: How many are made at the same time, in each event loop.
        queue: How many more may wait for that.
        lease: For how many seconds a marker keeps other processes away after it was written.
        remember: For how many seconds a failure is remembered.
        patience: For how many seconds another process is waited for.
    """

    def __init__(
        self,
        *,
        most: int = 4,
        queue: int = 100,
        lease: float = 15.0,
        remember: float = 300.0,
        patience: float = 60.0,
    ) -> None:
        self._places = Places(most, queue)
        self._lease = lease
        self._remember = remember
        self._patience = patience
        self._flights: Flights[Made] = Flights()
        self._leases: dict[str, Leases] = {}
        self._failures: dict[Hashable, tuple[float, str]] = {}

    def begin(
        self, field: Field, id_: str, variant: str, original: Attachment | None = None
    ) -> tuple[asyncio.Future[Made], bool]:
        """Begin to make a variant, unless this process is at it or it failed lately.

        Args:
            field: The field.
            id_: The attachment's id.
            variant: The name of the variant.
            original: The attachment, where it is known which disk holds it.

        Returns:
            A future of the variant, and whether this call began the work. The work goes on where
            the future is cancelled.

        Raises:
            ValueError: The field has no such variant.
            RememberedFailure: It could not be made, not long ago.
        """
        file = field.variant_file(variant)
        key = (field.name, id_, file, original.disk if original else None)
        until, reason = self._failures.get(key, (0.0, ""))
        if time.monotonic() < until:
            raise RememberedFailure(f"{file!r} could not be made a short time ago", reason=reason)

        async def work() -> Made:
            try:
                return await self._make(field, original or await find_original(field, id_), variant)
            except RejectedException as error:
                self._failures[key] = (time.monotonic() + self._remember, error.reason)
                while len(self._failures) > _MOST_FAILURES:
                    self._failures.pop(next(iter(self._failures)), None)
                raise

        return self._flights.join(key, work)

    async def _make(self, field: Field, original: Attachment, variant: str) -> Made:
        disk = field.registry.disk(original.disk)
        recipe, file = field.variants[variant], field.variant_file(variant)
        job = _Job(original, disk, variant, recipe, file)
        leases = self._leases.get(disk.name) or self._leases.setdefault(
            disk.name, Leases(disk, seconds=self._lease, remember=self._remember)
        )
        give_up, pause = time.monotonic() + self._patience, _SHORTEST_LOOK
        try:
            while True:
                if (found := await job.find()) is not None:
                    return Made(original, found)
                async with self._places.taken():
                    lease = await leases.take(job.marker)
                    if lease is not None:
                        return Made(original, await job.make(lease))
                if time.monotonic() >= give_up:
                    raise BusyError("Another process has been at work on it for too long")
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_LOOK)
        except FileNotFoundException:
            await job.tidy()
            raise


async def find_original(field: Field, id_: str) -> Attachment:
    """Return an attachment of an id, of which disk, directory and file are known.

    Raises:
        FileNotFoundException: No disk of the field has its original.
        StorageException: The storage failed.
    """
    for disk_name, directory in field.places:
        for path in await field.registry.disk(disk_name).files(f"{directory}/{id_}"):
            file = path.rpartition("/")[2]
            if file.partition(".")[0] == "original":
                return Attachment(
                    id=id_,
                    disk=disk_name,
                    directory=directory,
                    file=file,
                    content_type=guess_type(file),
                    size=0,
                    field=field,
                )
    raise FileNotFoundException("There is no such attachment", path=id_)


_makers: WeakKeyDictionary[Registry, VariantMaker] = WeakKeyDictionary()


async def _store(disk: Disk, attachment: Attachment, file: str, rendered: Rendered) -> Variant:
    """Store a variant where there is none."""
    path = f"{attachment.own_directory}/{file}"
    supported = disk.capabilities.put_options
    options: PutOptions = {}
    if "overwrite" in supported:
        options["overwrite"] = False
    if "content_type" in supported:
        options["content_type"] = rendered.content_type
    try:
        await disk.put(path, rendered.content, **options)
    except FileExistsException:  # of the same recipe: the same content
        return _variant(file, await disk.stat(path), rendered)
    info = await disk.stat(path)
    if isinstance(rendered.content, bytes) and info.size != len(rendered.content):
        await disk.delete(path)
        raise IntegrityException(
            f"{len(rendered.content)} bytes were stored, and the disk says that there are "
            f"{info.size}",
            path=path,
            disk=disk.name,
            operation="stat",
        )
    return _variant(file, info, rendered)


def _variant(file: str, info: FileInfo, rendered: Rendered) -> Variant:
    return Variant(
        recipe=file.partition("-")[2].partition(".")[0],
        file=file,
        content_type=rendered.content_type,
        size=info.size,
        width=rendered.width,
        height=rendered.height,
    )


def _marker(file: str) -> str:
    """Return the name of the marker of a variant's file."""
    return f"{_MARKER_PREFIX}{file.partition('.')[0]}"


def _refused(error: Exception, path: str) -> RejectedException | None:
    """Return the error of a recipe that cannot make this variant; None of one that may later."""
    if isinstance(error, RejectedException):
        return error
    if isinstance(error, StorageException) and error.retryable:
        return None
    logger.error("The variant %r cannot be made", path, exc_info=error)
    return RejectedException("The recipe failed", reason="recipe", path=path)
