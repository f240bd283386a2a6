"""A driver that raises builtins only: what decides by an error's class decides as for ours."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    FileInfo,
    PathConflictException,
    StorageException,
    StorageManager,
    Visibility,
)
from jtc.storage.layers.limit import Limit
from jtc.storage.layers.retry import Retry
from jtc.storage.layers.timeout import Timeout
from small_drivers import EightMethods, Streaming, etag_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import WriteOptions


class Builtins(Streaming):
    """Has no visibility, and says so by system errors."""

    supported_options: ClassVar = {
        "write_file": frozenset({"overwrite", "if_match", "visibility", "content_type"})
    }

    def __init__(self, refusal: Exception | None = None, reading: Exception | None = None) -> None:
        super().__init__()
        self.refusal, self.reading = refusal, reading
        self.retries: list[Exception] = []

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        if self.retries:
            raise self.retries.pop()
        if options.visibility is not None and self.refusal is not None:
            raise self.refusal
        if not options.overwrite and path in self.kept:
            raise FileExistsError(errno.EEXIST, "there", path)
        if not isinstance(content, bytes):
            content = b"".join([chunk async for chunk in content])
        self.kept[path] = content
        return etag_of(content)

    async def visibility(self, path: str, /) -> Visibility:
        if self.reading is not None:
            raise self.reading
        self._file(path)
        return Visibility.PRIVATE

    async def set_visibility(self, _path: str, _visibility: Visibility, /) -> None:
        raise OSError(errno.EOPNOTSUPP, "no modes")

    async def stat(self, path: str, /) -> FileInfo:
        if path == "directory":
            raise IsADirectoryError(path)
        return FileInfo(
            path=path, size=len(self._file(path)), last_modified=1.0, etag=etag_of(self._file(path))
        )

    async def remove_empty_directory(self, path: str, /) -> bool:
        raise OSError(errno.ENOTEMPTY, "full", path)


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


LAYERS: dict[str, Callable[[Any], Any]] = {
    "no layer": lambda driver: driver,
    "retry": lambda driver: Retry(driver, delay=0),
    "limit": lambda driver: Limit(driver, operations=2),
    "timeout": lambda driver: Timeout(driver, total=60),
}


@pytest.fixture(params=LAYERS)
def layered(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return LAYERS[request.param]


NO_VISIBILITY = OSError(errno.EOPNOTSUPP, "no modes")


async def test_append_takes_a_builtin_for_a_visibility_that_cannot_be_kept(layered: Any) -> None:
    for driver in (
        Builtins(refusal=NO_VISIBILITY),
        Builtins(reading=NO_VISIBILITY),
        Builtins(reading=OSError(errno.EROFS, "read-only")),
        Builtins(reading=PermissionError("no")),
    ):
        await driver.put("a", b"old ")
        await disk_of(layered(driver)).append("a", b"new")
        assert await driver.get("a") == b"old new"


async def test_set_metadata_takes_a_builtin_for_a_visibility_that_cannot_be_kept(
    layered: Any,
) -> None:
    for driver in (Builtins(refusal=NO_VISIBILITY), Builtins(reading=NO_VISIBILITY)):
        await driver.put("a", b"content")
        await disk_of(layered(driver)).set_metadata("a", content_type="text/x-own")
        assert await driver.get("a") == b"content"


@pytest.mark.parametrize(
    "error", [TimeoutError("slow"), ConnectionResetError("gone"), OSError(errno.EIO, "worn")]
)
async def test_retry_sends_a_put_again_after_a_builtin(error: Exception) -> None:
    driver = Builtins()
    driver.retries = [error]
    await disk_of(Retry(driver, delay=0)).put("a", iter([b"content"]))
    assert await driver.get("a") == b"content"


async def test_put_overwrite_false_and_other_refusals_are_ours(layered: Any) -> None:
    disk = disk_of(layered(Builtins()))
    await disk.put("a", b"content")
    with pytest.raises(FileExistsException):
        await disk.put("a", b"other", overwrite=False)
    with pytest.raises(FileExistsException):
        await disk.copy("a", "a", overwrite=False)
    with pytest.raises(FileExistsException):
        async with disk.open("a", "xb") as file:
            await file.write(b"other")
    with pytest.raises(PathConflictException):
        await disk.remove_empty_directory("d")
    assert await disk.entry("directory") is None
    assert await disk.get("a") == b"content"


async def test_delete_many_converts_the_builtins_in_a_bulk_answer(layered: Any) -> None:
    class Bulk(EightMethods):
        async def delete_many(self, paths: Any, /) -> Any:
            return {path: PermissionError(errno.EACCES, "no") for path in paths}

    answer = await disk_of(layered(Bulk())).delete_many(["a", "/a"])
    assert {type(each).__name__ for each in answer.values()} == {"StoragePermissionException"}
    assert all(isinstance(each, StorageException) for each in answer.values())
