"""Refusals of Azure, and their translation into `StorageException`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.http_support import errors
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BlocksLostException",
    "NoContainerException",
    "exception_for",
    "is_temporary",
    "is_unheeded",
    "may_be_lost",
]


class NoContainerException(StorageConfigException):
    """The container does not exist."""


class BlocksLostException(StorageUnavailableException):
    """Another write to the file ended meanwhile, and Azure dropped the blocks of this one."""


_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_OTHER_PLACE = (
    "The container is at another endpoint: check account and endpoint_url; "
    "redirects are not followed"
)
_CHANGED = "The content changed on its way to the store"
_KEYS = (
    "The store refuses the credentials ({code}): check account_key, sas_token or credential, and "
    "whether they have ended"
)
_DENIED = (
    "Access denied ({code}): check what the signature or the role permits with the container (for "
    "Entra ID: Storage Blob Data Contributor), and the account's network rules"
)
_NO_CONTAINER = (
    "There is no container {container!r}: create it, or set AZURE_STORAGE_CONTAINER or the option "
    "container"
)
_PRIVATE = "The container is not public: an anonymous disk reads public ones only"
_DISABLED = "The storage account is disabled: enable it in the Azure portal"
_LEASED = "The file is leased by another program: release or break its lease first ({code})"
_ARCHIVED = "The file is archived: set its access tier to Hot, Cool or Cold, and wait some hours"
_PENDING = "The file is still being copied, or brought back from the archive ({code})"
_SNAPSHOTS = (
    "The file has snapshots, which would be deleted with it: set the option delete_snapshots = true"
)
_SOURCE = (
    "Azure cannot read the file that it is to copy ({code}): the signature or the role must permit "
    "reading, and the account's network rules the account itself"
)
_BLOCKS = (
    "Another write to the file ended meanwhile, and Azure dropped the blocks of this one: write "
    "it again"
)
_OTHER_BLOCKS = (
    "Blocks of an upload by another program are in the way, whose ids have another length: they "
    "go after a week, or when a small file is put there"
)
_IMMUTABLE = "The file or its container is immutable by a policy or a legal hold ({code})"
_TYPE = "The file is no block blob ({code}): append and page blobs are read and deleted only"
_METADATA = "The metadata is larger than the store takes (8 KB), or has a name that it refuses"
_UNSUPPORTED = "The store cannot do this ({code})"
_OTHER_VERSION = "The file is not the version that if_match names"
_OTHER_SOURCE = "The file is not the version that if_source_match names"

# The exception, its message, and Azure's codes, or the status of an answer without one.
# https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
# https://learn.microsoft.com/en-us/rest/api/storageservices/common-rest-api-error-codes
_EXCEPTIONS: tuple[tuple[Callable[[str], StorageException], str, str], ...] = (
    (FileNotFoundException, "File not found", "BlobNotFound ResourceNotFound PathNotFound 404"),
    (NoContainerException, _NO_CONTAINER, "ContainerNotFound"),
    (StorageConfigException, "The container is being deleted", "ContainerBeingDeleted"),
    (StorageConfigException, "The container is disabled", "ContainerDisabled"),
    (StoragePermissionException, _DISABLED, "AccountIsDisabled"),
    (StoragePermissionException, "The account is being created", "AccountBeingCreated"),
    (StoragePermissionException, _PRIVATE, "PublicAccessNotPermitted NoAuthenticationInformation"),
    (StoragePermissionException, _KEYS, "AuthenticationFailed InvalidAuthenticationInfo 401"),
    (StoragePermissionException, _DENIED, "AuthorizationFailure AuthorizationPermissionMismatch"),
    (StoragePermissionException, _DENIED, "AuthorizationProtocolMismatch 403"),
    (StoragePermissionException, _DENIED, "AuthorizationResourceTypeMismatch"),
    (StoragePermissionException, _DENIED, "AuthorizationServiceMismatch"),
    (StoragePermissionException, _DENIED, "AuthorizationSourceIPMismatch"),
    (
        StoragePermissionException,
        _DENIED,
        "InsufficientAccountPermissions KeyBasedAuthenticationNotPermitted",
    ),
    (StoragePermissionException, _DENIED, "UnauthorizedBlobOverwrite"),
    (StoragePermissionException, _SOURCE, "CannotVerifyCopySource CopyAcrossAccountsNotSupported"),
    (StoragePermissionException, _LEASED, "LeaseIdMissing LeaseIdMismatchWithBlobOperation"),
    (StoragePermissionException, _LEASED, "LeaseLost LeaseAlreadyPresent"),
    (StoragePermissionException, _ARCHIVED, "BlobArchived"),
    (
        StoragePermissionException,
        _IMMUTABLE,
        "BlobImmutableDueToPolicy BlobImmutableDueToLegalHold",
    ),
    (StoragePermissionException, _SNAPSHOTS, "SnapshotsPresent"),
    (StorageUnavailableException, _PENDING, "PendingCopyOperation BlobBeingRehydrated"),
    (NotModifiedException, "The file still is the version that if_none_match names", "304"),
    (FileExistsException, "The file exists already", "BlobAlreadyExists"),
    (PreconditionFailedException, _OTHER_VERSION, "ConditionNotMet 412"),
    (PreconditionFailedException, _OTHER_VERSION, "TargetConditionNotMet"),
    (PreconditionFailedException, _OTHER_SOURCE, "SourceConditionNotMet"),
    (BlocksLostException, _BLOCKS, "InvalidBlockList"),
    (StorageUnavailableException, _OTHER_BLOCKS, "InvalidBlobOrBlock InvalidBlockId"),
    (StorageUnavailableException, _OTHER_BLOCKS, "BlockCountExceedsLimit"),
    (RangeException, "The range begins past the file's end", "InvalidRange 416"),
    (IntegrityException, _CHANGED, "Md5Mismatch Crc64Mismatch InvalidMd5"),
    (StorageTimeoutException, "The store did not answer in time", "OperationTimedOut"),
    (PathConflictException, "There is a directory where a file is needed", "ResourceTypeMismatch"),
    (PathConflictException, "There is a file where a directory is needed", "PathConflict"),
    (PathConflictException, "A directory is there", "PathAlreadyExists DirectoryIsNotEmpty"),
    (PathConflictException, _TYPE, "InvalidBlobType BlobTypeNotSupported"),
    (InvalidPathException, "Azure refuses such a name", "InvalidResourceName InvalidUri"),
    (InvalidPathException, "Azure refuses such a name", "OutOfRangeInput"),
    (UnsupportedOperationException, _UNSUPPORTED, "FeatureNotSupported UnsupportedHeader 501"),
    (
        UnsupportedOperationException,
        _UNSUPPORTED,
        "UnsupportedHttpVerb BlobAccessTierNotSupportedForAccountType 405",
    ),
    (
        functools.partial(RejectedException, reason="size"),
        "The content is larger than the store takes",
        "RequestBodyTooLarge BlockListTooLong 413",
    ),
    (functools.partial(RejectedException, reason="metadata"), _METADATA, "MetadataTooLarge"),
    (functools.partial(RejectedException, reason="metadata"), _METADATA, "InvalidMetadata"),
)
_BY_CODE = {code: found[:2] for found in _EXCEPTIONS for code in found[2].split()}

# https://learn.microsoft.com/en-us/azure/storage/blobs/storage-retry-policy
_TEMPORARY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TEMPORARY_CODES = frozenset({"InternalError", "ServerBusy", "OperationTimedOut"})
_UNHEEDED_STATUS = (425, 429)
_NOT_MODIFIED, _FORBIDDEN = 304, 403
_CLEAR_STATUS = frozenset({304, 401, 403, 404, 405, 412, 413, 416, 501})
"""Those that mean one thing, whatever the code is. A 409 may be of anything."""
_WRONG_CLOCK = 300.0
"""Seconds by which a clock may be wrong: Azure allows 900, and less for some signatures."""


def is_temporary(refusal: Refusal) -> bool:
    """Return whether the same request may succeed a moment later."""
    if refusal.status in _REDIRECTIONS:
        return False
    return refusal.status in _TEMPORARY_STATUS or refusal.code in _TEMPORARY_CODES


def is_unheeded(refusal: Refusal) -> bool:
    """Return whether a refused request had no effect: the store refused to look at it.

    A 503 without Azure's code is a proxy's, which may have lost the answer.
    """
    return refusal.status in _UNHEEDED_STATUS or refusal.code == "ServerBusy"


def may_be_lost(error: StorageException) -> bool:
    """Return whether the store may have done what failed so: it was reached, and said nothing."""
    cause = error.__cause__
    is_unsure = isinstance(cause, Refusal) and is_temporary(cause) and not is_unheeded(cause)
    return is_unsure or errors.may_be_lost(error)


def exception_for(refusal: Refusal, container: str) -> StorageException:
    """Return our exception for a refusal.

    Args:
        refusal: What the store said.
        container: The container's name, for messages.
    """
    code, status = refusal.code, refusal.status
    shown = f"HTTP {status} {code}".rstrip()
    clock = refusal.clock
    if status in _REDIRECTIONS:
        return StorageConfigException(_OTHER_PLACE)
    if status == _FORBIDDEN and abs(clock) > _WRONG_CLOCK:
        side = "behind" if clock > 0 else "ahead of"
        return StoragePermissionException(
            f"This machine's clock is {abs(clock):.0f} s {side} the store's: set it right ({shown})"
        )
    # Azure says ConditionNotMet to both conditions of a read.
    known = _BY_CODE.get("304" if status == _NOT_MODIFIED else code)
    if known is None and is_temporary(refusal):
        return StorageUnavailableException(f"The store is unavailable ({shown})")
    if known is None and (not code or status in _CLEAR_STATUS):
        known = _BY_CODE.get(str(status))
    if known is None:
        return StorageException(f"The store refused the request ({shown})")
    make, message = known
    return make(message.format(code=code or shown, container=container))
