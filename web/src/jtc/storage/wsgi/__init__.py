"""WSGI integration: files of any disk over HTTP, in Flask, Django and every other WSGI framework.

Install it with ``pip install 'jtc-storage[web]'``. It has the responses of `jtc.storage.asgi`.

* `serve` makes an application; `mount` puts it beside another one.
* `DiskResponse` is a response with one file for a view to return, `ZipResponse` one with many.
"""

from jtc.storage.wsgi._application import (
    DiskResponse,
    WsgiApplication,
    ZipResponse,
    mount,
    serve,
)

__all__ = ["DiskResponse", "WsgiApplication", "ZipResponse", "mount", "serve"]
