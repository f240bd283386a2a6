"""A process that may open few files still does everything that is asked of it at once."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from jtc.storage.options import ListOptions
from local_ways import WAYS, local_driver, run_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.row(9)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("workers", "limit"), [(None, 64), (32, 64), (32, 24)])
async def test_a_thousand_gets_and_puts_at_once_need_few_descriptors(
    tmp_path: Path, way: str, workers: int | None, limit: int, report: Callable[[str], None]
) -> None:
    code = f"""
    from jtc.storage.drivers.local_driver import _workers
    async def stream(content):
        yield content
    async def main():
        if {workers}:
            _workers._THREADS = {workers}
        await driver.put("a", b"content")
        results = await asyncio.gather(
            *(driver.get("a") for _ in range(1000)),
            *(driver.put(f"d{{n % 10}}/{{n}}", b"x") for n in range(500)),
            *(driver.put(f"d{{n % 10}}/{{n}}", stream(b"x")) for n in range(500, 1000)),
            *(driver.copy_file("a", f"copy/{{n}}", WriteOptions()) for n in range(200)),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        print(len(results), len(failures), failures[:1])
    asyncio.run(main())
    """
    root = tmp_path / "root"

    def ulimit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    done = run_python(code, root, way, preexec_fn=ulimit)
    assert done.stderr == ""
    asked, failed, first = done.stdout.split(maxsplit=2)
    threads = "" if workers is None else f", {workers} threads"
    report(f"{way}, `ulimit -n {limit}`{threads}: {asked} gets, puts and copies, {failed} failures")
    assert (failed, first.strip()) == ("0", "[]")
    driver = local_driver(root, way)
    assert (
        len([entry async for entry in driver.list_entries("", ListOptions(recursive=True))]) == 1201
    )
