"""State machine of random operations on three disks: all must do what memory does."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faulty_proxy import Fault
from jtc.storage import Disk, StorageException, StorageFullException, Visibility
from jtc.storage.driver_support.mime_types import guess_type
from local_ways import names_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from faulty_proxy import FaultyProxy

# None is below another: a file and a directory of one name are one on S3, and two on local.
FILES = ("a.txt", "b b.bin", "d-x", "d/a.txt", "d/é.json", "d/e/deep", "e/f!")
DIRECTORIES = ("d", "d/e", "e")
ODD = ("", "../a.txt", "d//a.txt", "d/./a.txt", "a\\b", "d/", "x\x00", "d/.jtc-tmp-x")

files = st.sampled_from(FILES)
directories = st.sampled_from(DIRECTORIES)
positions = st.integers(-30, 30)


class _SourceError(Exception):
    """What a caller's content raises in the middle."""


@dataclass
class Arena:
    """What all runs of the machine share.

    Attributes:
        run: Runs a coroutine to its end.
        disks: By name; "memory" is the model.
        aside: For each of them a memory disk beside it, to copy to.
        proxy: What stands before the S3 store.
        counts: How many steps were taken, and how many outcomes compared.
    """

    run: Callable[[Awaitable[Any]], Any]
    disks: dict[str, Disk]
    aside: dict[str, Disk]
    proxy: FaultyProxy
    counts: dict[str, int] = field(
        default_factory=lambda: {"steps": 0, "compared": 0, "faults": 0, "cancelled": 0}
    )
    runs: Iterator[int] = field(default_factory=itertools.count)


@dataclass(frozen=True)
class Version:
    """A file as it was seen once: each disk has its own etag for it."""

    path: str
    content: bytes
    etags: dict[str, str | None]


async def outcome(call: Awaitable[object]) -> tuple[object, ...]:
    """Return what a call returned, or what it raised, in words that can be compared."""
    try:
        return ("returned", await call)
    except StorageException as error:
        return ("raised", type(error).__name__, error.path, error.operation)
    except (_SourceError, ValueError) as error:
        return ("raised", type(error).__name__)


async def pieces(content: bytes, broken_at: int | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 7):
        if broken_at is not None and start >= broken_at:
            raise _SourceError
        yield content[start : start + 7]
    if broken_at is not None:
        raise _SourceError


