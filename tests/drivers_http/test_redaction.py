"""Removal of secrets from errors of aiohttp."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import aiohttp
import pytest

from jtc.storage.http_support.redaction import scrub

SECRET = "planted-secret"


def shown(error: BaseException) -> str:
    """Return all that an error reporter may show."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([*report.format(), repr(error), repr(error.args), repr(vars(error))])


def scrubbed(error: BaseException) -> str:
    scrub(error)
    return shown(error)


async def caught(**options: Any) -> BaseException:
    """Return aiohttp's error for a request that is signed with the secret and refused."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    headers = {"x-amz-security-token": SECRET}
    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        aiohttp.ClientSession(raise_for_status=True) as session,
    ):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(aiohttp.ClientError) as refused:
            await session.get(url, headers=headers, **options)
    return refused.value


async def test_scrub_removes_signed_headers_from_aiohttp_errors():
    error = await caught()
    assert isinstance(error, aiohttp.ClientResponseError)
    assert SECRET in shown(error)
    assert SECRET not in scrubbed(error)
    assert str(error).startswith("403, message='Forbidden'")


def test_scrub_removes_signed_queries_from_texts_of_aiohttp():
    text = f"Can not write request body for http://host/a?sv=1&sig={SECRET}"
    error = aiohttp.ClientOSError(None, text)
    assert SECRET in shown(error)
    assert SECRET not in scrubbed(error)
    assert "http://host/a" in str(error)


async def test_scrub_removes_signed_queries_from_aiohttp_errors():
    error = await caught(params={"sig": SECRET})
    assert SECRET in shown(error)
    assert SECRET not in scrubbed(error)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("in_url", [True, False])
async def test_scrub_removes_password_of_proxy_from_aiohttp_errors(in_url):
    options: dict[str, Any] = {"proxy": f"http://id:{SECRET}@127.0.0.1:1"}
    if not in_url:
        options = {"proxy": "http://127.0.0.1:1", "proxy_auth": aiohttp.BasicAuth("id", SECRET)}
    error = await caught(**options)
    assert isinstance(error, aiohttp.ClientConnectorError)
    assert SECRET in shown(error)
    assert SECRET not in scrubbed(error)
    assert "Cannot connect" in str(error)
