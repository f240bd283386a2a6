"""The libraries to compare with, each used as its documentation says, behind the same method names.

A library without async calls is called in a thread, as an async application must. What a library
cannot do has no method, and is not measured. Imports are inside the functions, so that a process
that measures one library does not import the others.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from measuring import MIB, OURS

__all__ = ["PEERS", "Litestar", "LitestarLocal", "local_peers", "made", "memory_peers", "s3_peers"]

CHUNK = MIB


async def chunks_of(size: int) -> AsyncIterator[bytes]:
    """Yield `size` bytes, as an upload does."""
    chunk = bytes(CHUNK)
    for _ in range(size // CHUNK):
        yield chunk


class Ours:
    name = OURS

    def __init__(self, options: dict[str, Any]) -> None:
        from jtc.storage import StorageManager

        self.manager = StorageManager.isolated({"disks": {"disk": options}, "default": "disk"})
        self.disk = self.manager.disk("disk")
        self.get, self.exists, self.size = self.disk.get, self.disk.exists, self.disk.size
        self.put, self.delete, self.stat = self.disk.put, self.disk.delete, self.disk.stat
        self.copy = self.disk.copy

    @classmethod
    def local(cls, root: Path) -> Ours:
        return cls({"driver": "local", "root": str(root)})

    @classmethod
    def memory(cls) -> Ours:
        return cls({"driver": "memory"})

    @classmethod
    def s3(cls, store: dict[str, str]) -> Ours:
        return cls({"driver": "s3", **store})

    async def list(self, prefix: str) -> int:
        return sum([entry.size async for entry in self.disk.list(prefix)])

    async def presign(self, paths: list[str]) -> None:
        assert len(await self.disk.temporary_urls(paths, 600)) == len(paths)

    async def upload(self, path: str, size: int) -> None:
        await self.disk.put(path, chunks_of(size))

    async def download(self, path: str) -> int:
        count = 0
        async for chunk in self.disk.stream(path, chunk_size=CHUNK):
            count += len(chunk)
        return count

    async def aclose(self) -> None:
        await self.manager.aclose()


class Obstore:
    name = "obstore"

    def __init__(self, store: Any) -> None:
        import obstore

        self.obstore, self.store = obstore, store

    @classmethod
    def local(cls, root: Path) -> Obstore:
        from obstore.store import LocalStore

        return cls(LocalStore(root))

    @classmethod
    def memory(cls) -> Obstore:
        from obstore.store import MemoryStore

        return cls(MemoryStore())

    @classmethod
    def s3(cls, store: dict[str, str]) -> Obstore:
        from obstore.store import S3Store

        return cls(
            S3Store(
                store["bucket"],
                endpoint=store["endpoint_url"],
                region=store["region"],
                access_key_id=store["access_key"],
                secret_access_key=store["secret_key"],
                virtual_hosted_style_request=False,
                client_options={"allow_http": True},
            )
        )

    async def get(self, path: str) -> bytes:
        answer = await self.obstore.get_async(self.store, path)
        return bytes(await answer.bytes_async())

    async def put(self, path: str, content: bytes) -> None:
        await self.obstore.put_async(self.store, path, content)

    async def stat(self, path: str) -> Any:
        return await self.obstore.head_async(self.store, path)

    async def size(self, path: str) -> int:
        found: int = (await self.stat(path))["size"]
        return found

    async def exists(self, path: str) -> bool:
        await self.stat(path)  # it has no other way to ask
        return True

    async def delete(self, path: str) -> None:
        await self.obstore.delete_async(self.store, path)

    async def presign(self, paths: list[str]) -> None:
        found = await self.obstore.sign_async(self.store, "GET", paths, timedelta(seconds=600))
        assert len(found) == len(paths)

    async def list(self, prefix: str) -> int:
        total = 0
        async for batch in self.obstore.list(self.store, prefix, chunk_size=1000):
            total += sum([entry["size"] for entry in batch])
        return total

    async def upload(self, path: str, size: int) -> None:
        await self.obstore.put_async(self.store, path, chunks_of(size))

    async def download(self, path: str) -> int:
        answer = await self.obstore.get_async(self.store, path)
        count = 0
        async for chunk in answer.stream(min_chunk_size=CHUNK):
            count += len(chunk)
        return count

    async def copy(self, src: str, dst: str) -> None:
        await self.obstore.copy_async(self.store, src, dst)

    async def aclose(self) -> None:
        """It has nothing to close."""


class OpenDAL:
    name = "OpenDAL"

    def __init__(self, *args: Any, **options: Any) -> None:
        import opendal

        self.operator = opendal.AsyncOperator(*args, **options)

    @classmethod
    def local(cls, root: Path) -> OpenDAL:
        return cls("fs", root=str(root))

    @classmethod
    def memory(cls) -> OpenDAL:
        return cls("memory")

    @classmethod
    def s3(cls, store: dict[str, str]) -> OpenDAL:
        return cls(
            "s3",
            bucket=store["bucket"],
            endpoint=store["endpoint_url"],
            region=store["region"],
            access_key_id=store["access_key"],
            secret_access_key=store["secret_key"],
        )

    async def get(self, path: str) -> bytes:
        return bytes(await self.operator.read(path))

    async def put(self, path: str, content: bytes) -> None:
        await self.operator.write(path, content)

    async def stat(self, path: str) -> Any:
        return await self.operator.stat(path)

    async def size(self, path: str) -> int:
        found: int = (await self.operator.stat(path)).content_length
        return found

    async def exists(self, path: str) -> bool:
        found: bool = await self.operator.exists(path)
        return found

    async def delete(self, path: str) -> None:
        await self.operator.delete(path)

    async def upload(self, path: str, size: int) -> None:
        async with await self.operator.open(path, "wb") as file:
            async for chunk in chunks_of(size):
                await file.write(chunk)

    async def download(self, path: str) -> int:
        count = 0
        async with await self.operator.open(path, "rb") as file:
            while chunk := await file.read(CHUNK):
                count += len(chunk)
        return count

    async def aclose(self) -> None:
        """It has nothing to close."""


class Fsspec:
    """fsspec's local and memory file systems know no async: they run in a thread."""

    name = "fsspec"

    def __init__(self, system: Any, root: str = "") -> None:
        self.system, self.root = system, root

    @classmethod
    def local(cls, root: Path) -> Fsspec:
        from fsspec.implementations.local import LocalFileSystem

        return cls(LocalFileSystem(), f"{root}/")

    @classmethod
    def memory(cls) -> Fsspec:
        from fsspec.implementations.memory import MemoryFileSystem

        return cls(MemoryFileSystem(), "/")

    async def get(self, path: str) -> bytes:
        return await asyncio.to_thread(self.system.cat_file, self.root + path)

    async def put(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self.system.pipe_file, self.root + path, content)

    async def exists(self, path: str) -> bool:
        return await asyncio.to_thread(self.system.exists, self.root + path)

    async def size(self, path: str) -> int:
        return await asyncio.to_thread(self.system.size, self.root + path)

    async def stat(self, path: str) -> Any:
        return await asyncio.to_thread(self.system.info, self.root + path)

    async def delete(self, path: str) -> None:
        await asyncio.to_thread(self.system.rm_file, self.root + path)

    async def list(self, prefix: str) -> int:
        found = await asyncio.to_thread(self.system.ls, self.root + prefix, detail=True)
        return sum([entry["size"] for entry in found])

    async def copy(self, src: str, dst: str) -> None:
        await asyncio.to_thread(self.system.cp_file, self.root + src, self.root + dst)

    async def aclose(self) -> None:
        """It has nothing to close."""


