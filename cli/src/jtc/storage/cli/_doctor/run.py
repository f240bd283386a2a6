"""The run of a diagnosis: the configuration, the environment, and disk by disk."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jtc.storage.cli._doctor.configuration import read_configuration
from jtc.storage.cli._doctor.disks import look_at_disk, look_between_disks
from jtc.storage.cli._doctor.distributions import look_at_distributions
from jtc.storage.cli._doctor.environment import look_at_environment
from jtc.storage.cli._doctor.model import Diagnosis, LookedAt, error
from jtc.storage.cli._exits import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jtc.storage import Hooks
    from jtc.storage.cli._doctor.configuration import Configuration
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding

__all__ = ["diagnose"]


async def diagnose(wanted: Collection[str], options: DiagnosisOptions) -> Diagnosis:
    """Look at the configuration, the environment, and disks.

    Args:
        wanted: The names of the disks; none are all.
        options: What may be done.

    Raises:
        UsageError: There is no disk of a name.
    """
    with _no_log():
        config = read_configuration()
        try:
            return await _diagnose(config, wanted, options)
        finally:
            await config.manager.aclose()


async def _diagnose(
    config: Configuration, wanted: Collection[str], options: DiagnosisOptions
) -> Diagnosis:
    known = {*config.names, *config.tables}
    if missing := [name for name in wanted if name not in known]:
        raise UsageError(
            f"There is no disk {missing[0]!r}; there are: {', '.join(sorted(known)) or 'none'}"
        )
    diagnosis = Diagnosis(
        config.source,
        ignore=config.ignore,
        ignore_of=config.ignore_of,
        secrets=config.secrets(),
    )
    diagnosis.add(finding for disk, finding in config.findings if disk is None)
    diagnosis.add(look_at_distributions())
    diagnosis.add(look_at_environment(config))
    diagnosis.add(_look_at_plugins(config.manager.hooks))
    made = {}
    for name in sorted(known):
        if wanted and name not in wanted:
            continue
        layers = tuple(config.layers_of(name)) if name in config.names else ()
        diagnosis.disks.append(LookedAt(name, config.driver_of(name), layers))
        diagnosis.add((each for disk, each in config.findings if disk == name), name)
        if name not in config.names:
            continue
        blocked = False
        async for finding in look_at_disk(name, config, options):
            diagnosis.add([finding], name)
            blocked |= finding.blocks and finding.id.startswith("disk")
        if not blocked:
            made[name] = config.manager.disk(name)
    diagnosis.add(look_between_disks(made))
    return diagnosis


def _look_at_plugins(hooks: Hooks) -> Iterator[Finding]:
    """Find plugins with hooks that cannot be used."""
    hooks.plugins()  # which loads them
    for name, reason in hooks.broken.items():
        distribution = name.partition(":")[0]
        yield error(
            id="packages.broken-plugin",
            message=f"The plugin {name!r} cannot be used: its hooks are not called.",
            evidence=str(reason),
            fix=f"pip install --force-reinstall {distribution}, or uninstall it",
        )


@contextmanager
def _no_log() -> Iterator[None]:
    """Keep the library's warnings off standard error: findings say the same."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
