"""Files of any disk over HTTP, in any ASGI framework: ``pip install 'jtc-storage[web]'``.

`serve` is an application to mount, `DiskResponse` an answer to return from a handler. `put_request`
and `put_request_file` store a request's body, `disk` is a dependency, `closing_disks` a lifespan,
`storage_problem` an exception handler. `status_of` says an error as an HTTP status, and
`attachment` writes a Content-Disposition.
"""

from jtc.storage.asgi._application import ServedDisk, serve
from jtc.storage.asgi._dependencies import closing_disks, disk
from jtc.storage.asgi._errors import status_of
from jtc.storage.asgi._headers import attachment
from jtc.storage.asgi._problems import storage_problem
from jtc.storage.asgi._requests import put_request, put_request_file
from jtc.storage.asgi._responses import DiskResponse

__all__ = [
    "DiskResponse",
    "ServedDisk",
    "attachment",
    "closing_disks",
    "disk",
    "put_request",
    "put_request_file",
    "serve",
    "status_of",
    "storage_problem",
]
