"""Options of `DiskStorage`: URLs, visibility, file modes, a location."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile

from jtc.storage import Storage, UnsupportedOperationException, Visibility
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from small_drivers import EightMethods

SECRET = "s" * 32
SIGNED = {"memory": "signature=", "local": "signature=", "s3": "X-Amz-Signature="}


@pytest.fixture
def storage_with(media: Any) -> Any:
    """Return a function that makes a storage with options, on the disk of the fixture `media`."""
    from jtc.storage.django import DiskStorage

    assert media.listdir("") == ([], [])
    return lambda **options: DiskStorage("media", **options)


@pytest.fixture
def signing(media: Any, kind: str, tmp_path: Path) -> None:
    """Give the disk a secret, where it needs one to sign."""
    assert media
    options: dict[str, Any] = {"base_url": "https://files.test/m", "secret": SECRET}
    if kind == "memory":
        Storage.set_driver(MemoryDriver(**options), "media")
    elif kind == "local":
        Storage.set_driver(LocalDriver(tmp_path / "media", **options), "media")


@pytest.fixture
def of_settings(project: Any) -> Any:
    from django.test import override_settings

    assert project
    return override_settings


@pytest.fixture
def umask() -> Iterator[int]:
    mask = 0o027
    before = os.umask(mask)
    yield mask
    os.umask(before)


def mode_of(storage: Any, name: str) -> int:
    return Path(storage.path(name)).stat().st_mode & 0o777


def content(data: bytes = b"1") -> ContentFile[bytes]:
    return ContentFile(data)


@pytest.mark.usefixtures("signing")
def test_url_signed_is_presigned(storage_with: Any, kind: str) -> None:
    storage = storage_with(signed=True, expires_in=timedelta(minutes=2))
    url = storage.url("a b/ü.txt")
    assert SIGNED[kind] in url
    assert "a%20b/%C3%BC.txt" in url
    if kind == "s3":
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["120"]
    for unsigned in (storage_with(signed=False).url("a"), storage.url(""), storage.url("d/")):
        assert "?" not in unsigned


@pytest.mark.usefixtures("signing")
async def test_url_signed_works_in_event_loop(storage_with: Any, kind: str) -> None:
    assert SIGNED[kind] in storage_with(signed=True).url("a.txt")


@pytest.mark.usefixtures("signing")
def test_url_is_presigned_where_visibility_is_private(storage_with: Any, kind: str) -> None:
    assert SIGNED[kind] in storage_with(visibility="private").url("a.txt")
    assert "?" not in storage_with(visibility="public").url("a.txt")


@pytest.mark.usefixtures("signing")
@pytest.mark.parametrize("kind", ["memory", "local"], indirect=True)
def test_url_is_presigned_where_disk_is_private(storage_with: Any, media: Any) -> None:
    assert "signature=" in media.url("a.txt")
    name = storage_with().save("a.txt", content())
    assert storage_with().disk.visibility(name) is Visibility.PRIVATE


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_url_is_presigned_where_visibility_of_disk_is_private(
    storage_with: Any, kind: str, visibility: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options: dict[str, Any] = {"visibility": visibility}
    driver: Any
    if kind == "s3":
        store = request.getfixturevalue("seaweedfs")
        driver = S3Driver(store.bucket, **options, **store.options)
    elif kind == "local":
        driver = LocalDriver(tmp_path, "https://files.test", secret=SECRET, **options)
    else:
        driver = MemoryDriver(base_url="https://files.test", secret=SECRET, **options)
    Storage.set_driver(driver, "media")
    assert (SIGNED[kind] in storage_with().url("a.txt")) is (visibility == "private")
    assert SIGNED[kind] not in storage_with(signed=False).url("a.txt")


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_save_overwrite_keeps_private_file_private(storage_with: Any) -> None:
    storage = storage_with(overwrite=True)
    name = storage.save("a", content())
    storage.disk.set_visibility(name, "private")
    storage.save("a", content(b"22"))
    assert storage.disk.visibility(name) is Visibility.PRIVATE


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_url_signed_of_disk_that_cannot_sign_is_not_implemented(storage_with: Any) -> None:
    Storage.set_driver(EightMethods(), "media")
    with pytest.raises(NotImplementedError):
        storage_with(signed=True).url("a.txt")
    with pytest.raises(ImproperlyConfigured, match="base_url"):
        storage_with(signed=True, base_url="/media/")


def test_url_begins_with_base_url(storage_with: Any) -> None:
    from django.utils.functional import lazystr

    for base in ("/media", "/media/", lazystr("/media/")):
        storage = storage_with(base_url=base)
        assert storage.url("a b/ü.txt") == "/media/a%20b/%C3%BC.txt"
        assert storage.url("") == storage.url(None) == storage.url(Path()) == "/media/"
        assert storage.url("///evil.com") == "/media/evil.com"
        with pytest.raises(SuspiciousFileOperation):
            storage.url("../a")


def test_url_takes_names_as_djangos_storages_do(media: Any) -> None:
    url = media.url("css/a.css")
    root = url.removesuffix("css/a.css")
    assert root.endswith("/")
    assert media.url("") == media.url(None) == media.url(Path()) == media.url("/") == root
    for name in ("/css/a.css", "css//a.css", "./css/a.css", "css\\a.css", Path("css/a.css")):
        assert media.url(name) == url
    assert media.url("/css/") == root + "css/"


@pytest.mark.parametrize(
    "name", ["d/a.txt", "./d/a.txt", "d//a.txt", "d/./a.txt", "d/e/../a.txt", Path("d/a.txt")]
)
@pytest.mark.parametrize("kind", ["memory", "local"], indirect=True)
def test_methods_take_other_spellings_of_name(media: Any, kind: str, name: Any) -> None:
    assert media.save("d/a.txt", content(b"123")) == "d/a.txt"
    assert media.exists(name)
    assert media.size(name) == 3
    assert media.get_modified_time(name) == media.get_modified_time("d/a.txt")
    assert media.listdir(Path(str(name)).parent) == media.listdir("./d/") == ([], ["a.txt"])
    with media.open(name) as file:
        assert file.read() == b"123"
    if kind == "local":
        assert media.path(name) == media.path("d/a.txt")
    media.delete(name)
    assert not media.exists("d/a.txt")


def test_save_stores_other_spelling_of_name_once(media: Any) -> None:
    first = media.save("docs//a.txt", content(b"1"))
    second = media.save("./docs/a.txt", content(b"2"))
    assert first == "docs/a.txt"
    assert second.startswith("docs/a_")
    assert media.save(Path("b.txt"), content()) == "b.txt"


def test_root_is_directory_of_every_spelling(media: Any) -> None:
    media.save("a.txt", content())
    for root in ("", ".", "./", Path()):
        assert media.exists(root)
        assert media.listdir(root) == ([], ["a.txt"])
        with pytest.raises(ValueError, match="name must be given"):
            media.delete(root)
    assert media.exists("a.txt")


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_path_of_root_is_its_directory(media: Any, storage_with: Any, tmp_path: Path) -> None:
    root = str(tmp_path / "media")
    assert media.path("") == media.path(Path()) == root
    assert storage_with(location="in/side").path("") == f"{root}/in/side"
    assert storage_with(location="in/side").path("a") == f"{root}/in/side/a"


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_names_may_be_absolute_paths_below_root_of_local_disk(media: Any) -> None:
    media.save("d/a.txt", content(b"12"))
    assert media.exists(media.path("d/a.txt"))
    assert media.size(media.path("d/a.txt")) == 2
    assert media.listdir(media.path("")) == (["d"], [])
    for outside in ("/etc/passwd", media.path("") + "-other/a", media.path("") + "/../a"):
        with pytest.raises(SuspiciousFileOperation):
            media.exists(outside)


def test_delete_removes_empty_directory_only(media: Any, kind: str) -> None:
    media.save("full/a.txt", content())
    with pytest.raises(OSError, match="not empty"):
        media.delete("full")
    assert media.exists("full/a.txt")
    if kind == "local":
        Path(media.path("empty")).mkdir()
        media.delete("empty")
        assert not media.exists("empty")
    media.delete("missing")


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_symbolic_links_are_seen_and_deleted_but_not_followed(media: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept")
    media.save("d/a.txt", content())
    Path(media.path("link")).symlink_to(tmp_path / "outside/kept")
    Path(media.path("d/dangling")).symlink_to("missing")
    Path(media.path("away")).symlink_to(tmp_path / "outside")
    assert media.exists("link")
    assert media.exists("d/dangling")
    assert sorted(media.listdir("")[1]) == ["away", "link"]
    with pytest.raises(PermissionError):
        media.open("link")
    assert media.save("link", content()).startswith("link_")
    for refused in ("exists", "delete", "size", "get_accessed_time"):
        with pytest.raises(PermissionError):
            getattr(media, refused)("away/kept")
    media.delete("link")
    media.delete("d/dangling")
    assert media.listdir("d") == ([], ["a.txt"])
    assert (tmp_path / "outside/kept").read_text() == "kept"


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_times_of_local_file_are_those_of_file_system(media: Any) -> None:
    name = media.save("a.txt", content())
    stat = Path(media.path(name)).stat()
    assert media.get_created_time(name).timestamp() == pytest.approx(stat.st_ctime)
    assert media.get_accessed_time(name).timestamp() == pytest.approx(stat.st_atime)
    assert media.get_created_time(name).tzinfo is not None
    for getter in (media.get_created_time, media.get_accessed_time, media.get_modified_time):
        with pytest.raises(FileNotFoundError):
            getter("missing")


@pytest.mark.parametrize("kind", ["memory", "s3"], indirect=True)
def test_times_of_access_and_creation_are_not_implemented_elsewhere(media: Any) -> None:
    name = media.save("a.txt", content())
    for getter in (media.get_created_time, media.get_accessed_time):
        with pytest.raises(NotImplementedError):
            getter(name)


def test_visibility_and_cache_control_are_those_of_each_file(storage_with: Any, kind: str) -> None:
    storage = storage_with(cache_control="max-age=60")
    if kind == "s3":  # its bucket has no ACLs
        visibilities: list[Visibility] = []
    else:
        visibilities = list(Visibility)
    assert storage.disk.stat(storage.save("a", content())).cache_control == "max-age=60"
    with storage.open("b", "wb") as file:
        file.write(b"1")
    assert storage.disk.stat("b").cache_control == "max-age=60"
    for visibility in visibilities:
        storage = storage_with(visibility=str(visibility.value))
        name = storage.save("a", content())
        assert storage.disk.visibility(name) is visibility
        with storage.open("b", "wb") as file:
            file.write(b"1")
        assert storage.disk.visibility("b") is visibility
    with pytest.raises(ValueError, match="hidden"):
        storage_with(visibility="hidden")


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_options_that_the_disk_cannot_keep_are_refused(storage_with: Any) -> None:
    Storage.set_driver(EightMethods(), "media")
    for options in ({"visibility": "private"}, {"cache_control": "no-cache"}):
        with pytest.raises(UnsupportedOperationException):
            storage_with(**options).save("a", content())
    Storage.set_driver(MemoryDriver(), "media")
    for options in ({"file_permissions_mode": 0o640}, {"directory_permissions_mode": 0o750}):
        with pytest.raises(ImproperlyConfigured, match="not local: use visibility"):
            storage_with(**options).save("a", content())
    assert not Storage.sync.disk("media").exists("a")
    with pytest.raises(ImproperlyConfigured, match="file_permissions_mode"):
        storage_with(visibility="private", file_permissions_mode=0o600)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"location": "/srv/media"}, "a directory on the disk"),
        ({"location": ".jtc"}, "reserved"),
        ({"location": "a\nb"}, r"U\+000A"),
        ({"expires_in": 0}, "above 0"),
        ({"expires_in": timedelta(seconds=-1)}, "above 0"),
        ({"expires_in": "3600"}, "a number of seconds above 0, or a timedelta, not '3600'"),
        ({"overwrite": "false"}, "overwrite is True or False, not 'false'"),
        ({"allow_overwrite": "no"}, "allow_overwrite is True or False, not 'no'"),
        ({"signed": "0"}, "signed is True or False, not '0'"),
    ],
)
@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_invalid_options_are_refused_at_once(
    storage_with: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        storage_with(**options)


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_names_of_options_of_other_storages_are_suggested(storage_with: Any) -> None:
    from jtc.storage.django import DiskStorage

    for name, instead in {
        "querystring_auth": "signed",
        "querystring_expire": "expires_in",
        "file_overwrite": "overwrite",
        "default_acl": "visibility",
        "bucket_name": "disk",
    }.items():
        with pytest.raises(TypeError, match=f"{name}.*use '{instead}'"):
            storage_with(**{name: True})
    with pytest.raises(TypeError, match="no option 'colour'"):
        storage_with(colour="red")
    with pytest.raises(ImproperlyConfigured, match="name of a disk"):
        DiskStorage(Storage.disk("media"))  # type: ignore[arg-type]


def test_location_is_prefix_of_all_names(storage_with: Any, media: Any) -> None:
    storage = storage_with(location="tenants/42/")
    assert storage.save("d/a.txt", content(b"123")) == "d/a.txt"
    assert media.exists("tenants/42/d/a.txt")
    assert storage.listdir("") == (["d"], [])
    assert storage.url("d/a.txt") == media.url("tenants/42/d/a.txt")
    assert storage.url("") == media.url("tenants/42/")
    with storage.open("d/a.txt") as file:
        assert file.read() == b"123"
    with pytest.raises(SuspiciousFileOperation):
        storage.open("../43/a.txt")
    with pytest.raises(SuspiciousFileOperation):
        storage_with(location="../43")


@pytest.mark.parametrize("option", ["overwrite", "allow_overwrite"])
def test_save_overwrite_keeps_name_also_with_max_length(storage_with: Any, option: str) -> None:
    storage = storage_with(**{option: True})
    names = {storage.save("d/a_long_name.txt", content(b"1" * n), max_length=12) for n in (1, 2)}
    assert names == {"d/a_long.txt"[:12]} or len(names) == 1
    (name,) = names
    assert len(name) <= 12
    assert storage.size(name) == 2
    assert storage.save("b.txt", content(), max_length=12) == "b.txt"
    assert storage.save("b.txt", content(), max_length=12) == "b.txt"


def test_save_shortens_name_of_255_bytes_only_where_it_is_taken(media: Any) -> None:
    for name in ("a" * 251 + ".txt", "ü" * 125 + "b.txt"):
        assert media.get_valid_name(name) == name
        assert media.save(name, content(b"1")) == name
        other = media.save(name, content(b"22"))
        assert other != name
        assert len(other.encode()) <= 255
        assert other.endswith(".txt")
        assert media.size(other) == 2


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_file_upload_permissions_are_modes_of_local_files(
    storage_with: Any, of_settings: Any, umask: int
) -> None:
    storage = storage_with()
    with of_settings(FILE_UPLOAD_PERMISSIONS=0o640, FILE_UPLOAD_DIRECTORY_PERMISSIONS=0o2750):
        storage.save("kept/a", content())
        assert mode_of(storage, "kept/a") == 0o640
        name = storage.save("kept/new/er/a", content())
        assert mode_of(storage, name) == 0o640
        assert mode_of(storage, "kept/new") == mode_of(storage, "kept/new/er") == 0o750
        assert Path(storage.path("kept/new")).stat().st_mode & 0o7777 == 0o2750
        for options in ({"visibility": "public"}, {"file_permissions_mode": 0o604}):
            other = storage_with(**options)
            assert mode_of(other, other.save("b", content())) in {0o644, 0o604}
    with of_settings(FILE_UPLOAD_PERMISSIONS=None):
        assert mode_of(storage, storage.save("c/a", content())) == 0o666 & ~umask
        assert mode_of(storage, "c") == 0o777 & ~umask


@pytest.mark.usefixtures("signing")
@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_file_upload_permissions_do_not_open_private_disk(
    storage_with: Any, of_settings: Any
) -> None:
    with of_settings(FILE_UPLOAD_PERMISSIONS=0o644):
        storage = storage_with()
        assert mode_of(storage, storage.save("a", content())) == 0o600


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_deconstruct_names_the_options_that_were_given(storage_with: Any) -> None:
    options = {"location": "a", "visibility": "private", "signed": True, "expires_in": 60}
    path, arguments, named = storage_with(**options).deconstruct()
    assert (path, arguments, named) == ("jtc.storage.django.DiskStorage", ("media",), options)


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_collectstatic_links_into_local_disk(media: Any) -> None:
    from django.core.management import call_command

    call_command("collectstatic", "--no-input", "--link", "--no-post-process", verbosity=0)
    assert Path(media.path("dot.svg")).is_symlink()
    assert Path(media.path("dot.svg")).read_text() == "<svg/>\n"
    call_command("collectstatic", "--no-input", "--no-post-process", verbosity=0)
    assert not Path(media.path("dot.svg")).is_symlink()
    assert media.size("dot.svg") == 7
