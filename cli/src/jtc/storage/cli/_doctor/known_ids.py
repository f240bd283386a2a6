"""The ids of all findings, which docs/doctor.md explains one by one."""

from __future__ import annotations

import difflib

__all__ = ["IDS", "anchor_of", "closest_id", "is_known"]

_OF_GROUPS = {
    "config": "default disk ignore key readable-secrets unreadable variable",
    "disks": "equal-signers same-place",
    "env": "ignored misspelt shadowed temporary-space value",
    "packages": "broken-plugin duplicate unreadable versions",
    "disk": "configuration delete diagnosis driver-broken driver-missing failed get latency "
    "layer-broken layer-missing list permission put refused stat throughput unreachable",
    "local": "attributes clock descriptors file-system free-space git in-memory inodes links lock "
    "names other-user read-only readers root-closed root-dangling root-missing "
    "root-no-directory staged-files umask unreadable writable-by-all",
    "memory": "lost-at-end",
    "opendal": "in-memory plain read-only torn-writes untested",
    "azure": "account clock-skew conditions container-missing cors credentials "
    "credentials-missing credentials-refused denied endpoint not-public not-visible "
    "permission-list public redirect sas-expired sas-expiring sas-permissions sas-scope "
    "soft-delete-off unavailable",
    "gcs": "clock-skew conditions cors credentials credentials-missing credentials-refused "
    "credentials-source bucket-missing denied endpoint not-public not-visible "
    "permission-create permission-delete permission-get permission-list "
    "public-access-prevention public-listing redirect retention soft-delete-off unavailable "
    "uniform-access",
    "sftp": "any-host-key free-space full host-key-changed host-key-unknown key-modes "
    "login-broken login-refused no-hardlink no-rename not-visible options read-only "
    "root-missing root-no-directory unreachable",
    "http": "dns dns-slow latency no-answer plain proxy proxy-local proxy-refuses "
    "proxy-unreachable tls-expired tls-expiring tls-failed tls-needed tls-not-spoken "
    "tls-unverified tls-untrusted tls-wrong-name unreachable",
    "s3": "abort-failed acceleration-off acls-off addressing-style bucket-denied bucket-missing "
    "checksums clock-skew conditions conditions-lost content cors credentials "
    "credentials-expired credentials-expiring credentials-malformed credentials-missing "
    "credentials-refused credentials-source delete-failed encryption-off endpoint "
    "endpoint-bucket endpoint-path get-failed lifecycle-uploads not-public not-visible "
    "object-lock options parts-failed permission-abort permission-delete permission-get "
    "permission-list permission-put public public-access-block public-listing public-url "
    "put-failed redirect refused region unavailable unfinished-uploads versioning-off "
    "versioning-suspended versions-kept",
}

IDS = frozenset(f"{group}.{name}" for group, names in _OF_GROUPS.items() for name in names.split())
"""The ids of this program and of the official drivers."""


def is_known(name: str) -> bool:
    """Return whether an id may be ignored: one of ours, or of a driver that is not ours."""
    group, dot, rest = name.partition(".")
    return name in IDS or (bool(dot and rest) and group not in _OF_GROUPS)


def closest_id(name: str) -> str | None:
    """Return the id that a wrong one most likely means, or None."""
    return next(iter(difflib.get_close_matches(name, sorted(IDS), n=1, cutoff=0.5)), None)


def anchor_of(name: str) -> str:
    """Return the anchor of an id's heading, as Markdown makes it: without the dot."""
    return name.replace(".", "")
