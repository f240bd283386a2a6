"""S3 store in memory whose answers a test scripts by rules."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import hashlib
import itertools
import math
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    import ssl

__all__ = [
    "ALWAYS",
    "Answer",
    "Request",
    "Rule",
    "ScriptedStore",
    "StoredObject",
    "refusal",
    "until",
]

HOST = "127.0.0.1"
ALWAYS = math.inf
PIECE = bytes(64 * 1024).replace(b"\0", b" ")

_SO_ATTACH_FILTER, _BPF_RETURN = 26, 6

_KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding")
# A bucket's settings by their names in the query: the operation, and the code where none is set.
_SETTINGS = {
    "cors": ("GetBucketCors", "NoSuchCORSConfiguration"),
    "encryption": ("GetBucketEncryption", "ServerSideEncryptionConfigurationNotFoundError"),
    "lifecycle": ("GetBucketLifecycleConfiguration", "NoSuchLifecycleConfiguration"),
    "object-lock": ("GetObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"),
    "publicAccessBlock": ("GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    "versioning": ("GetBucketVersioning", ""),
    "versions": ("ListObjectVersions", ""),
}
_PUBLIC = "http://acs.amazonaws.com/groups/global/AllUsers"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass
class Request:
    """A request as it arrived.

    Attributes:
        operation: S3's name for it, such as ``"GetObject"``.
        key: The object's, decoded; empty for the bucket's own operations.
        query: Its parameters, decoded.
        headers: By lower-case names.
        connection: Which of the store's connections, counted from 1.
        turn: Which request of its connection, counted from 1.
    """

    operation: str
    method: str
    target: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    connection: int
    turn: int
    body: bytes = b""

    @property
    def region(self) -> str:
        """The region that it is signed for."""
        scope = self.headers.get("authorization", "").partition("Credential=")[2]
        return scope.split("/")[2] if scope.count("/") > 2 else ""


@dataclass
class Answer:
    """A response, whose Content-Length follows from its body unless it is given."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(kw_only=True)
