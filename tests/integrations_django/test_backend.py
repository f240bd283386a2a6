"""The methods of a Django file storage, on each kind of disk."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile

from jtc.storage import (
    FileExistsException,
    PathConflictException,
    Storage,
    UnsupportedOperationException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

LARGE = bytes(range(256)) * 2_000


def read(storage: Any, name: str, mode: str = "rb") -> Any:
    with storage.open(name, mode) as file:
        return file.read()


def test_a_file_is_saved_read_and_deleted(media: Any) -> None:
    assert not media.exists("a.txt")
    assert media.save("a.txt", ContentFile(b"one\ntwo\n")) == "a.txt"
    assert media.exists("a.txt")
    assert media.size("a.txt") == 8
    with media.open("a.txt") as file:
        assert isinstance(file, File)
        assert file.read() == b"one\ntwo\n"
    media.delete("a.txt")
    media.delete("a.txt")
    assert not media.exists("a.txt")
    with pytest.raises(FileNotFoundError):
        media.open("a.txt")
    with pytest.raises(ValueError, match="name"):
        media.delete("")


def test_a_name_comes_from_the_content_where_none_is_given(media: Any) -> None:
    assert media.save(None, ContentFile(b"1", name="b.txt")) == "b.txt"
    assert media.save("c.txt", io.BytesIO(b"plain file object")) == "c.txt"
    assert read(media, "c.txt") == b"plain file object"


def test_text_is_stored_as_utf_8(media: Any) -> None:
    for content in (
        ContentFile("Grüße\n"),
        File(io.StringIO("Grüße\n"), "a.txt"),
        io.StringIO("Grüße\n"),
    ):
        assert read(media, media.save("a.txt", content)) == "Grüße\n".encode()


def test_a_second_file_of_a_name_gets_another_name(media: Any) -> None:
    first = media.save("d/a.tar.gz", ContentFile(b"1"))
    second = media.save("d/a.tar.gz", ContentFile(b"2"))
    assert first == "d/a.tar.gz"
    assert second != first
    assert second.startswith("d/a_")
    assert second.endswith(".tar.gz")
    assert (read(media, first), read(media, second)) == (b"1", b"2")
    assert media.get_available_name("d/a.tar.gz") not in {first, second}
    assert not media.is_name_available(first)
    assert media.is_name_available("d/b")
    assert not media.is_name_available("d/bb", max_length=3)


def test_a_free_name_is_as_short_as_it_has_to_be(media: Any) -> None:
    media.save("abcdefghij.txt", ContentFile(b"1"))
    name = media.save("abcdefghij.txt", ContentFile(b"2"), max_length=14)
    assert len(name) <= 14
    assert name.endswith(".txt")
    with pytest.raises(SuspiciousFileOperation):
        media.save("abcdefghij.txt", ContentFile(b"3"), max_length=5)


def test_of_many_that_save_one_name_at_once_each_gets_its_own(
    media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them see that the name is free before the first one writes."""
    at_once = 8
    barrier = threading.Barrier(at_once, timeout=60)
    look = type(media._wrapped).is_name_available
    waited = threading.local()

    def is_name_available(self: Any, name: str, max_length: int | None = None) -> bool:
        found = look(self, name, max_length)
        if not getattr(waited, "done", False):
            waited.done = True
            barrier.wait()
        return found

    monkeypatch.setattr(type(media._wrapped), "is_name_available", is_name_available)

    def save(n: int) -> str:
        return str(media.save("same.txt", ContentFile(b"%d" % n), max_length=17))

    with ThreadPoolExecutor(at_once) as pool:
        names = list(pool.map(save, range(at_once)))
    assert len(set(names)) == at_once
    assert "same.txt" in names
    assert max(map(len, names)) <= 17
    assert [read(media, name) for name in names] == [b"%d" % n for n in range(at_once)]


