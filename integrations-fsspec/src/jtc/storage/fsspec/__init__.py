"""Any disk as an fsspec file system: ``jtc://disk/path``."""

from jtc.storage.fsspec._filesystem import JtcFileSystem

__all__ = ["JtcFileSystem"]