class Rule:
    """What to do to some requests, instead of or beside what the store does.

    Attributes:
        operations: Their names, separated by spaces; any where it is empty.
        where: A further condition.
        skip: How many of them pass before it applies.
        times: To how many it applies.
        answer: The answer in place of the store's own.
        apply: Let the store do what is asked, also where the answer is another one.
        edit: Headers of the answer to set, or to drop where the value is None.
        close: Close the connection without an answer.
        cut: Close the connection after this number of bytes of the body.
        stall: Send this number of bytes of the body, and then nothing.
        silent: Send nothing at all.
        hold: Wait for this before the answer.
        hold_body: Wait for this between the answer's head and its body.
        dribble: Send each byte of the body by itself.
        fill: How many spaces to put before the last tag of the body, whose length is not announced.
        chunked: Send the body in chunks, without its length.
        expect: The status that answers ``Expect: 100-continue``, before the body is sent; 0: none.
        ignore: Request headers that the store does not see.
        arrived: Set with each request that it applies to.
        taken: To how many requests it has applied.
        sent: How many bytes of a filled body went out.
    """

    operations: str = ""
    where: Callable[[Request], bool] | None = None
    skip: int = 0
    times: float = 1
    answer: Answer | Callable[[Request], Answer] | None = None
    apply: bool = False
    edit: Mapping[str, str | None] = field(default_factory=dict)
    close: bool = False
    cut: int | None = None
    stall: int | None = None
    silent: bool = False
    hold: asyncio.Event | None = None
    hold_body: asyncio.Event | None = None
    dribble: bool = False
    fill: int = 0
    chunked: bool = False
    expect: int = 100
    ignore: tuple[str, ...] = ()
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0
    sent: int = 0

    def takes(self, request: Request) -> bool:
        """Return whether it applies to a request, and count that."""
        if self.operations and request.operation not in self.operations.split():
            return False
        if self.where is not None and not self.where(request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.taken >= self.times:
            return False
        self.taken += 1
        self.arrived.set()
        return True


@dataclass
class StoredObject:
    """An object, or a part of an upload."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    public: bool = False
    modified: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if not self.etag:
            self.etag = f'"{hashlib.md5(self.content).hexdigest()}"'

    @property
    def crc32(self) -> str:
        """Its checksum as S3 writes it."""
        return base64.b64encode(zlib.crc32(self.content).to_bytes(4, "big")).decode()


@dataclass
class _Upload:
    key: str
    headers: dict[str, str]
    public: bool
    parts: dict[int, StoredObject] = field(default_factory=dict)
    initiated: float = field(default_factory=time.time)


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.answer = refusal(status, code)


def refusal(status: int, code: str, message: str = "No", inside: str = "") -> Answer:
    """Return an answer with S3's error document.

    Args:
        status: Its HTTP status.
        code: S3's error code.
        message: The store's own words.
        inside: Further elements, such as ``<Region>``.
    """
    text = (
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{inside}"
        "<RequestId>REQUEST-ID</RequestId></Error>"
    )
    return Answer(
        status,
        {"content-type": "application/xml", "x-amz-request-id": "REQUEST-ID"},
        text.encode(),
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class ScriptedStore:
    """One bucket on loopback, path-style. Rules apply in order; the first that takes a request.

    Args:
        bucket: Its name.
        tls: Serve https with this context.
        page_size: Keys of a listing's page.
        tokens: Whether a truncated listing has a continuation token.
        unquoted_etags: Whether If-Match is compared without the etag's quotes.

    Attributes:
        requests: All that arrived whole.
        connections: How many were opened.
        objects: What is stored.
    """

    def __init__(
        self,
        bucket: str = "bucket",
        *,
        tls: ssl.SSLContext | None = None,
        page_size: int = 1000,
        tokens: bool = True,
        unquoted_etags: bool = False,
    ) -> None:
        self.bucket = bucket
        self.page_size = page_size
        self.tokens = tokens
        self.unquoted_etags = unquoted_etags
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, _Upload] = {}
        self.endpoint_url = ""
        self._tls = tls
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "PutObject": self._put,
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": self._delete,
            "CopyObject": self._copy,
            "GetObjectAcl": self._get_acl,
            "PutObjectAcl": self._put_acl,
            "CreateMultipartUpload": self._create,
            "UploadPart": self._upload_part,
            "UploadPartCopy": self._copy_part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListMultipartUploads": self._list_uploads,
            "ListObjectsV2": self._list,
            "DeleteObjects": self._delete_many,
            "HeadBucket": lambda _: Answer(),
            **{operation: self._setting for operation, _ in _SETTINGS.values()},
        }

    # What a test uses

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint_url = f"{'https' if self._tls else 'http'}://{HOST}:{port}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Aborted connections are closed in the loop's next round.
        await asyncio.sleep(0)

    def rule(self, rule: Rule) -> Rule:
        """Add a rule and return it."""
        self.rules.append(rule)
        return rule

    def store(self, key: str, content: bytes, **headers: str) -> StoredObject:
        """Store an object without a request."""
        self.objects[key] = StoredObject(content, {"content-type": "text/plain", **headers})
        return self.objects[key]

    def begin_upload(self, key: str) -> None:
        """Begin an upload in parts long ago, without a request."""
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = _Upload(key, {}, public=False, initiated=0.0)

    def content(self, key: str) -> bytes | None:
        """Return what is stored, or None."""
        found = self.objects.get(key)
        return found.content if found else None

    def let_connections_die(self) -> None:
        """Drop all that arrives on open connections, without an acknowledgement; Linux only.

        As a router does that forgot them: https://man7.org/linux/man-pages/man7/socket.7.html.
        """
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
        program = struct.pack("HP", 1, ctypes.addressof(nothing))
        for writer in self._writers:
            if not writer.is_closing():
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def of(self, *operations: str) -> list[Request]:
        """Return the requests of some operations."""
        return [request for request in self.requests if request.operation in operations]

    # HTTP

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        task = asyncio.create_task(self._serve(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                for turn in itertools.count(1):
                    head = await reader.readuntil(b"\r\n\r\n")
                    request = self._parsed(head.decode("latin-1"), connection, turn)
                    if not await self._exchange(request, reader, writer):
                        break
        finally:
            writer.transport.abort()

    def _parsed(self, head: str, connection: int, turn: int) -> Request:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in filter(None, lines):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        key = unquote(parts.path.lstrip("/")).partition("/")[2]
        operation = _operation(method, key, query, headers)
        return Request(operation, method, target, key, query, headers, connection, turn)

    async def _exchange(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer a request, and return whether the connection may have another one."""
        rule = next((rule for rule in self.rules if rule.takes(request)), Rule())
        if "expect" in request.headers and rule.expect > 100:
            self.requests.append(request)
            head = f"HTTP/1.1 {rule.expect} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            return False
        if "expect" in request.headers and rule.expect == 100:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = await reader.readexactly(int(request.headers.get("content-length", 0)))
        self.requests.append(request)
        if rule.hold is not None:
            await rule.hold.wait()
        answer = self._answer(request, rule)
        if rule.silent:
            await asyncio.Event().wait()
        if rule.close:
            return False
        return await _send(request, answer, rule, writer)

    def _answer(self, request: Request, rule: Rule) -> Answer:
        answer = Answer()
        if rule.answer is None or rule.apply:
            for name in rule.ignore:
                request.headers.pop(name, None)
            try:
                answer = self._operations[request.operation](request)
            except _RefusedError as refused:
                answer = refused.answer
        if rule.answer is not None:
            answer = rule.answer(request) if callable(rule.answer) else rule.answer
        headers = {"date": formatdate(usegmt=True), **answer.headers}
        for name, value in rule.edit.items():
            headers.pop(name, None)
            if value is not None:
                headers[name] = value
        return Answer(answer.status, headers, answer.body)

    # Objects

    def _found(self, key: str) -> StoredObject:
        if key not in self.objects:
            raise _RefusedError(404, "NoSuchKey")
        return self.objects[key]

    def _is_match(self, request: Request, etag: str) -> bool:
        wanted = etag.strip('"') if self.unquoted_etags else etag
        return request.headers.get("if-match", "*") in ("*", wanted)

    def _check_write(self, request: Request) -> None:
        there = self.objects.get(request.key)
        if "if-none-match" in request.headers and there is not None:
            raise _RefusedError(412, "PreconditionFailed")
        if "if-match" in request.headers and there is None:
            raise _RefusedError(404, "NoSuchKey")
        if there is not None and not self._is_match(request, there.etag):
            raise _RefusedError(412, "PreconditionFailed")

    def _put(self, request: Request) -> Answer:
        self._check_write(request)
        stored = StoredObject(request.body, _kept(request), public=_is_public(request))
        self.objects[request.key] = stored
        return Answer(200, {"etag": stored.etag, "x-amz-checksum-crc32": stored.crc32})

    def _get(self, request: Request) -> Answer:
        found = self._found(request.key)
        if not self._is_match(request, found.etag):
            raise _RefusedError(412, "PreconditionFailed")
        headers = {
            **found.headers,
            "etag": found.etag,
            "last-modified": formatdate(found.modified, usegmt=True),
            "accept-ranges": "bytes",
        }
        if request.headers.get("if-none-match") == found.etag:
            return Answer(304, headers)
        wanted = request.headers.get("range")
        if wanted is None:
            if request.headers.get("x-amz-checksum-mode") == "ENABLED":
                headers["x-amz-checksum-crc32"] = found.crc32
                headers["x-amz-checksum-type"] = "FULL_OBJECT"
            return Answer(200, headers, found.content)
        size = len(found.content)
        first, last = _range(wanted, size)
        if first >= size:
            raise _RefusedError(416, "InvalidRange")
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        return Answer(206, headers, found.content[first : last + 1])

    def _delete(self, request: Request) -> Answer:
        if "if-match" in request.headers:
            self._check_write(request)
        self.objects.pop(request.key, None)
        return Answer(204)

    def _source(self, request: Request) -> StoredObject:
        named = unquote(request.headers["x-amz-copy-source"]).lstrip("/")
        found = self._found(named.partition("/")[2])
        if request.headers.get("x-amz-copy-source-if-match", found.etag) != found.etag:
            raise _RefusedError(412, "PreconditionFailed")
        return found

    def _copy(self, request: Request) -> Answer:
        source = self._source(request)
        self._check_write(request)
        replaced = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        headers = _kept(request) if replaced else source.headers
        copied = StoredObject(source.content, headers, public=_is_public(request))
        self.objects[request.key] = copied
        return _document("CopyObjectResult", _version(copied))

    def _get_acl(self, request: Request) -> Answer:
        grant = ""
        if self._found(request.key).public:
            grant = (
                f'<Grant><Grantee xmlns:xsi="{_XSI}" xsi:type="Group"><URI>{_PUBLIC}</URI>'
                "</Grantee><Permission>READ</Permission></Grant>"
            )
        return _document(
            "AccessControlPolicy",
            f"<Owner><ID>o</ID></Owner><AccessControlList>{grant}</AccessControlList>",
        )

    def _put_acl(self, request: Request) -> Answer:
        self._found(request.key).public = _is_public(request)
        return Answer()

    # Uploads in parts

    def _upload(self, request: Request) -> _Upload:
        if request.query["uploadId"] not in self.uploads:
            raise _RefusedError(404, "NoSuchUpload")
        return self.uploads[request.query["uploadId"]]

    def _create(self, request: Request) -> Answer:
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = _Upload(request.key, _kept(request), _is_public(request))
        answer = _document("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        for name in ("x-amz-checksum-algorithm", "x-amz-checksum-type"):
            if name in request.headers:
                answer.headers[name] = request.headers[name]
        return answer

    def _upload_part(self, request: Request) -> Answer:
        part = StoredObject(request.body)
        self._upload(request).parts[int(request.query["partNumber"])] = part
        return Answer(200, {"etag": part.etag, "x-amz-checksum-crc32": part.crc32})

    def _copy_part(self, request: Request) -> Answer:
        content = self._source(request).content
        first, last = _range(request.headers["x-amz-copy-source-range"], len(content))
        part = StoredObject(content[first : last + 1])
        self._upload(request).parts[int(request.query["partNumber"])] = part
        return _document("CopyPartResult", _version(part))

    def _complete(self, request: Request) -> Answer:
        upload = self._upload(request)
        self._check_write(request)
        parts = [upload.parts[int(number)] for number in _texts(request.body, "PartNumber")]
        if [part.etag for part in parts] != _texts(request.body, "ETag"):
            raise _RefusedError(400, "InvalidPart")
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        stored = StoredObject(
            b"".join(part.content for part in parts),
            upload.headers,
            f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"',
            upload.public,
        )
        self.objects[upload.key] = stored
        del self.uploads[request.query["uploadId"]]
        return _document("CompleteMultipartUploadResult", _version(stored))

    def _abort(self, request: Request) -> Answer:
        self._upload(request)
        del self.uploads[request.query["uploadId"]]
        return Answer(204)

    def _list_uploads(self, _: Request) -> Answer:
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{_iso(upload.initiated)}</Initiated></Upload>"
            for upload_id, upload in self.uploads.items()
        )
        return _document("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{uploads}")

    # The bucket

    def _setting(self, request: Request) -> Answer:
        """Answer that the bucket has no such setting."""
        code = dict(_SETTINGS.values())[request.operation]
        if code:
            raise _RefusedError(404, code)
        roots = {"ListObjectVersions": "ListVersionsResult"}
        return _document(roots.get(request.operation, "VersioningConfiguration"), "")

    def _list(self, request: Request) -> Answer:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        is_old = "list-type" not in query
        after = query.get("continuation-token") or query.get("start-after", "")
        if is_old:
            after = query.get("marker", "")
        keys = sorted(self.objects, key=lambda key: key.encode())
        entries: list[tuple[str, bool]] = []
        for key in keys:
            if not key.startswith(prefix) or key.encode() <= after.encode():
                continue
            rest = key[len(prefix) :]
            entry = (key, False)
            if delimiter and delimiter in rest:
                entry = (prefix + rest[: rest.index(delimiter) + 1], True)
            # A token ends the page of a directory; start-after does not, as on AWS.
            if entry[1] and entry[0] == query.get("marker" if is_old else "continuation-token"):
                continue
            if entry not in entries[-1:]:
                entries.append(entry)
        page = entries[: min(self.page_size, int(query.get("max-keys", 1000)))]
        is_truncated = len(page) < len(entries)
        token = ""
        if is_old:
            token = f"<Marker>{escape(after)}</Marker>"
        elif is_truncated and self.tokens and page:
            token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>"
        is_encoded = query.get("encoding-type") == "url"
        items = "".join(self._entry(*entry, is_encoded=is_encoded) for entry in page)
        return _document(
            "ListBucketResult",
            f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>{token}"
            f"{'<EncodingType>url</EncodingType>' if is_encoded else ''}{items}",
        )

    def _entry(self, key: str, is_directory: bool, *, is_encoded: bool) -> str:
        shown = quote(key, safe="/") if is_encoded else escape(key)
        if is_directory:
            return f"<CommonPrefixes><Prefix>{shown}</Prefix></CommonPrefixes>"
        found = self.objects[key]
        return (
            f"<Contents><Key>{shown}</Key>{_version(found)}"
            f"<Size>{len(found.content)}</Size></Contents>"
        )

    def _delete_many(self, request: Request) -> Answer:
        results = []
        for named in _elements(request.body, "Object"):
            key = named["Key"]
            there = self.objects.get(key)
            code = ""
            if there is None and "ETag" in named:
                code = "NoSuchKey"
            elif there is not None and named.get("ETag", "*") not in ("*", there.etag):
                code = "PreconditionFailed"
            if code:
                results.append(f"<Error><Key>{escape(key)}</Key><Code>{code}</Code></Error>")
                continue
            self.objects.pop(key, None)
            results.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return _document("DeleteResult", "".join(results))


async def _send(request: Request, answer: Answer, rule: Rule, writer: asyncio.StreamWriter) -> bool:
    """Send an answer, and return whether the connection may have another request."""
    body = b"" if answer.status in (204, 304) else answer.body
    headers = dict(answer.headers)
    has_length = "content-length" not in rule.edit and not rule.fill and not rule.chunked
    if has_length and answer.status != 204:
        headers.setdefault("content-length", str(len(body)))
    if rule.chunked:
        headers["transfer-encoding"] = "chunked"
    is_kept = has_length or rule.chunked
    if not is_kept:
        headers["connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{n}: {v}" for n, v in headers.items())]
    writer.write("\r\n".join((*lines, "", "")).encode("latin-1"))
    await writer.drain()
    if request.method != "HEAD":
        await _send_body(body, rule, writer)
    return is_kept and rule.cut is None


