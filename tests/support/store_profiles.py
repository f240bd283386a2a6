"""Kinds of stores, each with its differences from AWS and their evidence, as in `docs/stores.md`.

What is not documented is taken for the worse case: a condition that no list names is ignored.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

from profiled_store import Deviation, Profile, ProfiledStore
from scripted_store import Answer, Request, Rule, StoredObject, refusal

__all__ = ["PROFILES"]

GITHUB = "https://github.com"
CLOUDFLARE = "https://developers.cloudflare.com/r2"

_CONDITIONS = ("if-match", "if-none-match")
_CHECKSUMS = ("x-amz-checksum-", "x-amz-sdk-checksum-")
_PATH, _VIRTUAL = frozenset({"path"}), frozenset({"virtual"})

NO_ACLS = {
    "visibility": "disable = ['visibility']",
    "set_visibility": "disable = ['visibility']",
}


# Refusals


def _refused(
    operations: str, status: int, code: str, message: str, *headers: str
) -> Callable[[Request, ProfiledStore], Answer | None]:
    """Return what refuses some operations; of any with one of some headers, where those are given.

    Args:
        operations: Their names, separated by spaces; any where it is empty.
        status: The answer's.
        code: The answer's.
        message: The answer's; ``{}`` is the header.
        *headers: What their names begin with.
    """
    wanted = frozenset(operations.split())

    def refuse(request: Request, _: ProfiledStore) -> Answer | None:
        if wanted and request.operation not in wanted:
            return None
        found = [name for name in sorted(request.headers) if name.startswith(headers)]
        if headers and not found:
            return None
        return refusal(status, code, message.format(*found))

    return refuse


def _by_host_only(code: str, message: str, *evidence: str) -> Deviation:
    def refuse(request: Request, store: ProfiledStore) -> Answer | None:
        is_refused = store.style(request.headers["host"]) == "path"
        return refusal(403, code, message) if is_refused else None

    what = "finds the bucket's name before the host only"
    return Deviation(what=what, evidence=evidence, refuse=refuse)


def _not_chunked(code: str, message: str, status: int, *evidence: str) -> Deviation:
    def refuse(request: Request, _: ProfiledStore) -> Answer | None:
        is_chunked = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        is_chunked = is_chunked or "aws-chunked" in request.headers.get("content-encoding", "")
        return refusal(status, code, message) if is_chunked else None

    return Deviation(what="refuses aws-chunked bodies", evidence=evidence, refuse=refuse)


def _ignored(operations: str, *evidence: str) -> Deviation:
    return Deviation(
        what=f"ignores the conditions of {operations.replace(' ', ', ')}",
        evidence=evidence,
        ignore=dict.fromkeys(operations.split(), _CONDITIONS),
    )


def _unlisted(operations: str, *evidence: str) -> Deviation:
    names = operations.replace(" ", ", ")
    return Deviation(
        what=f"does not list conditions of {names}: taken to ignore them",
        evidence=evidence,
        ignore=dict.fromkeys(operations.split(), _CONDITIONS),
    )


def _without_acls(*evidence: str) -> Deviation:
    return Deviation(
        what="has no ACLs of objects",
        evidence=evidence,
        refuse=_refused("GetObjectAcl PutObjectAcl", 501, "NotImplemented", "Not implemented"),
    )


def _checksum_of_unmodified(*evidence: str) -> Deviation:
    def edit(_request: Request, answer: Answer, _rule: Rule) -> Answer:
        if answer.status != 304:
            return answer
        return Answer(304, {**answer.headers, "x-amz-checksum-crc32": "AAAAAQ=="})

    return Deviation(what="sends a checksum with a 304", evidence=evidence, edit=edit)


def _unchecked(*evidence: str) -> Deviation:
    def edit(_request: Request, answer: Answer, _rule: Rule) -> Answer:
        kept = {
            name: value
            for name, value in answer.headers.items()
            if not name.startswith("x-amz-checksum-")
        }
        return Answer(answer.status, kept, answer.body)

    return Deviation(what="ignores checksums", evidence=evidence, edit=edit)


_UNCHECKED = _unchecked(
    f"{GITHUB}/milvus-io/milvus-storage/pull/454", f"{GITHUB}/milvus-io/milvus-storage/pull/500"
)


# Cloudflare R2


def _unequal_parts(request: Request, store: ProfiledStore) -> Answer | None:
    if request.operation != "CompleteMultipartUpload":
        return None
    parts = store.uploads[request.query["uploadId"]].parts
    sizes = [len(parts[number].content) for number in sorted(parts)]
    if all(size == sizes[0] for size in sizes[:-1]) and sizes[-1] <= sizes[0]:
        return None
    return refusal(400, "InvalidPart", "All non-trailing parts must have the same length.")


def _bare_etag(request: Request, _: ProfiledStore) -> Answer | None:
    if request.headers.get("if-match", '"').endswith(('"', "*")):
        return None
    return refusal(400, "InvalidArgument", "If-Match each ETag must be surrounded by double quotes")


def _second_write(request: Request, store: ProfiledStore) -> Answer | None:
    """Throttle each second write of a key, as if it came within the same second."""
    if request.operation not in ("PutObject", "CopyObject", "CompleteMultipartUpload"):
        return None
    store.writes[request.key] += 1
    if store.writes[request.key] < 2:
        return None
    del store.writes[request.key]
    return refusal(429, "TooManyRequests", "Reduce your concurrent request rate")


def _copy_destination(request: Request, store: ProfiledStore) -> Answer | None:
    if request.operation != "CopyObject":
        return None
    there = store.objects.get(request.key)
    match, none_match = (
        request.headers.get(f"cf-copy-destination-if-{name}") for name in ("match", "none-match")
    )
    is_refused = (none_match == "*" and there is not None) or (
        match is not None and (there is None or there.etag != match)
    )
    return refusal(412, "PreconditionFailed") if is_refused else None


def _compressed(request: Request, answer: Answer, rule: Rule) -> Answer:
    if "gzip" in request.headers.get("accept-encoding", "") and answer.headers.get("etag"):
        rule.chunked = True
        return Answer(
            answer.status, {**answer.headers, "etag": f"W/{answer.headers['etag']}"}, answer.body
        )
    return answer


R2 = Profile(
    endpoint="account.r2.cloudflarestorage.com",
    regions=frozenset({"auto", "us-east-1"}),
    options={"region": "auto", "conditions": ["put", "parts", "copy"]},
    conditions=frozenset({"put", "parts", "copy"}),
    refused=NO_ACLS,
    by_default=NO_ACLS,
    deviations=(
        Deviation(
            what="takes a write of the same key once a second",
            evidence=(
                f"{GITHUB}/cloudflare/cloudflare-docs/pull/33295",
                f"{GITHUB}/pgbackrest/pgbackrest/issues/2655",
            ),
            refuse=_second_write,
        ),
        Deviation(
            what="has CRC-32 of parts, not of the whole object",
            evidence=(
                f"{CLOUDFLARE}/data-access/s3-api/api/",
                f"{GITHUB}/cloudflare/cloudflare-docs/issues/4508",
            ),
            refuse=_refused(
                "CreateMultipartUpload",
                501,
                "NotImplemented",
                "Header '{}' with value 'FULL_OBJECT' not implemented",
                "x-amz-checksum-type",
            ),
        ),
        Deviation(
            what="wants parts of one size",
            evidence=(f"{GITHUB}/apache/opendal/issues/6252",),
            refuse=_unequal_parts,
        ),
        Deviation(
            what="wants etags in quotes",
            evidence=(f"{GITHUB}/apache/opendal/pull/2226",),
            refuse=_bare_etag,
        ),
        Deviation(
            what="has headers of its own for the conditions of a copy's target",
            evidence=(f"{CLOUDFLARE}/api/s3/conditional-operations/",),
            refuse=_copy_destination,
            ignore={"CopyObject": _CONDITIONS},
        ),
        _unlisted("DeleteObject", f"{CLOUDFLARE}/api/s3/conditional-operations/"),
        _without_acls(f"{CLOUDFLARE}/data-access/s3-api/api/"),
        Deviation(
            what="refuses the header of an ACL",
            evidence=(f"{GITHUB}/thephpleague/flysystem/issues/1521",),
            refuse=_refused(
                "",
                501,
                "NotImplemented",
                "Header '{}' with value 'public-read' not implemented",
                "x-amz-acl",
            ),
        ),
        Deviation(
            what="compresses for a client that takes it, without a length and with a weak etag",
            evidence=(
                f"{GITHUB}/rclone/rclone/issues/8137",
                f"{GITHUB}/async-aws/aws/issues/2077",
            ),
            edit=_compressed,
        ),
        _checksum_of_unmodified(f"{GITHUB}/earth-mover/icechunk/pull/1991"),
    ),
)


# Backblaze B2

_B2_DOCS = "https://Backblaze.com/docs/cloud-storage-s3-compatible-api"


def _acl_of_object(request: Request, _: ProfiledStore) -> Answer | None:
    if request.operation != "PutObjectAcl" or request.headers["x-amz-acl"] == "private":
        return None
    return refusal(400, "InvalidArgument", "The ACL of an object is that of its bucket")


_NOT_CONDITIONAL = "A header you provided implies functionality that is not implemented"

B2 = Profile(
    endpoint="s3.eu-central-003.backblazeb2.com",
    options={"region": "eu-central-003", "checksums": False, "conditions": []},
    conditions=frozenset(),
    refused={
        "put if new": "conditions",
        "append": "conditions",
        "set_visibility": "InvalidArgument",
    },
    by_default={
        **dict.fromkeys(("put", "put in parts", "put if new", "append"), "checksums = false"),
        "set_visibility": "InvalidArgument",
    },
    deviations=(
        Deviation(
            what="refuses headers of checksums, on some of its clusters",
            evidence=(
                f"{GITHUB}/diced/zipline/issues/746",
                f"{GITHUB}/vatesfr/xen-orchestra/issues/8358",
            ),
            refuse=_refused(
                "",
                400,
                "InvalidArgument",
                "Unsupported header '{}' received for this API call.",
                *_CHECKSUMS,
            ),
        ),
        Deviation(
            what="refuses conditional writes",
            evidence=(
                f"{GITHUB}/sathinduga/obsidian-s3-sync-and-backup/issues/78",
                f"{GITHUB}/sathinduga/obsidian-s3-sync-and-backup/pull/84",
            ),
            refuse=_refused(
                "PutObject CopyObject CompleteMultipartUpload DeleteObject",
                501,
                "NotImplemented",
                _NOT_CONDITIONAL,
                *_CONDITIONS,
            ),
        ),
        Deviation(
            what="has no ACLs of objects, but those of their bucket",
            evidence=(_B2_DOCS,),
            refuse=_acl_of_object,
        ),
    ),
)


# Google Cloud Storage


def _transcoded(request: Request, answer: Answer, rule: Rule) -> Answer:
    headers = dict(answer.headers)
    is_gzip = headers.get("content-encoding") == "gzip" and request.operation == "GetObject"
    if not is_gzip or "gzip" in request.headers.get("accept-encoding", ""):
        return answer
    for name in ("content-encoding", "etag", "content-range"):
        headers.pop(name, None)
    headers["x-guploader-response-body-transformations"] = "gunzipped"
    rule.chunked = True
    return Answer(200, headers, gzip.decompress(answer.body))


GCS = Profile(
    endpoint="storage.googleapis.com",
    options={"region": "auto", "conditions": []},
    conditions=frozenset(),
    refused={"put if new": "conditions", "append": "conditions"},
    deviations=(
        _UNCHECKED,
        Deviation(
            what="has no bulk deletes, or had none until lately",
            evidence=(
                f"{GITHUB}/supabase/storage/issues/898",
                f"{GITHUB}/s3tools/s3cmd/issues/1222",
                f"{GITHUB}/ClickHouse/clickhouse-docs/pull/6048",
            ),
            refuse=_refused(
                "DeleteObjects",
                400,
                "NotImplemented",
                "A header or query you provided requested a function that is not implemented.",
            ),
        ),
        _ignored(
            "PutObject CopyObject CompleteMultipartUpload DeleteObject",
            f"{GITHUB}/aws/aws-sdk-java-v2/pull/6055",
        ),
        Deviation(
            what="decompresses what is stored with Content-Encoding: gzip",
            evidence=(
                f"{GITHUB}/apache/arrow-rs-object-store/issues/774",
                f"{GITHUB}/genlayerlabs/genlayer-studio/pull/1707",
            ),
            edit=_transcoded,
        ),
    ),
)


# Ceph and what is made of it

_CEPH = (
    Deviation(
        what="compares If-Match without quotes",
        evidence=(f"{GITHUB}/block/buzz/pull/3003", f"{GITHUB}/slatedb/slatedb/issues/1818"),
    ),
    _ignored("CopyObject", f"{GITHUB}/ceph/ceph/pull/71588"),
    _ignored("DeleteObject", f"{GITHUB}/benbjohnson/litestream/pull/1509"),
    Deviation(
        what="ignores the condition of a copy's source, in older releases",
        evidence=(f"{GITHUB}/ceph/ceph/pull/30866", f"{GITHUB}/ceph/ceph/pull/44678"),
        ignore=dict.fromkeys(("CopyObject", "UploadPartCopy"), ("x-amz-copy-source-if-match",)),
    ),
)


def _of_ceph(endpoint: str, region: str) -> Profile:
    return Profile(
        endpoint=endpoint,
        options={"region": region, "conditions": ["put", "parts"]},
        conditions=frozenset({"put", "parts"}),
        bare_etags=True,
        deviations=_CEPH,
    )


# Alibaba, Tencent, Huawei

OSS = Profile(
    endpoint="oss-cn-hangzhou.aliyuncs.com",
    addressing=_VIRTUAL,
    options={"region": "cn-hangzhou", "addressing_style": "virtual", "conditions": []},
    conditions=frozenset(),
    refused={"put if new": "conditions", "append": "conditions"},
    by_default={"": 'addressing_style = "virtual"'},
    deviations=(
        _UNCHECKED,
        _by_host_only(
            "SecondLevelDomainForbidden",
            "Please use virtual hosted style to access.",
            "https://www.alibabacloud.com/help/doc-detail/389025.html",
            f"{GITHUB}/fluent/fluent-bit/issues/10390",
        ),
        Deviation(
            what="refuses conditional writes",
            evidence=(f"{GITHUB}/tobi/walgit/issues/67",),
            refuse=_refused(
                "PutObject CopyObject CompleteMultipartUpload",
                501,
                "NotImplemented",
                _NOT_CONDITIONAL,
                *_CONDITIONS,
            ),
        ),
        _unlisted("DeleteObject", f"{GITHUB}/tobi/walgit/issues/67"),
        _not_chunked(
            "InvalidArgument",
            "aws-chunked encoding is not supported",
            400,
            f"{GITHUB}/zenml-io/zenml/issues/4286",
        ),
    ),
)

COS = Profile(
    endpoint="cos.ap-guangzhou.myqcloud.com",
    addressing=_VIRTUAL,
    options={"region": "ap-guangzhou", "addressing_style": "virtual", "conditions": []},
    conditions=frozenset(),
    refused={"put if new": "conditions", "append": "conditions"},
    by_default={"": 'addressing_style = "virtual"'},
    deviations=(
        _UNCHECKED,
        _by_host_only(
            "PathStyleDomainForbidden",
            "The bucket you are attempting to access must be addressed using COS "
            "virtual-styled domain.",
            f"{GITHUB}/gobackup/gobackup/issues/233",
            f"{GITHUB}/pingcap/tidb/pull/62227",
        ),
        _unlisted(
            "PutObject CopyObject CompleteMultipartUpload DeleteObject",
            f"{GITHUB}/gaul/undocumented-s3-apis/issues/4",
        ),
    ),
)


def _by_marker(request: Request, _: ProfiledStore) -> None:
    for name in ("list-type", "start-after", "continuation-token"):
        request.query.pop(name, None)


OBS = Profile(
    endpoint="obs.eu-west-101.myhuaweicloud.eu",
    options={"region": "eu-west-101", "addressing_style": "virtual"},
    deviations=(
        _UNCHECKED,
        Deviation(
            what="takes each listing for one of version 1",
            evidence=(f"{GITHUB}/minio/minio-go/issues/1703",),
            refuse=_by_marker,
        ),
        _not_chunked(
            "XAmzContentSHA256Mismatch",
            "The provided content-sha256 does not match what was computed.",
            400,
            f"{GITHUB}/langgenius/dify/pull/13354",
            f"{GITHUB}/huaweicloud/terraform-provider-huaweicloud/issues/7022",
        ),
    ),
)


# NetApp

_STORAGEGRID_DOCS = (
    "https://docs.netapp.com/us-en/storagegrid/release-notes/changes-to-s3-rest-api.html"
)
_WRITES = "PutObject CopyObject CompleteMultipartUpload DeleteObject"

STORAGEGRID = Profile(
    endpoint="s3.grid.example.com",
    options={"conditions": []},
    conditions=frozenset(),
    refused={"put if new": "conditions", "append": "conditions"},
    by_default={"put if new": "conditions", "append": "conditions"},
    deviations=(
        Deviation(
            what="refuses conditional writes, where it is set so",
            evidence=(_STORAGEGRID_DOCS,),
            refuse=_refused(
                _WRITES,
                501,
                "NotImplemented",
                _NOT_CONDITIONAL,
                *_CONDITIONS,
            ),
        ),
    ),
)

STORAGEGRID_LENIENT = Profile(
    endpoint="s3.grid.example.com",
    options={"conditions": []},
    conditions=frozenset(),
    refused={"put if new": "conditions", "append": "conditions"},
    deviations=(_ignored(_WRITES, _STORAGEGRID_DOCS),),
)


# Others


def _without_digest(request: Request, _: ProfiledStore) -> Answer | None:
    taken = {"content-md5", "x-amz-checksum-sha256", "x-amz-checksum-crc32c"}
    if request.operation != "DeleteObjects" or request.headers.keys() & taken:
        return None
    return refusal(400, "InvalidRequest", "Missing required header for this request: Content-MD5")


ORACLE = Profile(
    endpoint="namespace.compat.objectstorage.eu-frankfurt-1.oraclecloud.com",
    addressing=_PATH,
    options={"region": "eu-frankfurt-1"},
    deviations=(
        Deviation(
            what="wants Content-MD5, SHA-256 or CRC-32C for a bulk delete",
            evidence=(
                f"{GITHUB}/activepieces/activepieces/issues/14110",
                f"{GITHUB}/earth-mover/icechunk/issues/2109",
            ),
            refuse=_without_digest,
        ),
        _not_chunked(
            "NotImplemented",
            "AWS chunked encoding not supported",
            501,
            f"{GITHUB}/activepieces/activepieces/issues/14110",
        ),
    ),
)

OVH = Profile(
    endpoint="s3.gra.io.cloud.ovh.net",
    options={"region": "gra", "conditions": ["put", "parts", "delete"]},
    conditions=frozenset({"put", "parts", "delete"}),
    deviations=(
        _unlisted(
            "CopyObject",
            f"{GITHUB}/ovh/ovhcloud-docs/pull/28",
            f"{GITHUB}/ovh/public-cloud-roadmap/issues/671",
        ),
        _not_chunked(
            "NotImplemented",
            "Transfering payloads in multiple chunks using aws-chunked is not supported.",
            501,
            f"{GITHUB}/ovh/public-cloud-roadmap/issues/781",
        ),
    ),
)

SCALEWAY = Profile(
    endpoint="s3.fr-par.scw.cloud",
    regions=frozenset({"fr-par"}),
    options={"region": "fr-par"},
    deviations=(_checksum_of_unmodified(f"{GITHUB}/earth-mover/icechunk/issues/2094"),),
)


def _part_without_checksum(request: Request, store: ProfiledStore) -> Answer | None:
    if request.operation != "CompleteMultipartUpload":
        return None
    created = [each for each in store.of("CreateMultipartUpload") if each.key == request.key][-1]
    parts = [
        each
        for each in store.of("UploadPart", "UploadPartCopy")
        if each.query["uploadId"] == request.query["uploadId"]
    ]
    is_declared = "x-amz-checksum-algorithm" in created.headers
    if not is_declared or all("x-amz-checksum-crc32" in each.headers for each in parts):
        return None
    return refusal(400, "InvalidPart", "One or more of the specified parts could not be found.")


_MINIO_DOCS = "https://docs.min.io/enterprise/aistor-object-store/developers/s3-api-compatibility"

MINIO = Profile(
    endpoint="minio.example.com:9000",
    options={"conditions": ["put", "copy", "delete"]},
    conditions=frozenset({"put", "copy", "delete"}),
    refused=NO_ACLS,
    by_default=NO_ACLS,
    deviations=(
        _without_acls(_MINIO_DOCS),
        _unlisted("CompleteMultipartUpload", _MINIO_DOCS),
        Deviation(
            what="wants a checksum of each part, which it does not compute for copied ones",
            evidence=(f"{GITHUB}/pgsty/silo/issues/46", f"{GITHUB}/pgsty/silo/issues/31"),
            refuse=_part_without_checksum,
        ),
    ),
)

_GARAGE_DOCS = "https://garagehq.deuxfleurs.fr/reference_manual/s3_compatibility.html"

GARAGE = Profile(
    endpoint="garage.example.com:3900",
    addressing=_PATH,
    regions=frozenset({"garage"}),
    options={"region": "garage", "conditions": []},
    conditions=frozenset(),
    refused={**NO_ACLS, "put if new": "conditions", "append": "conditions"},
    by_default=NO_ACLS,
    deviations=(
        _without_acls(_GARAGE_DOCS),
        _unlisted(_WRITES, _GARAGE_DOCS),
    ),
)


# Wasabi


def _undeclared_checksum(request: Request, store: ProfiledStore) -> Answer | None:
    if request.operation != "UploadPart" or "x-amz-checksum-crc32" not in request.headers:
        return None
    begun = [each for each in store.of("CreateMultipartUpload") if each.key == request.key][-1]
    if "x-amz-checksum-algorithm" in begun.headers:
        return None
    message = "Checksum Type mismatch occurred, expected checksum Type: null, actual: crc32"
    return refusal(400, "InvalidRequest", message)


WASABI = Profile(
    endpoint="s3.eu-central-1.wasabisys.com",
    regions=frozenset({"eu-central-1"}),
    options={"region": "eu-central-1"},
    conditions=frozenset(),
    deviations=(
        Deviation(
            what="refuses the checksum of a part where the upload was begun without one",
            evidence=(f"{GITHUB}/EnterpriseDB/barman/issues/1064",),
            refuse=_undeclared_checksum,
        ),
        _unlisted(_WRITES, "https://docs.wasabi.com/apidocs/wasabi-api.md"),
    ),
)


# Supabase


_SUPABASE_DOCS = "https://supabase.com/docs/guides/storage/s3/compatibility.md"
_SUPABASE_ROUTER = (
    f"{GITHUB}/supabase/storage/blob/08a9d280c9476b65697a36133374703d9159a765"
    "/src/http/routes/s3/router.ts"
)
_SUPABASE_PUT = (
    f"{GITHUB}/supabase/storage/blob/03c59eb8e668d361312b2015052144080f8746d7"
    "/src/http/routes/s3/commands/put-object.ts"
)
_SUPABASE_ERRORS = (
    f"{GITHUB}/supabase/storage/blob/0e1637f6284e0ce8b2ce7a05a48a6cfc3920a19d"
    "/src/http/routes/s3/error-handler.ts"
)
_SUPABASE_NAMES = re.compile(r"[\w/!\-.*'() &$@=;:+,?]*", re.ASCII)


def _named_oddly(request: Request, _: ProfiledStore) -> Answer | None:
    if request.operation not in _WRITES.split() or _SUPABASE_NAMES.fullmatch(request.key):
        return None
    return refusal(400, "InvalidKey", f"Invalid key: {request.key}")


def _acl_of_file(request: Request, store: ProfiledStore) -> Answer | None:
    if request.operation == "PutObjectAcl":
        store.objects[request.key] = StoredObject(request.body)
    if request.operation in ("GetObjectAcl", "PutObjectAcl"):
        there = store.objects[request.key]
        content = there.content if request.method == "GET" else b""
        return Answer(200, {"etag": there.etag}, content)
    return None


def _placeholder(request: Request, _: ProfiledStore) -> Answer | None:
    if request.operation == "PutObject" and request.key.endswith("/") and not request.body:
        request.key += ".emptyFolderPlaceholder"
    return None


def _own_code(_request: Request, answer: Answer, _rule: Rule) -> Answer:
    if answer.status < 400:
        return answer
    body = re.sub(rb"<Code>(?!NoSuch)\w*</Code>", b"<Code>S3Error</Code>", answer.body)
    return Answer(answer.status, answer.headers, body)


SUPABASE = Profile(
    endpoint="ref.supabase.co",
    base="/storage/v1/s3",
    addressing=_PATH,
    regions=frozenset({"eu-central-1"}),
    options={"region": "eu-central-1", "conditions": []},
    conditions=frozenset(),
    refused={**NO_ACLS, "put if new": "conditions", "append": "conditions"},
    by_default=NO_ACLS,
    deviations=(
        Deviation(
            what="takes ASCII letters and a few other characters in names",
            evidence=(
                f"{GITHUB}/supabase/storage/issues/133",
                f"{GITHUB}/supabase/supabase/issues/34595",
            ),
            refuse=_named_oddly,
        ),
        Deviation(
            what="takes a request for the ACL of a file for one for the file",
            evidence=(
                _SUPABASE_ROUTER,
                f"{GITHUB}/jamhall/s3rver/issues/34",
                f"{GITHUB}/leo-project/leofs/issues/1021",
            ),
            refuse=_acl_of_file,
        ),
        Deviation(
            what="makes a file .emptyFolderPlaceholder in each directory that is made",
            evidence=(_SUPABASE_PUT,),
            refuse=_placeholder,
        ),
        Deviation(
            what="has a code of its own for what the store behind it refuses",
            evidence=(_SUPABASE_ERRORS,),
            edit=_own_code,
        ),
        _unlisted(_WRITES, _SUPABASE_DOCS),
        _unchecked(_SUPABASE_DOCS),
    ),
)


PROFILES: dict[str, Profile] = {
    "Cloudflare R2": R2,
    "Backblaze B2": B2,
    "Google Cloud Storage": GCS,
    "Ceph RGW": _of_ceph("ceph.example.com", "default"),
    "DigitalOcean Spaces": _of_ceph("fra1.digitaloceanspaces.com", "fra1"),
    "Hetzner": _of_ceph("fsn1.your-objectstorage.com", "fsn1"),
    "Alibaba OSS": OSS,
    "Tencent COS": COS,
    "Huawei OBS": OBS,
    "StorageGRID": STORAGEGRID,
    "StorageGRID, lenient": STORAGEGRID_LENIENT,
    "Oracle": ORACLE,
    "OVHcloud": OVH,
    "Scaleway": SCALEWAY,
    "MinIO": MINIO,
    "Garage": GARAGE,
    "Supabase": SUPABASE,
    "Wasabi": WASABI,
}
