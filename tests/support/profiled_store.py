"""Store in memory that answers as a named kind of store does, where that is not as AWS does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from scripted_store import Answer, Request, Rule, ScriptedStore, refusal

__all__ = ["ACCESS_KEY", "SECRET_KEY", "Deviation", "Profile", "ProfiledStore"]

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "SECRET-KEY"

_PATH, _VIRTUAL = "path", "virtual"


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One way in which a store differs from AWS.

    Attributes:
        what: It, in words.
        evidence: Where it is documented or reported.
        refuse: Returns the answer in place of the store's own, or None.
        ignore: Headers that the store does not see, by operation.
        edit: Returns the answer that is sent, given the store's own. It may change the rule by
            which it is sent.
    """

    what: str
    evidence: tuple[str, ...]
    refuse: Callable[[Request, ProfiledStore], Answer | None] | None = None
    ignore: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    edit: Callable[[Request, Answer, Rule], Answer] | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of store.

    Attributes:
        endpoint: The host of its endpoint.
        base: The path of its endpoint.
        addressing: Where it finds the bucket's name: in the path, before the host, or both.
        regions: Those that a signature may name; any where it is empty.
        options: What a disk must set, beside bucket, keys and endpoint.
        conditions: The kinds of conditional requests that it keeps.
        deviations: How it differs from AWS.
        bare_etags: Whether it compares the etag of a conditional write without its quotes.
        refused: The calls that it cannot do with these options: a part of each error's text.
        by_default: The same for a disk without the options.
    """

    endpoint: str
    deviations: tuple[Deviation, ...]
    base: str = ""
    addressing: frozenset[str] = frozenset({_PATH, _VIRTUAL})
    regions: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    conditions: frozenset[str] = frozenset({"put", "parts", "copy", "delete"})
    bare_etags: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    by_default: Mapping[str, str] = field(default_factory=dict)


class ProfiledStore(ScriptedStore):
    """A store of a profile, which a disk reaches as its HTTP proxy: hosts are those of the profile.

    It verifies the signatures of requests, as the SDK computes them.

    Args:
        profile: The kind of store.

    Attributes:
        writes: How many writes of each key were let through since the last one that was throttled.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__(unquoted_etags=profile.bare_etags)
        self.profile = profile
        self.writes: Counter[str] = Counter()

    def options(self, **options: Any) -> dict[str, Any]:
        """Return the options of a disk on this store."""
        return {
            "bucket": self.bucket,
            "endpoint_url": f"http://{self.profile.endpoint}{self.profile.base}",
            "proxy": self.endpoint_url,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            **options,
        }

    def _parsed(self, head: str, connection: int, turn: int) -> Request:
        host = urlsplit(head.split(" ", 2)[1]).netloc
        if self.style(host) == _VIRTUAL:
            # The base class expects the bucket in the path.
            head = head.replace(host, f"{host}/{self.bucket}", 1)
        head = head.replace(f"{host}{self.profile.base}/", f"{host}/", 1)
        return super()._parsed(head, connection, turn)

    def style(self, host: str) -> str:
        """Return where a request to a host has the bucket's name."""
        return _PATH if host == self.profile.endpoint else _VIRTUAL

    def _answer(self, request: Request, rule: Rule) -> Answer:
        answer = self._refused(request)
        if answer is not None:
            return answer
        for deviation in self.profile.deviations:
            for name in deviation.ignore.get(request.operation, ()):
                request.headers.pop(name, None)
        answer = super()._answer(request, rule)
        for deviation in self.profile.deviations:
            if deviation.edit is not None:
                answer = deviation.edit(request, answer, rule)
        return answer

    def _refused(self, request: Request) -> Answer | None:
        host, regions = request.headers["host"], self.profile.regions
        if host not in (self.profile.endpoint, f"{self.bucket}.{self.profile.endpoint}"):
            return refusal(404, "NoSuchBucket")
        for deviation in self.profile.deviations:
            answer = deviation.refuse(request, self) if deviation.refuse else None
            if answer is not None:
                return answer
        if regions and request.region not in regions:
            inside = f"<Region>{min(regions)}</Region>"
            return refusal(400, "AuthorizationHeaderMalformed", inside=inside)
        return None if self._is_signed(request) else refusal(403, "SignatureDoesNotMatch")

    def _is_signed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        parts = urlsplit(request.target)
        path = parts.path
        if self.style(request.headers["host"]) == _VIRTUAL:
            path = path.removeprefix(f"/{self.bucket}") or "/"
        signed = AWSRequest(
            method=request.method,
            url=f"http://{request.headers['host']}{self.profile.base}{path}?{parts.query}",
            headers={name: request.headers.get(name, "") for name in names},
        )
        signed.context["timestamp"] = request.headers.get("x-amz-date", "")
        keys = Credentials(ACCESS_KEY, SECRET_KEY)
        signer = S3SigV4Auth(keys, "s3", request.region)
        text = signer.string_to_sign(signed, signer.canonical_request(signed))
        return given.endswith(f"Signature={signer.signature(text, signed)}")
