"""Attachments in responses, and what clients send in their place."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from jtc.storage.attachments import Attachment, AttachmentList
from jtc.storage.attachments.msgspec import dec_hook, enc_hook

if TYPE_CHECKING:
    pass

ID = "0123456789abcdef" * 2


class UserModel(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    avatar: Attachment | None
    photos: AttachmentList


class UserStruct(msgspec.Struct):
    name: str
    avatar: Attachment | None
    photos: AttachmentList


class User:
    """A record, as a mapper returns it."""

    def __init__(self, avatar: Attachment | None) -> None:
        self.name = "Anna"
        self.avatar = avatar
        self.photos = AttachmentList([] if avatar is None else [avatar])


def test_to_public_shows_neither_key_nor_disk(
    avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    assert avatar.to_public() == expected_public
    text = json.dumps(expected_public)
    assert "media" not in text
    assert "app/avatars" not in text
    assert "secret" not in text


def test_attachment_is_no_dataclass_that_serializers_would_write_out(avatar: Attachment) -> None:
    assert not is_dataclass(avatar)
    with pytest.raises(TypeError):
        msgspec.json.encode(avatar)
    with pytest.raises(TypeError):
        json.dumps(avatar)


async def test_fastapi_response_has_public_attachment(
    avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    app = FastAPI()

    @app.get("/me")
    async def me() -> UserModel:
        return User(avatar)  # type: ignore[return-value] # FastAPI reads its attributes

    @app.get("/nothing")
    async def nothing() -> UserModel:
        return User(None)  # type: ignore[return-value]

    @app.get("/avatar")
    async def only_the_avatar() -> Attachment:
        return avatar

    @app.post("/me")
    async def change(user: UserModel) -> str:
        return user.name

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/me")).json() == {
            "name": "Anna",
            "avatar": expected_public,
            "photos": [expected_public],
        }
        assert (await client.get("/nothing")).json()["avatar"] is None
        assert (await client.get("/avatar")).json() == expected_public
        for sent in (expected_public, avatar.to_json(), ID):
            answer = await client.post("/me", json={"name": "x", "avatar": sent, "photos": []})
            assert answer.status_code == 422
            assert "token" in answer.text
        schema = (await client.get("/openapi.json")).json()
    named = schema["paths"]["/avatar"]["get"]["responses"]["200"]["content"]
    properties = named["application/json"]["schema"]["properties"]
    assert set(properties) == set(expected_public)


def test_pydantic_refuses_what_a_client_sent(
    avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    adapter = TypeAdapter(UserModel)
    sent = {"name": "Anna", "avatar": avatar.to_json(), "photos": [expected_public]}
    with pytest.raises(ValidationError, match="token of an upload"):
        adapter.validate_python(sent)
    with pytest.raises(ValidationError) as error:
        adapter.validate_json(json.dumps(sent))
    assert error.value.error_count() == 2
    assert adapter.validate_python(User(avatar), from_attributes=True).avatar is avatar


def test_pydantic_schema_of_model_has_public_attachment(expected_public: dict[str, Any]) -> None:
    for mode in ("validation", "serialization"):
        properties = UserModel.model_json_schema(mode=mode)["properties"]  # type: ignore[arg-type]
        assert set(properties["photos"]["items"]["properties"]) == set(expected_public)
        assert properties["avatar"]["anyOf"][0]["readOnly"] is True


def test_msgspec_writes_public_attachment_and_refuses_what_a_client_sent(
    avatar: Attachment, expected_public: dict[str, Any]
) -> None:
    user = UserStruct("Anna", avatar, AttachmentList([avatar]))
    written = msgspec.json.encode(user, enc_hook=enc_hook)
    assert json.loads(written) == {
        "name": "Anna",
        "avatar": expected_public,
        "photos": [expected_public],
    }
    for sent in (
        {"avatar": expected_public, "photos": []},
        {"avatar": None, "photos": [expected_public]},
    ):
        body = msgspec.json.encode({"name": "Anna", **sent})
        with pytest.raises(msgspec.ValidationError, match="token of an upload"):
            msgspec.json.decode(body, type=UserStruct, dec_hook=dec_hook)
        with pytest.raises((TypeError, msgspec.ValidationError)):
            msgspec.json.decode(body, type=UserStruct)
    with pytest.raises(NotImplementedError, match="complex"):
        msgspec.json.encode(1j, enc_hook=enc_hook)


def test_attachment_is_immutable_and_copies_keep_its_field(avatar: Attachment) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        avatar.name = "x"
    with pytest.raises(AttributeError, match="immutable"):
        del avatar.name
    with pytest.raises(TypeError, match="unexpected"):
        avatar.changed(nam="x")
    assert avatar.changed(name="x").name == "x"
    assert avatar.changed() == avatar
    assert avatar != avatar.with_properties(secret=None)
    assert len({avatar, avatar.changed()}) == 1
    assert copy.deepcopy(avatar).url() == avatar.url()
    assert pickle.loads(pickle.dumps(AttachmentList([avatar])))[0] == avatar
    assert "media" not in repr(avatar)
