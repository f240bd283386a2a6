"""A tour of jtc-storage: with real files on the local disk, and on that of FILESYSTEM_DISK.

Without it, on S3 where AWS_BUCKET is set.

Run it with `make demo`, or with `python docs/examples/storage_example.py` where
`jtc-storage[local,memory]` is installed. It leaves nothing behind.
"""

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PreconditionFailedException,
    Storage,
    StorageConfigException,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage.drivers.memory_driver import MemoryDriver

# A disk may be a module-level constant: it looks up its driver at each operation.
MEDIA = Storage.disk("media")


def example(number: int, title: str) -> None:
    print(f"\n{number:2}. {title}")


async def tour(disk: Disk) -> None:
    """Show what every disk can do; all files are below `tour/`."""
    await basics(disk)
    await content(disk)
    await many_files(disk)
    await safe_writes(disk)
    await views_and_errors(disk)


async def basics(disk: Disk) -> None:
    """Show single files: content, metadata, URL."""
    example(1, "Store a file and read it back")
    path = await disk.put("tour/hello.txt", b"Hello, storage!")
    print(f"    {path}: {await disk.get(path)!r}")

    example(2, "Check whether a file exists, and delete it")
    await disk.put("tour/old.txt", b"x")
    print(f"    exists: {await disk.exists('tour/old.txt')}")
    print(f"    deleted: {await disk.delete('tour/old.txt')}, again: ", end="")
    print(await disk.delete("tour/old.txt"))

    example(3, "Metadata: size, time, type, checksum")
    info = await disk.stat(path)
    print(f"    {info.size} bytes, written at {info.last_modified:.0f}, etag {info.etag}")
    print(f"    {await disk.mime_type(path)}, sha256 {(await disk.checksum(path))[:16]}…")

    example(4, "The public URL, and where the backend keeps the file")
    print(f"    {disk.url('tour/a b.txt')}")
    print(f"    {disk.path('tour/a b.txt')}")


async def content(disk: Disk) -> None:
    """Show content of every kind, streams and file objects."""
    example(5, "Content of every kind: text, files, chunks, a path")
    await disk.put("tour/kinds/text.txt", "Grüße")
    await disk.put("tour/kinds/file.bin", io.BytesIO(b"from a file object"))
    await disk.put("tour/kinds/chunks.bin", chunks())
    await disk.put("tour/kinds/path.py", Path(__file__))
    print(f"    chunks.bin has {await disk.size('tour/kinds/chunks.bin')} bytes")

    example(6, "Streams and ranges, in constant memory")
    total = 0
    async for chunk in disk.stream("tour/kinds/chunks.bin", chunk_size=65_536):
        total += len(chunk)
    print(f"    streamed {total} bytes; the last five: ", end="")
    print(await disk.get_range("tour/kinds/chunks.bin", -5))

    example(7, "An async file object, as with aiofiles")
    async with disk.open("tour/lines.txt", "wb") as file:
        for number in range(3):
            await file.write(f"line {number}\n".encode())
    async with disk.open("tour/lines.txt") as file:
        print(f"    {[line async for line in file]}")


async def many_files(disk: Disk) -> None:
    """Show listings, copies and moves."""
    example(8, "Listing")
    print(f"    {await disk.files('tour')}")
    async for entry in disk.list("tour", recursive=True):
        print(f"    {entry.path}")

    example(9, "Copy and move, on a disk and across disks")
    await disk.copy("tour/hello.txt", "tour/copy.txt")
    await disk.move("tour/copy.txt", "tour/moved.txt")
    await disk.copy("tour/moved.txt", "hello.txt", to="memory")
    print(f"    on memory: {await Storage.disk('memory').get_text('hello.txt')}")


