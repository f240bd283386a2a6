"""The order in which a disk is looked at: what is installed, its options, its driver, a file."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jtc.storage import StorageConfigException, StorageException, StorageManager
from jtc.storage.cli._doctor.distributions import DRIVERS, LAYERS, providers
from jtc.storage.cli._doctor.model import error, warning
from jtc.storage.cli._doctor.probes import finding_of, probe
from jtc.storage.layer import layers_of, unwrap_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from jtc.storage import Disk
    from jtc.storage.cli._doctor.configuration import Configuration
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding

__all__ = ["look_at_disk", "look_between_disks"]

_MOST_STEPS = 10
"""How many times the deadline of a request a driver's diagnosis may take."""

_EXTRAS = {
    DRIVERS: {name: name for name in ("azure", "gcs", "local", "memory", "opendal", "s3", "sftp")},
    LAYERS: {
        "clamav": "clamav",
        "limit": "layers",
        "otel": "otel",
        "retry": "layers",
        "timeout": "layers",
        "validate": "layers",
    },
}


async def look_at_disk(
    name: str, config: Configuration, options: DiagnosisOptions
) -> AsyncIterator[Finding]:
    """Look at one disk, from its driver's distribution to a file of its.

    Args:
        name: The disk's name.
        config: All disks.
        options: What may be done.
    """
    for finding in _look_at_installed(name, config):
        yield finding
        if finding.blocks:
            return
    disk = config.manager.disk(name)
    try:
        driver: Any = disk.driver
    except StorageException as refused:
        yield await _refused(name, config, refused)
        return
    if getattr(driver, "read_only", False):
        options = replace(options, writable=False)
    blocked = False
    async for finding in _of_driver(driver, options):
        yield finding
        blocked |= finding.blocks
    if not blocked:
        for finding in await probe(disk, options):
            yield finding


def _look_at_installed(name: str, config: Configuration) -> Iterator[Finding]:
    """Find a driver or a layer that is not installed, or cannot be imported."""
    wanted = [(DRIVERS, "driver", config.driver_of(name))]
    wanted += [(LAYERS, "layer", layer) for layer in config.layers_of(name)]
    for group, kind, wanted_name in wanted:
        there = providers(group).get(wanted_name, [])
        if not there:
            known = ", ".join(sorted(providers(group)))
            yield error(
                id=f"disk.{kind}-missing",
                message=f"The {kind} {wanted_name!r} is not installed.",
                evidence=f"Installed are: {known}",
                fix=_how_to_get(group, kind, wanted_name, is_configured=bool(config.tables)),
                blocks=True,
            )
            continue
        if len(there) > 1:
            continue  # the driver cannot be made: packages.duplicate says why
        try:
            there[0].entry_point.load()
        except BaseException as reason:
            if isinstance(reason, KeyboardInterrupt):
                raise
            owner, extra = there[0].distribution, _EXTRAS[group].get(wanted_name)
            lacks = isinstance(reason, ImportError) and extra
            yield error(
                id=f"disk.{kind}-broken",
                message=f"The {kind} {wanted_name!r} cannot be imported.",
                evidence=f"{owner}: {type(reason).__name__}: {reason}",
                fix=f"pip install 'jtc-storage[{extra}]'"
                if lacks
                else f"pip install --force-reinstall {owner}",
                blocks=True,
            )


def _how_to_get(group: str, kind: str, name: str, *, is_configured: bool) -> str:
    """Return how to install a driver or a layer, or to name the one that is meant."""
    if extra := _EXTRAS[group].get(name):
        return f"pip install 'jtc-storage[{extra}]'"
    where = f"the {kind}'s name" if is_configured else "FILESYSTEM_DISK"
    close = get_close_matches(name, [*providers(group), *_EXTRAS[group]], 1)
    return f"Correct {where}" + (f": perhaps {close[0]!r}" if close else "")


async def _refused(name: str, config: Configuration, refused: StorageException) -> Finding:
    """Return why a disk cannot be made: by itself, or beside the others."""
    if name in config.tables and isinstance(refused, StorageConfigException):
        alone = StorageManager.isolated({"disks": {name: config.tables[name]}})
        try:
            _ = alone.disk(name).driver
        except StorageException:
            pass
        else:
            return error(
                id="disks.equal-signers",
                message="The disk cannot be used beside another one.",
                evidence=str(refused),
                fix="Give each disk a base_url or a secret of its own",
                blocks=True,
            )
        finally:
            await alone.aclose()
    return finding_of(refused)


async def _of_driver(driver: object, options: DiagnosisOptions) -> AsyncIterator[Finding]:
    """Yield what the driver and its layers find, within a deadline."""
    for each in reversed(list(layers_of(driver))):
        # Its own: a layer may forward what it does not have.
        diagnose = getattr(type(each), "diagnose", None)
        if diagnose is None:
            continue
        findings = diagnose(each, options)
        end = asyncio.get_running_loop().time() + _MOST_STEPS * options.timeout
        async with contextlib.aclosing(findings):
            while True:
                try:
                    async with asyncio.timeout_at(end):
                        finding = await anext(findings)
                except StopAsyncIteration:
                    break
                except Exception as reason:
                    finding = finding_of(reason)
                yield finding
                if finding.blocks:
                    return


def look_between_disks(disks: Mapping[str, Disk]) -> Iterator[Finding]:
    """Find disks that keep their files in one place.

    Args:
        disks: Those whose driver was made, by their names.
    """
    places = {name: place for name, disk in disks.items() if (place := _place_of(disk.driver))}
    names = sorted(places)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            outer, inner = sorted((places[one], places[other]))
            is_shown = any(getattr(disks[n].driver, "read_only", False) for n in (one, other))
            if not inner.startswith(outer) or is_shown:
                continue
            what = "keep their files in one place" if inner == outer else "overlap"
            yield _overlap(one, other, what, outer, inner)


def _overlap(one: str, other: str, what: str, outer: str, inner: str) -> Finding:
    return warning(
        id="disks.same-place",
        message=f"The disks {one!r} and {other!r} {what}: each lists, replaces and deletes the "
        "files of the other.",
        evidence=inner if inner == outer else f"{inner} is below {outer}",
        fix="Give each a root, bucket or prefix of its own, or one the layer read_only",
    )


def _place_of(driver: Any) -> str | None:
    """Return where a disk's files are, with a slash at the end; None if it is not known."""
    below, path = unwrap_path(driver, "a")
    location = getattr(below, "location", None)
    return None if location is None else f"{location}/{path.removesuffix('a')}"
