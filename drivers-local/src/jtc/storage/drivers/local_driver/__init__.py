"""The local driver: files below one directory of this machine."""

from jtc.storage.drivers.local_driver._driver import LocalDriver

__all__ = ["LocalDriver"]
