"""Operations on whole files: put, get, delete, and methods built on them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.write_pipeline import carried_options, store
from jtc.storage._hooks import end_all
from jtc.storage.driver_support.content import (
    SourceFile,
    driver_content,
    length_known,
    length_read,
    raised_by_source,
    watch_content,
)
from jtc.storage.driver_support.derived import derived_stat, open_read, read_all
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, infer_type
from jtc.storage.driver_support.standalone import checked_bulk
from jtc.storage.exceptions import (
    IntegrityException,
    PreconditionFailedException,
    StorageException,
)
from jtc.storage.options import DeleteOptions, ReadOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._hooks import HookedOperation, Hooks
    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo
    from jtc.storage.options import PutOptions

__all__ = ["ReadWrite", "given_to_read", "read_content", "reported_fields"]

_APPEND_ATTEMPTS = 64
_DELETES_AT_ONCE = 16


class ReadWrite(DiskBase):
    """Methods that read, write and delete whole files, and the health check."""

    __slots__ = ()

    async def put(self, path: str, content: Content, **options: Unpack[PutOptions]) -> str:
        """Store a file whole or not at all, replacing an existing one.

        Args:
            path: The file.
            content: Bytes, a `str` (stored as UTF-8), a binary file or async file, an iterable or
                async iterable of bytes, or a `pathlib.Path` to read from. A file is stored whole:
                it is rewound if it can seek, and never closed. To store the rest of one, pass
                ``iter(lambda: file.read(65536), b"")``.
            **options: See `PutOptions`.

        Returns:
            The path of the file.

        Raises:
            InvalidPathException: The path breaks the path policy.
            FileExistsException: `overwrite=False`, and there is a file.
            PreconditionFailedException: `if_match` names another version.
            RejectedException: `min_size`, `max_size` or `allowed_types` refuse the content; or it
                is the upload of a form in which no file was chosen: empty, without a `filename`.
            IntegrityException: The content does not have the length `size` or that which it
                declares itself (an upload's `size`); or it cannot be read whole: a file that is
                closed or cannot be rewound, a generator that has ended.
            UnsupportedOperationException: The driver does not support an option.
            TypeError: The content or an option is of a wrong type.
            StorageException: The storage failed. Errors of the content itself are unchanged.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            # The most common put skips everything that it does not need: half of the overhead.
            if not options and type(content) is bytes and self._manager.hooks.active is None:
                await resolved.methods.put(checked, content)
                return checked
        except Exception as error:
            self._fail(error, "put", path)
        await self._put("put", path, content, options)
        return checked

    async def get(
        self, path: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> bytes:
        """Return a file's content.

        Args:
            path: The file.
            if_match: The etag that the file must have.
            if_none_match: The etag that the file must not have, such as that of a cached copy.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names.
            NotModifiedException: The file still is the version that `if_none_match` names.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            if if_match is None and if_none_match is None and self._manager.hooks.active is None:
                return await resolved.methods.get(checked)
        except Exception as error:
            self._fail(error, "get", path)
        return await self._get("get", checked, if_match, if_none_match)

    async def get_text(self, path: str, *, encoding: str = "utf-8") -> str:
        """Return a file's content as text.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            UnicodeDecodeError: The content is not in this encoding.
            StorageException: The storage failed.
        """
        return (await self.get(path)).decode(encoding)

    async def get_json(self, path: str) -> Any:
        """Return a file's content, parsed as JSON (RFC 8259).

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: The content is not JSON.
            StorageException: The storage failed.
        """
        import json  # noqa: PLC0415 - imported only where it is used

        return json.loads(await self.get(path))

    async def put_json(self, path: str, value: Any, **options: Unpack[PutOptions]) -> str:
        """Store a value as JSON (RFC 8259, UTF-8); return the path.

        Raises:
            TypeError: The value, or a part of it, cannot be represented in JSON.
            ValueError: It contains itself, or a number that JSON does not have.
            StorageException: As for `put`.
        """
        import json  # noqa: PLC0415 - imported only where it is used

        content = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return await self.put(path, content, **options)

    async def append(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Append to a file, or create one; return the path.

        The file is rewritten whole: it keeps its content type, headers, metadata and visibility,
        if the driver has any. On a driver that supports `if_match` and `overwrite`, concurrent
        appends are all kept.

        Raises:
            PreconditionFailedException: The file was changed at each attempt.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        return await self._extend("append", path, content)

    async def prepend(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Prepend to a file, or create one; return the path. See `append`.

        Raises:
            PreconditionFailedException: The file was changed at each attempt.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        return await self._extend("prepend", path, content)

    async def exists(self, path: str) -> bool:
        """Return whether there is a file. A directory is not a file.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            return await (self._ready() or await self._load()).methods.exists(check_path(path))
        except Exception as error:
            self._fail(error, "exists", path)

    async def missing(self, path: str) -> bool:
        """Return whether there is no file, the opposite of `exists`.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        return not await self.exists(path)

    async def delete(self, path: str, *, if_match: str | None = None) -> bool:
        """Delete a file; return False if there was none, also with `if_match`.

        Args:
            path: The file.
            if_match: Delete only if the file has this `FileInfo.etag`, without a race.

        Raises:
            PreconditionFailedException: The file is another version than `if_match` names.
            InvalidPathException: The path breaks the path policy.
            UnsupportedOperationException: The driver cannot delete one version only.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            if (hooks := self._manager.hooks.active) is None:
                return await _delete(resolved, checked, if_match)
            given = {} if if_match is None else {"if_match": if_match}
            async with self._operation(
                hooks, "delete", "delete", checked, resolved, options=given
            ) as hooked:
                found = await _delete(resolved, checked, if_match)
                hooked.report(found=found)
                return found
        except Exception as error:
            self._fail(error, "delete", path)

    async def delete_many(self, paths: Iterable[str]) -> dict[str, bool | StorageException]:
        """Delete several files.

        Args:
            paths: Their paths.

        Returns:
            For each path as it was passed: whether there was a file, or its error.

        Raises:
            StorageException: The storage failed for all of them.
        """
        try:
            resolved = self._ready() or await self._load()
            resolved.check_writable()

            async def delete(checked: list[str]) -> dict[str, bool | Exception]:
                if (hooks := self._manager.hooks.active) is None:
                    return await _delete_all(resolved, checked)
                return await self._delete_hooked(hooks, resolved, checked)

            found = await checked_bulk(delete, paths, "delete_many")
        except Exception as error:
            self._fail(error, "delete_many")
        return {
            path: result
            if isinstance(result, bool)
            else self._explained(result, "delete_many", path)
            for path, result in found.items()
        }

    async def check(self) -> None:
        """Write, read and delete a small file ``.jtc-check-…``: a health check.

        A driver with the capability ``health_check`` then makes checks of its own below that path.

        Raises:
            StorageException: A step failed; the error has its reason.
        """
        import secrets  # noqa: PLC0415 - imported only where it is used

        path = f".jtc-check-{secrets.token_hex(8)}"
        content = secrets.token_bytes(16)
        await self.put(path, content)
        try:
            if await self.get(path) != content:
                raise IntegrityException(
                    "The disk returned other bytes than those that were stored",
                    disk=self.name,
                    operation="check",
                    path=path,
                )
        finally:
            await self.delete(path)
        try:
            resolved = self._ready() or await self._load()
            if "health_check" in resolved.capabilities:
                await resolved.methods.check(path)
        except Exception as error:
            self._fail(error, "check", path)

    async def _delete_hooked(
        self, hooks: Hooks, resolved: ResolvedDriver, paths: list[str]
    ) -> dict[str, bool | Exception]:
        """Delete files as one operation each: a veto affects its own file only."""
        outcome: dict[str, bool | Exception] = {}
        begun: dict[str, HookedOperation] = {}
        try:
            for path in paths:
                operation = self._operation(hooks, "delete", "delete_many", path, resolved)
                try:
                    begun[path] = await operation.__aenter__()
                except (StorageException, OSError) as error:
                    outcome[path] = error  # any other error is a bug in a plugin, and is raised
            found = await _delete_all(resolved, list(begun))
            outcome |= {path: found[path] for path in begun}
        except BaseException as error:
            await end_all((operation, error) for operation in begun.values())
            raise
        ended: list[tuple[HookedOperation, BaseException | None]] = []
        for path, operation in begun.items():
            result = outcome[path]
            operation.report(found=result)
            ended.append((operation, None if isinstance(result, bool) else result))
        await end_all(ended)
        return outcome

    async def _get(
        self,
        operation: str,
        path: str,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Read a file, as the method that the user called."""
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            options = None
            if if_match is not None or if_none_match is not None:
                options = ReadOptions(
                    if_match=if_match, if_none_match=if_none_match, read_ahead=True
                )
            if (hooks := self._manager.hooks.active) is None:
                return await read_content(resolved, checked, options)
            async with self._operation(
                hooks, "get", operation, checked, resolved, options=given_to_read(options)
            ) as hooked:
                return await read_content(resolved, checked, options, hooked)
        except Exception as error:
            self._fail(error, operation, path)

    async def _put(
        self,
        operation: str,
        path: str,
        content: Content,
        options: Mapping[str, Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Store a file; its events have the options `given`, if they are others."""
        source: DriverContent | None = None
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            source = driver_content(content)
            if (hooks := self._manager.hooks.active) is None:
                await store(resolved, checked, source, options)
                return
            size = options.get("size")
            # Plugins get a copy of the options: they cannot change them.
            before = {
                "size": length_known(source) if size is None else size,
                "options": dict(options if given is None else given),
            }
            async with self._operation(
                hooks, "put", operation, checked, resolved, source, **before
            ) as hooked:
                head = _beginning_of(source)
                etag = await store(resolved, checked, source, options)
                hooked.report(
                    size=length_read(source),
                    etag=etag,
                    content_type=options.get("content_type") or infer_type(checked, bytes(head)),
                )
        except Exception as error:
            if raised_by_source(source, error):
                raise
            self._fail(error, operation, path)
        finally:
            if isinstance(source, SourceFile) and source is not content:
                source.close()

    async def _extend(
        self, operation: str, path: str, content: bytes | bytearray | memoryview | str
    ) -> str:
        try:
            if not isinstance(content, (bytes, bytearray, memoryview, str)):
                raise TypeError(
                    f"{operation}() takes bytes or a str, not {type(content).__name__}: "
                    "it may have to write them several times"
                )
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            added = driver_content(content)
            if (hooks := self._manager.hooks.active) is None:
                await _rewrite_with_retries(resolved, checked, added, operation)
                return checked
            async with self._operation(
                hooks, "put", operation, checked, resolved, size=None, options={}
            ) as hooked:
                rewritten = await _rewrite_with_retries(resolved, checked, added, operation)
                hooked.report(**rewritten._asdict())
        except Exception as error:
            self._fail(error, operation, path)
        return checked


async def read_content(
    resolved: ResolvedDriver,
    path: str,
    options: ReadOptions | None,
    hooked: HookedOperation | None = None,
) -> bytes:
    """Return a file's content, and report it to an operation with hooks."""
    if options is None:
        content = await resolved.methods.get(path)
    else:
        stream = await open_read(resolved, path, options)
        if hooked is not None:
            hooked.report(**reported_fields(stream.info))
        content = await read_all(stream)
    if hooked is not None:
        hooked.report(size=len(content))
    return content


def reported_fields(info: FileInfo) -> dict[str, Any]:
    """Return the fields of the event after a read."""
    return {"etag": info.etag, "content_type": info.content_type}


def given_to_read(options: ReadOptions | None) -> dict[str, Any]:
    """Return the options of a read that are not the default ones, for events."""
    if options is None:
        return {}
    names = (
        each.name
        for each in dataclasses.fields(options)
        if each.default != getattr(options, each.name) and each.name != "read_ahead"
    )
    return {name: getattr(options, name) for name in names}


def _beginning_of(content: DriverContent) -> bytearray:
    """Return the beginning of content, which is filled while it is read."""
    head = bytearray()
    watch_content(content, lambda chunk: head.extend(chunk[: SNIFF_BYTES - len(head)]))
    return head


class _Rewritten(NamedTuple):
    """The fields of the event after an append."""

    size: int
    etag: str | None
    content_type: str | None


def _rewritten(
    path: str, content: bytes, etag: str | None, options: Mapping[str, Any]
) -> _Rewritten:
    content_type = options.get("content_type") or infer_type(path, content[:SNIFF_BYTES])
    return _Rewritten(len(content), etag, content_type)


async def _rewrite_with_retries(
    resolved: ResolvedDriver, path: str, added: Any, operation: str
) -> _Rewritten:
    """Extend a file, with retries if it is changed meanwhile."""
    for _ in range(_APPEND_ATTEMPTS):
        with contextlib.suppress(PreconditionFailedException, FileExistsError):
            return await _rewrite(resolved, path, added, operation)
    raise PreconditionFailedException(
        f"Others replaced the file at each of {_APPEND_ATTEMPTS} attempts to extend it: "
        "try again when fewer write it, or give each writer a file of its own"
    )


async def _rewrite(resolved: ResolvedDriver, path: str, added: Any, operation: str) -> _Rewritten:
    supported = resolved.capabilities.put_options
    options: dict[str, Any]
    try:
        info = await derived_stat(resolved, path)
        old = await resolved.methods.get(path)
    except FileNotFoundError:
        options = {"overwrite": False} if "overwrite" in supported else {}
        return _rewritten(path, added, await store(resolved, path, added, options), options)
    options = carried_options(supported, info, path)
    if "if_match" in supported:
        options["if_match"] = info.etag
    content = added + old if operation == "prepend" else old + added
    return _rewritten(path, content, await store(resolved, path, content, options), options)


async def _delete(resolved: ResolvedDriver, path: str, if_match: str | None) -> bool:
    if if_match is None:
        return await resolved.methods.delete(path)
    options = DeleteOptions(if_match=if_match)
    methods = resolved.require(
        "conditional_delete",
        "delete without if_match, where no one else may replace the file meanwhile",
    )
    return await methods.delete_file(path, options)


async def _delete_all(resolved: ResolvedDriver, paths: list[str]) -> dict[str, bool | Exception]:
    if "bulk_delete" in resolved.capabilities:
        return dict(await resolved.methods.delete_many(paths))
    asyncio.get_running_loop()  # gather() would make a loop, as under trio, where none can run
    gate = asyncio.Semaphore(_DELETES_AT_ONCE)

    async def delete(path: str) -> bool | Exception:
        async with gate:
            try:
                return await resolved.methods.delete(path)
            except Exception as error:
                return error

    return dict(zip(paths, await asyncio.gather(*map(delete, paths)), strict=True))
