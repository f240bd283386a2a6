"""The official drivers by name, as in ``from jtc.storage.drivers import LocalDriver``.

Each is imported at its first use. Every driver is a separate distribution; a missing one is an
`ImportError` that names its extra. Third parties may install packages below this one: its path is
extended.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver import AzureDriver
    from jtc.storage.drivers.gcs_driver import GCSDriver
    from jtc.storage.drivers.local_driver import LocalDriver
    from jtc.storage.drivers.memory_driver import MemoryDriver
    from jtc.storage.drivers.opendal_driver import OpenDALDriver
    from jtc.storage.drivers.s3_driver import S3Driver
    from jtc.storage.drivers.sftp_driver import SFTPDriver

__all__ = [
    "AzureDriver",
    "GCSDriver",
    "LocalDriver",
    "MemoryDriver",
    "OpenDALDriver",
    "S3Driver",
    "SFTPDriver",
]

__path__ = extend_path(__path__, __name__)

_EXTRAS = {name: name.removesuffix("Driver").lower() for name in __all__}


def __getattr__(name: str) -> Any:
    """Import a driver's class.

    Raises:
        ImportError: Its distribution is not installed.
        AttributeError: There is no official driver of this name.
    """
    if name not in _EXTRAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    extra = _EXTRAS[name]
    module = f"{__name__}.{extra}_driver"
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"{name} is not installed. Install it with: pip install 'jtc-storage[{extra}]'",
            name=module,
        ) from None
