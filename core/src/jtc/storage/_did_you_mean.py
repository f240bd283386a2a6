"""Suggestions for misspelt names, and for the names that other storage libraries use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["closest"]

# Our options and drivers, with the names that mean the same in Laravel, boto3, django-storages and
# fsspec: in lower case, without separators and the prefixes below.
_SYNONYMS: Mapping[str, str] = {
    "access_key": "accesskeyid key",
    "account": "accountname",
    "account_key": "accesskey key",
    "addressing_style": "usepathstyleendpoint",
    "azure": "abfs azblob azureblob azureblobstorage az",
    "base_url": "publicurl url",
    "bucket": "bucketname container",
    "connection_string": "connstr",
    "container": "bucket bucketname containername",
    "content_type": "mediatype mime mimetype",
    "credential": "tokencredential",
    "credentials_file": "keyfile keyfilepath token",
    "directory_modes": "directorypermissions directorypermissionsmode",
    "endpoint_url": "customendpoint endpoint",
    "file_modes": "filepermissions filepermissionsmode permissions",
    "gcs": "gcloud google googlecloud googlecloudstorage gs",
    "host_key": "fingerprint hostfingerprint",
    "max_connections": "maxpoolconnections",
    "max_size": "maxlength",
    "opendal": "dropbox ftp gdrive onedrive redis webdav",
    "overwrite": "existok fileoverwrite ifnonematch mode",
    "profile": "profilename sessionprofile",
    "project": "projectid",
    "public_url": "baseurl customdomain url",
    "region": "regionname",
    "request_timeout": "timeout",
    "root": "basepath location path rootdir",
    "sas_token": "sas",
    "secret_key": "secret secretaccesskey",
    "session_token": "token",
    "sftp": "scp ssh",
    "size": "contentlength length",
    "username": "login user",
    "visibility": "acl defaultacl public",
}
_PREFIXES = (
    "awsstorage",
    "awss3",
    "aws",
    "s3",
    "azurestorage",
    "azure",
    "gcs",
    "gs",
    "sftpstorage",
    "sftp",
)


def closest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that a wrong one most likely means, or None.

    Args:
        name: The wrong name.
        known: The names to suggest from.
    """
    plain = _plain(name)
    forms = {plain, *(plain.removeprefix(prefix) for prefix in _PREFIXES)}
    spelt = [each for each in known if _plain(each) in forms]
    meant = [each for each in known if forms & set(_SYNONYMS.get(each, "").split())]
    if spelt or meant:
        return (spelt + meant)[0]
    import difflib  # noqa: PLC0415 - imported only for an error message

    found = difflib.get_close_matches(name, known, n=1)
    return found[0] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
