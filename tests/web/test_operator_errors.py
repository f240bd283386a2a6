"""Errors that only an operator can correct: 5xx, or 404, and a record in the log."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from jtc.storage import StorageException, StorageManager
from jtc.storage.asgi import DiskResponse, _operator_log, serve, status_of, storage_problem
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import (
    IntegrityException,
    PathConflictException,
    StorageConfigException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
)
from web_disks import SECRET, disk_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage import Disk
    from web_disks import Client

KEY = "wrong-secret-key-0123456789"


@pytest.fixture
async def wrong_keys(seaweedfs: Any) -> AsyncIterator[Disk]:
    """Give a disk whose keys the store refuses."""
    options = dict(seaweedfs.options)
    driver = S3Driver(seaweedfs.bucket, **{**options, "secret_key": KEY})
    yield disk_of(driver)
    await driver.aclose()


@pytest.fixture(autouse=True)
def nothing_logged_before() -> None:
    """Forget what other tests of this minute logged in the loop of the sync API."""
    _operator_log._logged.clear()


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == "jtc.storage.asgi"]


def application(framework: str, disk: Disk) -> Any:
    """Make an application whose one handler reads a file, with the exception handler."""

    async def read() -> None:
        await disk.get("secret-name.txt")

    async def route(_request: object) -> None:
        await read()

    if framework == "starlette":
        handlers: Any = {StorageException: storage_problem}
        return Starlette(routes=[Route("/a.txt", route)], exception_handlers=handlers)
    if framework == "fastapi":
        app = FastAPI()
        app.add_exception_handler(StorageException, storage_problem)
        app.get("/a.txt")(read)
        return app
    if framework == "litestar":
        return Litestar(
            [litestar_get("/a.txt")(read)],
            exception_handlers={StorageException: storage_problem},
            logging_config=None,  # its own replaces pytest's
        )
    return serve(disk, public=True) if framework == "serve" else DiskResponse(disk, "a.txt")


ALL = pytest.mark.parametrize(
    "framework", ["serve", "response", "starlette", "fastapi", "litestar"]
)


@ALL
async def test_wrong_keys_are_5xx_and_logged(
    framework: str, wrong_keys: Disk, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    http = client(application(framework, wrong_keys))
    for _ in range(3):
        response = await http.get("/a.txt")
        assert response.status_code == 500
        assert "key" not in response.text.lower()
    (record,) = records(caplog)
    assert record.levelno == logging.ERROR
    text = record.getMessage()
    assert "SignatureDoesNotMatch" in text
    assert "'media'" in text
    assert record.__dict__["disk"] == "media"
    assert KEY not in text


@ALL
async def test_unreachable_store_is_503_and_logged(
    framework: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    # Nothing listens on port 9.
    driver = S3Driver("bucket", "us-east-1", "key", KEY, "http://127.0.0.1:9", max_attempts=1)
    http = client(application(framework, disk_of(driver)))
    try:
        responses = [await http.get("/a.txt") for _ in range(2)]
    finally:
        await driver.aclose()
    assert {each.status_code for each in responses} == {503}
    (record,) = records(caplog)
    assert "503" in record.getMessage()
    assert KEY not in record.getMessage()


@ALL
async def test_misconfigured_disk_is_500_and_logged(
    framework: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    disk = StorageManager.isolated({"disks": {"media": {"driver": "memry"}}}).disk("media")
    response = await client(application(framework, disk)).get("/a.txt")
    assert response.status_code == 500
    (record,) = records(caplog)
    assert "memry" in record.getMessage()
    assert "memry" not in response.text


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_upload_that_the_file_system_refuses_is_500_and_logged(
    method: str, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = MemoryDriver(base_url="http://files.test/storage", secret=SECRET)

    async def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(driver, "write_file", refuse)
    disk = disk_of(driver)
    http = client(Starlette(routes=[Mount("/storage", serve(disk))]))
    if method == "PUT":
        request = await disk.temporary_upload_url("a.txt", 60)
        response = await http.put(request.url, content=b"1")
    else:
        form = await disk.temporary_upload_form("a.txt", 60, max_size=9)
        response = await http.post(form.url, data=dict(form.fields), files={"file": b"1"})
    assert response.status_code == 500
    (record,) = records(caplog)
    assert "Permission denied" in record.getMessage()
    assert "signature" not in record.getMessage()


async def test_invalid_signature_is_the_clients_error_and_not_logged(
    signing: Disk, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await signing.put("a.txt", b"1")
    http = client(Starlette(routes=[Mount("/storage", serve(signing))]))
    url = await signing.temporary_url("a.txt", 60)
    assert (await http.get(url[:-3] + "abc")).status_code == 403
    assert (await http.get("/storage/missing.txt")).status_code == 404
    assert records(caplog) == []


@contextmanager
def without_rights() -> Iterator[None]:
    """Act without root's rights, for whom no file is unreadable."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_unreadable_file_is_answered_as_a_missing_one(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    # Not tmp_path, which is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "closed").mkdir()
        for name in ("a.txt", "closed/a.txt"):
            (root / name).write_bytes(b"1")
        (root / "a.txt").chmod(0o200)
        (root / "closed").chmod(0)
        (root / "link.txt").symlink_to("/etc/hostname")
        disk = disk_of(LocalDriver(root))
        requests = [
            (app, path, method, headers)
            for app in (client(serve(disk, public=True)), client(serve(disk)))
            for path in ("missing.txt", "a.txt", "closed/a.txt", "link.txt", "closed/b.txt")
            for method in ("GET", "HEAD")
            for headers in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"})
        ]
        await requests[0][0].get("/missing.txt")  # imports what it needs
        seen = set()
        with without_rights():
            for http, path, method, headers in requests:
                got = await http.request(method, f"/{path}", headers=headers)
                seen.add((got.status_code, method, got.content, str(got.headers)))
        (root / "closed").chmod(0o700)
    assert {status for status, *_ in seen} == {404}
    assert len(seen) == 2
    said = {each.getMessage().partition(" (disk")[0] for each in records(caplog)}
    begin = "Responded with 404 Not Found: StoragePermissionException: "
    assert said == {
        f"{begin}Permission denied: 'a.txt'",
        f"{begin}Symbolic links are refused: Too many levels of symbolic links: 'link.txt'",
    }


