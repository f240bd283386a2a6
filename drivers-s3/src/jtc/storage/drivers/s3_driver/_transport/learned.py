"""`Learned`: what a disk learns of its store on the way."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Learned"]


@dataclass(slots=True, eq=False, repr=False)
class Learned:
    """What a disk learns of its store on the way; None is not known yet.

    Attributes:
        has_bucket: Whether the bucket was there once: a bare 404 is then a file's.
        has_acls: Whether the store has answered a request for an ACL.
        copies_acls: Whether a copy may have the original's ACL. False: there are none.
        acl_with_content: Whether an ACL that is sent with the content is kept.
        lists_by_directory: Whether ``a/`` is listed before ``a-b``.
        lists_by_marker: Whether the store knows the first version of listings only.
        checks_content: Whether the store answers with the checksum that it checked; several ignore
            it: https://github.com/milvus-io/milvus-storage/pull/454
        whole_checksums: Whether an upload in parts may have a CRC-32 of the whole.
        copy_checksums: Whether a copy in parts may have CRC-32s.
        bare_etags: Whether a condition's etag must be sent without its quotes.
        kept_conditions: The kinds of conditional requests that the store was seen to keep.
        bulk_conditions: Whether requests that delete many keep the etags of their entries.
        keeps_directories: Whether a directory stays when its last file is deleted.
    """

    has_bucket: bool = False
    has_acls: bool = False
    copies_acls: bool = True
    acl_with_content: bool | None = None
    lists_by_directory: bool | None = None
    lists_by_marker: bool = False
    checks_content: bool | None = None
    whole_checksums: bool = True
    copy_checksums: bool = True
    bare_etags: bool | None = None
    kept_conditions: frozenset[str] | None = None
    bulk_conditions: bool | None = None
    keeps_directories: bool | None = None
