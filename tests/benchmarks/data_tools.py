"""``jtc://`` beside s3fs: data tools on one SeaweedFS, in turns.

``python tests/benchmarks/data_tools.py [ROUNDS]`` prints the medians. s3fs is in the environment of
``make bench``, which needs three packages more::

    python -m pip --python build/bench install -c build/bench/constraints.txt pandas pyarrow
    python -m pip --python build/bench install --no-build-isolation -e integrations-fsspec
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1024 * 1024
_COLUMNS, _ROWS = 10, 250_000
_LISTED, _SMALL = 5_000, 100


class Tool:
    """One file system, as data tools use it.

    Args:
        protocol: Of its URLs.
        root: Where all files are.
        options: Its `storage_options`.
    """

    def __init__(self, protocol: str, root: str, options: dict[str, Any]) -> None:
        self.fs = fsspec.filesystem(protocol, **options)
        self._root, self._url, self._options = root, f"{protocol}://{root}", options
        self._names = [f"{root}/small/{number:03}" for number in range(_SMALL)]

    def fill(self) -> None:
        """Write what is read."""
        numbers = [pa.py_buffer(os.urandom(8 * _ROWS)) for _ in range(_COLUMNS)]
        arrays = [pa.Array.from_buffers(pa.int64(), _ROWS, [None, each]) for each in numbers]
        table = pa.table(arrays, names=[f"c{number}" for number in range(_COLUMNS)])
        with self.fs.open(f"{self._root}/table.parquet", "wb") as file:
            pq.write_table(table, file, compression="none", use_dictionary=False)
        self.fs.pipe({f"{self._root}/listed/{number:05}": b"x" for number in range(_LISTED)})
        self.fs.pipe(dict.fromkeys(self._names, bytes(1000)))

    def work(self) -> dict[str, Callable[[], object]]:
        """Return each kind of work."""
        fs, table = self.fs, f"{self._root}/table.parquet"
        url = f"{self._url}/table.parquet"
        return {
            "parquet of 20 MB": lambda: pd.read_parquet(url, storage_options=self._options),
            "one column of it": lambda: pd.read_parquet(
                url, columns=["c3"], storage_options=self._options
            ),
            "100 ranges of it": lambda: fs.cat_ranges(
                [table] * 100,
                list(range(0, 100 * 190_000, 190_000)),
                list(range(1000, 100 * 190_000 + 1000, 190_000)),
            ),
            "a listing of 5,000": lambda: fs.ls(f"{self._root}/listed", refresh=True),
            "100 small reads": lambda: [fs.cat_file(name) for name in self._names],
            "100 small files opened": lambda: [fs.open(name).read() for name in self._names],
            "100 small reads at once": lambda: fs.cat(self._names),
            "100 small writes at once": lambda: fs.pipe(dict.fromkeys(self._names, bytes(1000))),
            "a file of 20 MB written": self.write,
        }

    def write(self) -> None:
        """Write a large file in pieces."""
        with self.fs.open(f"{self._root}/written", "wb") as file:
            for _ in range(20):
                file.write(bytes(_MIB))


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(store: SeaweedFS, rounds: int) -> None:
    config = {"disks": {"media": {"driver": "s3", "bucket": store.bucket, **store.options}}}
    ours = Tool("jtc", "media", {"config": config})
    theirs = Tool(
        "s3",
        store.bucket,
        {
            "key": store.access_key,
            "secret": store.secret_key,
            "endpoint_url": store.endpoint_url,
            "use_listings_cache": False,
        },
    )
    ours.fill()
    print(f"the parquet file has {ours.fs.size('media/table.parquet'):,} bytes")
    both = ours.work(), theirs.work()
    for name in both[0]:
        times: list[list[float]] = [[], []]
        for number in range(-1, rounds):
            order = (0, 1) if number % 2 else (1, 0)
            found = {which: seconds(both[which][name]) for which in order}
            for which in order if number >= 0 else ():
                times[which].append(found[which])
        ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
        medians = [statistics.median(each) * 1000 for each in times]
        print(f"{name}: {medians[0]:.1f} ms, s3fs {medians[1]:.1f} ms: {ratio:.2f} x", flush=True)


if __name__ == "__main__":
    with SeaweedFS() as served:
        measure(served, int(sys.argv[1]) if len(sys.argv) > 1 else 15)
