"""The keys that sign requests: their sources, their renewal, and what loops and threads share."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from jtc.storage.drivers import s3_driver
from jtc.storage.drivers.s3_driver._transport import sdk_keys
from jtc.storage.drivers.s3_driver._transport.credentials import Keys, KeySource
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageConfigException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)

SECRET = "planted-secret"
NOT_IMPORTED = None
OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("access_key", "secret_key", "session_token", "profile", "credentials")),
    "session": None,
    "anonymous": False,
    "region": "us-east-1",
    "request_timeout": 20.0,
}


def make(**options: Any) -> KeySource:
    """Return the keys of a driver with these options."""
    settings: Any = SimpleNamespace(**(OPTIONS | options))
    return KeySource(settings)


def values(keys: Keys | None) -> tuple[str, str, str | None]:
    assert keys is not None
    return keys.access_key, keys.secret_key, keys.token


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def make_due(source: KeySource) -> Keys:
    """Have the next request renew the keys, which still sign."""
    assert source.current is not None
    source.current = replace(source.current, renew_at=0.0)
    return source.current


def run_with_source(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has a `source` in a process of its own, where nothing else runs."""
    start = f"""
from types import SimpleNamespace
from jtc.storage.drivers.s3_driver._transport import sdk_keys
from jtc.storage.drivers.s3_driver._transport.credentials import KeySource
source = KeySource(SimpleNamespace(**{OPTIONS!r}))
"""
    return subprocess.run(
        [sys.executable, "-c", start + program],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(autouse=True)
def aws(monkeypatch, tmp_path):
    """An environment without credentials; returns how to set its variables and its files."""
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def configure(config: str = "", credentials: str = "", **environ: str) -> None:
        (tmp_path / "config").write_text(config)
        (tmp_path / "credentials").write_text(credentials)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    configure(
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
    )
    return configure


class Cloud(ThreadingHTTPServer):
    """The services that give temporary keys: new ones with each answer, for `life` seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CloudHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.life, self.count, self.lock = 3600.0, 0, threading.Lock()

    def answer(self, request: str, body: str) -> str:
        """Answer a request for a container's keys, an instance's, an assumed role's or SSO's."""
        if request.startswith("PUT /latest/api/token"):
            return SECRET
        if request.endswith("/security-credentials/"):
            return "role"
        with self.lock:
            self.count += 1
        key, token = f"id{self.count}", f"{SECRET}-token{self.count}"
        ends = (datetime.now(UTC) + timedelta(seconds=self.life)).replace(microsecond=0)
        expiration = ends.isoformat().replace("+00:00", "Z")
        if request.startswith("POST"):
            action = body.partition("Action=")[2].partition("&")[0]
            return (
                f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                f"<{action}Result><Credentials><AccessKeyId>{key}</AccessKeyId>"
                f"<SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{token}</SessionToken>"
                f"<Expiration>{expiration}</Expiration></Credentials>"
                f"</{action}Result></{action}Response>"
            )
        if request.startswith("GET /federation/"):
            names = ("accessKeyId", "secretAccessKey", "sessionToken", "expiration")
            keys = dict(zip(names, (key, SECRET, token, ends.timestamp() * 1000), strict=True))
            return json.dumps({"roleCredentials": keys})
        names = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration", "Code")
        return json.dumps(
            dict(zip(names, (key, SECRET, token, expiration, "Success"), strict=True))
        )


class _CloudHandler(BaseHTTPRequestHandler):
    server: Cloud

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        body = self.server.answer(f"{self.command} {self.path}", sent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def cloud():
    with Cloud() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def container(aws, cloud):
    aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{cloud.url}/keys")
    return cloud


# Keys given as options


async def test_given_keys_sign_at_once_and_are_never_renewed():
    source = make(access_key="id", secret_key="key")
    assert values(source.current) == ("id", "key", None)
    assert source.usable() is source.current
    source.expire(source.current)
    assert await source.renewed() is source.usable() is source.current


def test_anonymous_source_has_no_keys():
    source = make(anonymous=True)
    assert source.anonymous
    assert source.current is None
    assert not make().anonymous


def test_keys_show_nothing():
    keys = Keys("id", SECRET, SECRET)
    assert SECRET not in repr(keys) + repr(make(access_key="id", secret_key=SECRET))


# The chain


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_SESSION_TOKEN": "token"},
        {"AWS_SESSION_TOKEN": "", "AWS_SECURITY_TOKEN": "old"},
        {"AWS_SESSION_TOKEN": "token", "AWS_SECURITY_TOKEN": "old"},
        {"AWS_PROFILE": "p"},
        {"AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"},
    ],
)
async def test_chain_reads_environment_as_the_sdk_does(aws, environ):
    from aiobotocore.session import AioSession

    aws("[profile p]", AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key", **environ)
    theirs = await (await AioSession().get_credentials()).get_frozen_credentials()
    keys = await make().renewed()
    assert values(keys) == (theirs.access_key, theirs.secret_key, theirs.token)
    ends = environ.get("AWS_CREDENTIAL_EXPIRATION")
    assert keys.ends_at == pytest.approx(datetime.fromisoformat(ends).timestamp() if ends else inf)


async def test_chain_takes_keys_of_environment_without_the_sdk(aws, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiobotocore", NOT_IMPORTED)
    aws(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key")
    assert values(await make().renewed()) == ("id", "key", None)


async def test_chain_without_the_sdk_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiobotocore", NOT_IMPORTED)
    monkeypatch.delitem(sys.modules, "aiobotocore.session", raising=False)
    message = r"The s3 driver needs aiobotocore: pip install 'jtc-storage\[s3\]'"
    with pytest.raises(StorageConfigException, match=message):
        await make().renewed()


async def test_chain_reads_profiles_and_reads_them_again_when_their_keys_end(aws):
    def written(key: str) -> str:
        return f"[p]\naws_access_key_id = {key}\naws_secret_access_key = s\n"

    aws(credentials=written("a"), AWS_ACCESS_KEY_ID="environment", AWS_SECRET_ACCESS_KEY="s")
    source = make(profile="p")
    keys = await source.renewed()
    assert (keys.access_key, keys.renew_at, keys.ends_at) == ("a", inf, inf)
    aws(credentials=written("b"))
    assert await source.renewed() is keys
    source.expire(keys)
    assert source.usable() is None
    assert (await source.renewed()).access_key == "b"


async def test_chain_reads_profile_of_environment(aws):
    aws(credentials="[p]\naws_access_key_id = a\naws_secret_access_key = s\n", AWS_PROFILE="p")
    assert (await make().renewed()).access_key == "a"


@pytest.mark.parametrize(
    ("environ", "options", "message"),
    [
        ({}, {}, "No credentials were found: set AWS_ACCESS_KEY_ID"),
        ({}, {"profile": "none"}, r"not be loaded \(ProfileNotFound\)"),
        ({"AWS_PROFILE": "none"}, {}, r"not be loaded \(ProfileNotFound\)"),
        ({"AWS_ACCESS_KEY_ID": "id"}, {}, r"not be loaded \(PartialCredentialsError\)"),
        ({}, {"profile": "broken"}, r"not be loaded \(CredentialRetrievalError\)"),
        ({}, {"profile": "missing"}, r"not be loaded \(FileNotFoundError\)"),
        ({}, {"profile": "sso"}, "log in again"),
    ],
)
async def test_chain_errors_are_of_the_configuration_and_show_no_secret(
    aws, environ, options, message
):
    process = f"{sys.executable} -c \"import sys; sys.exit('{SECRET}')\""
    config = f"[profile broken]\ncredential_process = {process}\n"
    config += "[profile missing]\ncredential_process = /no/such/program\n"
    config += "[profile sso]\nsso_start_url = https://127.0.0.1:1\nsso_region = us-east-1\n"
    config += "sso_account_id = 123456789012\nsso_role_name = r\n"
    aws(config, **environ)
    source = make(**options)
    with pytest.raises(StorageConfigException, match=message) as caught:
        await source.renewed()
    assert SECRET not in str(caught.value)
    assert source.usable() is None


async def test_chain_runs_credential_process_and_knows_when_its_keys_end(aws, tmp_path):
    ends = datetime.now(UTC) + timedelta(hours=2)
    answer = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}
    answer["Expiration"] = ends.isoformat()
    (tmp_path / "keys.json").write_text(json.dumps(answer))
    program = f"{sys.executable} -c \"print(open('{tmp_path / 'keys.json'}').read())\""
    aws(f"[default]\ncredential_process = {program}\n")
    keys = await make().renewed()
    assert values(keys) == ("a", "s", "t")
    assert keys.ends_at == pytest.approx(ends.timestamp(), abs=3)
    assert keys.renew_at == pytest.approx(keys.ends_at - 300)


CHAIN: dict[str, tuple[str, dict[str, str]]] = {
    "container": ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/keys"}),
    "instance": (
        "",
        {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{url}/"},
    ),
    "assumed role": (
        "[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = EcsContainer\n",
        {"AWS_ENDPOINT_URL_STS": "{url}", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/keys"},
    ),
    "web identity": (
        "",
        {
            "AWS_ENDPOINT_URL_STS": "{url}",
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/identity",
        },
    ),
}


@pytest.mark.parametrize("name", CHAIN)
async def test_chain_finds_temporary_keys_and_logs_no_secret(aws, cloud, tmp_path, caplog, name):
    caplog.set_level(logging.DEBUG)
    config, environ = CHAIN[name]
    (tmp_path / "identity").write_text(f"{SECRET}-identity")
    places = {"url": cloud.url, "folder": tmp_path}
    aws(config, **{variable: value.format(**places) for variable, value in environ.items()})
    source = make()
    keys = await source.renewed()
    assert values(keys) == (f"id{cloud.count}", SECRET, f"{SECRET}-token{cloud.count}")
    assert keys.ends_at == pytest.approx(time.time() + 3600, abs=5)
    source.expire(keys)
    assert (await source.renewed()).access_key == f"id{cloud.count}" != keys.access_key
    assert any(record.name.partition(".")[0].endswith("botocore") for record in caplog.records)
    assert [record.getMessage() for record in caplog.records if SECRET in record.getMessage()] == []


def test_chain_finds_keys_of_sso_and_logs_no_secret(aws, cloud, tmp_path):
    aws(
        f"[default]\nsso_start_url = {cloud.url}\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = r\n"
    )
    token = {"accessToken": f"{SECRET}-sso", "expiresAt": "2099-01-01T00:00:00Z"}
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(cloud.url.encode()).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(token))
    # The SDK reads HOME when it is imported.
    program = (
        "import asyncio, logging; logging.basicConfig(level=logging.DEBUG);"
        "keys = asyncio.run(source.renewed()); print(keys.access_key, keys.token)"
    )
    done = run_with_source(program, HOME=str(tmp_path), AWS_ENDPOINT_URL_SSO=cloud.url)
    assert done.stdout == f"id1 {SECRET}-token1\n"
    assert "GetRoleCredentials" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.usefixtures("container")
async def test_chain_renews_keys_of_container_beside_its_callers():
    source = make()
    first = await source.renewed()
    assert first.ends_at == pytest.approx(time.time() + 3600, abs=5)
    assert await source.renewed() is first
    old = make_due(source)
    assert await source.renewed() is old
    await until(lambda: source.current is not old)
    assert values(source.current)[0] != first.access_key
    assert await source.renewed() is source.current


@pytest.mark.usefixtures("container")
async def test_chain_asks_again_at_once_for_keys_that_the_store_says_have_ended():
    source = make()
    first = await source.renewed()
    source.expire(first)
    assert source.usable() is None
    second = await source.renewed()
    assert second.access_key != first.access_key
    source.expire(first)
    assert source.usable() is second


@pytest.mark.parametrize("life", [4096, 900, 599, 100, 3])
async def test_chain_keys_are_renewed_in_the_last_quarter_of_a_short_life(container, life):
    container.life = life
    keys = await make().renewed()
    assert keys.ends_at == pytest.approx(time.time() + life, abs=3)
    margin = keys.ends_at - keys.renew_at
    assert margin == pytest.approx(min(300, life / 4), abs=1)


def run_in_threads(work) -> list[Any]:
    """Run a coroutine function in three threads with a loop each; return what they returned."""
    results: list[Any] = []
    ready = threading.Barrier(3)

    def run() -> None:
        ready.wait(20)
        try:
            results.append(asyncio.run(work()))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results


@pytest.mark.parametrize("kind", ["chain", "session"])
def test_three_threads_renew_keys_of_one_source_at_once(container, kind):
    from aiobotocore.session import AioSession

    # So short that the SDK's own object renews them, and takes its lock, whenever it is asked.
    container.life = 200
    source = make(session=AioSession() if kind == "session" else None)

    async def work() -> int:
        seen = set()
        for _ in range(5):
            found = await asyncio.gather(*(source.renewed() for _ in range(10)))
            seen |= {keys.access_key for keys in found}
            source.expire(found[0])
        return len(seen)

    results = run_in_threads(work)
    assert [each for each in results if not isinstance(each, int)] == []
    assert max(results) >= 2


def test_session_is_never_asked_by_two_loops_at_once():
    running, most = 0, 0

    class Session:
        async def get_credentials(self) -> Session:
            return self

        async def get_frozen_credentials(self) -> Keys:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.002)
            running -= 1
            return Keys("id", "key")

    source = make(session=Session())

    async def work() -> None:
        for _ in range(20):
            source.expire((await asyncio.gather(*(source.renewed() for _ in range(5))))[0])

    assert run_in_threads(work) == [None] * 3
    assert most == 1


@pytest.mark.usefixtures("container")
def test_event_loops_are_released():
    source, loops = make(), []

    async def work() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        source.expire(await source.renewed())

    for _ in range(2):
        asyncio.run(work())
    gc.collect()
    assert [loop() for loop in loops] == [None, None]


@pytest.mark.parametrize("close", [True, False])
def test_session_renewal_of_a_loop_that_stopped_does_not_hang_others(close):
    class Session:
        hangs = True

        async def get_credentials(self) -> Session:
            if self.hangs:
                await asyncio.Event().wait()
            return self

        async def get_frozen_credentials(self) -> Keys:
            return Keys("id", "key")

    session = Session()
    source = make(session=session, request_timeout=20 if close else 0.2)
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(source.renewed())
    loop.run_until_complete(asyncio.sleep(0.01))
    session.hangs = False
    if close:
        loop.close()
        assert values(asyncio.run(source.renewed())) == ("id", "key", None)
    else:
        with pytest.raises(StorageTimeoutException):
            asyncio.run(source.renewed())
        with pytest.raises(StorageTimeoutException):
            loop.run_until_complete(waiter)
        assert values(asyncio.run(source.renewed())) == ("id", "key", None)
    del waiter
    gc.collect()
    loop.close()


def test_forked_child_renews_keys_though_locks_were_held(aws):
    aws(credentials="[p]\naws_access_key_id = a\naws_secret_access_key = s\n", AWS_PROFILE="p")
    program = """
import asyncio, os
source._renewals["of another thread"] = ()
with source._lock, sdk_keys._import_lock.held:
    child = os.fork()
    if not child:
        keys = asyncio.run(asyncio.wait_for(source.renewed(), 20))
        os._exit(0 if keys.access_key == "a" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = run_with_source(program)
    assert (done.stdout, done.stderr) == ("0\n", "")


# The option credentials


class Function:
    """The option credentials: returns or raises what it is set to, and counts."""

    def __init__(self, outcome: Any) -> None:
        self.outcome, self.calls = outcome, 0
        self.may_return = asyncio.Event()
        self.may_return.set()

    async def __call__(self) -> Any:
        self.calls += 1
        await self.may_return.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


GIVEN = {"access_key": "id", "secret_key": "key"}
IN_AN_HOUR = time.time() + 3600


@pytest.mark.parametrize(
    ("given", "token", "ends_at"),
    [
        (GIVEN, None, inf),
        (GIVEN | {"token": "", "expires_at": None}, None, inf),
        (GIVEN | {"token": "t", "expires_at": IN_AN_HOUR}, "t", IN_AN_HOUR),
        (GIVEN | {"expires_at": int(IN_AN_HOUR)}, None, int(IN_AN_HOUR)),
        (GIVEN | {"expires_at": datetime.fromtimestamp(IN_AN_HOUR, UTC)}, None, IN_AN_HOUR),
        (SimpleNamespace(**GIVEN), None, inf),
        (SimpleNamespace(**GIVEN, token="t", expires_at=IN_AN_HOUR), "t", IN_AN_HOUR),
    ],
    ids=["keys", "no token", "token", "whole seconds", "datetime", "object", "object with token"],
)
async def test_function_returns_mapping_or_object(given, token, ends_at):
    keys = await make(credentials=Function(given)).renewed()
    assert values(keys) == ("id", "key", token)
    assert keys.ends_at == pytest.approx(ends_at, abs=1e-3)
    renew_at = time.time() + 300 if ends_at == inf else ends_at - 300
    assert keys.renew_at == pytest.approx(renew_at, abs=5)


async def test_function_may_say_the_end_in_utc_without_a_zone(monkeypatch):
    ends = datetime.fromtimestamp(IN_AN_HOUR, UTC).replace(tzinfo=None)
    monkeypatch.setenv("TZ", "Etc/GMT+5")
    time.tzset()
    try:
        keys = await make(credentials=Function(GIVEN | {"expires_at": ends})).renewed()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert keys.ends_at == pytest.approx(IN_AN_HOUR, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "'access_key' must be text, not NoneType"),
        (None, "'access_key' must be text"),
        ({"access_key": "id"}, "'secret_key' must be text"),
        (GIVEN | {"secret_key": ""}, "'secret_key' is empty"),
        (GIVEN | {"secret_key": SECRET.encode()}, "'secret_key' must be text, not bytes"),
        (GIVEN | {"token": SECRET.encode()}, "'token' must be text, not bytes"),
        (GIVEN | {"expires_at": "2099-01-01"}, "'expires_at' is neither a datetime"),
        (GIVEN | {"expires_at": True}, "'expires_at' is neither a datetime"),
        (GIVEN | {"expires_at": float("nan")}, "'expires_at' is neither a datetime"),
    ],
)
async def test_function_that_returns_something_else_is_refused(given, message):
    message = f"The credentials for S3 cannot be used: {message}"
    with pytest.raises(StorageConfigException, match=message) as caught:
        await make(credentials=Function(given)).renewed()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError(SECRET), StorageConfigException),
        (ValueError(SECRET), StorageConfigException),
        (StorageConfigException(SECRET), StorageConfigException),
        (ConnectionResetError(SECRET), StorageUnavailableException),
        (RuntimeError(SECRET), StorageUnavailableException),
        (FileNotFoundException(SECRET), StorageUnavailableException),
        (TimeoutError(SECRET), StorageTimeoutException),
        (StorageTimeoutException(SECRET), StorageTimeoutException),
    ],
)
async def test_function_errors_are_typed_and_name_the_option(error, expected):
    function = Function(error)
    source = make(credentials=function)
    for _ in range(2):
        with pytest.raises(StorageException) as caught:
            await source.renewed()
        assert type(caught.value) is expected
        assert str(caught.value) == f"The option credentials raised {type(error).__name__}"
        assert caught.value.__cause__ is error
    assert function.calls == 2


