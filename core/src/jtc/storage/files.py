"""Open files of `Disk.open`, with the methods of aiofiles' files.

Those of the sync API are files of `io`, in `jtc.storage.sync`.
"""

from jtc.storage._open_files import OpenFile, ReadableFile, WritableFile
from jtc.storage._text_files import TextFile

__all__ = ["OpenFile", "ReadableFile", "TextFile", "WritableFile"]
