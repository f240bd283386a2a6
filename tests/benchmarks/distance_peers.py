"""The libraries to compare with at a distance, each moving whole files by its own managed transfer.

Each has its defaults, or a number of requests of one transfer at once. A library without such a
transfer has what its users write.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from measuring import DOWNLOAD, MIB, OURS, TRUSTING
from peers import Aioboto3, Obstore, S3fs

__all__ = ["PEERS", "Ours", "OursDownload", "OursTrusting", "named"]

RANGE = 8 * MIB


def named(name: str, width: int | None) -> str:
    """Return the name of a library with that many requests at once, or with its defaults."""
    return f"{name}, {width} at once" if width else name


class Ours:
    """A copy between a disk far away and one on local files."""

    name = OURS

    def __init__(
        self, store: dict[str, str], root: Path, width: int | None = None, **options: Any
    ) -> None:
        from jtc.storage import StorageManager

        self.name = named(type(self).name, width)
        far = {"driver": "s3", **store, **({"max_concurrency": width} if width else {}), **options}
        near = {"driver": "local", "root": str(root)}
        self.manager = StorageManager.isolated({"disks": {"far": far, "near": near}})
        self.far, self.near = self.manager.disk("far"), self.manager.disk("near")
        self.root = root
        self.get, self.put, self.delete = self.far.get, self.far.put, self.far.delete

    async def download(self, path: str, target: Path) -> None:
        await self.far.copy(path, str(target.relative_to(self.root)), to=self.near)

    async def upload(self, source: Path, path: str) -> None:
        await self.near.copy(str(source.relative_to(self.root)), path, to=self.far)

    async def aclose(self) -> None:
        await self.manager.aclose()


class OursDownload(Ours):
    """To any local path."""

    name = DOWNLOAD

    async def download(self, path: str, target: Path) -> None:
        await self.far.download(path, target)


class OursTrusting(Ours):
    """With a store trusted to say of a conditional deletion whether there was a file."""

    name = TRUSTING

    def __init__(self, store: dict[str, str], root: Path) -> None:
        super().__init__(store, root, conditions=["put", "copy", "delete", "delete_any"])


class FarObstore(Obstore):
    """It streams one answer; several at once are its user's work."""

    def __init__(self, store: dict[str, str], _root: Path, width: int | None = None) -> None:
        super().__init__(Obstore.s3(store).store)
        self.name, self.width = named(Obstore.name, width), width

    async def download(self, path: str, target: Path) -> None:
        with target.open("wb") as file:
            if self.width:
                await self._ranges(path, file.fileno(), self.width)
                return
            answer = await self.obstore.get_async(self.store, path)
            async for chunk in answer.stream():
                file.write(chunk)

    async def _ranges(self, path: str, file: int, width: int) -> None:
        starts = iter(range(0, await self.size(path), RANGE))

        async def worker() -> None:
            for start in starts:
                content = await self.obstore.get_range_async(
                    self.store, path, start=start, length=RANGE
                )
                os.pwrite(file, content, start)

        await asyncio.gather(*(worker() for _ in range(width)))

    async def upload(self, source: Path, path: str) -> None:
        options = {"max_concurrency": self.width} if self.width else {}
        await self.obstore.put_async(self.store, path, source, **options)


class FarAioboto3(Aioboto3):
    def __init__(self, store: dict[str, str], _root: Path, width: int | None = None) -> None:
        super().__init__(store)
        self.name, self.options = named(Aioboto3.name, width), {}
        if width:
            from boto3.s3.transfer import TransferConfig

            self.options["Config"] = TransferConfig(max_concurrency=width)

    async def download(self, path: str, target: Path) -> None:
        client = await self._s3()
        await client.download_file(self.bucket, path, str(target), **self.options)

    async def upload(self, source: Path, path: str) -> None:
        client = await self._s3()
        await client.upload_file(str(source), self.bucket, path, **self.options)


class FarS3fs(S3fs):
    def __init__(self, store: dict[str, str], _root: Path, width: int | None = None) -> None:
        super().__init__(store)
        self.name = named(S3fs.name, width)
        # Its parts have 50 MiB each, too few to be many at once.
        self.options = {"max_concurrency": width, "chunksize": RANGE} if width else {}

    async def download(self, path: str, target: Path) -> None:
        await self.system._get_file(f"{self.bucket}/{path}", str(target), **self.options)

    async def upload(self, source: Path, path: str) -> None:
        await self.system._put_file(str(source), f"{self.bucket}/{path}", **self.options)


PEERS: dict[str, Any] = {
    OURS: Ours,
    OursDownload.name: OursDownload,
    Aioboto3.name: FarAioboto3,
    Obstore.name: FarObstore,
    S3fs.name: FarS3fs,
}
