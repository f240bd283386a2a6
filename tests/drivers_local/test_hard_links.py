"""Files with several names: what one name gets, the others do not."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import PreconditionFailedException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from local_ways import WAYS, local_driver, temporaries_below

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver

OLD = 1_600_000_000_000_000_000


@pytest.fixture(params=WAYS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> LocalDriver:
    return local_driver(tmp_path / "root", request.param)


@pytest.fixture
async def outside(driver: LocalDriver, tmp_path: Path) -> Path:
    """Make a file outside the root that has a second name in it."""
    file = tmp_path / "outside"
    file.write_bytes(b"content")
    file.chmod(0o640)
    os.utime(file, ns=(OLD, OLD))
    await driver.make_directory("d")
    os.link(file, tmp_path / "root/d/a")
    return file


def untouched(file: Path) -> bool:
    status = file.stat()
    return (
        file.read_bytes() == b"content"
        and (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, OLD)
        and os.listxattr(file) == []
    )


@pytest.mark.parametrize("visibility", list(Visibility))
async def test_set_visibility_leaves_the_other_name_alone(
    driver: LocalDriver, outside: Path, visibility: Visibility
) -> None:
    await driver.set_visibility("d/a", visibility)
    assert await driver.visibility("d/a") is visibility
    assert await driver.get("d/a") == b"content"
    assert untouched(outside)
    assert temporaries_below(outside.parent) == []


async def test_update_metadata_leaves_the_other_name_alone(
    driver: LocalDriver, outside: Path
) -> None:
    old = (await driver.stat("d/a")).etag
    new = await driver.update_metadata("d/a", WriteOptions(content_type="text/x", if_match=old))
    info = await driver.stat("d/a")
    assert (info.etag, info.content_type) == (new, "text/x")
    assert new != old
    assert stat.S_IMODE(os.stat(driver.path("d/a")).st_mode) == 0o640  # noqa: PTH116
    assert untouched(outside)
    with pytest.raises(PreconditionFailedException):
        await driver.update_metadata("d/a", WriteOptions(content_type="text/y", if_match=old))


async def test_two_names_within_the_root_part(driver: LocalDriver, tmp_path: Path) -> None:
    await driver.write_file("a", b"content", WriteOptions(content_type="text/x"))
    os.link(tmp_path / "root/a", tmp_path / "root/b")
    await driver.set_visibility("a", Visibility.PRIVATE)
    assert await driver.visibility("b") is Visibility.PUBLIC
    assert (await driver.stat("a")).content_type == "text/x"
    await driver.update_metadata("b", WriteOptions(content_type="text/y"))
    assert (await driver.stat("a")).content_type == "text/x"
