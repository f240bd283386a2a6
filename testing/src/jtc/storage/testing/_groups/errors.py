"""Errors: one tree, with disk, operation and path."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio

from jtc.storage import Layer, StorageManager
from jtc.storage.driver_support.derived import resolve
from jtc.storage.exceptions import FileNotFoundException, InvalidPathException, StorageException
from jtc.storage.models import Visibility
from jtc.storage.paths import RESERVED_DIRECTORY
from jtc.storage.testing._driver_as_disk import DriverAlone
from jtc.storage.testing._suite import DISK_NAME, Suite, also_alone, awaited, must_raise, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Capabilities, Disk
    from jtc.storage.driver import StorageDriver

__all__ = ["ErrorTests"]

_ON_A_FILE: dict[str, Callable[[Disk, str], Any]] = {
    "get": lambda disk, path: disk.get(path),
    "get_range": lambda disk, path: disk.get_range(path, 0, 1),
    "stream": lambda disk, path: disk.stream(path),
    "size": lambda disk, path: disk.size(path),
    "last_modified": lambda disk, path: disk.last_modified(path),
    "get_ranges": lambda disk, path: disk.get_ranges(path, [(0, 1)]),
    "stat": lambda disk, path: disk.stat(path),
    "mime_type": lambda disk, path: disk.mime_type(path),
    "confirm_upload": lambda disk, path: disk.confirm_upload(path),
    "checksum": lambda disk, path: disk.checksum(path),
    "copy": lambda disk, path: disk.copy(path, "target"),
    "move": lambda disk, path: disk.move(path, "target"),
}
_ON_A_BACKEND: dict[str, tuple[str | None, Callable[[Disk], Any]]] = {
    "put": (None, lambda disk: disk.put("a.txt", b"content")),
    "get": (None, lambda disk: disk.get("a.txt")),
    "exists": (None, lambda disk: disk.exists("a.txt")),
    "delete": (None, lambda disk: disk.delete("a.txt")),
    "size": (None, lambda disk: disk.size("a.txt")),
    "last_modified": (None, lambda disk: disk.last_modified("a.txt")),
    "stat": (None, lambda disk: disk.stat("a.txt")),
    "get_range": (None, lambda disk: disk.get_range("a.txt", 0, 1)),
    "copy": (None, lambda disk: disk.copy("a.txt", "b.txt")),
    "move": (None, lambda disk: disk.move("a.txt", "b.txt")),
    "copy to another disk": (
        None,
        lambda disk: disk.copy("a.txt", "b.txt", to=disk.scoped("d")),
    ),
    "move_directory": ("directory_move", lambda disk: disk.move_directory("d", "e")),
    "check": (None, lambda disk: disk.check()),
    "directory_exists": ("listing", lambda disk: disk.directory_exists("d")),
    "delete_directory": ("listing", lambda disk: disk.delete_directory("d")),
    "make_directory": ("directories", lambda disk: disk.make_directory("d")),
    "remove_empty_directory": (
        "empty_directory_removal",
        lambda disk: disk.remove_empty_directory("d"),
    ),
    "visibility": ("visibility", lambda disk: disk.visibility("a.txt")),
    "delete if_match": (
        "conditional_delete",
        lambda disk: disk.delete("a.txt", if_match="another-etag"),
    ),
}


# Failing calls that a driver takes alone too, by the capability that they need. There are files "a"
# and "d/b", and OTHER is an etag of neither.
_OTHER = "another-etag"
_FAILING: dict[str, tuple[str | None, Callable[[Disk], Any]]] = {
    "put outside": (None, lambda disk: disk.put("../a", b"content")),
    "put in the reserved directory": (None, lambda disk: disk.put(".jtc/a", b"content")),
    "put no content": (None, lambda disk: disk.put("a", cast("Any", 1))),
    "get outside": (None, lambda disk: disk.get("d/../a")),
    "get no path": (None, lambda disk: disk.get(cast("Any", 1))),
    "get": (None, lambda disk: disk.get("missing")),
    "get below a file": (None, lambda disk: disk.get("a/below")),
    "exists": (None, lambda disk: disk.exists("d//b")),
    "delete": (None, lambda disk: disk.delete("d/")),
    "size": (None, lambda disk: disk.size("missing")),
    "size of a directory": (None, lambda disk: disk.size("d")),
    "last_modified": (None, lambda disk: disk.last_modified("missing")),
    "url": (None, lambda disk: disk.url("../a")),
    "path": (None, lambda disk: disk.path("")),
    "stat": ("stat", lambda disk: disk.stat("missing")),
    "stream": ("reading", lambda disk: disk.stream("missing")),
    "stream outside": ("reading", lambda disk: disk.stream("../a")),
    "stream another version": ("reading", lambda disk: disk.stream("a", if_match=_OTHER)),
    "get_ranges": ("ranges", lambda disk: disk.get_ranges("../a", [(0, 1)])),
    "put again": ("writing", lambda disk: disk.put("a", b"new", overwrite=False)),
    "put over another version": ("writing", lambda disk: disk.put("a", b"new", if_match=_OTHER)),
    "put over none": ("writing", lambda disk: disk.put("new", b"new", if_match=_OTHER)),
    "set_metadata": (
        "metadata_update",
        lambda disk: disk.set_metadata("missing", content_type="text/plain"),
    ),
    "set_metadata of another version": (
        "metadata_update",
        lambda disk: disk.set_metadata("a", content_type="text/plain", if_match=_OTHER),
    ),
    "delete another version": (
        "conditional_delete",
        lambda disk: disk.delete("a", if_match=_OTHER),
    ),
    "list": ("listing", lambda disk: anext(disk.list("d/.."))),
    "make_directory": ("directories", lambda disk: disk.make_directory("d/../e")),
    "delete_directory": ("directories", lambda disk: disk.delete_directory("")),
    "remove_empty_directory": (
        "empty_directory_removal",
        lambda disk: disk.remove_empty_directory("d"),
    ),
    "remove_empty_directory of a file": (
        "empty_directory_removal",
        lambda disk: disk.remove_empty_directory("a"),
    ),
    "copy": ("copy", lambda disk: disk.copy("missing", "b")),
    "copy to outside": ("copy", lambda disk: disk.copy("a", "../b")),
    "copy over another": ("copy", lambda disk: disk.copy("a", "d/b", overwrite=False)),
    "move": ("move", lambda disk: disk.move("missing", "b")),
    "move another version": ("move", lambda disk: disk.move("a", "b", if_source_match=_OTHER)),
    "visibility": ("visibility", lambda disk: disk.visibility("missing")),
    "set_visibility": (
        "visibility",
        lambda disk: disk.set_visibility("missing", Visibility.PUBLIC),
    ),
}
# What a call of the table needs besides its capability.
_OPTIONS_OF_FAILING: dict[str, tuple[str, str]] = {
    "put again": ("write_file", "overwrite"),
    "put over another version": ("write_file", "if_match"),
    "put over none": ("write_file", "if_match"),
    "set_metadata": ("update_metadata", "content_type"),
    "set_metadata of another version": ("update_metadata", "if_match"),
    "copy over another": ("copy_file", "overwrite"),
    "move another version": ("move_file", "if_source_match"),
}


@also_alone
class ErrorTests(Suite):
    """The same error in the same words on every driver."""

    rules = "every method"

    @pytest.mark.parametrize("method", _ON_A_FILE)
    async def test_a_missing_file_is_a_storage_exception(self, disk: Disk, method: str) -> None:
        with pytest.raises(FileNotFoundException) as caught:
            await awaited(_ON_A_FILE[method](disk, "d/missing.txt"))
        assert isinstance(caught.value, StorageException)
        assert isinstance(caught.value, FileNotFoundError)

    @pytest.mark.parametrize("method", _ON_A_FILE)
    async def test_an_error_has_the_path_and_the_disk(self, disk: Disk, method: str) -> None:
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

    async def test_an_error_of_the_driver_alone_is_that_through_disk(
        self, disk: Disk, driver: StorageDriver, capabilities: Capabilities
    ) -> None:
        if not self.stands_alone:
            pytest.skip("the suite says that the driver relies on Disk")
        if isinstance(driver, Layer):
            pytest.skip("a layer has the checks of its driver, and translates no errors")
        await disk.put("a", b"content")
        await disk.put("d/b", b"content")
        alone = cast("Disk", DriverAlone(driver))
        different = []
        for call, (capability, method) in _FAILING.items():
            option = _OPTIONS_OF_FAILING.get(call)
            if (capability is None or capability in capabilities) and (
                option is None or capabilities.supports(*option)
            ):
                through, itself = [await _error(method, storage) for storage in (disk, alone)]
                if through is None or through != itself:
                    different += [f"{call}:", f"  through Disk {through}", f"  alone {itself}"]
        if different:
            pytest.fail("\n".join(["type, message, operation or path differ:", *different]))

    async def test_error_message_is_a_sentence(
        self, disk: Disk, capabilities: Capabilities
    ) -> None:
        await disk.put("a", b"content")
        await disk.put("d/b", b"content")
        for call, (capability, method) in _FAILING.items():
            option = _OPTIONS_OF_FAILING.get(call)
            if (capability is None or capability in capabilities) and (
                option is None or capabilities.supports(*option)
            ):
                try:
                    await awaited(method(disk))
                except StorageException as error:
                    message = error.message
                    assert message[:1].isupper(), f"{call}: {message!r}"
                    assert not message.isupper(), f"{call}: {message!r}"
                    assert " " in message, f"{call}: {message!r}"
                except TypeError:
                    pass

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
        resolved = resolve(driver)
        if "close" in resolved.capabilities:
            await resolved.methods.aclose()

    @pytest.mark.parametrize("method", _ON_A_BACKEND)
    async def test_a_failing_backend_is_never_a_missing_file(
        self, broken: Disk, method: str
    ) -> None:
        capability, call = _ON_A_BACKEND[method]
        if capability is not None and capability not in broken.capabilities:
            pytest.skip(f"the driver does not claim the capability {capability!r}")
        with pytest.raises(StorageException) as caught:
            await call(broken)
        assert not isinstance(caught.value, FileNotFoundException)

    async def test_check_of_driver_fails_where_its_backend_fails(self, broken: Disk) -> None:
        if "health_check" not in broken.capabilities:
            pytest.skip("the driver does not claim the capability 'health_check'")
        with must_raise((StorageException, OSError), "check() of a backend that fails"):
            await resolve(broken.driver).methods.check(f"{RESERVED_DIRECTORY}/check")

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


async def _error(call: Callable[[Disk], Any], storage: Disk) -> tuple[object, ...] | None:
    """Return what users see of the error that a call raises, but for the disk's name."""
    try:
        await awaited(call(storage))
    except StorageException as error:
        kind = type(error).__name__
        return kind, error.message, error.operation, error.path, error.retryable
    except (OSError, TypeError, ValueError) as error:
        return type(error).__name__, str(error)
    return None
