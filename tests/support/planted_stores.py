"""Faults of stores and servers, planted for tests of the doctor: rows of its table.

The servers are SeaweedFS, Azurite, OpenSSH and a store of ours with Google's API; what none of them
answers, a scripted store does.
"""

from __future__ import annotations

import functools
import json
import time
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import asyncssh

from certificates import certificate
from healthy_stores import KEPT, RIGHTS, make_healthy, make_healthy_bucket
from planted_faults import SECRET, Ground, Planted
from scripted_store import ALWAYS, Answer, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["HEALTHY", "STORES"]

BUCKET = "doctors-bucket"
_NO_PROBE = {"probe": False}


# Healthy disks


def s3(ground: Ground) -> None:
    _s3(ground, BUCKET)


def _s3(ground: Ground, bucket: str, **options: Any) -> dict[str, Any]:
    """Configure a disk of a bucket of SeaweedFS, and return its table."""
    store, client = ground.fixture("seaweedfs"), ground.fixture("s3_client")
    make_healthy_bucket(client, bucket, **options)
    table = {"driver": "s3", "bucket": bucket, "conditions": KEPT, **store.options}
    ground.disks["media"] = table
    return table


def scripted(ground: Ground) -> None:
    _scripted(ground)


def _scripted(ground: Ground, *rules: Rule, tls: Any = None, **options: Any) -> None:
    """Configure a disk of a scripted store, which is there while the doctor looks."""

    @asynccontextmanager
    async def served() -> AsyncIterator[None]:
        async with ScriptedStore(tls=tls) as store:
            store.rules += rules
            make_healthy(store)
            table = {"driver": "s3", "bucket": "bucket", "endpoint_url": store.endpoint_url}
            table |= {"region": "us-east-1", "access_key": "KEY", "secret_key": SECRET}
            endpoint = options.get("endpoint_url", "").replace("{url}", store.endpoint_url)
            endpoint = endpoint.replace("{place}", store.endpoint_url.partition("://")[2])
            more = {"endpoint_url": endpoint} if endpoint else {}
            ground.disks["media"] = {**table, **options, **more}
            ground.write()
            yield
            # With nothing left behind.
            assert store.objects == {}
            assert store.uploads == {}

    ground.disks["media"] = {"driver": "memory"}
    ground.during[:] = [served]


def azure(ground: Ground) -> None:
    store = ground.fixture("azurite")
    options = {"account": store.account, "account_key": store.key}
    ground.disks["media"] = {
        "driver": "azure",
        "container": store.container,
        "endpoint_url": store.endpoint_url,
        **options,
    }


def gcs(ground: Ground) -> None:
    store = ground.fixture("google_store")
    store.reset()
    store.requires_token = True
    key = ground.folder / "key.json"
    key.write_text(json.dumps(store.account))
    key.chmod(0o600)
    ground.disks["media"] = {
        "driver": "gcs",
        "bucket": store.bucket,
        "endpoint_url": store.url,
        "credentials_file": str(key),
    }


def sftp(ground: Ground) -> None:
    server = ground.fixture("openssh")
    server.empty()
    ground.disks["media"] = {"driver": "sftp", **server.options}


HEALTHY: dict[str, Callable[[Ground], None]] = {
    each.__name__: each for each in (s3, scripted, azure, gcs, sftp)
}
"""What configures a healthy disk of a store, by a name that rows have as their `base`."""


# Keys of S3


def option(**options: Any) -> Callable[[Ground], None]:
    """Plant other values of options."""

    def plant(ground: Ground) -> None:
        ground.disks["media"] |= options

    return plant


def no_keys(ground: Ground) -> None:
    ground.set(AWS_EC2_METADATA_DISABLED="true")
    for name in ("access_key", "secret_key"):
        del ground.disks["media"][name]


def half_a_pair(ground: Ground) -> None:
    no_keys(ground)
    ground.set(AWS_ACCESS_KEY_ID="KEY")


def newline_in_key(ground: Ground) -> None:
    no_keys(ground)
    ground.set(AWS_ACCESS_KEY_ID="KEY", AWS_SECRET_ACCESS_KEY=f"{SECRET}\n")


