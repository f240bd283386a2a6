"""Buckets in which the doctor finds nothing wrong, for tests that plant one fault in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripted_store import ALWAYS, Answer, Rule, refusal

if TYPE_CHECKING:
    from scripted_store import Request, ScriptedStore

__all__ = ["KEPT", "RIGHTS", "XML", "is_anonymous", "make_healthy", "make_healthy_bucket"]

KEPT = ["put", "copy", "delete"]
"""The conditions that SeaweedFS keeps."""

RIGHTS = (
    *("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
    "s3:AbortMultipartUpload",
)
"""What keys need for all that the doctor tries."""

_LIFECYCLE = {
    "Rules": [
        {
            "ID": "uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
    ]
}
_CORS = {
    "CORSRules": [
        {
            "AllowedOrigins": ["https://*.example.com"],
            "AllowedMethods": ["GET", "PUT", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
        }
    ]
}
XML = {
    "GetBucketLifecycleConfiguration": "<LifecycleConfiguration><Rule><Status>Enabled</Status>"
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
    "GetBucketCors": "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin>"
    "<AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader>"
    "<ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>",
}
"""The settings of a scripted bucket, by operation."""


def make_healthy_bucket(client: Any, name: str, **options: Any) -> str:
    """Make a bucket of a real store by boto3's client, with rules for uploads; return its name."""
    if name in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        return name
    client.create_bucket(Bucket=name, **options)
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=_LIFECYCLE)
    client.put_bucket_cors(Bucket=name, CORSConfiguration=_CORS)
    return name


def is_anonymous(request: Request) -> bool:
    """Return whether a request is not signed."""
    return "authorization" not in request.headers


def make_healthy(store: ScriptedStore) -> None:
    """Have a scripted store deny what is not signed, and have rules for uploads."""
    denied = refusal(403, "AccessDenied")
    store.rule(Rule(where=is_anonymous, times=ALWAYS, answer=denied))
    for operation, document in XML.items():
        answer = Answer(200, {}, document.encode())
        store.rule(Rule(operations=operation, times=ALWAYS, answer=answer))
