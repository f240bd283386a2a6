"""The SFTP driver of jtc-storage."""

from jtc.storage.drivers.sftp_driver._driver import SFTPDriver

__all__ = ["SFTPDriver"]
