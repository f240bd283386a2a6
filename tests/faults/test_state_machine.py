"""The whole API in random order, on local and S3 disks, with memory as the model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from disk_machine import Arena, DiskMachine
from faulty_proxy import FaultyProxy
from jtc.storage import StorageManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seaweedfs import SeaweedFS

STEPS_A_RUN = 40


@pytest.mark.row(17)
@pytest.mark.parametrize("half", [1, 2])
def test_random_use_of_the_api_makes_no_difference_between_disks(
    seaweedfs: SeaweedFS,
    tmp_path: Path,
    half: int,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    # A run may end before its last step, so there are some more of them than the steps need.
    wanted, runs = rounds(1000, brief=40), rounds(40, brief=2)
    with asyncio.Runner() as runner:
        proxy = runner.run(FaultyProxy(seaweedfs.endpoint_url).__aenter__())
        options = {**seaweedfs.options, "bucket": seaweedfs.bucket}
        storage = StorageManager.isolated(
            {
                "disks": {
                    "memory": {"driver": "memory"},
                    "local": {"driver": "local", "root": str(tmp_path)},
                    "s3": {"driver": "s3", **options, "endpoint_url": proxy.endpoint_url},
                    **{
                        f"beside {name}": {"driver": "memory"} for name in ("memory", "local", "s3")
                    },
                }
            }
        )
        names = ("memory", "local", "s3")
        arena = Arena(
            runner.run,
            {name: storage.disk(name).scoped(f"machine-{half}") for name in names},
            {name: storage.disk(f"beside {name}").scoped(f"machine-{half}") for name in names},
            proxy,
        )
        try:
            run_state_machine_as_test(
                lambda: DiskMachine(arena),
                settings=settings(
                    max_examples=runs,
                    stateful_step_count=STEPS_A_RUN,
                    deadline=None,
                    database=None,
                    # The same run in CI each time; others in each `make faults`.
                    derandomize=runs < 10,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(storage.aclose())
            runner.run(proxy.__aexit__())
    counts = arena.counts
    report(
        f"half {half}: {counts['steps']} steps, {counts['compared']} outcomes compared, "
        f"{counts['faults']} faults, {counts['cancelled']} cancellations, 0 differences"
    )
    assert counts["steps"] >= wanted
