"""One tree of errors, which say where they happened."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from jtc.storage import StorageManager
from jtc.storage.driver_support.derived import resolve
from jtc.storage.exceptions import FileNotFoundException, InvalidPathException, StorageException
from jtc.storage.testing._suite import DISK_NAME, Suite, also_alone, awaited, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Disk

__all__ = ["Errors"]

_ON_A_FILE: dict[str, Callable[[Disk, str], Any]] = {
    "get": lambda disk, path: disk.get(path),
    "get_range": lambda disk, path: disk.get_range(path, 0, 1),
    "stream": lambda disk, path: disk.stream(path),
    "size": lambda disk, path: disk.size(path),
    "last_modified": lambda disk, path: disk.last_modified(path),
    "stat": lambda disk, path: disk.stat(path),
    "mime_type": lambda disk, path: disk.mime_type(path),
    "checksum": lambda disk, path: disk.checksum(path),
    "copy": lambda disk, path: disk.copy(path, "target"),
    "move": lambda disk, path: disk.move(path, "target"),
}
_ON_A_BACKEND: dict[str, Callable[[Disk], Any]] = {
    "put": lambda disk: disk.put("a.txt", b"content"),
    "get": lambda disk: disk.get("a.txt"),
    "exists": lambda disk: disk.exists("a.txt"),
    "delete": lambda disk: disk.delete("a.txt"),
    "size": lambda disk: disk.size("a.txt"),
    "last_modified": lambda disk: disk.last_modified("a.txt"),
    "stat": lambda disk: disk.stat("a.txt"),
}


@also_alone
class Errors(Suite):
    """What goes wrong, said in the same words on every driver."""

    @pytest.mark.parametrize("method", _ON_A_FILE)
    async def test_a_missing_file_is_a_storage_exception(self, disk: Disk, method: str) -> None:
        with pytest.raises(FileNotFoundException) as caught:
            await awaited(_ON_A_FILE[method](disk, "d/missing.txt"))
        assert isinstance(caught.value, StorageException)
        assert isinstance(caught.value, FileNotFoundError)

    @pytest.mark.parametrize("method", _ON_A_FILE)
    async def test_an_error_knows_the_path_and_the_disk(self, disk: Disk, method: str) -> None:
        with pytest.raises(FileNotFoundException) as caught:
            await awaited(_ON_A_FILE[method](disk, "d/missing.txt"))
        assert caught.value.path == "d/missing.txt"
        assert caught.value.disk == DISK_NAME
        assert caught.value.operation

    async def test_an_error_says_the_path(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundException, match=r"d/missing\.txt"):
            await disk.get("d/missing.txt")

    async def test_an_error_has_the_path_as_the_caller_wrote_it(self, disk: Disk) -> None:
        with pytest.raises(InvalidPathException) as caught:
            await disk.get("a/../b")
        assert caught.value.path == "a/../b"

    async def test_an_error_can_be_pickled(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundException) as caught:
            await disk.get("missing.txt")
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
        assert type(again) is FileNotFoundException
        assert str(again) == str(caught.value)
        assert again.path == "missing.txt"

    async def test_a_missing_file_is_no_reason_to_try_again(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundException) as caught:
            await disk.get("missing.txt")
        assert caught.value.retryable is False

    async def test_the_storage_is_usable_after_an_error(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.get("a.txt")
        with pytest.raises(InvalidPathException):
            await storage.put("../a.txt", b"content")
        await storage.put("a.txt", b"content")
        assert await storage.get("a.txt") == b"content"

    @pytest_asyncio.fixture
    async def broken(self) -> AsyncIterator[Disk]:
        """Give a disk whose backend fails, where the suite has one."""
        driver = await awaited(self.make_failing_driver())
        if driver is None:
            pytest.skip("the suite gives no driver whose backend fails")
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager.disk(DISK_NAME)
        close = resolve(driver).close
        if close is not None:
            await close.aclose()

    @pytest.mark.parametrize("method", _ON_A_BACKEND)
    async def test_a_failing_backend_is_never_a_missing_file(
        self, broken: Disk, method: str
    ) -> None:
        with pytest.raises(StorageException) as caught:
            await _ON_A_BACKEND[method](broken)
        assert not isinstance(caught.value, FileNotFoundException)

    @needs("listing")
    async def test_a_failing_backend_is_never_an_empty_listing(self, broken: Disk) -> None:
        with pytest.raises(StorageException):
            await broken.files()

    async def test_a_failing_backend_is_the_answer_for_each_of_many_deletes(
        self, broken: Disk
    ) -> None:
        try:
            outcome = await broken.delete_many(["a.txt", "b.txt"])
        except StorageException:
            return  # for all of them at once
        assert all(isinstance(answer, StorageException) for answer in outcome.values())
