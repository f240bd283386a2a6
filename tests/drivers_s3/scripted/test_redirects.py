"""Redirections: of a region they are understood; any other is refused, and none is followed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certificates import loopback_certificate
from disk_calls import CALLS, IN_PARTS, fill
from jtc.storage import StorageConfigException
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

STATUSES = (301, 302, 303, 307, 308)


def redirect(status: int, url: str) -> Answer:
    return Answer(status, {"location": url})


@pytest.mark.parametrize("name", CALLS)
async def test_redirect_reaches_no_other_host(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    disk = make_disk(store, **IN_PARTS)
    await CALLS[name](disk)
    number = len(store.requests)
    assert number > 0
    async with ScriptedStore() as other:
        fill(other)
        # Each request of the call is redirected in turn, and all that follow it.
        for skip in range(number):
            for status in STATUSES:
                fill(store)
                answer = redirect(status, f"{other.endpoint_url}/bucket/a")
                store.rules = [Rule(skip=skip, times=ALWAYS, answer=answer)]
                disk = make_disk(store, **IN_PARTS, session_token="SESSION-TOKEN")
                with pytest.raises(StorageConfigException):
                    await CALLS[name](disk)
                assert other.connections == 0, f"{status} for request {skip + 1}"
        assert store.rules[0].taken > 0


@pytest.mark.parametrize("status", STATUSES)
async def test_redirect_within_the_store_is_not_followed(
    store: ScriptedStore, disk: Disk, status: int
) -> None:
    store.store("b", b"another file")
    answer = redirect(status, f"{store.endpoint_url}/bucket/b")
    store.rule(Rule(where=lambda request: request.key == "a", times=ALWAYS, answer=answer))
    with pytest.raises(StorageConfigException):
        await disk.get("a")
    assert [request.key for request in store.requests if request.key != "a"] == []


@pytest.mark.parametrize("name", ["get", "exists", "delete", "put if new", "list", "copy"])
async def test_redirect_is_refused_as_one_whatever_its_document_says(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    for code in ("NoSuchKey", "AccessDenied", "PreconditionFailed", "SlowDown", "NoSuchUpload"):
        store.requests.clear()
        answer = refusal(307, code)
        answer.headers["location"] = f"{store.endpoint_url}/bucket/a"
        store.rules = [Rule(times=ALWAYS, answer=answer)]
        with pytest.raises(StorageConfigException):
            await CALLS[name](make_disk(store))
        assert len(store.requests) == 1, code


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("name", ["get", "put", "put in parts", "copy", "delete_many", "list"])
async def test_redirect_from_https_to_http_sends_nothing(
    make_disk: MakeDisk, tmp_path: Path, name: str
) -> None:
    certificate, context = loopback_certificate(tmp_path)
    async with ScriptedStore(tls=context) as secure, ScriptedStore() as plain:
        fill(secure)
        answer = redirect(307, f"{plain.endpoint_url}/bucket/a")
        rule = secure.rule(Rule(times=ALWAYS, answer=answer))
        disk = make_disk(
            secure, ca_bundle=certificate, session_token="SESSION-TOKEN", max_attempts=1, **IN_PARTS
        )
        with pytest.raises(StorageConfigException):
            await CALLS[name](disk)
        assert rule.taken > 0
        assert plain.connections == 0


def _headers_only(status: int) -> Answer:
    return Answer(status, {"x-amz-bucket-region": "eu-west-1"})


MALFORMED = refusal(400, "AuthorizationHeaderMalformed", inside="<Region>eu-west-1</Region>")
REGIONS = {
    "301 with a header": _headers_only(301),
    "307 with a header": _headers_only(307),
    "301 with a header and a Location": Answer(
        301, {"x-amz-bucket-region": "eu-west-1", "location": "http://127.0.0.1:1/"}
    ),
    "400 with a document": MALFORMED,
}


@pytest.mark.parametrize("name", [name for name in CALLS if name != "abort_stale_uploads"])
async def test_region_redirect_is_signed_anew(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    for answer in REGIONS:
        fill(store)
        elsewhere = Rule(where=_is_elsewhere, times=ALWAYS, answer=_for_head(answer))
        store.rules = [elsewhere]
        disk = make_disk(store, **IN_PARTS)
        await CALLS[name](disk)
        assert elsewhere.taken > 0, answer
        # It is remembered.
        taken, fresh = elsewhere.taken, len(store.requests)
        await disk.exists("a")
        assert (elsewhere.taken, len(store.requests)) == (taken, fresh + 1), answer


def _is_elsewhere(request: Request) -> bool:
    return request.region != "eu-west-1"


def _for_head(name: str) -> Callable[[Request], Answer]:
    """Answer a HEAD by the header alone, as it can have no document."""

    def answer(request: Request) -> Answer:
        return _headers_only(400) if request.method == "HEAD" else REGIONS[name]

    return answer


async def test_region_redirect_of_a_store_that_never_agrees_ends(
    store: ScriptedStore, disk: Disk
) -> None:
    def another(request: Request) -> Answer:
        region = "eu-west-1" if request.region == "eu-west-2" else "eu-west-2"
        return Answer(301, {"x-amz-bucket-region": region})

    store.rule(Rule(times=ALWAYS, answer=another))
    with pytest.raises(StorageConfigException, match="region"):
        await disk.get("a")
    assert len(store.requests) < 10


@pytest.mark.parametrize("region", ["evil.example/", "eu-west-1.evil.example", "a b", "", "#"])
async def test_region_redirect_to_what_is_no_region_is_refused(
    store: ScriptedStore, disk: Disk, region: str
) -> None:
    store.rule(Rule(times=ALWAYS, answer=Answer(301, {"x-amz-bucket-region": region})))
    with pytest.raises(StorageConfigException):
        await disk.get("a")
    assert {request.region for request in store.requests} == {"us-east-1"}
