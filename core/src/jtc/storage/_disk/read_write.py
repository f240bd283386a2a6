"""Whole files: put and get, and what follows from them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.write_pipeline import carried_options, store
from jtc.storage._hooks import end_all
from jtc.storage.driver_support.content import SourceFile, driver_content, raised_by_source
from jtc.storage.driver_support.content_checks import announced_size, counted, watched
from jtc.storage.driver_support.derived import derived_stat
from jtc.storage.exceptions import (
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._hooks import Hooks, Operation
    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import Visibility
    from jtc.storage.options import PutOptions

__all__ = ["WholeFiles"]

_APPEND_ATTEMPTS = 64
_DELETES_AT_ONCE = 16


class WholeFiles(DiskBase):
    """put, get and their relatives, exists and delete."""

    __slots__ = ()

    async def put(self, path: str, content: Content, **options: Unpack[PutOptions]) -> str:
        """Store a file, whole or not at all, in place of one that is there.

        Args:
            path: Where to.
            content: Bytes, a `str` (stored as UTF-8), a binary file or async file (read from
                where it stands, never closed), an iterable or async iterable of bytes, or a
                `pathlib.Path` to read from.
            **options: See `PutOptions`.

        Returns:
            The path under which the file can be had.

        Raises:
            InvalidPathException: The path breaks the path policy.
            FileExistsException: `overwrite=False`, and there is a file.
            PreconditionFailedException: `if_match` names another version.
            RejectedException: `max_size` or `allowed_types` refuse the content.
            IntegrityException: The content has not the length `size`.
            UnsupportedOperationException: The driver does not support an option.
            TypeError: The content or an option is of a wrong kind.
            StorageException: The storage failed. What the content itself raises comes unchanged.
        """
        try:
            checked = check_path(path)
            # The commonest put pays for nothing that only others need: half of its overhead.
            if not options and type(content) is bytes and self._manager().hooks.active is None:
                await self._resolved().driver.put(checked, content)
                return checked
        except Exception as error:
            self._fail(error, "put", path)
        await self._put("put", path, content, options)
        return checked

    async def get(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            if (hooks := self._manager().hooks.active) is None:
                return await resolved.driver.get(checked)
            async with self._operation(hooks, "get", "get", checked, resolved) as told:
                content = await resolved.driver.get(checked)
                told(size=len(content))
                return content
        except Exception as error:
            self._fail(error, "get", path)

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
        import json  # noqa: PLC0415 - only who asks pays for it

        return json.loads(await self.get(path))

    async def put_json(self, path: str, value: Any, **options: Unpack[PutOptions]) -> str:
        """Store a value as JSON (RFC 8259, UTF-8); return the path.

        Raises:
            TypeError: The value, or something in it, has no form in JSON.
            ValueError: It holds itself, or a number that JSON does not have.
            StorageException: As for `put`.
        """
        import json  # noqa: PLC0415 - only who asks pays for it

        content = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return await self.put(path, content, **options)

    async def append(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Add to the end of a file, or make one; return the path.

        The file is rewritten whole: it keeps its content type, headers, metadata and visibility,
        where the driver keeps any. On a driver that supports `if_match` and `overwrite`, appends
        that run at the same time are all kept.

        Raises:
            PreconditionFailedException: Others changed the file time after time.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        return await self._extend("append", path, content)

    async def prepend(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Add to the beginning of a file, or make one; return the path. See `append`.

        Raises:
            PreconditionFailedException: Others changed the file time after time.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        return await self._extend("prepend", path, content)

    async def exists(self, path: str) -> bool:
        """Tell whether there is a file. A directory is not a file.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed, so nobody knows.
        """
        try:
            return await self._resolved().driver.exists(check_path(path))
        except Exception as error:
            self._fail(error, "exists", path)

    async def missing(self, path: str) -> bool:
        """Tell whether there is no file: the opposite of `exists`.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed, so nobody knows.
        """
        return not await self.exists(path)

    async def delete(self, path: str) -> bool:
        """Delete a file; return False where there was none.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            if (hooks := self._manager().hooks.active) is None:
                return await resolved.driver.delete(checked)
            async with self._operation(hooks, "delete", "delete", checked, resolved) as told:
                found = await resolved.driver.delete(checked)
                told(found=found)
                return found
        except Exception as error:
            self._fail(error, "delete", path)

    async def delete_many(self, paths: Iterable[str]) -> dict[str, bool | StorageException]:
        """Delete files, many at once.

        Args:
            paths: Their paths.

        Returns:
            For each path as it was given: whether there was a file, or what went wrong with it.

        Raises:
            StorageException: The storage failed for all of them.
        """
        try:
            if isinstance(paths, str):
                raise TypeError("delete_many() takes an iterable of paths, not one path")
            resolved = self._resolved()
            resolved.check_writable()
            outcome: dict[str, bool | StorageException] = {}
            asked: dict[str, str] = {}
            for path in paths:
                try:
                    asked[path] = check_path(path)
                except StorageException as error:
                    outcome[path] = self._explained(error, "delete_many", path)
            unique = list(dict.fromkeys(asked.values()))
            if (hooks := self._manager().hooks.active) is None:
                found = await _delete(resolved, unique)
            else:
                found = await self._delete_told(hooks, resolved, unique)
        except Exception as error:
            self._fail(error, "delete_many")
        for path, checked in asked.items():
            result = found[checked]
            if not isinstance(result, bool):
                result = self._explained(result, "delete_many", path)
            outcome[path] = result
        return outcome

    async def _delete_told(
        self, hooks: Hooks, resolved: ResolvedDriver, paths: list[str]
    ) -> dict[str, bool | Exception]:
        """Delete files as one operation each: a veto concerns its own file."""
        outcome: dict[str, bool | Exception] = {}
        begun: dict[str, Operation] = {}
        try:
            for path in paths:
                operation = self._operation(hooks, "delete", "delete_many", path, resolved)
                try:
                    begun[path] = await operation.__aenter__()
                except (StorageException, OSError) as error:
                    outcome[path] = error  # any other one is a fault in a plugin, and ends it all
            found = await _delete(resolved, list(begun))
            outcome |= {path: found[path] for path in begun}
        except BaseException as error:
            await end_all((operation, error) for operation in begun.values())
            raise
        ended: list[tuple[Operation, BaseException | None]] = []
        for path, operation in begun.items():
            result = outcome[path]
            operation(found=result)
            ended.append((operation, None if isinstance(result, bool) else result))
        await end_all(ended)
        return outcome

    async def _put(
        self, operation: str, path: str, content: Content, options: Mapping[str, Any]
    ) -> None:
        source: DriverContent | None = None
        try:
            checked = check_path(path)
            resolved = self._resolved()
            hooks = self._manager().hooks.active
            source = driver_content(content)
            if hooks is None:
                await store(resolved, checked, watched(checked, source, options), options)
                return
            # The hooks get the options to look at, and not to change.
            told_before = {"size": announced_size(source, options), "options": dict(options)}
            async with self._operation(
                hooks, "put", operation, checked, resolved, source, **told_before
            ) as told:
                count = counted(watched(checked, source, options))
                await store(resolved, checked, source, options)
                told(size=count())
        except Exception as error:
            if raised_by_source(source, error):
                raise
            self._fail(error, operation, path)
        finally:
            if isinstance(source, SourceFile):
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
            resolved = self._resolved()
            added = driver_content(content)
            if (hooks := self._manager().hooks.active) is None:
                await _rewrite_until_kept(resolved, checked, added, operation)
                return checked
            async with self._operation(
                hooks, "put", operation, checked, resolved, size=None, options={}
            ) as told:
                told(size=await _rewrite_until_kept(resolved, checked, added, operation))
        except Exception as error:
            self._fail(error, operation, path)
        return checked


