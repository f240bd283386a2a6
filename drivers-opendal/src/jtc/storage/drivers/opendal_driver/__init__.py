"""The bridge of jtc-storage to the services of Apache OpenDAL."""

from jtc.storage.drivers.opendal_driver._driver import OpenDALDriver

__all__ = ["OpenDALDriver"]
