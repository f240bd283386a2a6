"""The fields of one application, and what they share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jtc.storage import Storage
from jtc.storage.attachments import _urls, tokens
from jtc.storage.attachments._background import Background
from jtc.storage.attachments._disk_checks import check_disk, warn_if_not_durable
from jtc.storage.attachments._names import no_such
from jtc.storage.attachments._signing import Signatures
from jtc.storage.attachments.queues import InProcessQueue, Job
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jtc.storage import Disk, StorageManager
    from jtc.storage.attachments._urls import SignedUrl
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.queues import Queue
    from jtc.storage.attachments.records import Records
    from jtc.storage.driver_support.url_signing import Secrets

__all__ = ["JobFunction", "Registry"]

JobFunction: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
"""A function that runs background jobs of one name. It takes a job's payload."""

_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Registry:
    """The fields of one application, and what they share.

    Args:
        namespace: The first directory of all keys: several databases can share a bucket. It has
            letters, digits, ``-`` and ``_``.
        secret: Signs URLs and tokens; of several, the first one signs and all verify.
        base_url: Where the route is mounted: a path, or a whole URL of another host.
        keep: For how many seconds the files of a replaced or deleted row remain after the commit:
            at least as long as the URLs of any field work.
        storage: The manager of the disks; the process's by default.

    Attributes:
        storage: The manager of the disks.
        records: The database's rows, once an integration has connected it.
        queue: Where background jobs go: an `InProcessQueue`, until another one is set.

    Raises:
        StorageConfigException: The namespace or the secret is invalid.
    """

    def __init__(
        self,
        *,
        namespace: str,
        secret: Secrets,
        base_url: str = "/attachments",
        keep: float = 86_400,
        storage: StorageManager = Storage,
    ) -> None:
        try:
            self.signatures = Signatures(secret)
        finally:
            del secret  # a traceback holds this function's variables
        if not _NAMESPACE.fullmatch(namespace):
            raise StorageConfigException(
                f"A namespace has letters, digits, '-' and '_', not {namespace!r}"
            )
        self.namespace = namespace
        self.base_url = base_url.rstrip("/")
        self.keep = keep
        self.records: Records | None = None
        self.queue: Queue = InProcessQueue(self.run_job)
        self.storage = storage
        self._fields: dict[str, Field] = {}
        self._checked: set[str] = set()
        self._jobs: dict[str, JobFunction] = {}
        self._background = Background()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r} fields={list(self._fields)}>"

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields, by name."""
        return self._fields

    def add(self, name: str, field: Field) -> None:
        """Add a field under a name that no other has.

        Raises:
            StorageConfigException: The name is taken, the field is in a registry already, or its
                URLs would work longer than files are kept.
        """
        if not _FIELD_NAME.fullmatch(name):
            raise StorageConfigException(
                f"A field's name has letters, digits, '.', '-' and '_', not {name!r}"
            )
        if name in self._fields and self._fields[name] is not field:
            raise StorageConfigException(f"There are two fields {name!r}")
        if field.url_lifetime is not None and field.url_lifetime > self.keep:
            raise StorageConfigException(
                f"URLs of {name!r} work for {field.url_lifetime} s, and files are kept for "
                f"{self.keep} s after they were dropped: raise 'keep' or lower 'url_lifetime'"
            )
        field.bind(name, self)
        self._fields[name] = field

    def disk(self, name: str) -> Disk:
        """Return a disk by its name."""
        return self.storage.disk(name)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine after the caller has returned; `aclose` waits for it.

        It is a task of this thread's event loop; where none runs, it ends before this returns. A
        failure is logged.
        """
        self._background.run(work)

    async def aclose(self) -> None:
        """Wait for the background work of this event loop: deletions, and jobs in the process."""
        await self._background.wait()
        if isinstance(self.queue, InProcessQueue):
            await self.queue.aclose()

    def field(self, name: str) -> Field:
        """Return a field by its name.

        Raises:
            StorageConfigException: There is none.
        """
        if name not in self._fields:
            raise StorageConfigException(no_such("attachment field", name, self._fields))
        return self._fields[name]

    async def check(self) -> None:
        """Check the disks of all fields, when the application starts. It sends no request.

        What an upload would find out is found out here: a disk that is not configured, cannot
        refuse to replace a file, or is private in spite of ``serve="direct"``. A local disk that is
        not `durable` is a warning in the log: after a power cut, rows may name files that are lost.

        Raises:
            StorageConfigException: A disk lacks what attachments need.
        """
        names = {}
        for field in self._fields.values():
            await self.check_field(field)
            names[field.disk_name] = field.disk
        for disk in names.values():
            warn_if_not_durable(disk)

    async def check_field(self, field: Field) -> None:
        """Check the disk of a field; the first upload does it too.

        Raises:
            StorageConfigException: The disk lacks what attachments need.
        """
        if field.name not in self._checked:
            await check_disk(field.disk, is_direct=field.serve == "direct", field=field.name)
            self._checked.add(field.name)

    def verify(self, path: str, query: str) -> SignedUrl:
        """Return the meaning of a URL that `Attachment.url` made, for the route.

        Args:
            path: The URL's path as it was sent, or its last three parts.
            query: The part after the ``?`` as it was sent.

        Raises:
            StoragePermissionException: It is no URL of this registry, or has expired.
        """
        return _urls.verify(self, path, query)

    def issue_token(
        self, field: Field, attachment: Attachment, owner: object, expires_in: float = 3600
    ) -> str:
        """Return a token by which a client hands back an attachment that no row names yet.

        Args:
            field: The field that the attachment was stored for.
            attachment: The attachment.
            owner: Whose it is: the id of a user, or of an anonymous session.
            expires_in: For how many seconds the token is valid.

        Raises:
            ValueError: There is no owner, or the time is not above 0.
        """
        return tokens.issue_token(self, field, attachment, owner, expires_in)

    def read_token(self, field: Field, token: str, owner: object) -> Attachment:
        """Return the attachment of a token. It asks neither database nor disk.

        That a token is used once, the database enforces in the transaction that commits the claim.

        Raises:
            TokenException: It is not valid for this field and owner, or has expired.
            ValueError: There is no owner.
        """
        return tokens.read_token(self, field, token, owner)

    @property
    def jobs(self) -> Mapping[str, JobFunction]:
        """The functions of background jobs, by name."""
        return self._jobs

    def add_job(self, name: str, function: JobFunction) -> None:
        """Name a function of the application for background jobs.

        Args:
            name: The name, which a job in a queue still has after the next deployment.
            function: An ``async def`` that takes the payload. It is idempotent, since a job may run
                several times.

        Raises:
            StorageConfigException: The name is taken.
        """
        if self._jobs.setdefault(name, function) is not function:
            raise StorageConfigException(f"There are two background jobs {name!r}")

    async def enqueue(self, name: str, payload: Mapping[str, Any] | None = None) -> None:
        """Give a job to the queue.

        Args:
            name: A name of `add_job`, or of one of the library's own jobs.
            payload: What the function gets: values that JSON can hold.

        Raises:
            StorageConfigException: There is no such job.
        """
        self._job(name)
        await self.queue.enqueue(Job(name=name, payload=payload or {}))

    async def run_job(self, job: Job) -> None:
        """Run a job that was in the queue; the adapter of a queue calls it.

        Raises:
            StorageConfigException: There is no such job.
            Exception: The function's error: the queue repeats the job.
        """
        await self._job(job.name)(job.payload)

    def _job(self, name: str) -> JobFunction:
        if name not in self._jobs:
            raise StorageConfigException(no_such("background job", name, self._jobs))
        return self._jobs[name]
