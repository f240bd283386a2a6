"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# The tests are no package (importlib mode), so that helpers beside them are found by this.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "support"))

from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

    from openssh import OpenSSH

# A developer's own profile is no part of a test.
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

# A shell starts what runs in the background without it, and so would be each process of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


def pytest_collection_finish() -> None:
    """Keep what was collected out of each later `gc.collect()`: it stays until the end anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    """Serve a real S3 store with one bucket; started at first use, for the whole run."""
    with SeaweedFS() as store:
        yield store


@pytest.fixture(scope="session")
def openssh() -> Iterator[OpenSSH]:
    """Serve SFTP by a real OpenSSH server; started at first use, for the whole run."""
    from openssh import SSHD, OpenSSH

    if SSHD is None:
        pytest.skip("needs sshd: tests/install_tools.sh")
    with OpenSSH() as server:
        yield server


class Scheduling(LoadScopeScheduling):
    """Give whole groups to one worker where what they share is expensive to make.

    These are the wheels of tests/packaging, and the loop and client of a class of
    tests/conformance. All other tests go one by one to a free worker, after the groups. (The mark
    ``xdist_group`` would say it better, but has no effect with pytest 9.2, which has no other node
    ids than its own.)
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/packaging/"):
            return "tests/packaging"
        if nodeid.startswith("tests/conformance/"):
            return nodeid.partition("[")[0].rpartition("::")[0]
        return nodeid

    # xdist keeps what is done, and goes through all of it after each test: half a minute of 15,000.
    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        del duration
        nodeid = self.registered_collections[node][item_index]
        scope = self._split_scope(nodeid)
        work = self.assigned_work[node]
        del work[scope][nodeid]
        if not work[scope]:
            del work[scope]
        self._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope, unit = self.workqueue.popitem(last=False)
        self.assigned_work[node][scope] = unit
        node.send_runtest_some([self._places[nodeid] for nodeid in unit])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {nodeid: place for place, nodeid in enumerate(self.collection or ())}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)
