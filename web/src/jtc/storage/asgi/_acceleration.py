"""Files sent by the web server in front: ``X-Accel-Redirect`` of nginx, ``X-Sendfile`` of Apache.

The application decides, and answers with a header in place of the content. The server opens the
file by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layer import Layer, layers_of, unwrap_path
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from jtc.storage import DiskOperations

__all__ = ["Accelerator", "XAccel", "XSendfile", "acceleration_headers"]


class Accelerator(Protocol):
    """What `serve` and `DiskResponse` take as ``accelerate``."""

    def header(self, file: str, path: str) -> tuple[str, str] | None:
        """Return the name and the value of a header that makes the server in front send a file.

        None is for a file that the header cannot name: the application then sends it itself.

        Args:
            file: The absolute file name.
            path: The path of the file below the root of its driver.
        """
        ...


class XAccel:
    """Lets nginx send the files of a local disk, by ``X-Accel-Redirect``.

    Args:
        location: The path of the internal location whose ``alias`` is the root of the disk, such as
            ``"/internal/"``.

    Raises:
        ValueError: The location does not begin and end with ``/``.
    """

    def __init__(self, location: str) -> None:
        if not (location.startswith("/") and location.endswith("/")):
            raise ValueError(f"A location begins and ends with '/', as in nginx, not {location!r}")
        self._location = location

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._location!r})"

    def header(self, file: str, path: str) -> tuple[str, str]:  # noqa: ARG002 - of the other server
        """Return ``X-Accel-Redirect`` with the percent-encoded URL of a file."""
        return "x-accel-redirect", quote(self._location + path)


class XSendfile:
    """Lets Apache send the files of a local disk, by ``X-Sendfile`` of mod_xsendfile."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def header(self, file: str, path: str) -> tuple[str, str] | None:  # noqa: ARG002 - as above
        """Return ``X-Sendfile`` with the absolute name of a file, in UTF-8 as it is."""
        if file != file.strip():
            return None  # servers remove spaces around a header's value
        return "x-sendfile", file.encode().decode("latin-1")


def acceleration_headers(
    accelerate: Accelerator, disk: DiskOperations, path: str
) -> dict[str, str]:
    """Return the headers of a response whose content the server in front sends; maybe none.

    Raises:
        StorageConfigException: The disk is not a local one, or a layer changes what is read.
    """
    file = disk.path(path)
    inner = unwrap_path(disk.driver, check_path(path))[1]
    if not (file.startswith("/") and file.endswith(f"/{inner}")):
        raise StorageConfigException(
            f"accelerate={accelerate!r} is for local disks: files of this one have no file names"
        )
    for layer in layers_of(disk.driver):
        if isinstance(layer, Layer) and "content" in layer.guards and "get" not in layer.passes:
            raise StorageConfigException(
                f"accelerate={accelerate!r} sends a file as it is stored, and the layer "
                f"{type(layer).__name__} may change what is read"
            )
    header = accelerate.header(file, inner)
    return {} if header is None else {header[0]: header[1], "content-length": "0"}
