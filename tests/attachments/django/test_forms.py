"""Forms with attachments: uploads, a form that is shown again, clearing, and the admin."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pictures import picture

PNG = picture(kind="PNG")


def upload(content: bytes = b"one", name: str = "me.txt") -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, content)


def form_of(club: Any, data: dict[str, Any], instance: Any = None, owner: object = 7) -> Any:
    from django import forms

    class MemberForm(forms.ModelForm):
        class Meta:
            model = club.Member
            fields = ("name", "avatar")

    files = {name: value for name, value in data.items() if hasattr(value, "read")}
    form = MemberForm({k: v for k, v in data.items() if k not in files}, files, instance=instance)
    form.fields["avatar"].owner = owner
    return form


def token_in(form: Any) -> str:
    (token,) = re.findall(r'name="avatar-token" value="([^"]+)"', str(form["avatar"]))
    return str(token)


@pytest.mark.parametrize("owner", [None, 7])
def test_form_stores_its_upload(club: Any, stored: Any, owner: object) -> None:
    form = form_of(club, {"name": "Ada", "avatar": upload()}, owner=owner)
    assert form.is_valid()
    me = form.save()
    assert club.Member.objects.get().avatar == me.avatar
    assert (me.avatar.name, stored()) == ("me.txt", [b"one"])


def test_form_that_is_shown_again_keeps_the_upload(club: Any, stored: Any) -> None:
    form = form_of(club, {"name": "too long " * 10, "avatar": upload()})
    assert not form.is_valid()
    assert list(form.errors) == ["name"]
    assert "me.txt" in str(form["avatar"])
    for _ in range(2):  # also of a form that is wrong again
        again = form_of(club, {"name": "too long " * 10, "avatar-token": token_in(form)})
        assert not again.is_valid()
        form = again
    final = form_of(club, {"name": "Ada", "avatar-token": token_in(form)})
    assert final.is_valid()
    me = final.save()
    assert (me.avatar.name, stored()) == ("me.txt", [b"one"])


def test_form_refuses_the_token_of_another_owner(club: Any) -> None:
    form = form_of(club, {"name": "", "avatar": upload()})
    assert not form.is_valid()
    for owner in (8, None):
        other = form_of(club, {"name": "Ada", "avatar-token": token_in(form)}, owner=owner)
        assert not other.is_valid()
        assert list(other.errors) == ["avatar"]
        assert "Choose the file again" in str(other.errors)
    forged = form_of(club, {"name": "Ada", "avatar-token": "eyJ9.x"})
    assert not forged.is_valid()


def test_forms_of_one_class_do_not_share_what_they_keep(club: Any) -> None:
    form = form_of(club, {"name": "", "avatar": upload()})
    assert not form.is_valid()
    other = type(form)({"name": "Bob", "avatar-token": token_in(form)}, {})
    assert "me.txt" not in str(other["avatar"])


def test_form_without_owner_keeps_nothing(club: Any, stored: Any) -> None:
    form = form_of(club, {"name": "", "avatar": upload()}, owner=None)
    assert not form.is_valid()
    assert "token" not in str(form["avatar"])
    assert stored() == []


@pytest.mark.parametrize("owner", [None, 7])
@pytest.mark.parametrize("content", [b"%PDF-1.7 ", b"x" * 100_001, b""], ids=["type", "size", "0"])
def test_form_refuses_what_the_field_does_not_take(
    club: Any, stored: Any, owner: object, content: bytes
) -> None:
    form = form_of(club, {"name": "Ada", "avatar": upload(content)}, owner=owner)
    assert not form.is_valid()
    assert list(form.errors) == ["avatar"]
    assert stored() == []


def test_form_without_a_file_leaves_the_one_that_is_there(club: Any, outbox: Any) -> None:
    me = club.Member.objects.create(name="Ada", avatar=upload())
    form = form_of(club, {"name": "Bob"}, me)
    assert form.is_valid()
    form.save()
    again = club.Member.objects.get()
    assert (again.name, again.avatar) == ("Bob", me.avatar)
    assert outbox() == []


def test_form_clears_the_field(club: Any, outbox: Any) -> None:
    me = club.Member.objects.create(name="Ada", avatar=upload())
    old = me.avatar
    form = form_of(club, {"name": "Ada", "avatar-clear": "on"}, me)
    assert form.is_valid()
    form.save()
    assert club.Member.objects.get().avatar is None
    assert outbox() == [old.id]


def test_widget_shows_the_file_and_escapes_its_name(club: Any) -> None:
    me = club.Member.objects.create(name="Ada", avatar=upload(PNG, "<b>.png"))
    html = str(form_of(club, {}, me)["avatar"])
    shown = str(type(form_of(club, {}, me))(instance=me)["avatar"])
    assert "<b>" not in shown
    assert "&lt;b&gt;.png" in shown
    assert me.avatar.url().replace("&", "&amp;") in shown
    assert "<img" in shown
    assert 'name="avatar-clear"' in shown
    assert "key" not in html


# The admin


@pytest.fixture
def admin(club: Any) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.test.utils import override_settings

    user = User.objects.create_superuser("root")
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(ALLOWED_HOSTS=["testserver"], STORAGES={"staticfiles": static}):
        client = Client()
        client.force_login(user)
        yield client
    user.delete()


def test_admin_keeps_the_upload_of_a_form_with_errors(club: Any, admin: Any, stored: Any) -> None:
    page = admin.post("/admin/club/member/add/", {"name": "", "avatar": upload()})
    assert page.status_code == 200
    (token,) = re.findall(r'name="avatar-token" value="([^"]+)"', page.content.decode())
    page = admin.post("/admin/club/member/add/", {"name": "Ada", "avatar-token": token})
    assert page.status_code == 302
    me = club.Member.objects.get()
    assert (me.avatar.name, stored()) == ("me.txt", [b"one"])
    page = admin.get(f"/admin/club/member/{me.pk}/change/")
    assert me.avatar.url().replace("&", "&amp;") in page.content.decode()
    page = admin.post(f"/admin/club/member/{me.pk}/delete/", {"post": "yes"})
    assert page.status_code == 302
    assert club.Member.objects.count() == 0
