"""Typed requests to a container and their typed results, by the names of Azure's REST API.

https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-rest-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from jtc.storage.drivers.azure_driver._transport import xml
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    StorageUnavailableException,
)
from jtc.storage.http_support.requests import Request
from jtc.storage.http_support.transfers.answers import FileAnswer, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jtc.storage.http_support.requests import Answer

__all__ = ["Blob", "ContainerRequests", "check_name"]

STARTING_VERSION = "2026-02-06"
"""The version of the service from which on a listing may begin at a name."""


def check_name(blob: str) -> None:
    """Check that Azure keeps a blob's name, or a prefix of names, as it is.

    https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata

    Raises:
        InvalidPathException: A part of it ends with a dot.
    """
    if "./" in blob or blob.endswith("."):
        raise InvalidPathException(
            "Azure drops a dot at the end of a name or of a part of it: this would be another file"
        )


class Blob(FileAnswer):
    """What the answer to a GET or a HEAD says."""

    __slots__ = ()

    @property
    def confirmed_etag(self) -> str:
        """The etag in quotes.

        Raises:
            StorageUnavailableException: The answer does not say it.
        """
        return _confirmed(self.headers)

    @property
    def known_size(self) -> int:
        """The whole blob's length in bytes.

        Raises:
            StorageUnavailableException: The answer does not say it.
        """
        if self.size is None:
            raise _lacks("size")
        return self.size

    @property
    def is_directory(self) -> bool:
        """Whether it stands for a directory, as accounts that keep these, and Hadoop, have it."""
        return self.headers.get("x-ms-meta-hdi_isfolder", "").lower() == "true"

    def check_file(self) -> Blob:
        """Return this, unless it stands for a directory.

        Raises:
            FileNotFoundException: It does.
        """
        if self.is_directory:
            self.close()
            raise FileNotFoundException("A directory is there, and no file")
        return self


class ContainerRequests:
    """Requests to one container.

    Args:
        base: The container's path at the endpoint.
        sas_token: What is added to each query; empty where requests are signed otherwise.
    """

    def __init__(self, base: str, sas_token: str) -> None:
        self._base, self._sas_token = base, sas_token

    def path(self, blob: str) -> str:
        """Return the percent-encoded path of a blob.

        Raises:
            InvalidPathException: Azure would take it for another one.
        """
        check_name(blob)
        return f"{self._base}/{quote(blob, safe='/~')}"

    def query(self, **parameters: str) -> str:
        """Return a query with the signature, where one is part of it."""
        query = urlencode(sorted((name, text) for name, text in parameters.items() if text))
        return "&".join(filter(None, (query, self._sas_token)))

    def get_blob(
        self,
        blob: str,
        headers: dict[str, str],
        *,
        leave_open_from: int = -1,
        most: int | None = None,
    ) -> Request[Blob]:
        """Read a blob, or the range that ``range`` in the headers names."""
        return Request(
            "Get Blob",
            "GET",
            self.path(blob),
            Blob.of,
            headers,
            query=self._sas_token,
            leave_open_from=leave_open_from,
            most=most,
        )

    def get_properties(self, blob: str, headers: dict[str, str] | None = None) -> Request[Blob]:
        """Read a blob's headers."""
        path, query = self.path(blob), self._sas_token
        return Request("Get Blob Properties", "HEAD", path, Blob.of, headers or {}, query=query)

    def put_blob(self, blob: str, body: bytes, headers: dict[str, str]) -> Request[str]:
        """Store a blob whole; its etag."""
        sent = {"x-ms-blob-type": "BlockBlob", **headers}
        path, query = self.path(blob), self._sas_token
        return Request("Put Blob", "PUT", path, _stored, sent, query=query, body=body)

    def put_block(
        self, blob: str, block_id: str, body: bytes, headers: dict[str, str]
    ) -> Request[None]:
        """Send a block, which is part of no file until a block list names it."""
        query = self.query(comp="block", blockid=block_id)
        return Request(
            "Put Block",
            "PUT",
            self.path(blob),
            _nothing,
            headers,
            query=query,
            body=body,
            asks_first=False,
        )

    def put_block_from_url(
        self, blob: str, block_id: str, source: str, headers: dict[str, str], size: int
    ) -> Request[None]:
        """Have the store make a block of a range of another blob."""
        query = self.query(comp="block", blockid=block_id)
        sent = {**headers, "x-ms-copy-source": source}
        path, operation = self.path(blob), "Put Block From URL"
        return Request(operation, "PUT", path, _nothing, sent, query=query, copies=size)

    def put_block_list(
        self, blob: str, block_ids: Iterable[str], headers: dict[str, str], size: int
    ) -> Request[str]:
        """Make a blob of blocks; its etag."""
        query, body = self.query(comp="blocklist"), xml.blocks_document(block_ids)
        path, operation = self.path(blob), "Put Block List"
        return Request(
            operation, "PUT", path, _stored, headers, query=query, body=body, copies=size
        )

    def get_block_list(self, blob: str) -> Request[list[str]]:
        """Return the ids of the blocks that a blob is made of."""
        query = self.query(comp="blocklist", blocklisttype="committed")
        return Request("Get Block List", "GET", self.path(blob), _blocks, query=query)

    def copy_from_url(
        self, blob: str, source: str, headers: dict[str, str], size: int
    ) -> Request[str]:
        """Have the store copy a blob of 256 MiB at most, before it answers; the copy's etag."""
        sent = {**headers, "x-ms-copy-source": source, "x-ms-requires-sync": "true"}
        path, query = self.path(blob), self._sas_token
        return Request("Copy Blob From URL", "PUT", path, _stored, sent, query=query, copies=size)

    def set_properties(self, blob: str, headers: dict[str, str]) -> Request[str]:
        """Replace all headers to serve a blob with; its etag."""
        query, path = self.query(comp="properties"), self.path(blob)
        return Request("Set Blob Properties", "PUT", path, _stored, headers, query=query)

    def set_metadata(self, blob: str, headers: dict[str, str]) -> Request[str]:
        """Replace all metadata; the etag."""
        query, path = self.query(comp="metadata"), self.path(blob)
        return Request("Set Blob Metadata", "PUT", path, _stored, headers, query=query)

    def get_tags(self, blob: str, headers: dict[str, str]) -> Request[list[tuple[str, str]]]:
        """Return a blob's tags."""
        query, path = self.query(comp="tags"), self.path(blob)
        return Request("Get Blob Tags", "GET", path, _tags, headers, query=query)

    def delete_blob(self, blob: str, headers: dict[str, str]) -> Request[None]:
        """Delete a blob; a missing one is refused."""
        path, query = self.path(blob), self._sas_token
        return Request("Delete Blob", "DELETE", path, _nothing, headers, query=query)

    def list_blobs(
        self, prefix: str, *, delimiter: str, marker: str, start_from: str, most: int
    ) -> Request[bytes]:
        """Return a page of a listing, unread.

        Args:
            prefix: What names begin with.
            delimiter: ``"/"`` joins names that go on with one.
            marker: Where the page before says that this one begins.
            start_from: A name; those before it may be left out, by a service that is new enough.
            most: How many names it has at most.
        """
        query = self.query(
            restype="container",
            comp="list",
            prefix=prefix,
            delimiter=delimiter,
            marker=marker,
            startFrom=start_from,
            maxresults=str(most),
            include="metadata",
        )
        headers = {"x-ms-version": STARTING_VERSION} if start_from else {}
        return Request("List Blobs", "GET", self._base, _document, headers, query=query)

    def get_account(self) -> Request[bool]:
        """Return whether the account keeps directories."""
        query = self.query(restype="account", comp="properties")
        return Request("Get Account Information", "GET", self._base, _is_hierarchical, query=query)

    def get_delegation_key(self, starts: str, ends: str) -> Request[dict[str, str]]:
        """Exchange a token for a key that signs URLs."""
        root, query = self._base.rpartition("/")[0], "comp=userdelegationkey&restype=service"
        body = xml.delegation_document(starts, ends)
        operation, path = "Get User Delegation Key", f"{root}/"
        return Request(operation, "POST", path, _delegation, query=query, body=body)


def _stored(answer: Answer) -> str:
    return _confirmed(answer.headers)


def _confirmed(headers: Mapping[str, str]) -> str:
    etag = quoted(headers.get("etag"))
    if etag is None:
        raise _lacks("ETag")
    return etag


def _lacks(name: str) -> StorageUnavailableException:
    message = f"The store's answer cannot be understood: it has no {name}"
    return StorageUnavailableException(message, retryable=False)


def _blocks(answer: Answer) -> list[str]:
    return xml.read_blocks(answer.document)


def _tags(answer: Answer) -> list[tuple[str, str]]:
    return xml.read_tags(answer.document)


def _is_hierarchical(answer: Answer) -> bool:
    return answer.headers.get("x-ms-is-hns-enabled", "").lower() == "true"


def _delegation(answer: Answer) -> dict[str, str]:
    return xml.read_fields(answer.document, "UserDelegationKey")


def _document(answer: Answer) -> bytes:
    return answer.document


def _nothing(_answer: Answer) -> None:
    return None
