"""Attachments in serializers of Django REST framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.attachments import AttachmentList

if TYPE_CHECKING:
    from jtc.storage.attachments import Attachment


@pytest.fixture
def serializer(project: Any) -> Any:  # noqa: ARG001 - Django is set up
    """Return the class of a serializer; Django is set up before."""
    from rest_framework import serializers

    from jtc.storage.attachments.drf import (
        AttachmentListSerializerField,
        AttachmentSerializerField,
    )

    class UserSerializer(serializers.Serializer[Any]):
        name = serializers.CharField()
        avatar = AttachmentSerializerField(allow_null=True)
        photos = AttachmentListSerializerField(required=False)

    return UserSerializer


def test_drf_serializer_writes_public_attachment(
    serializer: Any, avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    user = {"name": "Anna", "avatar": avatar, "photos": AttachmentList([avatar])}
    assert serializer(user).data == {
        "name": "Anna",
        "avatar": expected_public,
        "photos": [expected_public],
    }
    assert serializer({**user, "avatar": None}).data["avatar"] is None


def test_drf_serializer_refuses_what_a_client_sent(
    serializer: Any, avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    for sent in (expected_public, avatar.to_json(), avatar.id, [expected_public]):
        given = serializer(data={"name": "x", "avatar": sent, "photos": sent})
        assert not given.is_valid()
        assert set(given.errors) == {"avatar", "photos"}
        assert "token of an upload" in str(given.errors["avatar"])
