"""Signed URLs of local and memory disks: which values a signature binds."""

from __future__ import annotations

import copy
import pickle
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jtc.storage import (
    SignOptions,
    Storage,
    StorageConfigException,
    StorageManager,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.driver_support.url_signing import SIGNING_CAPABILITIES, UrlSigner, make_signer
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def signer(secret: Any = SECRET, base_url: str = "https://files.test/storage") -> UrlSigner:
    made = make_signer(secret, base_url)
    assert made is not None
    return made


def signed_url(by: UrlSigner, path: str = "private/größe 1.pdf") -> str:
    return by.download_url(
        path,
        SignOptions(
            expires_in=60,
            content_type="application/pdf",
            content_disposition='attachment; filename="a"',
        ),
    )


def accepted(by: UrlSigner, url: str, method: str = "GET") -> Any:
    bare_url, _, query = url.partition("?")
    try:
        # As a server and the disk do: the path is decoded, and the disk returns its URL.
        path = unquote(bare_url).removeprefix(f"{by.base_url}/")
        return by.verify_query(method, f"{by.base_url}/{quote(path)}", query)
    except StoragePermissionException:
        return None


def test_what_was_signed_is_permitted() -> None:
    grant = accepted(signer(), signed_url(signer()))
    assert grant.path == "private/größe 1.pdf"
    assert grant.content_type == "application/pdf"
    assert grant.content_disposition == 'attachment; filename="a"'
    assert 0 < grant.expires - time.time() <= 61


CHANGES = [
    ("another file", lambda url: url.replace("1.pdf", "2.pdf")),
    ("a later end", lambda url: url.replace("expires=1", "expires=2")),
    ("another type", lambda url: url.replace("application", "text")),
    ("another disposition", lambda url: url.replace("attachment", "inline")),
    ("no type", lambda url: url.replace("type=application%2Fpdf&", "")),
    ("a length", lambda url: url.replace("&type=", "&length=1&type=")),
    ("another version", lambda url: url.replace("version=1", "version=2")),
    ("no version", lambda url: url.replace("version=1&", "")),
    ("a parameter twice", lambda url: url + "&expires=99999999999"),
    ("a parameter twice, first", lambda url: url.replace("?", "?expires=99999999999&")),
    ("an end with a sign", lambda url: url.replace("expires=", "expires=%2B")),
    ("an end with a blank", lambda url: url.replace("expires=", "expires=+")),
    ("an end in other digits", lambda url: url.replace("expires=1", "expires=%D9%A1")),
    ("a delimiter in a value", lambda url: url.replace("&type=", "%26type%3D")),
    ("no signature", lambda url: url.partition("&signature")[0]),
    ("an empty signature", lambda url: url.partition("signature=")[0] + "signature="),
    ("a padded signature", lambda url: url + "="),
    ("a signature with a letter more", lambda url: url + "A"),
    ("a signature beyond ASCII", lambda url: url[:-1] + "%C3%BC"),
    ("a query that is no UTF-8", lambda url: url[:-1] + "%FF"),
    ("a semicolon", lambda url: url.replace("&expires", ";expires")),
    ("a fragment of the path in the query", lambda url: url.replace(".pdf?", "?.pdf&")),
    ("no query", lambda url: url.partition("?")[0]),
    ("a very long query", lambda url: url + "&a=" + "x" * 100_000),
    ("a lone surrogate", lambda url: url[:-1] + "\udc80"),
]


@pytest.mark.parametrize("change", [c for _, c in CHANGES], ids=[name for name, _ in CHANGES])
def test_url_that_was_changed_permits_nothing(change: Any) -> None:
    url = signed_url(signer())
    changed = change(url)
    assert changed != url
    assert accepted(signer(), changed) is None


def written_again(url: str, *, quote_via: Any = quote, safe: str = "", turned: bool = False) -> str:
    bare_url, _, query = url.partition("?")
    pairs = parse_qsl(query)
    return (
        f"{bare_url}?{urlencode(pairs[::-1] if turned else pairs, quote_via=quote_via, safe=safe)}"
    )


SPELLINGS = [
    ("a parameter more", lambda url: url + "&utm_source=letter"),
    ("a parameter more, first", lambda url: url.replace("?", "?fbclid=x&")),
    ("an empty parameter more", lambda url: url + "&x="),
    ("a parameter without a value", lambda url: url + "&x"),
    ("a foreign parameter twice", lambda url: url + "&tag=1&tag=2"),
    ("a foreign parameter in no UTF-8", lambda url: url + "&name=%FF"),
    ("our name in capitals", lambda url: url + "&Expires=1"),
    ("another order", lambda url: written_again(url, turned=True)),
    ("blanks as plus signs", lambda url: written_again(url, quote_via=quote_plus)),
    ("slashes as they are", lambda url: written_again(url, safe="/:;=")),
    ("small hexadecimal digits", lambda url: re.sub("%..", lambda m: m[0].lower(), url)),
    ("every letter encoded", lambda url: written_again(url, quote_via=every_letter)),
    ("two ampersands", lambda url: url.replace("&", "&&") + "&"),
]


def every_letter(text: str, *_: Any) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())


