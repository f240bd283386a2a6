"""What is known of OpenDAL's services beyond the capabilities that it claims for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import opendal
import opendal.config
import opendal.exceptions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CUTS_READS",
    "HAS_TRUE_ETAGS",
    "IN_PROCESS",
    "LOSES_CONNECTIONS",
    "MAKES_DIRECTORIES",
    "MAY_SERVE_INDEXES",
    "NEEDS_WHOLE_CONTENT",
    "REMOVES_ITS_TARGET",
    "TESTED",
    "TRIMS_LISTED_NAMES",
    "UNKEPT",
    "WRITES_WHOLE",
    "canonical_scheme",
    "known_options",
    "required_options",
    "schemes",
]

_ALIASES = {"file": "fs", "https": "http", "cosn": "cos", "huggingface": "hf"}

WRITES_WHOLE = frozenset(
    {
        # Object stores: an object appears when its upload is complete.
        *("azblob", "b2", "cos", "gcs", "gcs-grpc", "obs", "oss", "s3", "swift", "tos", "upyun"),
        *("vercel-blob", "hf"),
        # Drives, whose uploads are complete or absent.
        *("aliyun-drive", "dropbox", "gdrive", "koofr", "onedrive", "seafile", "yandex-disk"),
        # Databases and caches, which set a value in one step.
        *("cacache", "dashmap", "memcached", "memory", "mini-moka", "moka", "mongodb", "mysql"),
        *("persy", "postgresql", "redb", "redis", "sled", "sqlite"),
        # OpenDAL itself writes a file beside the target and renames it.
        "ftp",
    }
)
"""Services whose own write of a whole file is seen whole or not at all."""

HAS_TRUE_ETAGS = frozenset({"azblob", "cos", "gcs", "obs", "oss", "s3", "tos"})
"""Services whose etags name versions; a WebDAV server's may be made of times in whole seconds."""

UNKEPT: Mapping[str, frozenset[str]] = {
    # A copy may have its source's time, and servers may refuse properties of users.
    "webdav": frozenset({"copy", "write_with_user_metadata"}),
    # A copy loses the extended attributes in which OpenDAL keeps metadata.
    "fs": frozenset({"write_with_user_metadata"}),
    # It deletes one level, and returns without an error.
    "ftp": frozenset({"delete_with_recursive"}),
}
"""What OpenDAL claims for a service and our conformance tests find not kept."""

LOSES_CONNECTIONS = frozenset({"ftp"})
"""Services where a read that ends early leaves a connection that serves no other call."""

CUTS_READS = frozenset({"ftp"})
"""Services where a file whose connection ends on the way seems to end there."""

MAY_SERVE_INDEXES = frozenset({"http", "webdav"})
"""Services that may answer a directory's URL with a page that lists it."""

REMOVES_ITS_TARGET = frozenset({"webdav"})
"""Services where a rename onto a directory, or a deletion of it as a file, removes all below it."""

TESTED = frozenset({"fs", "ftp", "memory", "redis", "webdav"})
"""Services that pass the conformance tests."""

TRIMS_LISTED_NAMES = frozenset({"ftp"})
"""Services where a listing has names without the spaces that they begin with."""

NEEDS_WHOLE_CONTENT = frozenset({"ftp"})
"""Services where content that fails on the way leaves a file behind, so it is read beforehand."""


IN_PROCESS = frozenset({"dashmap", "memory", "mini-moka", "moka"})
"""Services that keep files in a client, as long as there is one."""

MAKES_DIRECTORIES = frozenset(
    {"alluxio", "azfile", "fs", "ftp", "hdfs-native", "ipmfs", "webdav", "webhdfs"}
)
"""Services with directories as on a file system, so that a path is a file or a directory."""


def canonical_scheme(scheme: str) -> str:
    """Return the scheme that an alias, such as ``"https"`` or ``"google_drive"``, stands for."""
    scheme = scheme.lower().replace("_", "-")
    return _ALIASES.get(scheme, scheme)


def schemes() -> list[str]:
    """Return the schemes that the installed wheel has."""
    try:
        opendal.AsyncOperator("")
    except opendal.exceptions.Unsupported as error:
        _, _, listed = str(error).partition("available:")
        return sorted(part.strip() for part in listed.split("\n")[0].split(",") if part.strip())
    except opendal.exceptions.ConfigInvalid:
        pass
    return sorted(_configs())


def known_options(scheme: str) -> frozenset[str] | None:
    """Return the names of a service's options; None where OpenDAL does not say them."""
    config = _configs().get(canonical_scheme(scheme))
    return None if config is None else frozenset(config.__annotations__) - {"scheme"}


def required_options(scheme: str) -> frozenset[str]:
    """Return the names of the options that a service needs."""
    config = _configs().get(canonical_scheme(scheme))
    annotations = {} if config is None else config.__annotations__
    required = {name for name, each in annotations.items() if "NotRequired" not in str(each)}
    return frozenset(required - {"scheme"})


def _configs() -> dict[str, Any]:
    """Return OpenDAL's records of options, by scheme."""
    found = {}
    for name, config in vars(opendal.config).items():
        if name.endswith("Config") and name != "ServiceConfig":
            annotation = config.__annotations__["scheme"]
            text = getattr(annotation, "__forward_arg__", None) or str(get_args(annotation))
            found[text.split('"')[1] if '"' in text else text.split("'")[1]] = config
    return found
