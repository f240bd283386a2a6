"""What is installed: names that two distributions provide, versions that do not fit together."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.cli._doctor.model import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    from jtc.storage.driver_support.findings import Finding

__all__ = [
    "DRIVERS",
    "LAYERS",
    "Provider",
    "forget",
    "look_at_distributions",
    "providers",
    "versions",
]

DRIVERS, LAYERS = "jtc.storage.drivers", "jtc.storage.layers"
_GROUPS = {DRIVERS: "driver", LAYERS: "layer", "jtc.storage.plugins": "plugin"}

_OURS = re.compile(r"jtc-storage(-[a-z]+)?")
_NEEDS = re.compile(r"(jtc-storage(?:-[a-z]+)?)(?:\[[^\]]*\])?\s*~=\s*(\d+)\.(\d+)")


class Provider(NamedTuple):
    """A distribution that provides a name."""

    distribution: str
    entry_point: EntryPoint


@cache
def _distributions() -> tuple[tuple[str, metadata.Distribution], ...]:
    """Return the distributions with their names: to read those takes longest."""
    return tuple((_name(each), each) for each in metadata.distributions())


def _name(distribution: metadata.Distribution) -> str:
    """Return a distribution's name in its normal form; nothing if it cannot be read."""
    try:
        return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
    except Exception:
        return ""  # an interrupted installation


@cache
def providers(group: str) -> dict[str, list[Provider]]:
    """Return the distributions that provide each name of a group of entry points."""
    found: dict[str, dict[str, Provider]] = {}
    for name, distribution in _distributions():
        try:
            entry_points = distribution.entry_points.select(group=group)
        except Exception:  # noqa: S112 - look_at_distributions() reports it
            continue
        for entry_point in entry_points:
            # The same distribution on two paths counts once, the first one.
            found.setdefault(entry_point.name, {}).setdefault(name, Provider(name, entry_point))
    return {name: list(by_owner.values()) for name, by_owner in found.items()}


def forget() -> None:
    """Look again at what is installed, after a change."""
    _distributions.cache_clear()
    providers.cache_clear()


def versions() -> dict[str, str]:
    """Return the versions of our installed distributions, by their names."""
    found: dict[str, str] = {}
    for name, distribution in _distributions():
        if _OURS.fullmatch(name):
            found.setdefault(name, distribution.version)
    return dict(sorted(found.items()))


def look_at_distributions() -> Iterator[Finding]:
    """Find distributions that clash, cannot be read, or are too old for each other."""
    for owner, distribution in _distributions():
        try:
            _ = distribution.entry_points
        except Exception as reason:
            yield warning(
                id="packages.unreadable",
                message="The entry points of a distribution cannot be read: its drivers, layers "
                "and plugins are missing.",
                evidence=f"{owner or distribution.locate_file('')}: {type(reason).__name__}",
                fix="pip install --force-reinstall it, or uninstall it",
            )
    for group, kind in _GROUPS.items():
        for name, there in providers(group).items():
            if len(there) > 1 and kind != "plugin":
                owners = [each.distribution for each in there]
                yield error(
                    id="packages.duplicate",
                    message=f"Two distributions provide the {kind} {name!r}: no disk can use it.",
                    evidence=" and ".join(owners),
                    fix=f"pip uninstall one of them: {' or '.join(owners)}",
                )
    yield from _misfits()


def _misfits() -> Iterator[Finding]:
    installed = versions()
    for name, distribution in _distributions():
        if not _OURS.fullmatch(name):
            continue
        for requirement in distribution.requires or ():
            need = _NEEDS.match(requirement)
            have = installed.get(need[1]) if need else None
            if need is None or have is None or _fits(have, int(need[2]), int(need[3])):
                continue
            yield error(
                id="packages.versions",
                message=f"{name} and {need[1]} do not fit together.",
                evidence=f"{name} {distribution.version} needs {need[1]} ~= {need[2]}.{need[3]}, "
                f"and {have} is installed",
                fix="pip install --upgrade " + " ".join(installed),
            )


def _fits(version: str, major: int, minor: int) -> bool:
    numbers = [int(each) for each in re.findall(r"\d+", version)[:2]]
    return len(numbers) > 1 and numbers[0] == major and numbers[1] >= minor