async def test_function_that_is_not_async_is_refused():
    with pytest.raises(StorageConfigException, match="write 'async def'"):
        await make(credentials=lambda: GIVEN).renewed()


async def test_function_that_hangs_is_a_timeout():
    function = Function(GIVEN)
    function.may_return.clear()
    with pytest.raises(StorageTimeoutException, match="The option credentials"):
        await make(credentials=function, request_timeout=0.05).renewed()


async def test_function_is_called_once_for_all_that_wait():
    function = Function(GIVEN)
    source = make(credentials=function)
    found = await asyncio.gather(*(source.renewed() for _ in range(10)))
    assert all(keys is found[0] for keys in found)
    assert function.calls == 1


async def test_function_that_raises_is_called_once_and_each_waiter_has_its_own_error():
    function = Function(RuntimeError())
    source = make(credentials=function)
    found = await asyncio.gather(*(source.renewed() for _ in range(10)), return_exceptions=True)
    assert len({id(error) for error in found}) == 10
    assert {type(error) for error in found} == {StorageUnavailableException}
    assert function.calls == 1


async def test_cancelled_waiters_do_not_stop_the_renewal_of_others():
    function = Function(GIVEN)
    function.may_return.clear()
    source = make(credentials=function)
    waiters = [asyncio.create_task(source.renewed()) for _ in range(3)]
    await until(lambda: function.calls)
    waiters[0].cancel()
    await asyncio.wait([waiters[0]])
    function.may_return.set()
    assert await waiters[1] is await waiters[2] is source.current
    assert waiters[0].cancelled()
    assert function.calls == 1


