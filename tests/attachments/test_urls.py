"""URLs of attachments."""

from __future__ import annotations

import pickle
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from attachment_fields import SECRET, FixedRecipe, added, local_registry
from jtc.storage import StorageManager
from jtc.storage.attachments import Attachment, Field, Registry, Variant
from jtc.storage.exceptions import StorageConfigException, StoragePermissionException

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef" * 2


def attachment(field: Field, **values: Any) -> Attachment:
    """Return an attachment of a field; nothing is stored."""
    given = {
        "id": ID,
        "disk": field.disk_name,
        "directory": f"app/{field.directory}",
        "file": "original.png",
        "name": "Me & you.png",
        "content_type": "image/png",
        "size": 100,
        "width": 400,
        "height": 300,
    }
    return Attachment(**{**given, **values}, field=field)


def verified(registry: Registry, url: str) -> Any:
    parts = urlsplit(url)
    return registry.verify(parts.path, parts.query)


def test_url_is_stable_and_verifies(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"thumb": FixedRecipe()})
    url = attachment(field).url("thumb")

    assert url == attachment(field, name="other", size=5).url("thumb")
    assert url.startswith(f"/attachments/users.avatar/{ID}/thumb-1a2b3c4d.webp?signature=")
    meaning = verified(registry, url)
    assert (meaning.field, meaning.id, meaning.file) == (field, ID, "thumb-1a2b3c4d.webp")
    assert (meaning.variant, meaning.recipe, meaning.expires) == ("thumb", "1a2b3c4d", None)
    assert verified(registry, attachment(field).url()).variant is None


def test_url_of_other_host_and_with_foreign_parameters_verifies(tmp_path: Path) -> None:
    registry = local_registry(tmp_path, base_url="https://cdn.example.org/files/")
    url = attachment(added(registry)).url()
    assert url.startswith("https://cdn.example.org/files/users.avatar/")
    assert verified(registry, f"{url}&utm_source=mail&x=%ff").id == ID


def test_url_with_download_name(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    plain = added(registry)
    named = added(
        registry, "users.cv", download_name=lambda each: f"cv-{each.properties['year']}.pdf"
    )

    assert verified(registry, attachment(plain).url(download=True)).download == "Me & you.png"
    assert verified(registry, attachment(plain, name="").url(download=True)).download == (
        "original.png"
    )
    for given, shown in (
        ("ünï;\r\n.png", "ünï;.png"),
        ("../a\ud800.png", "a.png"),
        ("..", "original.png"),
        ("x" * 9999 + ".png", "x" * 196 + ".png"),
    ):
        assert verified(registry, attachment(plain).url(download=given)).download == shown
    cv = attachment(named, properties={"year": 2026})
    assert verified(registry, cv.url(download=True)).download == "cv-2026.pdf"


def test_url_expires_within_lifetime_and_is_the_same_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = local_registry(tmp_path, keep=4000)
    field = added(registry, url_lifetime=1000)
    now = 1_700_000_000.0
    urls = set()
    for second in range(250):
        monkeypatch.setattr(time, "time", lambda at=now + second: at)
        url = attachment(field).url()
        urls.add(url)
        assert now + second + 750 <= verified(registry, url).expires <= now + second + 1000
    assert len(urls) <= 2
    monkeypatch.setattr(time, "time", lambda: now + 1250)
    with pytest.raises(StoragePermissionException, match="expired"):
        verified(registry, url)
    with pytest.raises(ValueError, match="kept for"):
        attachment(field).url(expires_in=4001)


def test_url_that_was_changed_is_refused(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"thumb": FixedRecipe(), "card": FixedRecipe("99999999")})
    added(registry, "users.cv")
    url = attachment(field).url("thumb", expires_in=100, download="a.png")
    changed = [
        url.replace("users.avatar", "users.cv"),
        url.replace("users.avatar", "users.unknown"),
        url.replace(ID, ID[::-1]),
        url.replace("thumb-1a2b3c4d", "card-99999999"),
        url.replace("thumb-1a2b3c4d.webp", "original.png"),
        url.replace("thumb-1a2b3c4d.webp", "..%2f..%2fother"),
        re.sub(r"expires=\d+", "expires=99999999999", url),
        re.sub(r"expires=\d+&", "", url),
        re.sub(r"expires=", "expires=0", url),
        url.replace("a.png", "b.html"),
        f"{url}&download=b.html",
        f"{url}&signature=x",
        url.replace("signature=", "signature=A"),
        url.partition("?")[0],
        re.sub("signature=.*", "signature=%ff%00", url),
        "/attachments",
    ]
    verified(registry, url)
    for each in changed:
        with pytest.raises(StoragePermissionException):
            verified(registry, each)