async def _send_body(body: bytes, rule: Rule, writer: asyncio.StreamWriter) -> None:
    if rule.hold_body is not None:
        await rule.hold_body.wait()
    if rule.fill:
        at = body.rfind(b"<")
        writer.write(body[:at])
        while rule.sent < rule.fill:
            writer.write(PIECE)
            await writer.drain()
            rule.sent += len(PIECE)
        body = body[at:]
    if rule.dribble:
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return
    ends = [end for end in (rule.stall, rule.cut) if end is not None]
    body = body[: ends[0]] if ends else body
    if rule.chunked and body:
        body = b"%x\r\n%s\r\n" % (len(body), body)
    if rule.chunked and not ends:
        body += b"0\r\n\r\n"
    writer.write(body)
    await writer.drain()
    if rule.stall is not None:
        await asyncio.Event().wait()


def _operation(method: str, key: str, query: dict[str, str], headers: dict[str, str]) -> str:
    if not key:
        if method == "POST":
            return "DeleteObjects"
        if method == "HEAD":
            return "HeadBucket"
        if (setting := _SETTINGS.keys() & query.keys()) and method == "GET":
            return _SETTINGS[setting.pop()][0]
        return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
    if "uploadId" in query and method == "PUT":
        return "UploadPartCopy" if "x-amz-copy-source" in headers else "UploadPart"
    if "uploadId" in query:
        return "AbortMultipartUpload" if method == "DELETE" else "CompleteMultipartUpload"
    if method == "POST":
        return "CreateMultipartUpload"
    if "acl" in query:
        return "PutObjectAcl" if method == "PUT" else "GetObjectAcl"
    if "x-amz-copy-source" in headers:
        return "CopyObject"
    return f"{method.capitalize()}Object"


def _document(root: str, inside: str) -> Answer:
    text = f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{root}>'
    return Answer(200, {"content-type": "application/xml"}, text.encode())


def _version(stored: StoredObject) -> str:
    return f"<ETag>{escape(stored.etag)}</ETag><LastModified>{_iso(stored.modified)}</LastModified>"


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def _kept(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name in _KEPT or name.startswith("x-amz-meta-")
    }


def _is_public(request: Request) -> bool:
    return request.headers.get("x-amz-acl") == "public-read"


def _range(text: str, size: int) -> tuple[int, int]:
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last or size - 1), size - 1)


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _elements(body: bytes, name: str) -> Iterator[dict[str, str]]:
    for element in ET.fromstring(body).iter():
        if _tag(element) == name:
            yield {_tag(inner): inner.text or "" for inner in element}


def _texts(body: bytes, name: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(body).iter() if _tag(each) == name]