class S3fs:
    name = "s3fs"

    def __init__(self, store: dict[str, str]) -> None:
        from s3fs import S3FileSystem

        self.system = S3FileSystem(
            asynchronous=True,
            key=store["access_key"],
            secret=store["secret_key"],
            endpoint_url=store["endpoint_url"],
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={"max_pool_connections": 64},
        )
        self.bucket = store["bucket"]

    s3 = classmethod(lambda cls, store: cls(store))

    async def get(self, path: str) -> bytes:
        content: bytes = await self.system._cat_file(f"{self.bucket}/{path}")
        return content

    async def put(self, path: str, content: bytes) -> None:
        await self.system._pipe_file(f"{self.bucket}/{path}", content)

    async def exists(self, path: str) -> bool:
        found: bool = await self.system._exists(f"{self.bucket}/{path}")
        return found

    async def delete(self, path: str) -> None:
        await self.system._rm_file(f"{self.bucket}/{path}")

    async def list(self, prefix: str) -> int:
        found = await self.system._find(f"{self.bucket}/{prefix}", detail=True)
        return sum([entry["size"] for entry in found.values()])

    async def aclose(self) -> None:
        session = await self.system.set_session()
        await session.close()


class Xtr:
    name = "xtr-storage"

    def __init__(self, adapter: Any) -> None:
        from xtr_storage import Storage

        self.storage = Storage(adapter)

    @classmethod
    def local(cls, root: Path) -> Xtr:
        from xtr_storage.adapter.local_adapter import LocalAdapter

        return cls(LocalAdapter(root))

    @classmethod
    def memory(cls) -> Xtr:
        from xtr_storage.adapter.in_memory_adapter import InMemoryAdapter

        return cls(InMemoryAdapter())

    @classmethod
    def s3(cls, store: dict[str, str]) -> Xtr:
        from xtr_storage.adapter.s3_adapter import S3Adapter

        return cls(
            S3Adapter(
                store["bucket"],
                region=store["region"],
                endpoint_url=store["endpoint_url"],
                key=store["access_key"],
                secret=store["secret_key"],
                config_kwargs={"max_pool_connections": 64},
            )
        )

    async def get(self, path: str) -> bytes:
        return await self.storage.read(path)

    async def put(self, path: str, content: bytes) -> None:
        await self.storage.write(path, content)

    async def exists(self, path: str) -> bool:
        return await self.storage.file_exists(path)

    async def size(self, path: str) -> int:
        return await self.storage.file_size(path)

    async def delete(self, path: str) -> None:
        await self.storage.delete(path)

    async def list(self, prefix: str) -> int:
        return sum([entry.file_size async for entry in self.storage.list_contents(prefix)])

    async def upload(self, path: str, size: int) -> None:
        await self.storage.write_stream(path, chunks_of(size))

    async def download(self, path: str) -> int:
        return sum([len(chunk) async for chunk in self.storage.read_stream(path)])

    async def copy(self, src: str, dst: str) -> None:
        await self.storage.copy(src, dst)

    async def aclose(self) -> None:
        close = getattr(self.storage, "close", None)
        if close is not None:
            await close()