async def _rewrite_until_kept(
    resolved: ResolvedDriver, path: str, added: Any, operation: str
) -> int:
    """Extend a file, again if somebody else changes it meanwhile; return its new length."""
    for _ in range(_APPEND_ATTEMPTS - 1):
        with contextlib.suppress(PreconditionFailedException):
            return await _rewrite(resolved, path, added, operation)
    return await _rewrite(resolved, path, added, operation)


async def _rewrite(resolved: ResolvedDriver, path: str, added: Any, operation: str) -> int:
    supported = resolved.capabilities.put_options
    options: dict[str, Any]
    try:
        info = await derived_stat(resolved, path)
        old = await resolved.driver.get(path)
    except FileNotFoundError:
        options = {"overwrite": False} if "overwrite" in supported else {}
        await store(resolved, path, added, options)
        return len(added)
    options = carried_options(supported, info, path)
    if "if_match" in supported:
        options["if_match"] = info.etag
    content = added + old if operation == "prepend" else old + added
    visibility = await _visibility(resolved, path)
    if visibility is not None:
        try:
            await store(resolved, path, content, options | {"visibility": visibility})
        except UnsupportedOperationException:
            pass  # a bucket without ACLs, where there is nothing to keep
        else:
            return len(content)
    await store(resolved, path, content, options)
    return len(content)


async def _visibility(resolved: ResolvedDriver, path: str) -> Visibility | None:
    """Return what a rewritten file must keep: a private one must not become public, or be lost."""
    if resolved.visibility is None or "visibility" not in resolved.capabilities.put_options:
        return None
    try:
        return await resolved.visibility.visibility(path)
    except (UnsupportedOperationException, PermissionError):
        return None  # who may not ask has not set it either


async def _delete(resolved: ResolvedDriver, paths: list[str]) -> dict[str, bool | Exception]:
    if resolved.bulk_delete is not None:
        return dict(await resolved.bulk_delete.delete_many(paths))
    gate = asyncio.Semaphore(_DELETES_AT_ONCE)

    async def delete(path: str) -> bool | Exception:
        async with gate:
            try:
                return await resolved.driver.delete(path)
            except Exception as error:
                return error

    return dict(zip(paths, await asyncio.gather(*map(delete, paths)), strict=True))
