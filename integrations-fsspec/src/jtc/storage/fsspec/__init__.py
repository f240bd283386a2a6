"""Any disk as an fsspec file system."""

from jtc.storage.fsspec._filesystem import JtcFileSystem

__all__ = ["JtcFileSystem"]