async def safe_writes(disk: Disk) -> None:
    """Show JSON, appending, conditional writes and user uploads."""
    example(10, "JSON, and adding to a file")
    await disk.put_json("tour/settings.json", {"theme": "dark"})
    await disk.append("tour/log.txt", "one\n")
    await disk.append("tour/log.txt", "two\n")
    print(f"    {await disk.get_json('tour/settings.json')}, {await disk.get('tour/log.txt')!r}")

    example(11, "Conditional writes: create only, and replace only the version you read")
    try:
        await disk.put("tour/hello.txt", b"mine!", overwrite=False)
    except (FileExistsException, UnsupportedOperationException) as error:
        print(f"    {error}")
    try:
        await disk.put("tour/hello.txt", b"mine!", if_match='"an-old-etag"')
    except (PreconditionFailedException, UnsupportedOperationException) as error:
        print(f"    {error}")

    example(12, "User uploads under safe names: the extension comes from the content")
    upload = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(64))
    print(f"    {await disk.put_file('tour/avatars', upload, max_size=1_000_000)}")


async def views_and_errors(disk: Disk) -> None:
    """Show views of a disk, exceptions, and capabilities."""
    example(13, "A scoped view of one directory, and a read-only view")
    tenant = disk.scoped("tour/tenants/42")
    await tenant.put("invoice.txt", b"42")
    print(f"    {await tenant.files()} is {await disk.all_files('tour/tenants')}")
    print(f"    reads: {await tenant.read_only().get('invoice.txt')!r}")

    example(14, "Errors that say what happened, where, and what to do")
    for wrong in ("tour/missing.txt", "../secret"):
        try:
            await disk.get(wrong)
        except (FileNotFoundException, InvalidPathException) as error:
            print(f"    {type(error).__name__}: {error}")

    example(15, "The capabilities of this disk's driver")
    print(f"    {', '.join(sorted(disk.capabilities.names))}")


async def chunks() -> AsyncIterator[bytes]:
    """Yield content in chunks, as the body of a request does."""
    for _ in range(10):
        yield bytes(100_000)


async def several_disks(root: Path) -> None:
    """Show the manager: named disks, by configuration, by a driver object, and built ad hoc."""
    example(16, "Named disks from a configuration (a mapping, or a TOML file)")
    os.environ["TOUR_ROOT"] = str(root / "media")
    toml = root / "storage.toml"
    toml.write_text(
        'default = "media"\n'
        "[disks.media]\n"
        'driver = "local"\n'
        'root = "${TOUR_ROOT}"\n'
        'base_url = "/media"\n'
        "[disks.scratch]\n"
        'driver = "memory"\n'
    )
    Storage.configure(toml)
    await MEDIA.put("cover.txt", b"by the module-level disk")
    await Storage.disk("scratch").put("cover.txt", b"in memory")
    print(f"    {Storage.disks()}: {Storage.url('cover.txt')} is {Storage.path('cover.txt')}")

    example(17, "A driver object of your own: eight methods, no base class; here MemoryDriver")
    Storage.set_driver(MemoryDriver(), "tests")
    await Storage.disk("tests").put("a.txt", b"1")
    print(f"    {Storage.disk('tests').driver_as(MemoryDriver).all_paths()}")

    example(18, "A disk without a name, closed after its block")
    async with Storage.build({"driver": "local", "root": str(root / "tenant")}) as disk:
        await disk.put("private.txt", b"", visibility=Visibility.PRIVATE)
        print(f"    {await disk.visibility('private.txt')}: {disk.path('private.txt')}")

    example(19, "A driver that is not installed")
    try:
        Storage.build({"driver": "ftp", "host": "example.org"})
    except StorageConfigException as error:
        print(f"    {error}")


async def main() -> None:
    """Take the tour."""
    name = os.environ.get("FILESYSTEM_DISK") or ("s3" if "AWS_BUCKET" in os.environ else "local")
    async with Storage:  # closes what was opened
        with tempfile.TemporaryDirectory(prefix="jtc-storage-tour-") as folder:
            root = Path(folder)
            print(f"jtc-storage on the local disk, in {root}")
            os.environ["FILESYSTEM_ROOT"] = str(root / "app")
            await tour(Storage.disk("local"))
            if name != "local":
                disk = Storage.disk(name)
                print(f"\nThe same on the disk {name!r}, at {disk.path('tour')}")
                await tour(disk)
                await disk.delete_directory("tour")
            print("\nAnd with several disks")
            await several_disks(root)
    if name == "local":
        print("\nSet FILESYSTEM_DISK to take the same tour on s3, azure, gcs or sftp, too.")


if __name__ == "__main__":
    asyncio.run(main())
