"""A Django project with models, migrations and static files on a disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile

from jtc.storage import Storage
from jtc.storage.drivers.memory_driver import MemoryDriver


def test_a_models_files_are_saved_read_replaced_and_deleted(media: Any, project: Any) -> None:
    upload = SimpleUploadedFile("my invoice.pdf", b"%PDF-1.7 one", "application/pdf")
    invoice = project.Invoice.objects.create(document=upload)
    name = invoice.document.name
    assert re.fullmatch(r"invoices/\d{4}/my_invoice\.pdf", name)
    assert Storage.sync.disk("media").get(name) == b"%PDF-1.7 one"

    found = project.Invoice.objects.get(pk=invoice.pk)
    assert found.document == name
    assert found.document.url == media.url(name)
    assert found.document.size == 12
    # It is opened at the first read, and again after it was closed.
    assert found.document.read(4) == b"%PDF"
    found.document.close()
    with found.document.open() as file:
        assert b"".join(file.chunks()) == b"%PDF-1.7 one"

    second = project.Invoice.objects.create(document=SimpleUploadedFile("my invoice.pdf", b"two"))
    assert second.document.name != name
    assert second.document.name.startswith(name.removesuffix(".pdf"))
    with found.document.open() as file:
        assert file.read() == b"%PDF-1.7 one"

    found.document.save("other.pdf", ContentFile(b"three"))
    with project.Invoice.objects.get(pk=invoice.pk).document.open() as file:
        assert file.read() == b"three"
    found.document.delete()
    assert not found.document
    assert len(media.listdir(name.rpartition("/")[0])[1]) == 2


def test_a_name_fits_into_the_fields_column(project: Any, media: Any) -> None:
    for _ in range(2):
        upload = SimpleUploadedFile("x" * 100 + ".pdf", b"1")
        invoice = project.Invoice(document=upload)
        invoice.save()
        assert len(invoice.document.name) <= 60
        assert media.exists(invoice.document.name)


def test_a_fields_own_storage_may_replace(project: Any, media: Any) -> None:
    for content in (b"1", b"22"):
        invoice = project.Invoice.objects.create(
            document=ContentFile(b"", name="a.pdf"), logo=ContentFile(content, name="logo.png")
        )
        assert invoice.logo.name == "logos/logo.png"
    assert media.size("logos/logo.png") == 2
    assert invoice.logo.size == 2


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_the_migration_names_the_storage_and_its_options(project: Any, media: Any) -> None:
    from django.core.management import call_command

    folder = Path(project.__file__).parent / "migrations"
    text = (folder / "0001_initial.py").read_text()
    assert 'jtc.storage.django.DiskStorage("media", allow_overwrite=True)' in text.replace("'", '"')
    call_command("makemigrations", "shop", "--check", "--dry-run", verbosity=0)
    assert media.disk.name == "media"


def test_static_files_are_collected_under_hashed_names(media: Any) -> None:
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.management import call_command

    staticfiles_storage._setup()  # the manifest of the disk of this test
    call_command("collectstatic", "--no-input", verbosity=0)
    url = staticfiles_storage.url("css/site.css", force=True)
    hashed = re.search(r"css/site\.[0-9a-f]{12}\.css", url)
    assert hashed is not None
    with media.open(hashed[0], "r") as file:
        text = file.read()
    assert re.search(r'url\("\.\./dot\.[0-9a-f]{12}\.svg"\)', text)
    assert media.exists("staticfiles.json")
    before = media.get_modified_time("dot.svg")
    call_command("collectstatic", "--no-input", verbosity=0)
    assert media.get_modified_time("dot.svg") == before  # what did not change stays

    media.save("old/one.txt", ContentFile(b"1"))
    call_command("collectstatic", "--no-input", "--clear", verbosity=0)
    assert not media.exists("old/one.txt")
    assert media.exists("css/site.css")


@pytest.mark.parametrize("kind", ["memory", "local"], indirect=True)
def test_an_async_view_stores_reads_and_names_files(media: Any, project: Any) -> None:
    from asgiref.sync import async_to_sync
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.management import call_command
    from django.http import HttpResponse
    from django.test import AsyncRequestFactory
    from django.utils.functional import empty

    call_command("collectstatic", "--no-input", verbosity=0)
    staticfiles_storage._wrapped = empty  # the view is the first to use it
    storages._storages.pop("staticfiles", None)

    async def view(request: Any) -> HttpResponse:
        (upload,) = request.FILES.values()
        invoice = await project.Invoice.objects.acreate(document=upload)
        content = await Storage.disk("media").get(invoice.document.name)
        with pytest.raises(RuntimeError, match="An event loop runs in this thread"):
            media.exists(invoice.document.name)
        headers = {"Link": invoice.document.url, "X-Style": staticfiles_storage.url("dot.svg")}
        return HttpResponse(content, headers=headers)

    upload = SimpleUploadedFile("a.txt", b"from afar")
    request = AsyncRequestFactory().post("/", {"file": upload})
    response = async_to_sync(view)(request)
    assert response.content == b"from afar"
    assert response["Link"].endswith("/a.txt")
    assert re.search(r"dot\.[0-9a-f]{12}\.svg", response["X-Style"])


@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_temporary_url_works_in_template_of_async_view(media: Any, project: Any) -> None:
    from asgiref.sync import async_to_sync
    from django.http import HttpResponse
    from django.template import Context, Engine
    from django.test import AsyncRequestFactory

    Storage.set_driver(MemoryDriver(base_url="https://files.test", secret="s" * 32), "media")

    class Row:
        def __init__(self, invoice: Any) -> None:
            self.document = invoice.document

        @property
        def link(self) -> str:
            link: str = media.disk.temporary_url(self.document.name, 300, stable_for=1e9)
            return link

    async def view(_request: Any) -> HttpResponse:
        invoice = await project.Invoice.objects.acreate(document=SimpleUploadedFile("a.txt", b"1"))
        expected = await Storage.disk("media").temporary_url(
            invoice.document.name, 300, stable_for=1e9
        )
        template = Engine().from_string("{% autoescape off %}{{ row.link }}{% endautoescape %}")
        assert template.render(Context({"row": Row(invoice)})) == expected
        return HttpResponse()

    assert async_to_sync(view)(AsyncRequestFactory().get("/")).status_code == 200


def test_image_field_has_width_and_height(media: Any, project: Any) -> None:
    import io

    from django.db import models

    Image = pytest.importorskip("PIL.Image")  # noqa: N806 - a module named like a class

    class Photo(models.Model):  # noqa: DJ008 - not shown
        image = models.ImageField(upload_to="photos", width_field="width", height_field="height")
        width = models.IntegerField(null=True)
        height = models.IntegerField(null=True)

        class Meta:
            app_label = "shop"
            managed = False

    assert project
    try:
        picture = io.BytesIO()
        Image.new("RGB", (40, 30)).save(picture, "PNG")
        upload = SimpleUploadedFile("a.png", picture.getvalue(), "image/png")
        Image.open(upload).load()  # which leaves it behind the picture's last byte
        photo = Photo()
        photo.image.save("a.png", upload, save=False)
        assert (photo.width, photo.height) == (40, 30)
        assert media.size(photo.image.name) == len(picture.getvalue())
        found = Photo(image=photo.image.name)
        assert (found.image.width, found.image.height) == (40, 30)
        with found.image.open() as file, Image.open(file) as image:
            assert image.size == (40, 30)
    finally:
        from django.apps import apps

        del apps.all_models["shop"]["photo"]
        apps.clear_cache()


@pytest.mark.usefixtures("media")
@pytest.mark.parametrize("kind", ["memory"], indirect=True)
def test_static_files_of_private_disk_have_plain_urls() -> None:
    from jtc.storage.django.staticfiles import ManifestDiskStorage

    Storage.set_driver(MemoryDriver(base_url="https://files.test", secret="s" * 32), "media")
    storage = ManifestDiskStorage("media", location="v1")
    name = storage.save("a.css", ContentFile(b"a { }"))
    assert [done for _, _, done in storage.post_process({name: (storage, name)})] == [True]
    assert re.fullmatch(r"https://files.test/v1/a\.[0-9a-f]{12}\.css", storage.url(name))


def test_storages_of_the_settings_take_all_options(media: Any) -> None:
    from django.core.files.storage import storages
    from django.test import override_settings

    options = {
        "disk": "media",
        "location": "a/b",
        "overwrite": True,
        "cache_control": "no-cache",
        "signed": False,
        "expires_in": 60,
        "base_url": "/m/",
    }
    backend = {"BACKEND": "jtc.storage.django.DiskStorage", "OPTIONS": options}
    with override_settings(STORAGES={"default": backend, "staticfiles": backend}):
        storage = storages["default"]
        assert storage.save("c.txt", ContentFile(b"1")) == "c.txt"
        assert storage.url("c.txt") == "/m/c.txt"
    assert media.exists("a/b/c.txt")
