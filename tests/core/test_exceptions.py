"""The tree of exceptions, their messages, and the translation of builtins."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager, exceptions
from jtc.storage.driver_support.error_translation import reraise, translate
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    ReadOnlyException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from pathlib import Path

CLASSES: list[type[StorageException]] = [
    value
    for value in vars(exceptions).values()
    if isinstance(value, type) and issubclass(value, StorageException)
]

# Numbers whose messages are the same on every driver, file system or not.
OUTCOMES = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, tuple[str | None, str | None]] = {"StorageException": (None, None)}
    above = {0: "StorageException"}
    for line in (exceptions.__doc__ or "").splitlines():
        if found := re.match(
            r" {4}(?P<stem>[│ ]*)[├└]── (?P<name>\w+)(?: +\(also (?P<also>\w+)\))?", line
        ):
            depth = len(found["stem"]) // 4 + 1
            above[depth] = found["name"]
            drawn[found["name"]] = (above[depth - 1], found["also"])
    real: dict[str, tuple[str | None, str | None]] = {}
    for cls in CLASSES:
        ours = [base.__name__ for base in cls.__bases__ if issubclass(base, StorageException)]
        builtins = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"]
        if cls is StorageException:
            builtins = []
        real[cls.__name__] = (ours[0] if ours else None, builtins[0] if builtins else None)
    assert drawn == real
    assert len(drawn) == 17


def test_each_exception_is_exported_by_the_package() -> None:
    import jtc.storage

    assert {cls.__name__ for cls in CLASSES} <= set(jtc.storage.__all__)
    assert {cls.__name__ for cls in CLASSES} == set(exceptions.__all__)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_an_error_survives_pickle_and_copy_with_all_it_says(cls: Any, again: Any) -> None:
    error = cls("Odd", path="a/b", disk="s3", operation="put", retryable=True, errno=7)
    error.add_note("seen on Monday")
    twin = again(error)
    assert type(twin) is cls
    assert str(twin) == str(error)
    assert "'a/b'" in str(twin)
    assert vars(twin) == vars(error)
    assert twin.args == ("Odd",)
    assert twin.retryable is True
    assert twin.errno == 7


def test_a_reason_survives_pickle() -> None:
    error = RejectedException("Too long", reason="size", path="a")
    assert pickle.loads(pickle.dumps(error)).reason == "size"
    assert RejectedException().reason == "rule"


def test_subclass_of_a_third_party_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(StorageExceptionOfTheirs(7)))
    assert str(error) == "Theirs 7"
    assert error.number == 7


class StorageExceptionOfTheirs(StorageException):
    def __init__(self, number: int) -> None:
        super().__init__(f"Theirs {number}")
        self.number = number


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({}, "Bad"),
        ({"path": "a"}, "Bad: 'a'"),
        ({"disk": "s3"}, "Bad (disk 's3')"),
        ({"operation": "get"}, "Bad (operation 'get')"),
        ({"path": "a\nb", "disk": "d", "operation": "o"}, "Bad: 'a\\nb' (disk 'd', operation 'o')"),
        ({"path": "d"}, "Bad: 'd'"),
    ],
)
def test_the_text_says_path_disk_and_operation_where_they_are_known(
    context: dict[str, str], text: str
) -> None:
    assert str(StorageException("Bad", **context)) == text  # type: ignore[arg-type]


def test_the_path_of_a_wrong_configuration_does_not_look_like_one_of_its_options() -> None:
    error = StorageConfigException("It has: root", path="a", disk="d", operation="put")
    assert str(error) == "It has: root (disk 'd', operation 'put', path 'a')"
    assert str(StorageConfigException("It has: root")) == "It has: root"
    assert str(StorageConfigException(path="a")) == "StorageConfigException (path 'a')"


def test_a_path_that_a_driver_wrote_into_its_message_is_not_said_twice() -> None:
    assert str(FileNotFoundException("No file: a.txt", path="a.txt")) == "No file: a.txt"
    assert str(FileNotFoundException("No file: 'a.txt'", path="a.txt")) == "No file: 'a.txt'"


def test_an_error_without_a_message_says_its_class() -> None:
    assert str(StorageFullException()) == "StorageFullException"
    bare = StorageException()
    bare.args = ()
    assert bare.message == ""


def test_what_may_succeed_later_is_retryable() -> None:
    assert {cls.__name__ for cls in CLASSES if cls("x").retryable} == {
        "StorageUnavailableException",
        "StorageTimeoutException",
    }
    assert StorageUnavailableException("x", retryable=False).retryable is False


def test_errors_with_a_builtin_base_have_its_number() -> None:
    assert FileNotFoundException("x").errno == errno.ENOENT
    assert FileExistsException("x").errno == errno.EEXIST
    assert StoragePermissionException("x").errno == errno.EACCES
    assert StorageTimeoutException("x").errno == errno.ETIMEDOUT
    assert StorageException("x").errno is None
    assert StoragePermissionException("x", errno=errno.EROFS).errno == errno.EROFS


@pytest.mark.parametrize(
    ("number", "cls"),
    [
        (errno.ENOENT, FileNotFoundException),
        (errno.EEXIST, FileExistsException),
        (errno.ENOTDIR, PathConflictException),
        (errno.EISDIR, PathConflictException),
        (errno.ENOTEMPTY, PathConflictException),
        (errno.ENAMETOOLONG, InvalidPathException),
        (errno.EILSEQ, InvalidPathException),
        (errno.EACCES, StoragePermissionException),
        (errno.EPERM, StoragePermissionException),
        (errno.EROFS, StoragePermissionException),
        (errno.ELOOP, StoragePermissionException),
        (errno.EXDEV, StoragePermissionException),
        (errno.ENOSPC, StorageFullException),
        (errno.EDQUOT, StorageFullException),
        (errno.EFBIG, StorageFullException),
        (errno.EIO, StorageUnavailableException),
        (errno.EMFILE, StorageUnavailableException),
        (errno.ENFILE, StorageUnavailableException),
        (errno.ESTALE, StorageUnavailableException),
        (errno.EOPNOTSUPP, UnsupportedOperationException),
        (errno.ETIMEDOUT, StorageTimeoutException),
        (errno.ECONNREFUSED, StorageUnavailableException),
        (errno.EPIPE, StorageUnavailableException),
        (errno.EINVAL, StorageException),
    ],
)
def test_a_system_error_keeps_its_number(number: int, cls: type[StorageException]) -> None:
    mapped = translate(OSError(number, "words of the system", "/secret/place"))
    assert type(mapped) is cls
    assert mapped.errno == number
    assert "secret" not in str(mapped)
    assert "words of the system" not in str(mapped)


# What Linux answers on a FUSE or network mount whose server is gone, and on a device that is.
DEAD_MOUNTS = [
    "EAGAIN",
    "EBADFD",
    "EBADMSG",
    "EBUSY",
    "ECOMM",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EIO",
    "ENETDOWN",
    "ENETRESET",
    "ENETUNREACH",
    "ENOBUFS",
    "ENODEV",
    "ENOLCK",
    "ENOLINK",
    "ENOMEDIUM",
    "ENOMEM",
    "ENONET",
    "ENOTCONN",
    "ENXIO",
    "EPIPE",
    "EPROTO",
    "EREMOTEIO",
    "ESHUTDOWN",
    "ESTALE",
    "ETIME",
    "ETIMEDOUT",
    "EUCLEAN",
]


@pytest.mark.parametrize("name", DEAD_MOUNTS)
def test_translate_of_a_dead_mount_is_retryable_and_says_the_systems_words(name: str) -> None:
    number = getattr(errno, name)
    mapped = translate(OSError(number, "text", "/secret/place"))
    assert isinstance(mapped, StorageUnavailableException)
    assert mapped.retryable
    assert mapped.errno == number
    assert os.strerror(number).lower() in str(mapped).lower()
    assert "secret" not in str(mapped)


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - OUTCOMES))
def test_translate_always_says_the_systems_words(number: int) -> None:
    assert os.strerror(number).lower() in str(translate(OSError(number, "text"))).lower()


@pytest.mark.parametrize("name", ["ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED"])
def test_translate_of_refused_keys_is_a_permission(name: str) -> None:
    mapped = translate(OSError(getattr(errno, name), "text"))
    assert type(mapped) is StoragePermissionException
    assert not mapped.retryable


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        (FileNotFoundError("x"), FileNotFoundException),
        (FileExistsError("x"), FileExistsException),
        (IsADirectoryError("x"), PathConflictException),
        (NotADirectoryError("x"), PathConflictException),
        (PermissionError("x"), StoragePermissionException),
        (TimeoutError("x"), StorageTimeoutException),
        (ConnectionError("x"), StorageUnavailableException),
        (ConnectionResetError("x"), StorageUnavailableException),
        (BrokenPipeError("x"), StorageUnavailableException),
        (OSError("x"), StorageException),
    ],
)
def test_a_builtin_without_a_number_is_mapped_by_its_class(
    error: OSError, cls: type[StorageException]
) -> None:
    assert type(translate(error)) is cls


def test_an_unknown_system_error_says_its_class_and_not_its_text() -> None:
    class SSLError(OSError):
        pass

    assert str(translate(SSLError("https://key:secret@host"))) == "The storage failed (SSLError)"


def test_reraise_adds_what_is_missing_and_keeps_the_cause() -> None:
    cause = FileNotFoundError(errno.ENOENT, "x")
    with pytest.raises(FileNotFoundException) as raised:
        reraise(cause, operation="get", path="a", disk="d")
    assert raised.value.__cause__ is cause
    assert (raised.value.operation, raised.value.path, raised.value.disk) == ("get", "a", "d")


def test_reraise_keeps_what_the_innermost_said() -> None:
    inner = StorageException("x", path="inner", operation="write_file")
    with pytest.raises(StorageException) as raised:
        reraise(inner, operation="put", path="outer", disk="d")
    assert raised.value is inner
    assert (inner.operation, inner.path, inner.disk) == ("write_file", "inner", "d")
    assert inner.__cause__ is None


@pytest.mark.parametrize("error", [TypeError("bug"), ValueError("x"), KeyError("x"), SystemExit(1)])
def test_reraise_leaves_the_faults_of_programs_alone(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        reraise(error, operation="get", path="a", disk="d")
    assert raised.value is error
    assert raised.value.__cause__ is None


def test_a_read_only_disk_is_an_unsupported_operation() -> None:
    assert issubclass(ReadOnlyException, UnsupportedOperationException)


LONG = "x" * 4_000_000


@pytest.mark.parametrize("path", [LONG, "a/" + LONG, "../" * 1_000_000, "a\n" + LONG])
async def test_error_of_a_long_path_is_short(path: str, tmp_path: Path) -> None:
    for driver in (MemoryDriver(), LocalDriver(tmp_path)):
        manager = StorageManager.isolated()
        manager.set_driver(driver)
        for call in (manager.get, driver.get, manager.files, manager.scoped("s").get):
            with pytest.raises(InvalidPathException) as caught:
                await call(path)
            error = caught.value
            assert len(str(error)) + len(error.path or "") + len(repr(error)) < 20_000
            assert "characters)" in str(error)
            assert len(pickle.dumps(error)) < 20_000


async def test_error_of_a_long_option_is_short() -> None:
    manager = StorageManager.isolated()
    manager.set_driver(MemoryDriver())
    options: list[dict[str, Any]] = [
        {"visibility": LONG},
        {"metadata": {LONG.upper(): "x"}},
        {"content_type": LONG + "\n"},
    ]
    for each in options:
        with pytest.raises(ValueError) as caught:
            await manager.put("a", b"", **each)
        assert len(str(caught.value)) + sum(map(len, caught.value.__notes__)) < 2000
    with pytest.raises(ValueError, match="whole part") as caught:
        await manager.glob(f"**{LONG}")
    assert len(str(caught.value)) + sum(map(len, caught.value.__notes__)) < 2000


def test_message_of_a_driver_is_bounded() -> None:
    error = StorageException(LONG, path=LONG)
    assert len(str(error)) < 20_000
    error.path = LONG
    assert len(error.path) < 10_000
    assert StorageException("short", path="a" * 4096).path == "a" * 4096
