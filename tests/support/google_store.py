"""A store with the API of Google Cloud Storage for tests, in memory, on loopback.

Written after https://cloud.google.com/storage/docs/json_api/v1 and
https://cloud.google.com/storage/docs/xml-api for what no public emulator keeps: generations and
metagenerations, conditions of every request, uploads in chunks that may be stored in part, copies
in several rounds, moves, checksums, ACLs, holds, transcoding, V4 signatures and POST policies. It
was never compared with Google: what only it has shown is said in docs/stores.md.

In a test, ask for the fixture `google_store`. Anywhere else::

    with GoogleStore(bucket="demo") as store:
        driver = GCSDriver(store.bucket, **store.options)

From a shell, ``python tests/support/google_store.py`` serves one until it is interrupted, and
prints the variables by which the driver finds it; ``python tests/support/google_store.py BUCKET
COMMAND`` serves one to a command, which has those variables.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import re
import secrets
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

import google_crc32c
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from command import run_beside

__all__ = ["GoogleStore", "Stored"]

HOST = "127.0.0.1"
EMAIL = "tests@tests.iam.gserviceaccount.com"
UNIT = 256 * 1024
_generations = itertools.count(time.time_ns() // 1000)

_FIELDS = (
    *("contentType", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage"),
    *("metadata", "customTime", "storageClass", "temporaryHold", "eventBasedHold", "kmsKeyName"),
)
_ACLS = {
    "publicRead": [{"entity": "allUsers", "role": "READER"}],
    "public-read": [{"entity": "allUsers", "role": "READER"}],
}
_OWNERS = [{"entity": "project-owners-1", "role": "OWNER"}]
_UNIFORM = "Cannot use legacy ACL for an object when uniform bucket-level access is enabled."


class Refused(Exception):
    """An answer that is no success."""

    def __init__(
        self, status: int, reason: str, message: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message or reason
        self.headers = headers or {}


@dataclass(eq=False)
class Stored:
    """An object."""

    content: bytes
    fields: dict[str, Any]
    acl: list[dict[str, str]]
    generation: int = field(default_factory=lambda: next(_generations))
    metageneration: int = 1
    created: float = field(default_factory=time.time)

    @cached_property
    def crc32c(self) -> str:
        return checksum(self.content)

    @cached_property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()

    def resource(self, bucket: str, name: str) -> dict[str, Any]:
        made = datetime.fromtimestamp(self.created, UTC).isoformat().replace("+00:00", "Z")
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "size": str(len(self.content)),
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "timeCreated": made,
            "updated": made,
            "crc32c": self.crc32c,
            "md5Hash": self.md5,
            "storageClass": "STANDARD",
            **self.fields,
        }


def checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


@dataclass(eq=False)
class _Session:
    name: str
    fields: dict[str, Any]
    query: dict[str, str]
    content: bytearray = field(default_factory=bytearray)
    made: dict[str, Any] | None = None


class GoogleStore:
    """A store on a free port, in a thread of its own.

    Args:
        bucket: The name of its bucket.

    Attributes:
        objects: What is in the bucket, by names.
        uniform: Whether the bucket has uniform access, and so no ACLs.
        settings: Further fields of the bucket's resource.
        lacking: The permissions that no caller has, as far as `testIamPermissions` says.
        requires_token: Whether requests need a token, unless everyone may read the object.
        tokens: The tokens that it accepts.
        token_seconds: How long a token is valid.
        knows_moves: Whether it has objects.move.
        rewrite_bytes: How many bytes a round of a copy copies.
        chunk_share: The share of the next chunk of an upload that is stored.
        hierarchical: Whether it has folders, which stay when they are empty.
        folders: Their names, each with a slash at its end.
        requester_pays: Whether requests must name a project that pays.
        project: The project that the last request named.
        requests: What was asked, as ``"METHOD /path"``.
        before: Called before each request; what it returns is answered instead, if anything.
    """

    def __init__(self, bucket: str = "test-bucket") -> None:
        self.bucket = bucket
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.port = 0
        self.reset()
        self._loop = asyncio.new_event_loop()

    def reset(self) -> None:
        """Return to an empty bucket and the usual ways."""
        self.objects: dict[str, Stored] = {}
        self.sessions: dict[str, _Session] = {}
        self.rewrites: dict[str, int] = {}
        self.uniform = self.requires_token = self.requester_pays = False
        self.settings: dict[str, Any] = {}
        self.lacking: frozenset[str] = frozenset()
        self.knows_moves = True
        self.hierarchical = False
        self.folders: set[str] = set()
        self.tokens: set[str] = set()
        self.token_seconds = 3600
        self.rewrite_bytes = 1024 * 1024
        self.chunk_share = 1.0
        self.project = ""
        self.requests: list[str] = []
        self.before: Any = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def account(self) -> dict[str, str]:
        """The key of a service account, whose tokens this store gives out."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "tests",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.url, "credentials_info": self.account}

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> web.AppRunner:
            app = web.Application(client_max_size=2**40)
            app.router.add_route("*", "/{rest:.*}", self._answered)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, HOST, self.port)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]
            return runner

        runner = self._loop.run_until_complete(start())
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        path, query = request.raw_path.partition("?")[0], dict(_pairs(request))
        self.requests.append(f"{request.method} {path}")
        is_json = path.startswith(("/storage/", "/upload/"))
        try:
            if self.before is not None and (answer := self.before(request)) is not None:
                return answer
            for start, handle in _HANDLERS:
                if path.startswith(start):
                    return await handle(self, request, path, query)
            return await self._xml(request, path, query)
        except Refused as refused:
            headers = {"x-guploader-uploadid": "test-request", **refused.headers}
            if request.method == "HEAD" or refused.status in (304, 308):
                return web.Response(status=refused.status, headers=headers)
            if is_json:
                error = {
                    "code": refused.status,
                    "message": refused.message,
                    "errors": [{"reason": refused.reason, "message": refused.message}],
                }
                return web.json_response({"error": error}, status=refused.status, headers=headers)
            text = (
                f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refused.reason}</Code>"
                f"<Message>{escape(refused.message)}</Message></Error>"
            )
            return web.Response(
                text=text, status=refused.status, headers=headers, content_type="application/xml"
            )

    # Who may

    def _authorize(self, request: web.Request, stored: Stored | None = None) -> None:
        self.project = request.headers.get("x-goog-user-project", "")
        if self.requester_pays and not self.project:
            message = "Bucket is a requester pays bucket but no user project provided."
            raise Refused(400, "userProjectMissing", message)
        if not self.requires_token:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given in self.tokens:
            return
        if not given and stored is not None and _ACLS["publicRead"][0] in stored.acl:
            return
        raise Refused(401, "authError", "Invalid Credentials")

    async def _token(
        self, request: web.Request, _path: str, _query: dict[str, str]
    ) -> web.StreamResponse:
        form = await request.post()
        assertion = str(form.get("assertion", ""))
        signed, _, signature = assertion.rpartition(".")
        self.key.public_key().verify(
            base64.urlsafe_b64decode(signature + "=="),
            signed.encode(),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
        token = f"token-{secrets.token_hex(8)}"
        self.tokens.add(token)
        return web.json_response(
            {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}
        )

    async def _sign_blob(
        self, request: web.Request, path: str, _query: dict[str, str]
    ) -> web.StreamResponse:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given not in self.tokens or EMAIL not in unquote(path):
            return web.json_response({"error": {"code": 403}}, status=403)
        payload = base64.b64decode((await request.json())["payload"])
        signature = self.key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        return web.json_response({"signedBlob": base64.b64encode(signature).decode()})

    # Objects

    def _bucket(self, name: str) -> None:
        if unquote(name) != self.bucket:
            raise Refused(404, "notFound", "The specified bucket does not exist.")

    def _object(self, name: str) -> Stored:
        if name not in self.objects:
            raise Refused(404, "notFound", f"No such object: {self.bucket}/{name}")
        return self.objects[name]

    def _check(self, stored: Stored | None, query: dict[str, str], of: str = "") -> None:
        """Hold an object to the conditions of a request."""
        numbers = {
            "Generation": stored.generation if stored else 0,
            "Metageneration": stored.metageneration if stored else 0,
        }
        for name, number in numbers.items():
            wanted = query.get(f"if{of}{name}Match")
            unwanted = query.get(f"if{of}{name}NotMatch")
            if (wanted is not None and int(wanted) != number) or (
                unwanted is not None and int(unwanted) == number
            ):
                message = "At least one of the pre-conditions you specified did not hold."
                raise Refused(412, "conditionNotMet", message)

    def _held(self, name: str) -> None:
        stored = self.objects.get(name)
        if stored and (stored.fields.get("temporaryHold") or stored.fields.get("eventBasedHold")):
            raise Refused(403, "objectUnderActiveHold", "Object is under active Temporary hold")

    def _acl(self, predefined: str | None) -> list[dict[str, str]]:
        if predefined is not None and self.uniform:
            raise Refused(400, "invalid", _UNIFORM)
        return [*_OWNERS, *_ACLS.get(predefined or "", [])]

    def _store(
        self, name: str, content: bytes, fields: dict[str, Any], query: dict[str, str]
    ) -> Stored:
        """Make an object, under the conditions of the request."""
        self._check(self.objects.get(name), query)
        self._held(name)
        expected = fields.get("crc32c")
        if expected is not None and expected != checksum(content):
            message = f'Provided CRC32C "{expected}" doesn\'t match calculated CRC32C'
            raise Refused(400, "invalid", message)
        kept = {each: fields[each] for each in _FIELDS if fields.get(each) is not None}
        if key := query.get("kmsKeyName") or query.get("destinationKmsKeyName"):
            kept["kmsKeyName"] = key
        acl = self._acl(query.get("predefinedAcl") or query.get("destinationPredefinedAcl"))
        self.objects[name] = Stored(content, kept, acl)
        if self.hierarchical:
            self._enter(name)
        return self.objects[name]

    async def _json(
        self, request: web.Request, path: str, query: dict[str, str]
    ) -> web.StreamResponse:
        bucket, *parts = path.removeprefix("/storage/v1/b/").split("/")
        kind = parts.pop(0) if parts else ""
        parts = [unquote(each) for each in parts]
        name = parts[0] if parts else ""
        self._authorize(request)
        self._bucket(bucket)
        if kind in ("", "iam"):
            return web.json_response(self._permitted(request) if kind else self._resource())
        if kind == "folders":
            return web.json_response(await self._foldered(request, name, query))
        if not parts:
            return web.json_response(self._listed(query))
        action = parts[1] if len(parts) > 1 else ""
        if action == "rewriteTo":
            return web.json_response(await self._rewritten(request, name, parts[-1], query))
        if action == "moveTo":
            return web.json_response(self._moved(name, parts[-1], query))
        stored = self._object(name)
        if action == "acl":
            if self.uniform:
                raise Refused(400, "invalid", _UNIFORM)
            return web.json_response({"items": stored.acl})
        self._check(stored, query)
        if request.method == "DELETE":
            self._held(name)
            del self.objects[name]
            return web.Response(status=204)
        if request.method == "PATCH":
            self._patch(stored, await request.json(), query)
        return web.json_response(stored.resource(self.bucket, name))

    def _permitted(self, request: web.Request) -> dict[str, Any]:
        """Return which of the permissions that are asked for the client has."""
        asked = [value for name, value in _pairs(request) if name == "permissions"]
        given = [each for each in asked if each not in self.lacking]
        return {"permissions": given} if given else {}

    def _resource(self) -> dict[str, Any]:
        """Return what Google says of the bucket."""
        access = {"uniformBucketLevelAccess": {"enabled": self.uniform}}
        access |= {"publicAccessPrevention": "inherited"}
        settings = {"iamConfiguration": access, **self.settings}
        return {"kind": "storage#bucket", "name": self.bucket, **settings}

    async def _foldered(
        self, request: web.Request, name: str, query: dict[str, str]
    ) -> dict[str, Any]:
        if not self.hierarchical:
            raise Refused(400, "invalid", "The bucket has no hierarchical namespace.")
        if request.method == "POST":
            name = (await request.json())["name"]
            if name in self.folders:
                raise Refused(409, "conflict", "The folder exists already.")
            self._enter(name)
        elif not name:
            inside = sorted(each for each in self.folders if each.startswith(query["prefix"]))
            return {"items": [{"name": each} for each in inside]}
        elif name not in self.folders:
            raise Refused(404, "notFound", "The folder does not exist.")
        elif request.method == "DELETE":
            if any(each.startswith(name) and each != name for each in self._names()):
                raise Refused(409, "conflict", "The folder you tried to delete is not empty.")
            self.folders.remove(name)
        return {"name": name}

    def _names(self) -> set[str]:
        return {*self.objects, *self.folders}

    def _enter(self, name: str) -> None:
        """Make the folders that a name lies in."""
        parts = name.split("/")[:-1]
        self.folders |= {"/".join(parts[:depth]) + "/" for depth in range(1, len(parts) + 1)}

    def _patch(self, stored: Stored, changes: dict[str, Any], query: dict[str, str]) -> None:
        if predefined := query.get("predefinedAcl"):
            stored.acl = self._acl(predefined)
        for name, value in changes.items():
            if name not in _FIELDS:
                continue
            if name == "metadata" and value is not None:
                merged = {**stored.fields.get("metadata", {}), **value}
                stored.fields[name] = {
                    key: text for key, text in merged.items() if text is not None
                }
            elif value is None:
                stored.fields.pop(name, None)
            else:
                stored.fields[name] = value
        stored.metageneration += 1

    async def _rewritten(
        self, request: web.Request, name: str, target: str, query: dict[str, str]
    ) -> dict[str, Any]:
        body = await request.read()
        stored = self._object(name)
        self._check(stored, query, of="Source")
        self._check(self.objects.get(target), query)
        size, token = len(stored.content), query.get("rewriteToken") or secrets.token_hex(8)
        copied = min(self.rewrites.get(token, 0) + self.rewrite_bytes, size)
        answer = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(copied),
            "objectSize": str(size),
            "done": copied == size,
        }
        if copied < size:
            self.rewrites[token] = copied
            return {**answer, "rewriteToken": token}
        made = self._store(
            target, stored.content, json.loads(body) if body else stored.fields, query
        )
        return {**answer, "resource": made.resource(self.bucket, target)}

    def _moved(self, name: str, target: str, query: dict[str, str]) -> dict[str, Any]:
        if not self.knows_moves:
            raise Refused(404, "notFound", "Not Found")
        stored = self._object(name)
        self._check(stored, query, of="Source")
        self._check(self.objects.get(target), query)
        self._held(name)
        self._held(target)
        del self.objects[name]
        self.objects[target] = Stored(stored.content, stored.fields, stored.acl)
        return self.objects[target].resource(self.bucket, target)

    def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = max(query.get("startOffset", "").encode(), query.get("pageToken", "").encode())
        most = int(query.get("maxResults", 1000))
        items: list[dict[str, Any]] = []
        prefixes: list[str] = []
        names = self._names() if query.get("includeFoldersAsPrefixes") else self.objects
        for name in sorted(names, key=str.encode):
            if not name.startswith(prefix):
                continue
            directory, found, _ = name[len(prefix) :].partition(delimiter or "\0")
            key = f"{prefix}{directory}{delimiter}" if delimiter and found else name
            if name.encode() < start or key in prefixes:
                continue
            if len(items) + len(prefixes) == most:
                # Names behind a directory's own begin with another letter than its slash.
                return {"items": items, "prefixes": prefixes, "nextPageToken": name}
            if key.endswith("/") and delimiter and key != prefix:
                prefixes.append(key)
            elif name in self.objects:
                items.append(self.objects[name].resource(self.bucket, name))
        return {"items": items, "prefixes": prefixes}

    # Uploads

    async def _upload(
        self, request: web.Request, path: str, query: dict[str, str]
    ) -> web.StreamResponse:
        self._authorize(request)
        self._bucket(path.split("/")[5])
        if upload_id := query.get("upload_id"):
            return await self._continued(request, upload_id)
        if query.get("uploadType") == "resumable":
            fields = await request.json()
            self._check(self.objects.get(fields["name"]), query)
            self._acl(query.get("predefinedAcl"))
            upload_id = secrets.token_hex(16)
            self.sessions[upload_id] = _Session(fields["name"], fields, query)
            location = f"{self.url}{path}?uploadType=resumable&upload_id={upload_id}"
            return web.Response(headers={"location": location})
        fields, content = _two_parts(request.headers["content-type"], await request.read())
        stored = self._store(fields["name"], content, fields, query)
        return web.json_response(stored.resource(self.bucket, fields["name"]))

    async def _continued(self, request: web.Request, upload_id: str) -> web.StreamResponse:
        body = await request.read()
        session = self.sessions.get(upload_id)
        if session is None:
            raise Refused(410, "gone", "The upload session has ended")
        if request.method == "DELETE":
            del self.sessions[upload_id]
            return web.Response(status=499)
        if session.made is not None:
            return web.json_response(session.made)
        extent = re.fullmatch(
            r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", request.headers["content-range"]
        )
        if extent is None:
            raise Refused(400, "invalid", "Invalid Content-Range")
        total = None if extent[3] == "*" else int(extent[3])
        if extent[1] is not None:
            self._take(session, int(extent[1]), body, total)
        if total is None or len(session.content) != total:
            received = len(session.content)
            raise Refused(
                308, "continue", headers={"range": f"bytes=0-{received - 1}"} if received else {}
            )
        fields = dict(session.fields)
        for each in request.headers.get("x-goog-hash", "").split(","):
            if each.startswith("crc32c="):
                fields["crc32c"] = each.removeprefix("crc32c=")
        content = bytes(session.content)
        session.content = bytearray()
        stored = self._store(session.name, content, fields, session.query)
        session.made = stored.resource(self.bucket, session.name)
        return web.json_response(session.made)

    def _take(self, session: _Session, first: int, body: bytes, total: int | None) -> None:
        received = len(session.content)
        if first > received:
            raise Refused(503, "backendError", "The chunk begins behind what is stored")
        fresh = body[received - first :]  # what is stored already is ignored
        share, self.chunk_share = self.chunk_share, 1.0
        if share < 1:
            fresh = fresh[: int(len(fresh) * share) // UNIT * UNIT]
        elif total is None:
            fresh = fresh[: len(fresh) // UNIT * UNIT]
        session.content += fresh

    # The XML API

    async def _xml(
        self, request: web.Request, path: str, query: dict[str, str]
    ) -> web.StreamResponse:
        bucket, _, name = path[1:].partition("/")
        name = unquote(name)
        if unquote(bucket) != self.bucket:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if request.method == "POST" and not name:
            return await self._form(request)
        is_signed = "X-Goog-Signature" in query
        if is_signed:
            self._verify(request, path)
        else:
            self._authorize(request, self.objects.get(name))
        if not name:
            return web.Response(text=self._xml_listed(query), content_type="application/xml")
        conditions = {
            f"if{number.title()}{kind.title().replace('-', '')}": value
            for number in ("generation", "metageneration")
            for kind in ("match", "not-match")
            if (value := request.headers.get(f"x-goog-if-{number}-{kind}")) is not None
        }
        if request.method == "PUT":
            return await self._xml_put(request, name, conditions)
        if name not in self.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        stored = self.objects[name]
        self._check(stored, conditions)
        if request.method == "DELETE":
            self._held(name)
            del self.objects[name]
            return web.Response(status=204)
        return _media(request, stored, query if is_signed else {})

    async def _xml_put(
        self, request: web.Request, name: str, conditions: dict[str, str]
    ) -> web.StreamResponse:
        content, headers = await request.read(), request.headers
        if extent := headers.get("x-goog-content-length-range"):
            least, most = (int(each) for each in extent.split(","))
            if not least <= len(content) <= most:
                raise Refused(400, "EntityTooLarge", "The length is outside of the range")
        fields: dict[str, Any] = {
            "contentType": headers.get("content-type"),
            "contentEncoding": headers.get("content-encoding"),
            "storageClass": headers.get("x-goog-storage-class"),
            "customTime": headers.get("x-goog-custom-time"),
        }
        query = dict(conditions)
        if acl := headers.get("x-goog-acl"):
            query["predefinedAcl"] = acl
        stored = self._store(name, content, fields, query)
        return web.Response(headers=_headers(stored))

    def _xml_listed(self, query: dict[str, str]) -> str:
        listed = self._listed(
            {
                "prefix": query.get("prefix", ""),
                "delimiter": query.get("delimiter", ""),
                "pageToken": query.get("continuation-token", ""),
                "maxResults": query.get("max-keys", "1000"),
            }
        )
        token = listed.get("nextPageToken")
        contents = "".join(
            f"<Contents><Key>{escape(each['name'])}</Key><Size>{each['size']}</Size>"
            f'<LastModified>{each["timeCreated"]}</LastModified><ETag>"{each["generation"]}"'
            "</ETag></Contents>"
            for each in listed["items"]
        )
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>"
            for each in listed["prefixes"]
        )
        more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        truncated = "true" if token else "false"
        return (
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>"
            f"{contents}{prefixes}{more}</ListBucketResult>"
        )

    # Signatures

    def _verify(self, request: web.Request, path: str) -> None:
        """Hold a presigned request to its V4 signature."""
        query = dict(_pairs(request))
        signature = bytes.fromhex(query.pop("X-Goog-Signature"))
        date = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if not 0 <= time.time() + 60 - date.timestamp() <= int(query["X-Goog-Expires"]) + 60:
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        names = query["X-Goog-SignedHeaders"].split(";")
        pairs = sorted((quote(name, safe=""), quote(query[name], safe="")) for name in query)
        canonical = "\n".join(
            [
                request.method,
                quote(unquote(path), safe="/~"),
                "&".join(f"{name}={value}" for name, value in pairs),
                *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
                "",
                ";".join(names),
                "UNSIGNED-PAYLOAD",
            ]
        )
        email, scope = query["X-Goog-Credential"].split("/", 1)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{query['X-Goog-Algorithm']}\n{query['X-Goog-Date']}\n{scope}\n{digest}"
        self._verify_text(email, text, signature)

    def _verify_text(self, email: str, text: str, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        try:
            if email != EMAIL:
                raise InvalidSignature
            self.key.public_key().verify(
                signature, text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            message = (
                "The request signature we calculated does not match the signature you provided."
            )
            raise Refused(403, "SignatureDoesNotMatch", message) from None

    async def _form(self, request: web.Request) -> web.StreamResponse:
        """Store the file of a form, by its POST policy."""
        form = await request.post()
        fields = {name: str(value) for name, value in form.items() if name != "file"}
        email = fields["x-goog-credential"].split("/", 1)[0]
        signature = bytes.fromhex(fields.pop("x-goog-signature"))
        document = fields.pop("policy")
        self._verify_text(email, document, signature)
        policy = json.loads(base64.b64decode(document))
        if datetime.fromisoformat(policy["expiration"]).timestamp() < time.time():
            raise Refused(400, "ExpiredToken", "The policy has expired.")
        file = form["file"]
        content = file.file.read() if isinstance(file, web.FileField) else str(file).encode()
        allowed = {"bucket": self.bucket}
        for condition in policy["conditions"]:
            if isinstance(condition, dict):
                allowed |= condition
            elif condition[0] == "content-length-range" and not (
                condition[1] <= len(content) <= condition[2]
            ):
                raise Refused(400, "EntityTooLarge", "The length is outside of the range")
        for name, value in {**fields, "bucket": self.bucket}.items():
            if allowed.get(name) != value:
                raise Refused(403, "AccessDenied", f"The policy does not allow {name}")
        if missing := allowed.keys() - fields.keys() - {"bucket"}:
            raise Refused(403, "AccessDenied", f"The policy wants {missing}")
        query = {"predefinedAcl": fields["acl"]} if "acl" in fields else {}
        kept = {
            "contentType": fields.get("Content-Type"),
            "storageClass": fields.get("x-goog-storage-class"),
        }
        self._store(fields["key"], content, kept, query)
        return web.Response(status=204)


_HANDLERS: tuple[tuple[str, Any], ...] = (
    ("/storage/v1/b/", GoogleStore._json),
    ("/upload/storage/v1/b/", GoogleStore._upload),
    ("/token", GoogleStore._token),
    ("/v1/projects/", GoogleStore._sign_blob),
)


def _pairs(request: web.Request) -> list[tuple[str, str]]:
    return parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)


def _two_parts(kind: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the metadata and the content of a body of two parts."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    first = body.index(boundary) + len(boundary)
    second = body.index(b"\r\n" + boundary, first)
    last = body.rindex(b"\r\n" + boundary)
    metadata = body[first:second].partition(b"\r\n\r\n")[2]
    content = body[second + 2 + len(boundary) : last].partition(b"\r\n\r\n")[2]
    return json.loads(metadata), content


def _headers(stored: Stored) -> dict[str, str]:
    names = {
        "cacheControl": "cache-control",
        "contentDisposition": "content-disposition",
        "contentLanguage": "content-language",
    }
    headers = {
        header: stored.fields[name] for name, header in names.items() if name in stored.fields
    }
    return {
        **headers,
        **{f"x-goog-meta-{name}": text for name, text in stored.fields.get("metadata", {}).items()},
        "etag": f'"{stored.generation}-{stored.metageneration}"',
        "last-modified": formatdate(stored.created, usegmt=True),
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-hash": f"crc32c={stored.crc32c},md5={stored.md5}",
        "x-goog-stored-content-length": str(len(stored.content)),
        "x-goog-stored-content-encoding": stored.fields.get("contentEncoding", "identity"),
    }


def _media(request: web.Request, stored: Stored, query: dict[str, str]) -> web.Response:
    headers, content, status = _headers(stored), stored.content, 200
    headers["content-type"] = stored.fields.get("contentType", "application/octet-stream")
    for name in ("content-type", "content-disposition"):
        headers[name] = query.get(f"response-{name}", headers.get(name, ""))
        if not headers[name]:
            del headers[name]
    encoding = stored.fields.get("contentEncoding")
    if encoding == "gzip" and "gzip" not in request.headers.get("accept-encoding", ""):
        with contextlib.suppress(OSError):
            content = gzip.decompress(content)
        return web.Response(body=content, headers=headers)  # ranges are ignored
    if encoding is not None:
        headers["content-encoding"] = encoding
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if found and (found[1] or found[2]):
        size = len(content)
        first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
        last = min(int(found[2]) + 1, size) if found[1] and found[2] else size
        if first >= size:
            raise Refused(416, "InvalidRange", "The requested range cannot be satisfied.")
        headers["content-range"] = f"bytes {first}-{last - 1}/{size}"
        content, status = content[first:last], 206
    return web.Response(body=content, headers=headers, status=status)


def _main() -> int:
    bucket, *command = sys.argv[1:] or ["demo-bucket"]
    with GoogleStore(bucket) as store, contextlib.suppress(KeyboardInterrupt):
        variables = {"GCS_BUCKET": store.bucket, "STORAGE_EMULATOR_HOST": store.url}
        return run_beside(variables, command)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
