"""Django under WSGI, with a disk's files served beside its pages."""

from __future__ import annotations

import sys
import threading
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.files.base import ContentFile

from jtc.storage import Storage
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.wsgi import mount, serve


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def urls() -> Iterator[str]:
    from django.http import HttpResponse
    from django.urls import path

    module = types.ModuleType("wsgi_urls")
    module.urlpatterns = [path("home/", lambda _request: HttpResponse("home"))]  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield module.__name__
    del sys.modules[module.__name__]


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_wsgi_application_of_django_serves_urls_of_storage(media: Any, urls: str) -> None:
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    driver = MemoryDriver(base_url="/media", secret="s" * 32)
    Storage.set_driver(driver, "media")
    name = media.save("d/ä.txt", ContentFile(b"private"))
    with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]):
        application = mount(WSGIHandler(), {"/media": serve(media.disk)})
        server = make_server("127.0.0.1", 0, application, handler_class=QuietHandler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            assert get(server.server_port, "/home/") == (200, b"home")
            assert get(server.server_port, media.url(name)) == (200, b"private")
            assert get(server.server_port, media.url(name).partition("?")[0])[0] == 404
            assert get(server.server_port, "/other/")[0] == 404
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
