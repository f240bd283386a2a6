"""Web integration: files of any disk over HTTP, in any ASGI framework.

Install it with ``pip install 'jtc-storage[web]'``.

* `serve` makes an application to mount; `DiskResponse` is a response for a handler to return.
* `ZipResponse` is a response with many files as one zip archive.
* `put_request` and `put_request_file` store the body of a request.
* `disk` makes a dependency, `closing_disks` a lifespan.
* `storage_problem` is an exception handler, and `status_of` gives the HTTP status of an error.
* `XAccel` and `XSendfile` let nginx or Apache in front send the files.
* `attachment` writes a Content-Disposition header.
"""

from jtc.storage.asgi._acceleration import Accelerator, XAccel, XSendfile
from jtc.storage.asgi._application import ServedDisk, serve
from jtc.storage.asgi._dependencies import closing_disks, disk
from jtc.storage.asgi._errors import status_of
from jtc.storage.asgi._headers import attachment
from jtc.storage.asgi._problems import storage_problem
from jtc.storage.asgi._requests import put_request, put_request_file
from jtc.storage.asgi._responses import DiskResponse
from jtc.storage.asgi._zip_response import ZipResponse

__all__ = [
    "Accelerator",
    "DiskResponse",
    "ServedDisk",
    "XAccel",
    "XSendfile",
    "ZipResponse",
    "attachment",
    "closing_disks",
    "disk",
    "put_request",
    "put_request_file",
    "serve",
    "status_of",
    "storage_problem",
]
