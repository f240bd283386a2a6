"""Variants after their recipes changed: making of new ones, removal of former ones."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING

from jtc.storage.attachments._bounded import mapped
from jtc.storage.attachments._flights import BusyError
from jtc.storage.attachments._listing import files_of, own_file
from jtc.storage.attachments._owner import (
    Run,
    begin_run,
    connected,
    inspect_run,
    note_recipes,
    read_marker,
    recipe_key,
)
from jtc.storage.attachments._rendering import local_file
from jtc.storage.attachments._variants import make_eager, make_variant, stale_files
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry
    from jtc.storage.models import FileInfo

__all__ = ["Regenerated", "Swept", "regenerate", "sweep"]

logger = logging.getLogger("jtc.storage.attachments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did.

    Attributes:
        found: How many files of former recipes there are.
        deleted: How many of them were deleted, or would be.
        kept: How many URLs may still lead to.
        failed: How many could not be deleted.
    """

    found: int
    deleted: int
    kept: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Regenerated:
    """What a regeneration did.

    Attributes:
        changed: How many rows have new variants.
        made: How many lazy variants are there now.
        failed: How many attachments some variant could not be made of.
        lost: How many rows were changed or deleted meanwhile; the next run looks at them again.
    """

    changed: int
    made: int
    failed: int
    lost: int


async def sweep(
    registry: Registry,
    *,
    fields: Collection[str] | None = None,
    dry_run: bool = False,
    at_once: int = 8,
) -> Swept:
    """Delete the files of variants whose recipes are no longer declared.

    Files that a row names stay. The others stay until `registry.keep` seconds after a worker, or
    another maintenance run, last declared their recipe: so long a page may have URLs of them.

    Args:
        registry: The registry.
        fields: The names of the fields; None means all.
        dry_run: Only count.
        at_once: How many attachments are looked at at the same time.

    Raises:
        OwnerException: The files belong to another database, or to a newer state of this one.
        StorageException: A disk does not work.
    """
    names = list(registry.fields if fields is None else fields)
    disks = sorted({disk for name in names for disk, _ in registry.field(name).places})
    run = (await inspect_run(registry, disks))[0] if dry_run else await begin_run(registry, disks)
    for error in run.refused.values():
        raise error
    work = _Sweep(registry, run, dry_run=dry_run)
    for disk in disks:
        marker = await read_marker(registry, registry.disk(disk))
        work.recipes[disk] = {} if marker is None else marker.recipes
    done: Counter[str] = Counter()
    for name in names:
        field = registry.field(name)

        async def one(attachment: Attachment, field: Field = field) -> Counter[str]:
            return await work.sweep(field, attachment)

        async for counted in mapped(one, connected(registry).attachments(field), at_once):
            done += counted
    if not dry_run:
        for disk, keys in work.noticed.items():
            await note_recipes(registry, disk, keys)
    return Swept(
        found=done.total(), deleted=done["deleted"], kept=done["kept"], failed=done["failed"]
    )


@dataclass(slots=True)
class _Sweep:
    """A sweep.

    Attributes:
        registry: The registry.
        run: The maintenance run.
        dry_run: Whether files are only counted.
        recipes: When each recipe was last declared, by disk.
        noticed: The keys of recipes that are not declared and were never seen, by disk.
    """

    registry: Registry
    run: Run
    dry_run: bool
    recipes: dict[str, Mapping[str, float]] = dataclass_field(default_factory=dict)
    noticed: dict[str, set[str]] = dataclass_field(default_factory=dict)

    async def sweep(self, field: Field, attachment: Attachment) -> Counter[str]:
        """Delete the files of former recipes in one attachment's directory."""
        done: Counter[str] = Counter()
        if attachment.disk not in self.run.clocks:
            return done
        disk = self.registry.disk(attachment.disk)
        start = len(attachment.own_directory) + 1
        files = {each.path[start:]: each for each in await files_of(disk, attachment.own_directory)}
        for name in stale_files(field, attachment, files):
            if name.startswith(".") or not own_file(name) or "-" not in name:
                continue  # no variant
            if self._may_be_asked_for(field, attachment, name, files):
                done["kept"] += 1
                continue
            try:
                if not self.dry_run:
                    await disk.delete(files[name].path)
                done["deleted"] += 1
            except StorageUnavailableException:
                raise
            except StorageException as error:
                logger.warning("The file of a former recipe remains: %s", error)
                done["failed"] += 1
        return done

    def _may_be_asked_for(
        self, field: Field, attachment: Attachment, name: str, files: Mapping[str, FileInfo]
    ) -> bool:
        """Return whether a URL of a file may have been made in the last `keep` seconds."""
        variant, _, rest = name.partition("-")
        key = recipe_key(field, variant, rest.partition(".")[0])
        declared_at = self.recipes[attachment.disk].get(key)
        if declared_at is None:
            self.noticed.setdefault(attachment.disk, set()).add(key)
            return True
        if time.time() - declared_at < self.registry.keep:
            return True
        # On a public disk, the row's variant is what URLs lead to until a regeneration changes it.
        latest = self.run.clocks[attachment.disk] - self.registry.keep
        return any(
            other.partition("-")[0] == variant and info.last_modified > latest
            for other, info in files.items()
            if other != name
        )


async def regenerate(
    registry: Registry,
    *,
    fields: Collection[str] | None = None,
    lazy: bool = False,
    at_once: int = 2,
) -> Regenerated:
    """Make the variants that the declared recipes make and that are not there.

    Eager variants are recorded in the rows, and those that are no longer declared are taken out of
    them. The files of former recipes remain until `sweep`.

    Args:
        registry: The registry.
        fields: The names of the fields; None means all.
        lazy: Whether the other variants are made too, before anything requests them.
        at_once: How many attachments are at work at the same time.

    Raises:
        StorageException: A disk does not work.
    """
    done: Counter[str] = Counter()
    for name in registry.fields if fields is None else fields:
        field = registry.field(name)

        async def one(attachment: Attachment, field: Field = field) -> Counter[str]:
            try:
                return await _regenerate(field, attachment, lazy=lazy)
            except (FileNotFoundException, BusyError) as error:
                logger.warning("Variants of %r were not made: %s", attachment.id, error)
            except StorageUnavailableException:
                raise
            except Exception:
                logger.warning("Variants of %r were not made", attachment.id, exc_info=True)
            return Counter(["failed"])

        async for counted in mapped(one, connected(registry).attachments(field), at_once):
            done += counted
    return Regenerated(
        changed=done["changed"], made=done["made"], failed=done["failed"], lost=done["lost"]
    )


async def _regenerate(field: Field, attachment: Attachment, *, lazy: bool) -> Counter[str]:
    done: Counter[str] = Counter()
    current = {
        name: variant
        for name, variant in attachment.variants.items()
        if name in field.eager and variant.recipe == field.variants[name].fingerprint
    }
    wanted = [name for name in field.eager if name not in current]
    if wanted or len(current) < len(attachment.variants):
        new = attachment.changed(variants=current)
        if wanted:
            disk = field.registry.disk(attachment.disk)
            async with local_file(None, attachment.file) as original:
                await disk.download(attachment.key, original)
                new = await make_eager(field, new, original, names=wanted)
        is_changed = await connected(field.registry).replace(field, attachment, new)
        done["changed" if is_changed else "lost"] += 1
    if lazy:
        for name in set(field.variants) - set(field.eager):
            await make_variant(field, attachment, name)
            done["made"] += 1
    return done
