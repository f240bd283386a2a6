"""The view that serves attachments of a Django project, under WSGI and ASGI."""

from __future__ import annotations

import os
from typing import Any

import pytest


def member(club: Any, content: bytes, name: str = "me.txt") -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return club.Member.objects.create(name="Ada", avatar=SimpleUploadedFile(name, content))


@pytest.fixture
def large(club: Any) -> Any:
    """Give an object whose file is sent in several parts."""
    return club.Trainer.objects.create(name="Eve", licence=b"%PDF-1.7 " + os.urandom(3_000_000))


@pytest.fixture
def client(club: Any) -> Any:
    from django.test import Client
    from django.test.utils import override_settings

    with override_settings(ALLOWED_HOSTS=["testserver"]):
        yield Client()


@pytest.fixture
def async_client(client: Any) -> Any:
    from django.test import AsyncClient

    return AsyncClient()


def test_view_sends_the_file_that_a_url_names(club: Any, client: Any) -> None:
    me = member(club, b"one")
    response = client.get(me.avatar.url())
    assert (response.status_code, response.getvalue()) == (200, b"one")
    assert response["content-type"].startswith("text/plain")
    assert response["content-length"] == "3"
    assert "immutable" in response["cache-control"]
    again = client.get(me.avatar.url(), headers={"if-none-match": response["etag"]})
    assert (again.status_code, again.getvalue()) == (304, b"")
    part = client.get(me.avatar.url(), headers={"range": "bytes=1-1"})
    assert (part.status_code, part.getvalue()) == (206, b"n")
    head = client.head(me.avatar.url())
    assert (head.status_code, head["content-length"], head.getvalue()) == (200, "3", b"")
    saved = client.get(me.avatar.url(download="Größe.txt"))
    assert saved["content-disposition"].startswith("attachment")


def test_view_sends_a_large_file(client: Any, large: Any) -> None:
    response = client.get(large.licence.url())
    assert len(list(response.streaming_content)) > 1
    assert client.get(large.licence.url()).getvalue()[:9] == b"%PDF-1.7 "


def test_view_stops_where_the_client_is_gone(client: Any, large: Any) -> None:
    response = client.get(large.licence.url())
    assert next(iter(response.streaming_content))
    response.close()
    assert len(client.get(large.licence.url()).getvalue()) == large.licence.size


def test_view_refuses_other_urls_and_methods(club: Any, client: Any) -> None:
    me = member(club, b"one")
    url = me.avatar.url()
    assert client.get(url.replace("signature=", "signature=x")).status_code == 403
    assert client.get("/attachments/club_member.avatar/x/original.txt").status_code == 403
    assert client.post(url).status_code == 405
    me.avatar = None
    me.save()
    assert client.get(url).status_code == 200  # for `keep`


def test_view_of_a_file_that_is_gone_is_404(club: Any, client: Any) -> None:
    from jtc.storage import Storage

    me = member(club, b"one")
    Storage.sync.disk("media").delete_directory(me.avatar.own_directory)
    assert client.get(me.avatar.url()).status_code == 404


async def test_view_sends_a_large_file_under_asgi(async_client: Any, large: Any) -> None:
    response = await async_client.get(large.licence.url())
    assert response.is_async
    chunks = [chunk async for chunk in response.streaming_content]
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == large.licence.size


async def test_view_stops_under_asgi_where_the_client_is_gone(
    async_client: Any, large: Any
) -> None:
    response = await async_client.get(large.licence.url())
    async for chunk in response.streaming_content:
        assert chunk
        break
    await response.streaming_content.aclose()
    response = await async_client.get(large.licence.url())
    assert sum([len(chunk) async for chunk in response.streaming_content]) == large.licence.size