def lacking(*rights: str) -> Callable[[Ground], None]:
    """Plant keys that lack some rights."""

    def plant(ground: Ground) -> None:
        allowed = [each for each in RIGHTS if each not in rights]
        ground.disks["media"] |= ground.fixture("seaweedfs").keys_for(BUCKET, *allowed)

    return plant


def keys_of_others(ground: Ground) -> None:
    keys = ground.fixture("seaweedfs").keys_for("other-bucket", *RIGHTS)
    ground.disks["media"] |= keys


# Endpoints of S3


def endpoint(change: Callable[[str], str], **options: Any) -> Callable[[Ground], None]:
    """Plant another endpoint."""

    def plant(ground: Ground) -> None:
        table = ground.disks["media"]
        table |= {"endpoint_url": change(table["endpoint_url"]), **options}

    return plant


def dead_proxy(ground: Ground) -> None:
    ground.set(HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="")


def tls(options: dict[str, Any], *, trusted: bool = True) -> Callable[[Ground], None]:
    """Plant a certificate."""

    def plant(ground: Ground) -> None:
        bundle, context = certificate(ground.folder, **options)
        more = {"ca_bundle": bundle} if trusted else {}
        _scripted(ground, tls=context, **more)

    return plant


# Buckets of S3


def public_bucket(ground: Ground) -> None:
    bucket = "open-bucket"
    table = _s3(ground, bucket)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    actions = ["s3:GetObject", "s3:ListBucket"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": resources}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ground.fixture("s3_client").put_bucket_policy(Bucket=bucket, Policy=policy)
    table["visibility"] = "private"


def no_lifecycle(ground: Ground) -> None:
    table = _s3(ground, "plain-bucket")
    ground.fixture("s3_client").delete_bucket_lifecycle(Bucket=table["bucket"])


def suspended(ground: Ground) -> None:
    table = _s3(ground, "suspended-bucket")
    versioning = {"Status": "Suspended"}
    ground.fixture("s3_client").put_bucket_versioning(
        Bucket=table["bucket"], VersioningConfiguration=versioning
    )


def scripted_with(rule: Callable[[], Rule], **options: Any) -> Callable[[Ground], None]:
    """Plant a rule of the scripted store."""
    return lambda ground: _scripted(ground, rule(), **options)


def always(operations: str, answer: Answer) -> Callable[[], Rule]:
    return functools.partial(Rule, operations=operations, times=ALWAYS, answer=answer)


def other_region() -> Rule:
    answer = refusal(400, "AuthorizationHeaderMalformed", inside="<Region>eu-west-3</Region>")
    return Rule(where=lambda request: request.region == "us-east-1", times=ALWAYS, answer=answer)


def wrong_clock() -> Rule:
    date = formatdate(time.time() + 3600, usegmt=True)
    answer = refusal(403, "RequestTimeTooSkewed")
    return Rule(times=ALWAYS, answer=answer, edit={"date": date})


def no_conditions() -> Rule:
    return Rule(operations="PutObject", times=ALWAYS, ignore=("if-none-match", "if-match"))


def old_upload(ground: Ground) -> None:
    begun = b"<Key>large</Key><UploadId>1</UploadId><Initiated>2020-01-01T00:00:00Z</Initiated>"
    document = (
        b"<ListMultipartUploadsResult><Upload>" + begun + b"</Upload></ListMultipartUploadsResult>"
    )
    _scripted(ground, always("ListMultipartUploads", Answer(200, {}, document))())


REDIRECT = Answer(307, {"location": "https://elsewhere.example.com/"})
UNKNOWN_HEADER = refusal(400, "InvalidArgument", "Unsupported header x-amz-checksum-crc32")


# Others


def expired_signature(ground: Ground) -> None:
    del ground.disks["media"]["account_key"]
    query = {"sp": "racwdl", "se": "2020-01-01T00:00:00Z", "sr": "c", "sig": SECRET}
    ground.disks["media"]["sas_token"] = urlencode(query)


def signature_to_read(ground: Ground) -> None:
    del ground.disks["media"]["account_key"]
    query = {"sp": "rl", "se": "2120-01-01T00:00:00Z", "sr": "c", "sig": SECRET}
    ground.disks["media"]["sas_token"] = urlencode(query)


def uniform_access(ground: Ground) -> None:
    ground.fixture("google_store").uniform = True
    ground.disks["media"]["visibility"] = "private"


def no_right_to_create(ground: Ground) -> None:
    ground.fixture("google_store").lacking = frozenset({"storage.objects.create"})


def other_host_key(ground: Ground) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    ground.disks["media"]["host_key"] = other.strip()


def readable_key(ground: Ground) -> None:
    key = Path(ground.folder / "id_ed25519")
    key.write_text(ground.disks["media"]["private_key"])
    key.chmod(0o644)
    ground.disks["media"]["private_key"] = str(key)


def missing_sftp_root(ground: Ground) -> None:
    ground.disks["media"]["root"] += "/missing"


def torn_writes(ground: Ground) -> None:
    ground.disks["media"] = {
        "driver": "opendal",
        "scheme": "webhdfs",
        "endpoint": "https://hdfs.example.com",
    }


KEYS = (
    Planted("S3: a wrong secret key", option(secret_key=SECRET), {"s3.credentials-refused"}, "s3"),
    Planted("S3: an unknown access key", option(access_key="X"), {"s3.credentials-refused"}, "s3"),
    Planted("S3: no keys", no_keys, {"s3.credentials-missing"}, "s3"),
    Planted("S3: a key without its secret", half_a_pair, {"s3.credentials-source"}, "s3"),
    Planted(
        "S3: quotes around a key",
        option(secret_key=f'"{SECRET}"'),
        {"s3.credentials-malformed"},
        "s3",
    ),
    Planted(
        "S3: a newline at the end of a key",
        newline_in_key,
        {"env.value", "s3.credentials-malformed"},
        "s3",
        fault="A10",
    ),
    Planted("S3: no right to list", lacking(RIGHTS[0]), {"s3.permission-list"}, "s3"),
    Planted("S3: no right to read", lacking(RIGHTS[1]), {"s3.permission-get"}, "s3"),
    Planted("S3: no right to write", lacking(RIGHTS[2]), {"s3.permission-put"}, "s3"),
    Planted("S3: no right to delete", lacking(RIGHTS[3]), {"s3.permission-delete"}, "s3"),
    Planted("S3: the bucket of others", keys_of_others, {"s3.bucket-denied"}, "s3"),
    Planted(
        "S3: a clock that is an hour behind",
        scripted_with(wrong_clock),
        {"s3.clock-skew"},
        "scripted",
        fault="C20",
    ),
)

ENDPOINTS = (
    Planted("S3: a missing bucket", option(bucket="no-bucket"), {"s3.bucket-missing"}, "s3"),
    Planted(
        "S3: a dead endpoint", endpoint(lambda _: "http://127.0.0.1:9"), {"http.unreachable"}, "s3"
    ),
    Planted(
        "S3: an endpoint with a path",
        endpoint(lambda url: f"{url}/uploads"),
        {"s3.endpoint-path"},
        "s3",
        fault="D13",
    ),
    Planted(
        "S3: https to a server of http",
        endpoint(lambda url: url.replace("http", "https")),
        {"http.tls-not-spoken"},
        "s3",
        fault="D14",
    ),
    Planted(
        "S3: the bucket before a host",
        endpoint(lambda url: url.replace("127.0.0.1", "store.invalid"), addressing_style="virtual"),
        {"http.plain", "s3.addressing-style"},
        "s3",
    ),
    Planted(
        "S3: a proxy that is dead and not needed",
        dead_proxy,
        {"http.proxy-local", "http.proxy-unreachable"},
        "s3",
    ),
    Planted("S3: an expired certificate", tls({"days": -1}), {"http.tls-expired"}, "scripted"),
    Planted("S3: an unknown authority", tls({}, trusted=False), {"http.tls-untrusted"}, "scripted"),
    Planted(
        "S3: a certificate of another name",
        tls({"name": "subjectAltName=DNS:other.example.com"}),
        {"http.tls-wrong-name"},
        "scripted",
    ),
    Planted(
        "S3: another region",
        scripted_with(other_region),
        {"s3.region"},
        "scripted",
        fault="D13",
    ),
    Planted(
        "S3: a redirect to another host",
        scripted_with(always("", REDIRECT)),
        {"s3.redirect"},
        "scripted",
        fault="A1",
    ),
)

BUCKETS = (
    Planted(
        "S3: no rules for uploads by browsers",
        lambda ground: ground.disks.update(media=_s3(ground, BUCKET)),
        {"s3.cors"},
        "s3",
        {"origin": "https://example.org", **_NO_PROBE},
        fault="A9",
    ),
    Planted(
        "S3: a bucket without a rule for unfinished uploads",
        no_lifecycle,
        {"s3.lifecycle-uploads"},
        "s3",
        _NO_PROBE,
    ),
    Planted("S3: an upload of 2020", old_upload, {"s3.unfinished-uploads"}, "scripted", _NO_PROBE),
    Planted(
        "S3: versioning that was suspended",
        suspended,
        {"s3.versioning-suspended"},
        "s3",
        _NO_PROBE,
    ),
    Planted("S3: a public bucket", public_bucket, {"s3.public", "s3.public-listing"}, "s3"),
    Planted(
        "S3: files that are not public",
        lambda ground: _scripted(ground, visibility="public"),
        {"s3.not-public"},
        "scripted",
    ),
    Planted(
        "S3: a public URL of nothing",
        lambda ground: _scripted(ground, public_url="http://127.0.0.1:9"),
        {"s3.public-url"},
        "scripted",
    ),
    Planted(
        "S3: a store that refuses checksums",
        scripted_with(always("PutObject", UNKNOWN_HEADER)),
        {"s3.checksums"},
        "scripted",
        fault="C10",
    ),
    Planted(
        "S3: a bucket without ACLs",
        scripted_with(
            always("PutObject", refusal(400, "AccessControlListNotSupported")),
            visibility="private",
        ),
        {"s3.acls-off"},
        "scripted",
    ),
    Planted(
        "S3: a store that ignores conditions",
        scripted_with(no_conditions),
        {"s3.conditions"},
        "scripted",
        fault="B2",
    ),
    Planted(
        "S3: conditions that the store does not keep",
        scripted_with(no_conditions, conditions=["put"]),
        {"s3.conditions-lost"},
        "scripted",
        fault="B2",
    ),
)

OTHERS = (
    Planted("Azure: an expired signature", expired_signature, {"azure.sas-expired"}, "azure"),
    Planted("Azure: a signature to read", signature_to_read, {"azure.sas-permissions"}, "azure"),
    Planted(
        "Azure: a missing container",
        option(container="missing"),
        {"azure.container-missing"},
        "azure",
    ),
    Planted(
        "Azure: no rules for uploads by browsers",
        option(),
        {"azure.cors"},
        "azure",
        {"origin": "https://example.org"},
    ),
    Planted(
        "Google: visibility with uniform access", uniform_access, {"gcs.uniform-access"}, "gcs"
    ),
    Planted("Google: no right to create", no_right_to_create, {"gcs.permission-create"}, "gcs"),
    Planted("Google: a missing bucket", option(bucket="missing"), {"gcs.bucket-missing"}, "gcs"),
    Planted("SFTP: another host key", other_host_key, {"sftp.host-key-changed"}, "sftp"),
    Planted("SFTP: a key that all may read", readable_key, {"sftp.key-modes"}, "sftp"),
    Planted("SFTP: a missing root", missing_sftp_root, {"sftp.root-missing"}, "sftp"),
    Planted("OpenDAL: torn writes", torn_writes, {"opendal.torn-writes"}),
)

STORES: tuple[Planted, ...] = (*KEYS, *ENDPOINTS, *BUCKETS, *OTHERS)