def test_content_that_cannot_be_read_again_is_not_stored_half(
    media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Once(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            return 0

    media.save("a.txt", ContentFile(b"1"))
    monkeypatch.setattr(type(media._wrapped), "is_name_available", lambda *_, **__: True)
    with pytest.raises(FileExistsException):
        media.save("a.txt", File(Once(), "a.txt"))


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_a_name_that_a_directory_has_is_taken(media: Any) -> None:
    media.save("a/b", ContentFile(b"1"))
    name = media.save("a", ContentFile(b"2"))
    assert name != "a"
    assert read(media, name) == b"2"


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_below_a_file_no_name_is_free_and_none_is_looked_for(media: Any) -> None:
    media.save("a", ContentFile(b"1"))
    with pytest.raises(PathConflictException, match="There is a file where a directory is needed"):
        media.save("a/b.txt", ContentFile(b"2"), max_length=50)
    assert media.listdir("") == ([], ["a"])


def test_a_directory_exists_and_so_does_the_root(media: Any) -> None:
    assert media.exists("")
    assert not media.exists("d")
    media.save("d/a.txt", ContentFile(b"1"))
    assert media.exists("d")
    assert media.exists("d/")
    assert not media.exists("d/b")


def test_a_storage_may_replace_files(media: Any) -> None:
    from django.core.files.storage import storages

    replacing = storages["replacing"]
    assert replacing.save("a.txt", ContentFile(b"1")) == "a.txt"
    assert replacing.is_name_available("a.txt")
    assert replacing.save("a.txt", ContentFile(b"22")) == "a.txt"
    assert media.size("a.txt") == 2


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_a_driver_without_conditional_writes_is_supported(media: Any) -> None:
    Storage.set_driver(EightMethods(), "media")
    assert media.save("a.txt", ContentFile(b"1")) == "a.txt"
    assert media.save("a.txt", ContentFile(b"2")) != "a.txt"
    assert not media.exists("b")


HOSTILE = [
    ".jtc/a",
    "../a",
    "a/../../b",
    "/etc/passwd",
    "a\\..\\..\\b",
    "a\x00b",
    "a\nb",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["memory", "local"], indirect=True)
def test_a_name_that_leads_elsewhere_is_suspicious(media: Any, name: str) -> None:
    for call in (
        media.open,
        media.exists,
        media.delete,
        media.size,
        media.get_modified_time,
        lambda name: media.url(name) if name[0] != "/" else media.open(name),
        media.path,
        media.listdir,
        lambda name: media.save(name, ContentFile(b"1")),
        lambda name: media.open(name, "wb"),
    ):
        with pytest.raises(SuspiciousFileOperation):
            call(name)
    assert media.listdir("") == ([], [])


def test_names_of_the_users_become_names_of_files(media: Any) -> None:
    assert media.get_valid_name("a b/../c?.txt") == "a_b..c.txt"
    assert media.generate_filename("2026/summer photo (1).jpg") == "2026/summer_photo_1.jpg"
    assert media.generate_filename("a\\b.txt") == "a/b.txt"
    with pytest.raises(SuspiciousFileOperation):
        media.generate_filename("../a.txt")
    long = media.get_valid_name("ü" * 300 + ".txt")
    assert long.endswith("ü.txt")
    first = media.save(long, ContentFile(b"1"))
    second = media.save(long, ContentFile(b"2"))
    assert read(media, first) + read(media, second) == b"12"
    assert media.exists(media.save("图片 ‌.png".replace(" ", ""), ContentFile(b"3")))


def test_a_file_is_opened_seeked_and_read_in_pieces(media: Any) -> None:
    media.save("a.bin", ContentFile(LARGE))
    file = media.open("a.bin")
    assert not file.closed
    assert (file.size, len(file), file.name, file.mode) == (512_000, 512_000, "a.bin", "rb")
    assert file.multiple_chunks()
    assert b"".join(file.chunks(1_000)) == LARGE
    assert file.seek(256) == 256
    assert file.read(4) == b"\x00\x01\x02\x03"
    assert file.open() is file
    assert file.tell() == 0
    file.close()
    assert file.closed
    assert file.open().read(2) == b"\x00\x01"
    with pytest.raises(ValueError, match="open in the mode"):
        file.open("wb")
    with file:
        assert file.readable()
    with file.open() as again:
        assert b"".join(again) == LARGE
    media.save("a.txt", ContentFile("Grüße\n"))
    with media.open("a.txt") as file:
        assert file.read(2) == b"Gr"
        assert file.open("r").read() == "Grüße\n"
        assert file.open().mode == "r"
        assert file.open("rb").read() == "Grüße\n".encode()


def test_a_file_is_written_and_appears_at_its_end(media: Any) -> None:
    with media.open("a.txt", "w") as file:
        file.write("Grüße\n")
        assert file.size >= 0
        assert not media.exists("a.txt")
    assert read(media, "a.txt", "r") == "Grüße\n"
    with media.open("a.txt") as file:
        assert list(file) == ["Grüße\n".encode()]
    written = media.open("a.txt", "wb")

    def fail() -> None:
        with written:
            written.write(LARGE)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert media.size("a.txt") == len("Grüße\n".encode())
    with pytest.raises(ValueError, match="'ab'"):
        media.open("a.txt", "ab")


def test_a_directory_lists_its_directories_and_files(media: Any) -> None:
    for name in ("a.txt", "b.txt", "d/c.txt", "d/e/f.txt"):
        media.save(name, ContentFile(b"1"))
    directories, files = media.listdir("")
    assert (directories, sorted(files)) == (["d"], ["a.txt", "b.txt"])
    assert media.listdir("d") == media.listdir("d/") == (["e"], ["c.txt"])
    assert media.listdir("missing") == ([], [])


def test_times_are_aware_where_the_project_uses_time_zones(media: Any, settings_of: Any) -> None:
    media.save("a.txt", ContentFile(b"1"))
    modified = media.get_modified_time("a.txt")
    assert modified.tzinfo is UTC
    assert abs(modified - datetime.now(UTC)) < timedelta(hours=1)
    with settings_of(USE_TZ=False, TIME_ZONE="UTC"):
        assert media.get_modified_time("a.txt").tzinfo is None
    with pytest.raises(FileNotFoundError):
        media.get_modified_time("missing")


@pytest.fixture
def settings_of(project: Any) -> Any:  # noqa: ARG001 - Django is set up by it
    from django.test import override_settings

    return override_settings


def test_urls_and_paths_are_those_of_the_disk(media: Any, kind: str) -> None:
    name = "a b/ü.txt"
    url = media.url(name)
    assert url == Storage.disk("media").url(name)
    assert url.endswith("a%20b/%C3%BC.txt")
    assert media.url("a b/") == url.removesuffix("%C3%BC.txt")
    if kind == "local":
        assert Path(media.path(name)).is_absolute()
        media.save(name, ContentFile(b"1"))
        assert Path(media.path(name)).read_bytes() == b"1"
    else:
        with pytest.raises(NotImplementedError, match="no paths"):
            media.path(name)
        with pytest.raises(NotImplementedError):
            media.path("")


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_url_of_a_disk_without_urls_is_not_implemented(media: Any) -> None:
    class Nowhere(MemoryDriver):
        def url(self, path: str, /) -> str:
            raise UnsupportedOperationException("No URLs here", path=path)

    Storage.set_driver(Nowhere(), "media")
    with pytest.raises(NotImplementedError, match="No URLs here"):
        media.url("a.txt")


def test_a_storage_is_described_for_migrations(media: Any) -> None:
    from django.core.files.storage import storages

    path, arguments, options = storages["replacing"].deconstruct()
    assert path == "jtc.storage.django.DiskStorage"
    assert (arguments, options) == ((), {"disk": "media", "allow_overwrite": True})
    assert repr(storages["replacing"]) == "<DiskStorage 'media'>"
    assert media.deconstruct()[2] == {"disk": "media"}


def test_uploads_of_both_kinds_are_stored(media: Any) -> None:
    small = SimpleUploadedFile("a.txt", b"small", "text/plain")
    assert read(media, media.save("a.txt", small)) == b"small"
    with TemporaryUploadedFile("b.bin", "application/x", len(LARGE), None) as large:
        large.write(LARGE)
        large.seek(100)
        assert read(media, media.save("b.bin", large)) == LARGE


def test_a_file_of_one_storage_is_saved_into_another(media: Any) -> None:
    media.save("a.bin", ContentFile(LARGE))
    with media.open("a.bin") as file:
        name = media.save("copy.bin", file)
    assert read(media, name) == LARGE


def test_open_in_mode_x_refuses_existing_file(media: Any) -> None:
    with media.open("a.txt", "x") as file:
        file.write("Grüße")
    assert read(media, "a.txt", "r") == "Grüße"
    for mode in ("x", "xb"):
        with pytest.raises(FileExistsError):
            media.open("a.txt", mode)
    with media.open("b.bin", "xb") as file:
        file.write(b"1")
    assert read(media, "b.bin") == b"1"


def test_upload_that_was_read_is_stored_whole(media: Any) -> None:
    for upload in (
        SimpleUploadedFile("a.txt", b"small"),
        ContentFile(b"small"),
        io.BytesIO(b"small"),
    ):
        upload.read(3)
        assert read(media, media.save("a.txt", upload)) == b"small"
        upload.read()
        assert read(media, media.save("a.txt", upload)) == b"small"
    media.save("b.txt", ContentFile(b"small"))
    with media.open("b.txt") as file:
        file.read(2)
        assert read(media, media.save("c.txt", file)) == b"small"
