"""`JtcFileSystem`: disks as an fsspec file system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.compression import compr
from fsspec.core import get_compression

from jtc.storage import UnsupportedOperationException
from jtc.storage.fsspec._blocking import add_blocking_methods
from jtc.storage.fsspec._files import CompressedFile, ReadFile, TextFile, WriteFile
from jtc.storage.fsspec._writing import Writing

if TYPE_CHECKING:
    from jtc.storage.files import ReadableFile, WritableFile

__all__ = ["JtcFileSystem"]

_FOR_READING = frozenset({"block_size", "cache_type", "cache_options", "size", "fill_cache"})
"""Keywords of `open` that do nothing for a file that is written."""


@add_blocking_methods
class JtcFileSystem(Writing):
    """The disks of a configuration as one fsspec file system: ``jtc://disk/path``.

    A path is ``disk/path``; a URL without a disk, ``jtc:///path``, is on the default one. fsspec
    finds it by its entry point: ``fsspec.filesystem("jtc")``, and ``storage_options`` of pandas
    and others are its arguments.

    Args:
        config: A mapping, or the path of a TOML file, as for `StorageManager.configure`; None is
            the program's own, that of `Storage`.
        disk: The disk of URLs without one, ``jtc:///path``; None is the default disk.
        asynchronous: The methods are awaited in the caller's event loop. Otherwise they run in
            fsspec's own.
        loop: An event loop that runs in another thread, in place of fsspec's own.
        batch_size: How many files are copied, read or deleted at once.
        use_listings_cache: Keep listings, so that files that others write are not seen before
            `invalidate_cache`.
        listings_expiry_time: Seconds after which a kept listing is read again.
        max_paths: How many listings are kept.
        pickled_from: Set by pickle: where the disks came from in the process that pickled this.
        **unknown: None.

    Raises:
        StorageConfigException: The configuration cannot be read, or is invalid.
        TypeError: There is no such option.
    """

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open a file.

        A file that is written is stored whole when it is closed, and not if its ``with`` block
        raises. A file that is read is the version that was there when it was opened.

        Args:
            path: The file.
            mode: ``"rb"``, ``"wb"``, ``"xb"`` or ``"ab"``; without ``b``, for text.
            block_size: How many bytes are read ahead, or collected before they are passed on.
            cache_options: For fsspec's cache of blocks.
            compression: The name of a compression that fsspec knows, or ``"infer"``.
            **options: ``encoding``, ``errors`` and ``newline`` for text; ``cache_type`` and
                ``size`` for reading; those of `PutOptions` for writing.

        Raises:
            FileNotFoundException: There is no file to read.
            FileExistsException: There is a file, in mode ``"xb"``.
            StorageException: The storage failed.
        """
        if "r" in mode or ("b" in mode and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **options)
        text = {k: options.pop(k) for k in ("encoding", "errors", "newline") if k in options}
        binary = mode.replace("t", "").replace("b", "") + "b"
        file = super().open(path, binary, block_size, cache_options, **options)
        if (name := get_compression(path, compression)) is not None:
            file = CompressedFile(file, compr[name](file, mode=binary[0]))
        return file if "b" in mode else TextFile(file, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> ReadFile | WriteFile:
        if mode == "rb":
            return ReadFile(self, path, block_size, cache_options=cache_options, **options)
        return WriteFile(self, path, mode, block_size, autocommit, **options)

    async def open_async(
        self, path: str, mode: str = "rb", **options: Any
    ) -> ReadableFile | WritableFile:
        """Open a file whose methods are awaited, as `Disk.open` does.

        Args:
            path: The file.
            mode: ``"rb"``, ``"wb"``, ``"xb"`` or ``"ab"``.
            **options: Those of `PutOptions` for writing.

        Raises:
            ValueError: The mode is for text, or there is a compression.
            FileNotFoundException: There is no file to read.
            FileExistsException: There is a file, in mode ``"xb"``.
            StorageException: The storage failed.
        """
        if "b" not in mode or options.pop("compression", None):
            raise ValueError("open_async() opens binary files only, without a compression")
        place = await self._file(path)
        given = {name: value for name, value in options.items() if name not in _FOR_READING}
        async with self.os_errors(path):
            file: Any = await place.disk.open(place.key, mode, **given)  # type: ignore[call-overload]
        if mode != "rb":
            self.invalidate_cache(path)
        opened: ReadableFile | WritableFile = file
        return opened

    async def _sign(self, path: str, expiration: float = 100, **options: Any) -> str:
        place = await self._file(path)
        try:
            return await place.disk.temporary_url(place.key, expiration, **options)
        except UnsupportedOperationException as error:
            raise NotImplementedError(str(error)) from error

    def url(self, path: str) -> str:
        """Return the URL of a file that is public; `sign` returns one for a private file.

        Raises:
            StorageException: The disk has no URLs.
        """
        name, _, key = self._strip_protocol(path).partition("/")
        return self._disk(name).url(key)