async def test_renewal_that_fails_keeps_the_old_keys_until_they_end(caplog):
    function = Function(GIVEN | {"expires_at": time.time() + 50})
    source = make(credentials=function)
    await source.renewed()
    function.outcome = ValueError(SECRET)
    for calls in (2, 3):
        old = make_due(source)
        found = await asyncio.gather(*(source.renewed() for _ in range(5)))
        assert all(keys is old for keys in found)
        await until(lambda old=old: source.current is not old)
        assert values(source.current) == values(old)
        # Some seconds pass before the next attempt.
        assert time.time() + 5 < source.current.renew_at <= old.ends_at == source.current.ends_at
        assert await source.renewed() is source.current
        assert function.calls == calls
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "The option credentials raised ValueError" in caplog.text
    assert SECRET not in caplog.text

    source.current = replace(source.current, renew_at=0.0, ends_at=time.time())
    assert source.usable() is None
    with pytest.raises(StorageConfigException, match="raised ValueError"):
        await source.renewed()


async def test_renewal_that_fails_after_a_success_is_logged_again(caplog):
    function = Function(GIVEN)
    source = make(credentials=function)
    await source.renewed()
    for outcome in (RuntimeError(), GIVEN, RuntimeError()):
        function.outcome = outcome
        old = make_due(source)
        await source.renewed()
        await until(lambda old=old: source.current is not old)
    assert len(caplog.records) == 2