def test_url_of_former_secret_verifies_and_of_other_namespace_does_not(tmp_path: Path) -> None:
    old = local_registry(tmp_path)
    url = attachment(added(old)).url()
    rotated = Registry(namespace="app", secret=["new-" * 8, SECRET])
    added(rotated)
    assert verified(rotated, url).id == ID
    assert attachment(rotated.field("users.avatar")).url() != url
    other = Registry(namespace="other", secret=SECRET)
    added(other)
    with pytest.raises(StoragePermissionException):
        verified(other, url)


def test_url_of_unknown_variant_suggests_a_name(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path), variants={"thumb": FixedRecipe()})
    with pytest.raises(ValueError, match="did you mean 'thumb'"):
        attachment(field).url("thum")


def test_url_direct_is_that_of_the_disk() -> None:
    storage = StorageManager.isolated(
        {"disks": {"media": {"driver": "memory", "base_url": "https://cdn.example.org"}}}
    )
    registry = Registry(namespace="app", secret=SECRET, storage=storage)
    recipes = {"thumb": FixedRecipe("ffffffff")}
    field = added(registry, variants=recipes, eager=["thumb"], serve="direct")
    made = Variant(
        recipe="00000000", file="thumb-00000000.webp", content_type="image/webp", size=1, width=150
    )
    base = f"https://cdn.example.org/app/avatars/{ID}"

    # The file that is there, until `variants regenerate` has made that of the new recipe.
    old = attachment(field, variants={"thumb": made})
    assert old.url("thumb") == f"{base}/thumb-00000000.webp"
    assert old.srcset() == f"{base}/thumb-00000000.webp 150w"
    assert attachment(field).url("thumb") == attachment(field).url() == f"{base}/original.png"
    assert verified(registry, attachment(field).url(download=True)).download == "Me & you.png"


def test_srcset_has_recorded_widths_and_those_of_recipes(tmp_path: Path) -> None:
    class Unknown:
        fingerprint, content_type, extension = "aaaaaaaa", "text/plain", ".txt"

    recipes = {
        "thumb": FixedRecipe(),
        "card": FixedRecipe("99999999", width=800),
        "text": Unknown(),
    }
    field = added(local_registry(tmp_path), variants=recipes)
    made = Variant(
        recipe="1a2b3c4d", file="thumb-1a2b3c4d.webp", content_type="image/webp", size=1, width=199
    )
    image = attachment(field, variants={"thumb": made})

    assert image.srcset("card") == f"{image.url('card')} 800w"
    assert image.srcset() == f"{image.url('thumb')} 199w, {image.url('card')} 800w"
    assert attachment(field, width=None).srcset() == ""
    with pytest.raises(ValueError, match="no variant"):
        image.srcset("thump")


def test_url_of_no_attachment_is_the_default_url(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path), default_url="/static/missing.svg")
    assert field.url_of(None, "thumb") == "/static/missing.svg"
    assert field.url_of(attachment(field)) == attachment(field).url()


def test_url_of_attachment_without_field_says_how_to_load_it(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    original = attachment(field)
    copied = pickle.loads(pickle.dumps(original))
    assert copied == original
    with pytest.raises(StorageConfigException, match=r"field\.load"):
        copied.url()
    assert field.load(copied.to_json()).url() == attachment(field).url()