class Litestar:
    name = "litestar-storages"

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    @classmethod
    def local(cls, root: Path) -> Litestar:
        from litestar_storages import FileSystemConfig, FileSystemStorage

        return cls(FileSystemStorage(FileSystemConfig(path=root)))

    @classmethod
    def memory(cls) -> Litestar:
        from litestar_storages import MemoryStorage

        return cls(MemoryStorage())

    @classmethod
    def s3(cls, store: dict[str, str]) -> Litestar:
        from litestar_storages import S3Config, S3Storage

        return cls(
            S3Storage(
                S3Config(
                    bucket=store["bucket"],
                    region=store["region"],
                    endpoint_url=store["endpoint_url"],
                    access_key_id=store["access_key"],
                    secret_access_key=store["secret_key"],
                    max_pool_connections=64,
                )
            )
        )

    async def get(self, path: str) -> bytes:
        content: bytes = await self.storage.get_bytes(path)
        return content

    async def put(self, path: str, content: bytes) -> None:
        await self.storage.put(path, content)

    async def exists(self, path: str) -> bool:
        found: bool = await self.storage.exists(path)
        return found

    async def stat(self, path: str) -> Any:
        return await self.storage.info(path)

    async def delete(self, path: str) -> None:
        await self.storage.delete(path)

    async def list(self, prefix: str) -> int:
        return sum([entry.size async for entry in self.storage.list(prefix)])

    async def copy(self, src: str, dst: str) -> None:
        await self.storage.copy(src, dst)

    async def aclose(self) -> None:
        close = getattr(self.storage, "close", None)
        if close is not None:
            await close()


class LitestarLocal(Litestar):
    async def upload(self, path: str, size: int) -> None:
        await self.storage.put(path, chunks_of(size))

    async def download(self, path: str) -> int:
        return sum([len(chunk) async for chunk in await _iterable(self.storage.get(path))])


async def _iterable(found: Any) -> Any:
    return found if hasattr(found, "__aiter__") else await found


class Aiofiles:
    name = "aiofiles"

    def __init__(self, root: Path) -> None:
        self.root = root

    local = classmethod(lambda cls, root: cls(root))

    async def get(self, path: str) -> bytes:
        import aiofiles

        async with aiofiles.open(self.root / path, "rb") as file:
            return await file.read()

    async def put(self, path: str, content: bytes) -> None:
        import aiofiles

        async with aiofiles.open(self.root / path, "wb") as file:
            await file.write(content)

    async def exists(self, path: str) -> bool:
        import aiofiles.os

        return await aiofiles.os.path.exists(self.root / path)

    async def size(self, path: str) -> int:
        import aiofiles.os

        return await aiofiles.os.path.getsize(self.root / path)

    async def stat(self, path: str) -> os.stat_result:
        import aiofiles.os

        return await aiofiles.os.stat(self.root / path)

    async def upload(self, path: str, size: int) -> None:
        import aiofiles

        async with aiofiles.open(self.root / path, "wb") as file:
            async for chunk in chunks_of(size):
                await file.write(chunk)

    async def download(self, path: str) -> int:
        import aiofiles

        count = 0
        async with aiofiles.open(self.root / path, "rb") as file:
            while chunk := await file.read(CHUNK):
                count += len(chunk)
        return count

    async def aclose(self) -> None:
        """It has nothing to close."""