@pytest.mark.parametrize("spell", [s for _, s in SPELLINGS], ids=[name for name, _ in SPELLINGS])
def test_url_permits_the_same_however_its_query_is_written(spell: Any) -> None:
    """aiohttp, API gateways and mail campaigns write a query anew, or add to it."""
    url = signed_url(signer())
    spelled = spell(url)
    assert spelled != url
    assert accepted(signer(), spelled) == accepted(signer(), url) is not None


def meaning(url: str) -> tuple[str, dict[str, str]]:
    """Return what a URL says in any spelling: the file, and the parameters that have a meaning."""
    bare_url, _, query = url.partition("?")
    ours = dict(parse_qsl(query, keep_blank_values=True))
    return unquote(bare_url), {name: value for name, value in ours.items() if name in OURS}


OURS = {"version", "expires", "type", "length", "min_length", "disposition", "signature"}


def test_of_200_tampered_urls_none_is_accepted() -> None:
    """Promise 15: one byte is changed, added or removed, anywhere after the base URL."""
    by = signer()
    url = signed_url(by)
    assert accepted(by, url)
    tried: set[str] = set()

    @settings(
        max_examples=1000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        at=st.integers(len(by.base_url) + 1, len(url) - 1),
        kind=st.sampled_from(["replace", "insert", "delete", "swap"]),
        letter=st.characters(min_codepoint=0x21, max_codepoint=0x7E),
    )
    def tamper(at: int, kind: str, letter: str) -> None:
        match kind:
            case "replace":
                changed = url[:at] + letter + url[at + 1 :]
            case "insert":
                changed = url[:at] + letter + url[at:]
            case "delete":
                changed = url[:at] + url[at + 1 :]
            case _:
                changed = url[: at - 1] + url[at : at + 1] + url[at - 1] + url[at + 1 :]
        # Another spelling is no change: in a path %2F and / are one file to every server.
        if meaning(changed) == meaning(url):
            return
        tried.add(changed)
        assert accepted(by, changed) is None, changed

    tamper()
    assert len(tried) >= 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD", "get"])
def test_url_is_for_one_method(method: str) -> None:
    assert accepted(signer(), signed_url(signer()), method) is None


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    by = signer()
    put = by.upload_request("a.txt", SignOptions(expires_in=60, content_type="text/plain", size=5))
    assert accepted(by, put.url, "PUT").length == 5
    assert accepted(by, put.url, "GET") is None
    form = by.upload_form(
        "a.txt", SignOptions(expires_in=60, max_size=5, content_type="text/plain")
    )
    assert by.verify("POST", form.url, form.fields).length == 5
    for method in ("PUT", "GET"):
        with pytest.raises(StoragePermissionException):
            by.verify(method, form.url, form.fields)


