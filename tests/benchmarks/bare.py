"""The limits: the bare calls that every library has to make for the same work.

They promise nothing: they follow links, block the loop, retry nothing and check nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from measuring import MIB

__all__ = ["BareLocal", "BareS3"]

BARE = "bare calls"
HOP = "bare calls, one thread hop"


class BareLocal:
    """System calls of `os`."""

    name = BARE

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = f"{root}/"

    async def get(self, path: str) -> bytes:
        descriptor = os.open(self.root + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    async def size(self, path: str) -> int:
        descriptor = os.open(self.root + path, os.O_PATH | os.O_CLOEXEC)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    exists = size

    async def stat(self, path: str) -> tuple[os.stat_result, bytes]:
        """Return the stat result, and the attribute that stores a content type and the like."""
        descriptor = os.open(self.root + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            try:
                return found, os.getxattr(descriptor, "user.jtc.storage")
            except OSError:
                return found, b""
        finally:
            os.close(descriptor)

    def put_here(self, path: str, content: bytes) -> None:
        """Replace a file in one step: a file without a name, a link to it, and a rename."""
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            file = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=directory)
            try:
                os.write(file, content)
                os.fstat(file)
                there = f"/proc/self/fd/{file}"
                try:
                    os.link(there, path, dst_dir_fd=directory)
                except FileExistsError:
                    name = f".{secrets.token_hex(8)}"
                    os.link(there, name, dst_dir_fd=directory)
                    os.rename(name, path, src_dir_fd=directory, dst_dir_fd=directory)
            finally:
                os.close(file)
        finally:
            os.close(directory)

    async def put(self, path: str, content: bytes) -> None:
        self.put_here(path, content)

    def upload_here(self, path: str, size: int) -> None:
        chunk = bytes(MIB)
        with open(self.root + path, "wb", buffering=0) as file:  # noqa: PTH123
            file.writelines(chunk for _ in range(size // len(chunk)))

    def download_here(self, path: str) -> int:
        count = 0
        with open(self.root + path, "rb", buffering=0) as file:  # noqa: PTH123
            while chunk := file.read(MIB):
                count += len(chunk)
        return count

    async def upload(self, path: str, size: int) -> None:
        self.upload_here(path, size)

    async def download(self, path: str) -> int:
        return self.download_here(path)

    async def copy(self, src: str, dst: str) -> None:
        command = ("cp", "--reflink=auto", self.root + src, self.root + dst)
        await (await asyncio.create_subprocess_exec(*command)).wait()

    async def list(self, prefix: str) -> int:
        with os.scandir(self.root + prefix) as entries:
            return sum([entry.stat(follow_symlinks=False).st_size for entry in entries])


class BareLocalHop(BareLocal):
    """The same system calls in a worker thread: one hop for a whole operation."""

    name = HOP

    async def get(self, path: str) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, _run, super().get(path))

    async def put(self, path: str, content: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.put_here, path, content)


def _run(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError


class BareS3:
    """aiohttp with a signature: nothing is parsed, checked or retried."""

    name = BARE

    def __init__(self, store: dict[str, str]) -> None:
        self.given = store
        self.host = store["endpoint_url"].removeprefix("http://")
        self.session: Any = None
        self.day, self.key = "", b""

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.given['region']}/s3/aws4_request"
        if self.day != moment[:8]:
            key = f"AWS4{self.given['secret_key']}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.day, self.key = moment[:8], key
        content = hashlib.sha256(body).hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        request = (
            f"{method}\n{path}\n\nhost:{self.host}\nx-amz-content-sha256:{content}\n"
            f"x-amz-date:{moment}\n\n{names}\n{content}"
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        return {
            "x-amz-date": moment,
            "x-amz-content-sha256": content,
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.given['access_key']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}",
        }

    def _request(self, method: str, path: str, body: bytes) -> Any:
        if self.session is None:
            import aiohttp

            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
        from yarl import URL

        place = f"/{self.given['bucket']}/{quote(path)}"
        url = URL(self.given["endpoint_url"] + place, encoded=True)
        headers = self._signed(method, place, body)
        return self.session.request(method, url, data=body or None, headers=headers)

    async def _send(self, method: str, path: str, body: bytes = b"") -> bytes:
        async with self._request(method, path, body) as answer:
            content: bytes = await answer.read()
            answer.raise_for_status()
            return content

    async def get(self, path: str) -> bytes:
        return await self._send("GET", path)

    async def download(self, path: str) -> int:
        count = 0
        async with self._request("GET", path, b"") as answer:
            async for piece in answer.content.iter_any():
                count += len(piece)
        return count

    async def put(self, path: str, content: bytes) -> None:
        await self._send("PUT", path, content)

    async def exists(self, path: str) -> bool:
        await self._send("HEAD", path)
        return True

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path)

    async def aclose(self) -> None:
        if self.session is not None:
            await self.session.close()