class DiskMachine(RuleBasedStateMachine):
    """Each rule does one thing on all disks and compares what came of it."""

    def __init__(self, arena: Arena) -> None:
        super().__init__()
        self.arena = arena
        self.number = 0
        self.versions: list[Version] = []
        self.ever: set[str] = set()
        # Copies under a name that says another type: S3 lets the one that it inferred travel.
        self.retyped: set[str] = set()

    @initialize()
    def begin(self) -> None:
        name = f"run-{next(self.arena.runs)}"
        self.disks = {each: disk.scoped(name) for each, disk in self.arena.disks.items()}
        self.aside = {each: disk.scoped(name) for each, disk in self.arena.aside.items()}
        self.model = self.disks["memory"]

    def teardown(self) -> None:
        self.arena.proxy.faults.clear()

    # How a step is taken

    def same(self, call: Callable[[Disk], Awaitable[object]], what: str) -> tuple[object, ...]:
        """Do something on each disk; all outcomes must be the model's."""
        self.arena.counts["compared"] += 1

        async def on_all() -> list[tuple[object, ...]]:
            return [await outcome(call(disk)) for disk in self.disks.values()]

        expected, *others = outcomes = self.arena.run(on_all())
        for name, other in zip(list(self.disks)[1:], others, strict=True):
            assert other == expected, f"{what} on {name}: {other}, on memory: {expected}"
        return outcomes[0]

    def new_content(self, size: int) -> bytes:
        # Never the same twice: an S3 etag distinguishes contents, other etags distinguish writes.
        self.number += 1
        return f"{self.number}:".encode() + bytes(range(256)) * (size // 256) + b"." * (size % 256)

    def content_of(self, path: str) -> bytes | None:
        kind, value, *_ = self.arena.run(outcome(self.model.get(path)))
        return value if kind == "returned" else None

    # Writing

    @rule(
        path=files,
        size=st.integers(0, 2000),
        kind=st.sampled_from(("bytes", "str", "chunks", "file")),
    )
    def put(self, path: str, size: int, kind: str) -> None:
        content = self.new_content(size)

        def source() -> Any:
            if kind == "str":
                return content.decode("latin-1")
            if kind == "chunks":
                return pieces(content)
            return io.BytesIO(content) if kind == "file" else content

        self.same(lambda disk: disk.put(path, source()), f"put {kind} to {path}")
        self.ever.add(path)

    @rule(
        path=files,
        content_type=st.sampled_from((None, "text/x-odd", "image/png")),
        metadata=st.sampled_from((None, {"a": "b"}, {"long-name": "ü 文 %"})),
        cache_control=st.sampled_from((None, "no-store")),
    )
    def put_with_options(
        self,
        path: str,
        content_type: str | None,
        metadata: dict[str, str] | None,
        cache_control: str | None,
    ) -> None:
        self.ever.add(path)
        content = self.new_content(5)
        options: Any = {
            name: value
            for name, value in (
                ("content_type", content_type),
                ("metadata", metadata),
                ("cache_control", cache_control),
            )
            if value is not None
        }
        self.same(lambda disk: disk.put(path, content, **options), f"put with {options}")

    @rule(path=files)
    def create(self, path: str) -> None:
        self.ever.add(path)
        content = self.new_content(9)
        self.same(lambda disk: disk.put(path, content, overwrite=False), f"create {path}")

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def put_if_match(self, data: st.DataObject) -> None:
        seen = data.draw(st.sampled_from(self.versions))
        if self.is_ambiguous(seen):
            return
        content = self.new_content(9)
        self.ever.add(seen.path)
        self.same(
            lambda disk: disk.put(seen.path, content, if_match=self.etag_on(disk, seen)),
            f"put if {seen.path} is a version seen before",
        )

    def is_ambiguous(self, seen: Version) -> bool:
        """Return whether the same bytes were written again: S3's etag is the same, others' not."""
        if self.content_of(seen.path) != seen.content:
            return False
        now = self.arena.run(self.model.stat(seen.path)).etag
        return now != seen.etags["memory"]

    def etag_on(self, disk: Disk, seen: Version) -> str | None:
        return next(seen.etags[name] for name, each in self.disks.items() if each is disk)

    @rule(path=files, by=st.sampled_from(("size", "max_size", "allowed_types")))
    def put_what_is_refused(self, path: str, by: str) -> None:
        self.ever.add(path)
        content = self.new_content(100)
        limits: Any = {"size": 50, "max_size": 50, "allowed_types": ["image/*"]}
        self.same(
            lambda disk: disk.put(path, pieces(content), **{by: limits[by]}),
            f"put to {path}, refused by {by}",
        )

    @rule(path=files, broken_at=st.integers(0, 3000))
    def put_what_breaks(self, path: str, broken_at: int) -> None:
        self.ever.add(path)
        content = self.new_content(3000)
        self.same(
            lambda disk: disk.put(path, pieces(content, broken_at)),
            f"put a broken source to {path}",
        )

    @rule(path=st.sampled_from(ODD))
    def odd_paths(self, path: str) -> None:
        self.same(lambda disk: disk.put(path, b"1"), f"put to {path!r}")
        self.same(lambda disk: disk.get(path), f"get {path!r}")
        self.same(lambda disk: disk.delete(path), f"delete {path!r}")

    @rule(path=files, where=st.sampled_from(("append", "prepend")))
    def extend(self, path: str, where: str) -> None:
        self.ever.add(path)
        content = self.new_content(3)
        self.same(lambda disk: getattr(disk, where)(path, content), f"{where} to {path}")

    @rule(path=files)
    def json(self, path: str) -> None:
        self.ever.add(path)
        self.number += 1
        value = {"number": self.number, "ü": [None, 1.5]}
        self.same(lambda disk: disk.put_json(path, value), f"put JSON to {path}")
        assert self.same(lambda disk: disk.get_json(path), f"get JSON of {path}")[1] == value

    @rule(path=files, mode=st.sampled_from(("wb", "xb", "ab")), fails=st.booleans())
    def write_by_pieces(self, path: str, mode: Any, fails: bool) -> None:
        self.ever.add(path)
        content = self.new_content(50)

        async def write(disk: Disk) -> None:
            async with disk.open(path, mode) as file:
                for start in range(0, len(content), 11):
                    await file.write(content[start : start + 11])
                if mode != "ab":
                    await file.seek(3)
                    await file.write(b"...")
                if fails:
                    raise _SourceError

        self.same(write, f"write {path} by pieces in mode {mode}")

    @rule(directory=directories, name=st.sampled_from((None, "photo.JPG")))
    def upload(self, directory: str, name: str | None) -> None:
        content = self.new_content(20)

        async def put_file(disk: Disk) -> tuple[str, bytes, bool]:
            # The name is another one each time.
            path = await disk.put_file(directory, content)
            return path.rpartition("/")[0], await disk.get(path), await disk.delete(path)

        async def put_file_as(disk: Disk) -> tuple[str, bytes, bool]:
            path = await disk.put_file_as(directory, content, name or "")
            return path, await disk.get(path), await disk.delete(path)

        self.same(put_file_as if name else put_file, f"upload to {directory}")
        self.ever.add(f"{directory}/upload")

    @rule(
        path=files,
        content_type=st.sampled_from((None, "text/x-changed")),
        metadata=st.sampled_from(({}, {"a": "c"})),
    )
    def set_metadata(self, path: str, content_type: str | None, metadata: dict[str, str]) -> None:
        self.same(
            lambda disk: disk.set_metadata(path, content_type=content_type, metadata=metadata),
            f"set metadata of {path}: {content_type}, {metadata}",
        )
        if content_type is not None and self.content_of(path) is not None:
            self.retyped.discard(path)

    # Reading

    @rule(path=files)
    def read(self, path: str) -> None:
        self.same(lambda disk: disk.get(path), f"get {path}")
        self.same(lambda disk: disk.get_text(path, encoding="latin-1"), f"get text of {path}")

    @rule(path=files, start=positions, end=st.none() | positions)
    def read_range(self, path: str, start: int, end: int | None) -> None:
        self.same(lambda disk: disk.get_range(path, start, end), f"range {start}:{end} of {path}")

    @rule(path=files, ranges=st.lists(st.tuples(positions, st.none() | positions), max_size=4))
    def read_ranges(self, path: str, ranges: list[tuple[int, int | None]]) -> None:
        self.same(lambda disk: disk.get_ranges(path, ranges), f"ranges {ranges} of {path}")

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), condition=st.sampled_from(("if_match", "if_none_match")))
    def read_if(self, data: st.DataObject, condition: str) -> None:
        seen = data.draw(st.sampled_from(self.versions))
        if self.is_ambiguous(seen):
            return

        def options(disk: Disk) -> Any:
            return {condition: self.etag_on(disk, seen)}

        what = f"{seen.path} with {condition} of a version seen before"
        self.same(lambda disk: disk.get(seen.path, **options(disk)), f"get {what}")
        self.same(
            lambda disk: disk.get_range(seen.path, 2, 5, **options(disk)), f"get a range of {what}"
        )

    @rule(path=files, start=positions, chunk_size=st.integers(1, 3000))
    def read_stream(self, path: str, start: int, chunk_size: int) -> None:
        async def read(disk: Disk) -> tuple[int, bytes]:
            async with disk.stream(path, start=start, chunk_size=chunk_size) as stream:
                return stream.info.size, b"".join([chunk async for chunk in stream])

        self.same(read, f"stream {path} from {start}")

    @rule(path=files)
    def download(self, path: str) -> None:
        async def download(disk: Disk) -> tuple[int, bytes]:
            with tempfile.TemporaryDirectory() as directory:
                target = Path(directory, "copy")
                info = await disk.download(path, target)
                assert names_in(Path(directory)) == ["copy"]
                return info.size, target.read_bytes()

        self.same(download, f"download {path}")

    @rule(path=files)
    def read_file(self, path: str) -> None:
        async def read(disk: Disk) -> list[bytes]:
            async with disk.open(path) as file:
                return [await file.read(3), await file.read(-1)]

        self.same(read, f"open {path}")

    @rule(path=files)
    def metadata(self, path: str) -> None:
        async def look(disk: Disk) -> tuple[object, ...]:
            info = await disk.stat(path)
            assert abs(info.last_modified - time.time()) < 600
            # The local disk keeps what was declared, others also what was inferred.
            content_type = info.content_type or await disk.mime_type(path)
            if path in self.retyped:
                content_type = "of either name"
            return (
                *(info.path, info.size, content_type, info.cache_control),
                *(info.content_disposition, dict(info.metadata)),
            )

        self.same(look, f"stat {path}")
        self.same(lambda disk: disk.size(path), f"size of {path}")
        self.same(lambda disk: disk.exists(path), f"exists {path}")
        self.same(lambda disk: disk.missing(path), f"missing {path}")
        if path not in self.retyped:
            self.same(lambda disk: disk.mime_type(path), f"MIME type of {path}")
        self.same(lambda disk: disk.checksum(path), f"checksum of {path}")

    @rule(path=files)
    def remember(self, path: str) -> None:
        content = self.content_of(path)
        if content is None:
            return

        async def etags() -> dict[str, str | None]:
            return {name: (await disk.stat(path)).etag for name, disk in self.disks.items()}

        self.versions.append(Version(path, content, self.arena.run(etags())))

    @rule(path=files, visibility=st.sampled_from(list(Visibility)))
    def visibility(self, path: str, visibility: Visibility) -> None:
        async def change(disk: Disk) -> Visibility:
            await disk.set_visibility(path, visibility)
            return await disk.visibility(path)

        self.same(change, f"{visibility} for {path}")

    # Deleting, copying, moving

    @rule(path=files)
    def delete(self, path: str) -> None:
        self.same(lambda disk: disk.delete(path), f"delete {path}")

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def delete_if(self, data: st.DataObject) -> None:
        seen = data.draw(st.sampled_from(self.versions))
        if self.is_ambiguous(seen):
            return
        self.same(
            lambda disk: disk.delete(seen.path, if_match=self.etag_on(disk, seen)),
            f"delete {seen.path} if it is a version seen before",
        )

    @rule(paths=st.lists(st.sampled_from((*FILES, *ODD)), max_size=6))
    def delete_many(self, paths: list[str]) -> None:
        async def delete(disk: Disk) -> dict[str, object]:
            return {
                path: result if isinstance(result, bool) else type(result).__name__
                for path, result in (await disk.delete_many(paths)).items()
            }

        self.same(delete, f"delete {paths}")

    @rule(
        src=files,
        dst=files,
        how=st.sampled_from(("copy", "move")),
        overwrite=st.booleans(),
        content_type=st.sampled_from((None, "text/x-other")),
    )
    def transfer(
        self, src: str, dst: str, how: str, overwrite: bool, content_type: str | None
    ) -> None:
        options: Any = {"overwrite": overwrite}
        if content_type:
            options["content_type"] = content_type
        self.same(
            lambda disk: getattr(disk, how)(src, dst, **options), f"{how} {src} to {dst}, {options}"
        )
        self.ever.add(dst)
        if content_type is None:
            self.carry_type(src, dst)

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), dst=files, how=st.sampled_from(("copy", "move")))
    def transfer_if_match(self, data: st.DataObject, dst: str, how: str) -> None:
        seen = data.draw(st.sampled_from(self.versions))
        if self.is_ambiguous(seen):
            return
        self.same(
            lambda disk: getattr(disk, how)(
                seen.path, dst, if_source_match=self.etag_on(disk, seen)
            ),
            f"{how} {seen.path} to {dst} if it is a version seen before",
        )
        self.ever.add(dst)
        self.carry_type(seen.path, dst)

    @rule(src=files, dst=files, how=st.sampled_from(("copy", "move")))
    def transfer_aside_and_back(self, src: str, dst: str, how: str) -> None:
        async def there(disk: Disk) -> bytes:
            aside = next(self.aside[name] for name, each in self.disks.items() if each is disk)
            await getattr(disk, how)(src, dst, to=aside)
            content = await aside.get(dst)
            await aside.move(dst, dst, to=disk)
            return content

        self.same(there, f"{how} {src} to another disk and back as {dst}")
        self.ever.add(dst)
        self.carry_type(src, dst)

    def carry_type(self, src: str, dst: str) -> None:
        if src in self.retyped or guess_type(src) != guess_type(dst):
            self.retyped.add(dst)

    # Directories and listings

    @rule(directory=directories)
    def make_directory(self, directory: str) -> None:
        self.same(lambda disk: disk.make_directory(directory), f"make {directory}")
        self.same(lambda disk: disk.directory_exists(directory), f"{directory} exists")
        self.ever.add(f"{directory}/made")

    @rule(directory=directories)
    def delete_directory(self, directory: str) -> None:
        self.same(lambda disk: disk.delete_directory(directory), f"delete {directory}")
        assert self.same(lambda disk: disk.all_files(directory), f"files of {directory}")[1] == []

    @rule(directory=st.sampled_from(("", *DIRECTORIES)), recursive=st.booleans())
    def listing(self, directory: str, recursive: bool) -> None:
        async def found(disk: Disk) -> tuple[object, ...]:
            entries = [e async for e in disk.list(directory, recursive=recursive)]
            again = [e.path async for e in disk.list(directory, recursive=recursive)]
            assert [entry.path for entry in entries] == again
            # Resumed anywhere, it goes on as it would have.
            for place in range(len(entries)):
                rest = disk.list(directory, recursive=recursive, start_after=entries[place])
                assert [entry.path async for entry in rest] == again[place + 1 :]
            sizes = {e.path: e.size for e in entries if hasattr(e, "size")}
            # In an order of the backend's own; an emptied directory may stay or go.
            all_files = await disk.all_files(directory)
            full = {
                e.path
                for e in entries
                if not hasattr(e, "size") and any(f.startswith(f"{e.path}/") for f in all_files)
            }
            return sizes, full, sorted(all_files), sorted(await disk.files(directory))

        self.same(found, f"list {directory!r}, recursive={recursive}")

    @rule(directory=st.sampled_from(("", *DIRECTORIES)))
    def usage(self, directory: str) -> None:
        self.same(lambda disk: disk.usage(directory), f"usage of {directory!r}")

    @rule(pattern=st.sampled_from(("*.txt", "d/*", "**/*.json", "d/**", "**/[!a]*")))
    def glob(self, pattern: str) -> None:
        async def found(disk: Disk) -> list[str]:
            return sorted(await disk.glob(pattern))

        self.same(found, f"glob {pattern!r}")

    @rule(path=files)
    def entry(self, path: str) -> None:
        async def found(disk: Disk) -> tuple[str, int] | None:
            entry = await disk.entry(path)
            return None if entry is None else (entry.path, getattr(entry, "size", -1))

        self.same(found, f"entry at {path}")

    @rule(directory=directories)
    def directory_exists(self, directory: str) -> None:
        paths = self.arena.run(self.model.all_files(directory))
        if paths or not any(path.startswith(f"{directory}/") for path in self.ever):
            self.same(lambda disk: disk.directory_exists(directory), f"{directory} exists")

    # Views

    @rule(path=files)
    def a_view_sees_the_same(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        if directory:
            content = self.new_content(4)
            self.same(lambda disk: disk.scoped(directory).put(name, content), f"put in {directory}")
            self.same(lambda disk: disk.scoped(directory).get(name), f"get in {directory}")
            self.ever.add(path)
        self.same(lambda disk: disk.read_only().get(path), f"get {path}, read-only")
        self.same(lambda disk: disk.read_only().put(path, b"1"), f"put {path}, read-only")
        self.same(lambda disk: disk.read_only().delete(path), f"delete {path}, read-only")

    # Faults and cancellations

    @rule(
        kind=st.sampled_from(("cut", "cut", "truncate", "truncate", "503", "lose")),
        method=st.sampled_from(("GET", "HEAD", "PUT", "DELETE")),
        at=st.integers(0, 2000),
        path=files,
    )
    def fault(self, kind: str, method: str, at: int, path: str) -> None:
        """Break the next request of a kind on its way to S3; results must stay the same."""
        self.ever.add(path)
        faults = {
            "cut": Fault("GET", cut=at),
            "truncate": Fault("GET", truncate=at),
            "503": Fault(method, status=503),
            "lose": Fault(method, lose=True),
        }
        self.arena.counts["faults"] += 1
        self.arena.proxy.faults = [faults[kind]]
        content = self.new_content(1500)
        self.same(lambda disk: disk.put(path, content), f"put to {path} with a fault: {kind}")
        self.same(lambda disk: disk.get(path), f"get {path} with a fault: {kind}")
        self.same(lambda disk: disk.delete(path), f"delete {path} with a fault: {kind}")
        self.arena.proxy.faults = []

    @rule(path=files)
    def full_device(self, path: str) -> None:
        """Have the system refuse a write of the local disk in its middle."""
        self.ever.add(path)
        self.arena.counts["faults"] += 1
        before = self.content_of(path)
        local = self.disks["local"]

        async def write() -> tuple[object, ...]:
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limit[1]))
            try:
                return await outcome(local.put(path, bytes(300_000)))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limit)

        found = self.arena.run(write())
        assert found == ("raised", StorageFullException.__name__, path, "put")
        after = self.arena.run(outcome(local.get(path)))
        assert (after[1] if after[0] == "returned" else None) == before

    @rule(
        path=files,
        rounds=st.integers(0, 60),
        how=st.sampled_from(("put", "chunks", "append", "delete", "move")),
    )
    def cancel(self, path: str, rounds: int, how: str) -> None:
        """Cancel a change in its middle: it has happened, or it has not."""
        self.arena.counts["cancelled"] += 1
        before = self.content_of(path)
        content, added = self.new_content(1500), self.new_content(3)
        target = "d/moved"
        after = {
            "put": content,
            "chunks": content,
            "append": (before or b"") + added,
            "delete": None,
            "move": None,
        }[how]

        def change(disk: Disk) -> Awaitable[object]:
            if how == "chunks":
                return disk.put(path, pieces(content))
            if how == "append":
                return disk.append(path, added)
            if how == "delete":
                return disk.delete(path)
            return disk.put(path, content) if how == "put" else disk.move(path, target)

        async def change_and_cancel(disk: Disk, name: str) -> list[bytes | None]:
            # A task that is cancelled before it begins has not called the method either.
            async def changing() -> object:
                return await outcome(change(disk))

            task = asyncio.ensure_future(changing())
            for _ in range(rounds):
                await asyncio.sleep(0 if name == "memory" else 0.0005)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return [await self.settled(disk, each, name) for each in (path, target)]

        for name, disk in self.disks.items():
            found, moved = self.arena.run(change_and_cancel(disk, name))
            message = f"{how} of {path} was cancelled on {name}: {found!r}, was {before!r}"
            assert found in (before, after), message
            if how == "move" and before is not None:
                # In its middle both are there; never neither.
                assert before in (found, moved), message
        # All alike again, whatever happened to each.
        self.same(lambda disk: disk.put(path, content), f"put to {path} after a cancellation")
        self.arena.run(self.clear(target))
        self.ever |= {path, target}

    async def settled(self, disk: Disk, path: str, name: str) -> bytes | None:
        """Return a file's content once nothing that was sent before can change it any more."""
        while name == "s3" and self.arena.proxy.busy:
            await asyncio.sleep(0.005)
        found = await outcome(disk.get(path))
        if name != "s3":
            # There nothing changes after a CancelledError, not even a moment later.
            await asyncio.sleep(0.002)
            assert await outcome(disk.get(path)) == found
        return found[1] if found[0] == "returned" else None  # type: ignore[return-value]

    async def clear(self, path: str) -> None:
        for disk in self.disks.values():
            await disk.delete(path)

    # What holds at all times

    @invariant()
    def no_file_too_many_or_too_few(self) -> None:
        if not hasattr(self, "disks"):
            return
        self.arena.counts["steps"] += 1

        async def names() -> list[list[str]]:
            return [sorted(await disk.all_files()) for disk in self.disks.values()]

        expected, *others = self.arena.run(names())
        assert others == [expected] * len(others)
        # A directory that a file was in, or should have been, may stay without it, or not.
        self.ever.update(expected)