async def test_renewal_that_hangs_delays_no_request_while_the_old_keys_sign():
    function = Function(GIVEN)
    source = make(credentials=function)
    await source.renewed()
    function.may_return.clear()
    old = make_due(source)
    for _ in range(3):
        assert await source.renewed() is old
    await until(lambda: function.calls == 2)
    function.may_return.set()
    await until(lambda: source.current is not old)
    assert function.calls == 2


async def test_keys_that_have_ended_already_are_left_to_the_store_and_asked_for_again():
    # This machine's clock may be ahead.
    function = Function(GIVEN | {"expires_at": time.time() - 60})
    source = make(credentials=function)
    for calls in (1, 2):
        assert values(await source.renewed()) == ("id", "key", None)
        assert source.usable() is None
        assert function.calls == calls


async def test_expired_keys_are_not_revived_by_a_renewal_that_fails():
    function = Function(GIVEN)
    source = make(credentials=function)
    keys = await source.renewed()
    function.outcome = RuntimeError()
    source.expire(keys)
    with pytest.raises(StorageUnavailableException):
        await source.renewed()
    assert source.usable() is None


# The option session


async def test_session_of_boto3_is_refused():
    session = SimpleNamespace(get_credentials=lambda: Keys("id", "key"))
    with pytest.raises(StorageConfigException, match="must be of aioboto3, not of boto3"):
        await make(session=session).renewed()


