"""Requests to a store and its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Answer", "Body", "Refusal", "Request"]

T = TypeVar("T")


class Body(Protocol):
    """A file's content that is still on its way. It holds one of the disk's connections."""

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; none at the end.

        Raises:
            StorageException: The connection broke off.
        """
        ...

    def close(self) -> None:
        """Release the connection: to the pool if all was read, else by closing it."""
        ...


@dataclass(slots=True, eq=False, repr=False)
class Answer:
    """An answer of the store that is no refusal.

    Attributes:
        status: The HTTP status.
        headers: By names in any case.
        content: The whole body; or what it is read from, where the request left it open.
        is_repeated: Whether the request was sent before, and may have had an effect then.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | Body
    is_repeated: bool

    @property
    def document(self) -> bytes:
        """The body, which was read."""
        return cast("bytes", self.content)


@dataclass(slots=True, eq=False, repr=False)
class Request(Generic[T]):
    """A request without host and signature.

    Attributes:
        operation: The store's name of it.
        method: Of HTTP.
        path: Percent-encoded, below the endpoint's root, with the first slash.
        result: Reads the answer.
        headers: By names in lower case.
        query: Percent-encoded and sorted by name.
        body: What is sent.
        leave_open_from: An answer's body of more bytes is left open; None: none is.
        most: How many bytes of an open body are taken at once, and only when the reader of those
            before wants more; None: as many as make it fast.
        copies: How many bytes the store copies by itself meanwhile, silently; None: no copy.
    """

    operation: str
    method: str
    path: str
    result: Callable[[Answer], T]
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: bytes = b""
    leave_open_from: int | None = None
    most: int | None = None
    copies: int | None = None


class Refusal(Exception):
    """What the store answered in place of a success: the ``__cause__`` of a `StorageException`.

    Args:
        status: The HTTP status.
        code: The store's own code, such as ``"ServerBusy"``; empty where it has none.
        message: The store's own words: for a log, not for users.
        request_id: What the store's operators find the request by.
        retry_after: Seconds after which the store wants the request again; 0 where it says none.

    Attributes:
        is_repeated: Whether the request had been sent before, and may have had an effect then: its
            answer was lost.
    """

    def __init__(
        self, status: int, code: str, message: str, request_id: str, retry_after: float = 0.0
    ) -> None:
        self.status, self.code, self.message = status, code, message
        self.request_id, self.retry_after = request_id, retry_after
        self.is_repeated = False
        named = f", request {request_id}" if request_id else ""
        super().__init__(f"HTTP {status} {code}: {message}{named}")

    def __reduce__(self) -> tuple[object, ...]:
        given = (self.status, self.code, self.message, self.request_id, self.retry_after)
        return type(self), given, {"is_repeated": self.is_repeated}
