"""A fake of an S3 disk behaves as the disk does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from disk_outcomes import outcomes
from jtc.storage import RejectedException, StorageManager, UnsupportedOperationException
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from tests.seaweedfs import SeaweedFS

# SeaweedFS has real directories, and copies the ACL of a file with it, unlike AWS.
SEAWEEDFS_ONLY = {"directory is left", "directories", "visibility c/public.txt"}


async def test_fake_has_the_results_and_errors_of_the_real_disk(seaweedfs: SeaweedFS) -> None:
    options = {
        "bucket": seaweedfs.bucket,
        "endpoint_url": seaweedfs.endpoint_url,
        "access_key": seaweedfs.access_key,
        "secret_key": seaweedfs.secret_key,
    }
    manager = StorageManager.isolated({"disks": {"d": {"driver": "s3", **options}}})
    view = manager.disk("d").scoped("of-the-fake")
    async with manager:
        real = await outcomes(view)
    with manager.fake("d"):
        faked = await outcomes(view)
    assert len(real) == len(faked) > 70
    for one, other in zip(real, faked, strict=True):
        if one[0] not in SEAWEEDFS_ONLY:
            assert one == other


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region": "eu-central-1"},
        {"endpoint_url": "http://localhost:9000"},
        {"public_url": "https://cdn.example.org/files"},
        {"endpoint_url": "https://minio.example.org", "addressing_style": "virtual"},
    ],
)
async def test_fake_has_the_urls_of_the_real_disk(options: dict[str, Any], by_hand: bool) -> None:
    keys = {"access_key": "AKIA", "secret_key": "${NOT_SET_ANYWHERE}", "ca_bundle": "/nowhere.pem"}
    table = {"driver": "s3", "bucket": "media", **options}
    real = S3Driver("media", access_key="AKIA", secret_key="x", **options)
    manager = StorageManager.isolated({"disks": {"d": table | keys}})
    if by_hand:
        manager.set_driver(real, "d")
    with manager.fake("d") as fake:
        for way in ("url", "path"):
            assert getattr(fake, way)("a b/ä.txt") == getattr(real, way)("a b/ä.txt")
        assert fake.capabilities == manager.disk("d").capabilities
        base = real.url("a.txt")
        assert (await fake.temporary_url("a.txt", 60)).startswith(f"{base}?")


async def test_fake_refuses_to_sign_what_the_real_disk_refuses_to_sign() -> None:
    table = {"driver": "s3", "bucket": "media"}
    manager = StorageManager.isolated(
        {
            "disks": {
                "plain": table,
                "anonymous": table | {"anonymous": True},
                "sse": table | {"sse_customer_key": "${NOT_SET_ANYWHERE}"},
            }
        }
    )
    with manager.fake("plain", "anonymous", "sse") as fake:
        for refused in (8 * 24 * 3600, 0.5):
            with pytest.raises(ValueError, match="expires_in must be from 1"):
                await fake.temporary_url("a.txt", refused)
        with pytest.raises(ValueError, match="stable_for must be"):
            await fake.temporary_url("a.txt", 60, stable_for=7 * 24 * 3600)
        with pytest.raises(ValueError, match="replaces"):
            await fake.temporary_upload_form("${filename}", 60, max_size=1)
        for name in ("anonymous", "sse"):
            with pytest.raises(UnsupportedOperationException):
                await fake.disk(name).temporary_url("a.txt", 60)


async def test_fake_refuses_more_metadata_than_aws_keeps() -> None:
    with StorageManager.isolated().fake("s3") as fake:
        await fake.put("a", b"", metadata={"k": "v" * 2047})
        with pytest.raises(RejectedException, match="takes 2049 bytes") as raised:
            await fake.put("a", b"", metadata={"k": "v" * 2048})
        assert raised.value.reason == "metadata"
        with pytest.raises(RejectedException):
            await fake.copy("a", "b", metadata={"k": "v" * 2048})


async def test_fake_has_the_default_visibility_of_the_disk() -> None:
    table = {"driver": "s3", "bucket": "media"}
    disks = {"public": table | {"visibility": "public"}, "plain": table}
    manager = StorageManager.isolated({"disks": disks})
    with manager.fake(*disks) as fakes:
        for name, expected in (("public", "public"), ("plain", "private")):
            fake = fakes.disk(name)
            await fake.put("a", "x")
            await fake.put("b", "x", visibility="private")
            await fake.copy("b", "c")
            await fake.put("b", "y")
            assert [await fake.visibility(path) for path in "abc"] == [expected] * 3
            real = S3Driver("media", visibility=disks[name].get("visibility"))
            assert fake.driver.default_visibility == real.default_visibility  # type: ignore[attr-defined]