async def test_session_gives_the_keys_that_were_set_in_it():
    from aiobotocore.session import AioSession

    session = AioSession()
    session.set_credentials("id", "key", "token")
    assert values(await make(session=session).renewed()) == ("id", "key", "token")


async def test_session_without_keys_is_refused():
    from aiobotocore.session import AioSession

    with pytest.raises(StorageConfigException, match="No credentials were found"):
        await make(session=AioSession()).renewed()


async def test_session_errors_name_the_option():
    async def fail() -> None:
        raise ConnectionResetError(SECRET)

    with pytest.raises(StorageUnavailableException) as caught:
        await make(session=SimpleNamespace(get_credentials=fail)).renewed()
    assert str(caught.value) == "The option session raised ConnectionResetError"


async def test_session_aioboto3_needs_aioboto3(monkeypatch):
    monkeypatch.setitem(sys.modules, "aioboto3", NOT_IMPORTED)
    source = make(session="aioboto3")
    message = r"^aioboto3 is required for S3Driver\. Install it with: pip install aioboto3$"
    with pytest.raises(StorageConfigException, match=message):
        await source.renewed()


@pytest.mark.parametrize("given", [True, False])
async def test_session_of_aioboto3_gives_keys(aws, given):
    aioboto3 = pytest.importorskip("aioboto3")
    aws(credentials="[p]\naws_access_key_id = a\naws_secret_access_key = s\n", AWS_PROFILE="p")
    source = make(session=aioboto3.Session() if given else "aioboto3")
    for _ in range(2):
        keys = await source.renewed()
        assert values(keys) == ("a", "s", None)
        source.expire(keys)