def test_records_show_without_any_configuration_of_logging() -> None:
    code = (
        "from jtc.storage import StorageException\n"
        "from jtc.storage.asgi import storage_problem\n"
        "request = type('Request', (), {'scope': {'headers': []}})()\n"
        "storage_problem(request, StorageException('It failed', disk='media'))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stderr == (
        "Responded with 500 Internal Server Error: StorageException: It failed (disk 'media')\n"
    )


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
async def test_handler_that_reads_an_unreadable_file_answers_as_for_a_missing_one(
    framework: str, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    http = client(application(framework, disk_of(LocalDriver(tmp_path))))
    missing = await http.get("/a.txt")
    (tmp_path / "secret-name.txt").symlink_to("/etc/hostname")
    unreadable = await http.get("/a.txt")
    assert (unreadable.status_code, unreadable.content) == (404, missing.content)
    assert unreadable.headers == missing.headers
    (record,) = records(caplog)
    assert "secret-name.txt" in record.getMessage()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_root_that_is_no_directory_is_500_and_logged(
    method: str, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    http = client(serve(disk_of(LocalDriver(tmp_path / "file")), public=True))
    assert (await http.request(method, "/a.txt")).status_code == 500
    (record,) = records(caplog)
    assert "root" in record.getMessage()


def test_status_of_tells_one_unreadable_file_from_a_store_that_refuses() -> None:
    unreadable = StoragePermissionException("Permission denied", operation="get")
    unreadable.__cause__ = PermissionError(13, "Permission denied")
    assert status_of(unreadable) == 404
    unreadable.operation = "put"
    assert status_of(unreadable) == 500
    assert status_of(StoragePermissionException("The keys are wrong", operation="get")) == 500
    assert status_of(StorageConfigException("No such disk")) == 500
    assert status_of(IntegrityException("Too short", operation="get")) == 500
    assert status_of(IntegrityException("Too short", operation="put")) == 400
    assert status_of(PathConflictException("A directory", operation="put")) == 409
    assert status_of(PathConflictException("The root is a file", operation="get")) == 500
    directory = PathConflictException("A directory", operation="get", errno=errno.EISDIR)
    assert status_of(directory) == 404


def test_log_error_logs_each_cause_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(_operator_log.time, "monotonic", lambda: clock[0])
    app = type("App", (), {})()

    def log(error: StorageException, **scope: object) -> None:
        _operator_log.log_error(error, 503, {"app": app, **scope})

    for number in range(5):
        log(StorageUnavailableException("It is down", path=f"{number}.txt", disk="a"))
    log(StorageUnavailableException("It is down", path="0.txt", disk="b"))
    log(StorageFullException("It is full", path="0.txt", disk="a"))
    said = [each.getMessage() for each in records(caplog)]
    assert [re.sub(" '.*", "", each) for each in said] == [
        "Responded with 503 Service Unavailable: StorageUnavailableException: It is down:",
        "Responded with 503 Service Unavailable: StorageUnavailableException: It is down:",
        "Responded with 503 Service Unavailable: StorageFullException: It is full:",
    ]
    clock[0] += 61
    log(StorageUnavailableException("It is down", path="9.txt", disk="a"))
    assert "(5 times)" in records(caplog)[-1].getMessage()


def test_log_error_writes_no_query_and_no_password(caplog: pytest.LogCaptureFixture) -> None:
    error = StorageException("It failed", disk="a")
    error.__cause__ = OSError("GET http://me:hush@host/a?X-Amz-Signature=0a1b2c\r\nforged line")
    _operator_log.log_error(error, 500, {"app": type("App", (), {})()})
    text = records(caplog)[-1].getMessage()
    assert "host/a?..." in text
    for secret in ("hush", "0a1b2c", "\n", "\r"):
        assert secret not in text


async def test_log_error_keeps_a_bounded_number_of_causes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = type("App", (), {})()
    for number in range(1000):
        error = StorageException(f"It failed {number}", disk="a")
        _operator_log.log_error(error, 500, {"app": app})
    assert len(_operator_log._logged[app]._since) <= 256
    assert len(records(caplog)) == 1000


async def test_disk_response_of_a_link_is_a_404(tmp_path: Path, client: Client) -> None:
    (tmp_path / "link.txt").symlink_to("/etc/hostname")
    http = client(DiskResponse(disk_of(LocalDriver(tmp_path)), "link.txt"))
    response = await http.get("/")
    assert (response.status_code, response.text) == (404, "Not Found\n")