@pytest.mark.parametrize(
    "change",
    [
        {"length": "6"},
        {"type": "text/html"},
        {"expires": "99999999999"},
        {"disposition": "inline"},
        {"acl": "public-read"},
        {"version": ""},
        {"signature": ""},
        {"signature": "ü"},
        {"length": "05"},
        {"length": "-1"},
        {"length": ""},
        {"length": "9" * 5000},
    ],
    ids=str,
)
def test_a_forms_changed_field_permits_nothing(change: dict[str, str]) -> None:
    by = signer()
    form = by.upload_form(
        "a.txt", SignOptions(expires_in=60, max_size=5, content_type="text/plain")
    )
    with pytest.raises(StoragePermissionException):
        by.verify("POST", form.url, {**form.fields, **change})
    with pytest.raises(StoragePermissionException):
        by.verify("POST", form.url.replace("a.txt", "b.txt"), form.fields)


def test_values_never_run_into_each_other() -> None:
    """The paths, types and dispositions are chosen so that simply joining them would be alike."""
    by = signer()
    pairs = [
        by.download_url("a", SignOptions(expires_in=60, content_type="b", content_disposition="c")),
        by.download_url("a", SignOptions(expires_in=60, content_type="b&disposition=c")),
        by.download_url("a?type=b", SignOptions(expires_in=60, content_disposition="c")),
        by.download_url("a", SignOptions(expires_in=60, content_disposition="b\\nc")),
    ]
    assert len({url.rpartition("signature=")[2] for url in pairs}) == len(pairs)
    assert all(accepted(by, url) for url in pairs)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("https://files.test/a", "https://files.test/b"),
        ("https://files.test/a", "https://other.test/a"),
        ("https://files.test/a", "https://files.test/a/b"),
    ],
)
def test_url_of_one_disk_is_none_of_another_with_the_same_secret(one: str, two: str) -> None:
    """Also where one disk's URLs lie below the other's: /a and b/c.txt, /a/b and c.txt."""
    by_one, by_two = signer(base_url=one), signer(base_url=two)
    query = signed_url(by_one, "b/c.txt").partition("?")[2]
    for path in ("b/c.txt", "c.txt"):
        with pytest.raises(StoragePermissionException):
            by_two.verify_query("GET", f"{two}/{path}", query)
    with pytest.raises(StoragePermissionException):
        by_one.verify_query("GET", f"{two}x/b/c.txt", query)


def test_url_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    by = signer()
    url = by.download_url("a", SignOptions(expires_in=60))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59)
    assert accepted(by, url)
    monkeypatch.setattr(time, "time", lambda: now + 62)
    with pytest.raises(StoragePermissionException, match="expired"):
        by.verify_query("GET", "https://files.test/storage/a", url.partition("?")[2])


def test_secrets_are_rotated_by_a_list() -> None:
    old, new, after = signer(OTHER), signer([SECRET, OTHER]), signer([SECRET])
    assert accepted(new, signed_url(old))
    assert accepted(after, signed_url(new))
    assert accepted(after, signed_url(old)) is None


@pytest.mark.parametrize(
    "secret",
    ["", "short", "x" * 31, b"", [], ["x" * 32, ""], [1], [None]],
    ids=str,
)
def test_what_is_no_good_secret_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(StorageConfigException) as caught:
        make_signer(secret, "/storage")
    assert "secret" in str(caught.value)
    assert "short" not in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_a_secret_counts_in_bytes() -> None:
    assert make_signer("ü" * 16, "/storage")
    assert make_signer(bytes(32), "/storage")


@pytest.mark.parametrize("header", ["a\r\nSet-Cookie: x", "größe", "\x00", "a\u2028b"])
def test_what_no_header_can_carry_is_not_signed(header: str) -> None:
    with pytest.raises(ValueError, match="content_type"):
        signer().download_url("a", SignOptions(expires_in=60, content_type=header))
    with pytest.raises(ValueError, match="content_disposition"):
        signer().download_url("a", SignOptions(expires_in=60, content_disposition=header))
    with pytest.raises(ValueError, match="content_type"):
        signer().upload_request("a", SignOptions(expires_in=60, content_type=header))
    with pytest.raises(ValueError, match="content_type"):
        signer().upload_form("a", SignOptions(expires_in=60, max_size=1, content_type=header))


@pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf"), 1e300, 1e11])
def test_invalid_expiry_is_refused(expires_in: float) -> None:
    with pytest.raises(ValueError, match="expires_in"):
        signer().download_url("a", SignOptions(expires_in=expires_in))


def test_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        signer().upload_request("a", SignOptions(expires_in=60, size=-1))
    with pytest.raises(ValueError, match="max_size"):
        signer().upload_form("a", SignOptions(expires_in=60, max_size=-1))


def drivers(tmp_path: Path, **options: Any) -> list[Any]:
    return [
        LocalDriver(tmp_path / "root", "/storage", **options),
        MemoryDriver(base_url="/storage", **options),
    ]


async def test_without_a_secret_the_drivers_sign_nothing(tmp_path: Path) -> None:
    for driver in drivers(tmp_path):
        assert driver.unsupported == SIGNING_CAPABILITIES
        for call in (
            driver.temporary_url("a", SignOptions(expires_in=60)),
            driver.temporary_upload_url("a", SignOptions(expires_in=60)),
            driver.temporary_upload_form("a", SignOptions(expires_in=60, max_size=1)),
        ):
            with pytest.raises(UnsupportedOperationException, match="secret"):
                await call


async def test_secrets_show_nowhere(tmp_path: Path) -> None:
    for driver in drivers(tmp_path, secret=[SECRET, OTHER]):
        url = await driver.temporary_url("a", SignOptions(expires_in=60))
        shown = f"{driver!r}{driver}{driver.signer!r}{driver.signer}{vars(driver)}{url}"
        assert SECRET not in shown
        assert OTHER not in shown
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                way(driver)


def test_memory_signs_only_for_a_base_url_that_leads_to_it() -> None:
    with pytest.raises(StorageConfigException, match="base_url"):
        MemoryDriver(secret=SECRET)


async def test_new_local_files_are_private_by_default_with_a_secret(tmp_path: Path) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(tmp_path, "/files", secret=SECRET))
    await manager.put("a.txt", b"1")
    await manager.put("b.txt", b"1", visibility="public")
    await manager.copy("a.txt", "c.txt")
    await manager.copy("b.txt", "d.txt")
    found = [str(await manager.visibility(f"{name}.txt")) for name in "abcd"]
    assert found == ["private", "public", "private", "public"]


def test_the_environment_may_have_the_secret() -> None:
    assert LocalDriver.from_env({"FILESYSTEM_SECRET": SECRET}).signer == signer(SECRET, "/storage")
    assert LocalDriver.from_env({"FILESYSTEM_SECRET": ""}).signer is None
    with pytest.raises(StorageConfigException, match="secret"):
        LocalDriver.from_env({"FILESYSTEM_SECRET": "short"})


async def test_a_scope_signs_the_whole_path(tmp_path: Path) -> None:
    manager = StorageManager.isolated()
    for driver in drivers(tmp_path, secret=SECRET):
        manager.set_driver(driver)
        url = await manager.scoped("tenants/42").temporary_url("a b.pdf", 60)
        assert url.startswith("/storage/tenants/42/a%20b.pdf?")
        grant = driver.signer.verify_query("GET", *url.split("?"))
        assert grant.path == "tenants/42/a b.pdf"


def test_a_fake_signs_where_the_configured_disk_would(tmp_path: Path) -> None:
    options = {"root": str(tmp_path), "base_url": "/files"}
    signing = {"driver": "local", "secret": "${UNSET_SECRET}", **options}
    plain = {"driver": "local", **options}
    manager = StorageManager.isolated({"disks": {"signing": signing, "plain": plain}})
    with manager.fake("signing", "plain") as fake:
        assert fake.capabilities.names >= SIGNING_CAPABILITIES
        assert not SIGNING_CAPABILITIES & fake.disk("plain").capabilities.names


def test_a_configured_secret_that_is_too_short_says_so_and_is_not_shown() -> None:
    table = {"driver": "local", "secret": "hunter2"}
    with pytest.raises(StorageConfigException, match="at least 32") as caught:
        Storage.build(table)
    assert "hunter2" not in str(caught.value)