def test_aioboto3_available_says_whether_aioboto3_is_installed_without_its_import(monkeypatch):
    program = "from jtc.storage.drivers.s3_driver import AIOBOTO3_AVAILABLE as there; import sys; "
    program += "print(there, 'aioboto3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    installed = importlib.util.find_spec("aioboto3") is not None
    assert done.stdout == f"{installed} False\n"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert s3_driver.AIOBOTO3_AVAILABLE is False
    with pytest.raises(AttributeError, match="no_such"):
        _ = s3_driver.no_such


# The SDK


def test_import_sdk_runs_in_one_thread_at_a_time(monkeypatch):
    running, most = 0, 0

    def import_module(name: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return name

    monkeypatch.setattr(sdk_keys, "importlib", SimpleNamespace(import_module=import_module))

    async def work() -> Any:
        return sdk_keys.import_sdk("botocore")

    assert run_in_threads(work) == ["botocore"] * 3
    assert most == 1


def sdk_errors() -> list[tuple[Exception, type[StorageException], str]]:
    import botocore.exceptions as sdk

    refused = {"Error": {"Code": "AccessDenied", "Message": SECRET}}
    return [
        (sdk.NoCredentialsError(), StorageConfigException, "No credentials were found"),
        (sdk.UnauthorizedSSOTokenError(), StorageConfigException, "log in again"),
        (
            sdk.TokenRetrievalError(provider="sso", error_msg=SECRET),
            StorageConfigException,
            "log in again",
        ),
        (
            sdk.ConnectTimeoutError(endpoint_url=SECRET),
            StorageTimeoutException,
            r"\(ConnectTimeoutError\)",
        ),
        (
            sdk.EndpointConnectionError(endpoint_url=SECRET),
            StorageUnavailableException,
            r"\(EndpointConnectionError\)",
        ),
        (
            sdk.ClientError(refused, "AssumeRole"),
            StorageConfigException,
            r"\(ClientError AccessDenied\)",
        ),
        (RuntimeError(SECRET), StorageConfigException, r"\(RuntimeError\)"),
    ]


def test_chain_errors_are_typed_without_their_text():
    for error, expected, message in sdk_errors():
        mapped = sdk_keys.key_error(error, "")
        assert isinstance(mapped, expected)
        assert SECRET not in str(mapped)
        with pytest.raises(expected, match=message):
            raise mapped


async def test_keys_of_environment_or_function_sign_what_a_store_accepts(
    aws, make_driver, seaweedfs
):
    aws(AWS_ACCESS_KEY_ID=seaweedfs.access_key, AWS_SECRET_ACCESS_KEY=seaweedfs.secret_key)
    driver = make_driver(access_key=None, secret_key=None)
    assert await driver.exists("no such file") is False
    aws(AWS_ACCESS_KEY_ID="wrong", AWS_SECRET_ACCESS_KEY="wrong")
    calls = []

    async def credentials():
        calls.append(None)
        return {
            "access_key": seaweedfs.access_key,
            "secret_key": seaweedfs.secret_key,
            "token": "",
            "expires_at": time.time() + 3600,
        }

    driver = make_driver(access_key=None, secret_key=None, credentials=credentials)
    for _ in range(3):
        assert await driver.exists("no such file") is False
    assert len(calls) == 1
