"""Nothing that is shown, logged or reported holds a secret: each is planted, and looked for."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Storage, StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import StorageConfigException, StorageException
from jtc.storage.options import ListOptions, SignOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from seaweedfs import SeaweedFS

SECRETS = {
    "secret_key": "planted-secret-key/+=",
    "session_token": "planted-session-token/+=",
    "environment": "planted-in-environment",
    "password": "planted-password",
    "TOML": "planted-in-toml",
    "signing": "planted-for-signing",
}


def shown(error: BaseException) -> Iterator[str]:
    """Yield all that an error reporter may show of an error, its causes and its contexts."""
    pending: list[BaseException | None] = [error]
    seen = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield from (repr(each), str(each), repr(each.args), repr(vars(each)))
        # Without the test's own frame, where the secrets come from.
        frames = each.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        report = traceback.TracebackException(
            type(each), each, frames, capture_locals=True, max_group_width=100
        )
        yield from (
            f"{name} = {value}"
            for frame in report.stack
            if frame.filename != __file__
            for name, value in (frame.locals or {}).items()
        )
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions


def hits(texts: Any, more: Mapping[str, str] | None = None) -> list[str]:
    wanted = SECRETS | dict(more or {})
    return [
        f"{name} in {text[:300]}"
        for text in texts
        for name, secret in wanted.items()
        if secret in text
    ]


KEYS = {
    "access_key": "id",
    "secret_key": SECRETS["secret_key"],
    "session_token": SECRETS["session_token"],
}
WITH_PASSWORD = f"https://id:{SECRETS['password']}@s3.test"

WRONG_OPTIONS: list[dict[str, Any]] = [
    {"bucket": ""},
    {"bucket": "b", "part_size": 1},
    {"bucket": "b", "max_attempts": "3"},
    {"bucket": "b", "no_such_option": SECRETS["password"]},
    {"bucket": "b", "endpoint_url": WITH_PASSWORD},
    {"bucket": "b", "public_url": WITH_PASSWORD},
    {"bucket": "b", "profile": "p"},
    {"bucket": "${NOT_SET}" + SECRETS["password"]},
    {"bucket": "${NOT SET:-" + SECRETS["password"] + "}"},
    {"bucket": "b", "driver_options": {"no such": SECRETS["password"]}},
]


# Too short, or good but in bad company.
SIGNING: list[tuple[str, dict[str, Any]]] = [
    ("local", {"secret": SECRETS["signing"]}),
    ("local", {"secret": [SECRETS["signing"] * 2, ""]}),
    ("memory", {"secret": SECRETS["signing"], "base_url": "/storage"}),
    ("memory", {"secret": SECRETS["signing"] * 2}),
]
SIGNERS: dict[str, Callable[..., object]] = {"local": LocalDriver, "memory": MemoryDriver}


@pytest.fixture
def secret_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["environment"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS["environment"])


@pytest.mark.row(16)
@pytest.mark.usefixtures("secret_environment")
async def test_a_refused_configuration_shows_no_secret(
    tmp_path: Path, report: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tomls = {
        "syntax": f'[disks.a]\nsecret_key = "{SECRETS["TOML"]}"\nbucket = \n',
        "encoding": f'[disks.a]\nsecret_key = "{SECRETS["TOML"]}\udcff"\n',
        "default": f'default = "b"\n[disks.a]\ndriver = "s3"\nsecret_key = "{SECRETS["TOML"]}"\n',
        "table": f'[disks.a]\nsecret_key = "{SECRETS["TOML"]}"\n',
        "keys": f'secret_key = "{SECRETS["TOML"]}"\n[disks.a]\ndriver = "s3"\n',
    }
    for name, text in tomls.items():
        (tmp_path / f"{name}.toml").write_text(text, errors="surrogateescape")

    def driver_that_raises(**options: str) -> None:
        raise RuntimeError(f"I refuse {len(options)} options")

    async def use(options: dict[str, Any]) -> None:
        table = {"driver": "s3", **KEYS, **options}
        await StorageManager.isolated({"disks": {"a": table}}).disk("a").get("x")

    async def use_another_driver() -> None:
        manager = StorageManager.isolated({"disks": {"a": {"driver": "mine", **KEYS}}})
        manager.extend("mine", driver_that_raises)
        await manager.disk("a").get("x")

    async def configured_by_environment() -> None:
        monkeypatch.setenv("FILESYSTEM_CONFIG", str(tmp_path / "syntax.toml"))
        try:
            await StorageManager.isolated().disk("a").get("x")
        finally:
            monkeypatch.delenv("FILESYSTEM_CONFIG")

    async def soon(call: Callable[[], object]) -> None:
        call()

    calls: list[Awaitable[object]] = [use(options) for options in WRONG_OPTIONS]
    calls += [
        soon(lambda options=options: S3Driver(**{**KEYS, **options}))  # type: ignore[misc]
        for options in WRONG_OPTIONS
        if "no_such_option" not in options and "${" not in options["bucket"]
    ]
    calls += [
        soon(lambda options=options: Storage.build({"driver": "s3", **KEYS, **options}))  # type: ignore[misc]
        for options in WRONG_OPTIONS
    ]
    calls += [
        soon(lambda path=tmp_path / f"{name}.toml": StorageManager.isolated(path))  # type: ignore[misc]
        for name in tomls
    ]
    calls += [
        use_another_driver(),
        configured_by_environment(),
        soon(lambda: StorageManager.isolated({"disks": {"a": {"driver": "", **KEYS}}})),
        soon(lambda: StorageManager.isolated({"disks": {"a": {**KEYS}}, "odd": 1})),
        StorageManager.isolated().disk("s3").get("x"),
        soon(lambda: S3Driver.from_env({"AWS_SECRET_ACCESS_KEY": SECRETS["environment"]})),
        soon(lambda: S3Driver.from_env({"AWS_BUCKET": "b", "AWS_URL": WITH_PASSWORD})),
        soon(lambda: LocalDriver.from_env({"FILESYSTEM_SECRET": SECRETS["signing"]})),
    ]
    for name, options in SIGNING:
        table = {"driver": name, **options}
        calls += [
            soon(lambda name=name, options=options: SIGNERS[name](**options)),  # type: ignore[misc]
            soon(lambda table=table: Storage.build(table)),  # type: ignore[misc]
            StorageManager.isolated({"disks": {"a": table}}).disk("a").get("x"),
        ]
    found: list[str] = []
    for call in calls:
        with pytest.raises(StorageConfigException) as caught:
            await call
        found += hits(shown(caught.value))
    assert found == []
    report(f"{len(calls)} refused configurations, 0 hits in errors and tracebacks with variables")


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name}: {record.getMessage()}")
        self.loggers.add(record.name.partition(".")[0])


@pytest.fixture
def debug_log() -> Iterator[_Messages]:
    """Everything that any library logs, at level DEBUG."""
    handler, root = _Messages(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


GARBAGE = [
    b"",
    b"garbage\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n<Erro",
    b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/9.9 200 OK\r\nOdd Header\x00: x\r\n\r\n",
]


async def errors_of(driver: S3Driver) -> list[BaseException]:
    """Return what calls raise whose requests fail, and the errors in what they return."""

    async def content() -> Any:
        yield b"1"

    calls: dict[str, Awaitable[Any]] = {
        "get": driver.get("a"),
        "put": driver.put("a", content()),
        "delete": driver.delete("a"),
        "delete_many": driver.delete_many(["a"]),
        "list": anext(driver.list_entries("", ListOptions())),
        "uploads": driver.abort_stale_uploads(),
    }
    outcomes = await asyncio.gather(*calls.values(), return_exceptions=True)
    errors: list[BaseException] = []
    for name, outcome in zip(calls, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            errors.append(outcome)
        elif name == "delete_many":
            errors += [each for each in outcome.values() if isinstance(each, Exception)]
        else:
            # An empty 200 is all that a deletion is.
            assert name == "delete"
    return errors


@pytest.mark.row(16)
@pytest.mark.usefixtures("secret_environment")
async def test_failing_and_working_requests_show_no_secret(
    seaweedfs: SeaweedFS, debug_log: _Messages, report: Callable[[str], None]
) -> None:
    answers = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unused = f"http://127.0.0.1:{closed.getsockname()[1]}"
    options = {"bucket": seaweedfs.bucket, **KEYS, "max_attempts": 1, "request_timeout": 2}
    errors: list[BaseException] = []

    async def fail(driver: S3Driver) -> None:
        errors.extend(await errors_of(driver))

    refused = S3Driver(**options, endpoint_url=seaweedfs.endpoint_url)
    await fail(refused)
    await fail(S3Driver(**options, endpoint_url=unused))
    for garbage in GARBAGE:
        answers = garbage
        garbled = S3Driver(**options, endpoint_url=address)
        await fail(garbled)
        await garbled.aclose()
    server.close()
    await server.wait_closed()

    # And where nothing fails. A presigned URL is a secret too: every client that has it may use it.
    good = {**options, **seaweedfs.options, "bucket": seaweedfs.bucket}
    good.pop("session_token")
    driver = S3Driver(**good)
    await driver.put("secrets", b"1")
    assert await driver.get("secrets") == b"1"
    signing = SignOptions(expires_in=60, max_size=1)
    signed = await driver.temporary_url("secrets", signing)
    with_token = await refused.temporary_url("secrets", signing)
    await refused.temporary_upload_form("secrets", signing)
    upload = await driver.temporary_upload_url("secrets", signing)
    form = await driver.temporary_upload_form("secrets", signing)
    signatures = {
        "the store's key": seaweedfs.secret_key,
        **{
            f"signature {number}": url.partition("X-Amz-Signature=")[2].partition("&")[0]
            for number, url in enumerate((signed, with_token, upload.url))
        },
        "form": dict(form.fields)["x-amz-signature"],
    }
    assert all(signatures.values())
    for each in (driver, refused):
        await each.aclose()

    assert {type(error) for error in errors} != set()
    found = [hit for error in errors for hit in hits(shown(error), signatures)]
    assert found == []
    assert "asyncio" in debug_log.loggers
    assert hits(debug_log.texts, signatures) == []
    for each in (driver, refused):
        assert hits([repr(each), str(each), repr(vars(each)), repr(each._settings)]) == []
    report(
        f"{len(errors)} failed requests and {len(debug_log.texts)} DEBUG records of "
        f"{len(debug_log.loggers)} libraries, 0 hits"
    )


ASSUMED = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>assumed</AccessKeyId>
<SecretAccessKey>{SECRETS["secret_key"]}</SecretAccessKey>
<SessionToken>{SECRETS["session_token"]}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""


@pytest.mark.row(16)
@pytest.mark.usefixtures("secret_environment")
async def test_keys_that_the_sdk_asks_for_are_not_logged(
    tmp_path: Path,
    debug_log: _Messages,
    report: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = ASSUMED if head.startswith(b"POST") else "<ListBucketResult/>"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (tmp_path / "config").write_text(
        "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\n"
        "credential_source = Environment\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    driver = S3Driver("b", profile="role", endpoint_url=address)
    assert [entry async for entry in driver.list_entries("", ListOptions())] == []
    await driver.aclose()
    server.close()
    await server.wait_closed()
    assert "botocore" in debug_log.loggers
    assert any("AssumeRoleResponse" in text for text in debug_log.texts)
    assert hits(debug_log.texts) == []
    report("an assumed role's keys, 0 hits in the DEBUG log")


@pytest.mark.row(16)
def test_a_driver_with_keys_is_not_pickled(report: Callable[[str], None]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="holds connections and keys") as caught:
            pickle.dumps(S3Driver("b", **KEYS), protocol)
        assert isinstance(caught.value, StorageException)
        assert hits(shown(caught.value)) == []
        for make in SIGNERS.values():
            with pytest.raises(TypeError) as refused:
                pickle.dumps(make(base_url="/storage", secret=SECRETS["signing"] * 2), protocol)
            assert hits(shown(refused.value)) == []
    report("pickling refused")