class Aioboto3:
    name = "aioboto3"

    def __init__(self, store: dict[str, str]) -> None:
        self.bucket, self.given, self.client = store["bucket"], store, None

    s3 = classmethod(lambda cls, store: cls(store))

    async def _s3(self) -> Any:
        if self.client is None:
            import aioboto3
            from aiobotocore.config import AioConfig

            self.context = aioboto3.Session().client(
                "s3",
                region_name=self.given["region"],
                endpoint_url=self.given["endpoint_url"],
                aws_access_key_id=self.given["access_key"],
                aws_secret_access_key=self.given["secret_key"],
                config=AioConfig(max_pool_connections=64),
            )
            self.client = await self.context.__aenter__()
        return self.client

    async def get(self, path: str) -> bytes:
        answer = await (await self._s3()).get_object(Bucket=self.bucket, Key=path)
        content: bytes = await answer["Body"].read()
        return content

    async def put(self, path: str, content: bytes) -> None:
        await (await self._s3()).put_object(Bucket=self.bucket, Key=path, Body=content)

    async def exists(self, path: str) -> bool:
        await (await self._s3()).head_object(Bucket=self.bucket, Key=path)
        return True

    async def delete(self, path: str) -> None:
        await (await self._s3()).delete_object(Bucket=self.bucket, Key=path)

    async def presign(self, paths: list[str]) -> None:
        client = await self._s3()
        for path in paths:
            named = {"Bucket": self.bucket, "Key": path}
            await client.generate_presigned_url("get_object", Params=named, ExpiresIn=600)

    async def list(self, prefix: str) -> int:
        pages = (await self._s3()).get_paginator("list_objects_v2")
        total = 0
        async for page in pages.paginate(Bucket=self.bucket, Prefix=f"{prefix}/"):
            total += sum([item["Size"] for item in page["Contents"]])
        return total

    async def upload(self, path: str, size: int) -> None:
        client = await self._s3()
        source = _Source(chunks_of(size))
        await client.upload_fileobj(source, self.bucket, path)

    async def download(self, path: str) -> int:
        answer = await (await self._s3()).get_object(Bucket=self.bucket, Key=path)
        count = 0
        async for chunk in answer["Body"].iter_chunks(CHUNK):
            count += len(chunk)
        return count

    async def aclose(self) -> None:
        if self.client is not None:
            await self.context.__aexit__(None, None, None)


class _Source:
    """An async file, which is what aioboto3's upload reads from."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunks, self.rest = chunks, b""

    async def read(self, size: int = -1) -> bytes:
        pieces, length = [self.rest], len(self.rest)
        while size < 0 or length < size:
            piece = await anext(self.chunks, b"")
            if not piece:
                break
            pieces.append(piece)
            length += len(piece)
        content = b"".join(pieces)
        self.rest = content[size:] if size >= 0 else b""
        return content[:size] if size >= 0 else content


PEERS = {
    peer.name: peer
    for peer in (Ours, Obstore, OpenDAL, Xtr, Litestar, Fsspec, S3fs, Aiofiles, Aioboto3)
}


def made(makers: Iterable[tuple[str, Callable[[], Any]]]) -> Iterator[Any]:
    """Yield what is made. A library that cannot be used costs its own figures, and no others."""
    for name, make in makers:
        try:
            disk = make()
        except Exception as error:
            if name.startswith(OURS):
                raise
            print(f"    {name} is left out: {error!r}", file=sys.stderr, flush=True)
        else:
            yield disk


def local_peers(root: Path) -> Iterator[Any]:
    """Yield a disk of each, below a directory of its own."""

    def make(peer: Any) -> Any:
        own = root / peer.name
        own.mkdir(exist_ok=True)
        return peer.local(own)

    peers = (Ours, Obstore, OpenDAL, Xtr, LitestarLocal, Fsspec, Aiofiles)
    return made((peer.name, partial(make, peer)) for peer in peers)


def memory_peers() -> Iterator[Any]:
    """Yield an empty disk of each that has one in memory."""
    peers = (Ours, Obstore, OpenDAL, Xtr, Litestar, Fsspec)
    return made((peer.name, peer.memory) for peer in peers)


def s3_peers(store: dict[str, str]) -> Iterator[Any]:
    """Yield a disk of each in one bucket."""
    peers = (Ours, Obstore, OpenDAL, Aioboto3, S3fs, Xtr)
    return made((peer.name, partial(peer.s3, store)) for peer in peers)
