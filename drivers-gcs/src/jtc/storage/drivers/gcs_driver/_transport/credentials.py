"""The credentials of a driver: tokens by google-auth, obtained in a thread before they are due."""

from __future__ import annotations

import asyncio
import base64
import copy
import importlib
import json
import logging
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.driver_support.traceback_scrubbing import scrub_error
from jtc.storage.exceptions import (
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jtc.storage.drivers.gcs_driver._settings import Settings

__all__ = ["Signer", "TokenSource"]

_log = logging.getLogger("jtc.storage")

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_MARGIN = 300.0
"""Seconds before its end from which on a token is renewed, or in the last quarter of its life."""

_PAUSE = 10.0
"""Seconds after a renewal that failed, while the old token still works."""

_LOADERS = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "aws": ("google.auth.aws", "from_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
    "external_account_authorized_user": (
        "google.auth.external_account_authorized_user",
        "from_info",
    ),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
    "pluggable": ("google.auth.pluggable", "from_info"),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
}
"""Where google-auth has credentials of a type, and what makes them."""

_OK = 200
_AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # noqa: S105 - the name of a type


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    headers: Mapping[str, str]
    renew_at: float
    ends_at: float


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """What signs presigned URLs.

    Attributes:
        email: The service account.
        sign: Returns the signature of bytes; blocks where it asks IAM.
        is_local: Whether it does not block.
    """

    email: str
    sign: Callable[[bytes], bytes]
    is_local: bool


class TokenSource:
    """The tokens of a driver, for all its event loops and threads.

    Args:
        settings: The driver's options.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given: Any = settings.credentials
        self._token: _Token | None = None
        self._signer: Signer | None = None
        self._failing = False
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock, self._loading = threading.Lock(), threading.RLock()
        self._renewal: Future[_Token] | None = None

    @property
    def ends_at(self) -> float:
        """When the last token ends, in seconds since 1970 UTC; infinity where that is not known."""
        return math.inf if self._token is None else self._token.ends_at

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that a request is authorized by; none for an anonymous disk.

        The renewal runs in a thread of its own beside its callers: one that is cancelled does not
        stop it, and none waits for it while the old token still works.

        Raises:
            StorageConfigException: There are no credentials, or they cannot be used.
            StorageUnavailableException: Their source does not work now.
        """
        if self._settings.anonymous:
            return {}
        now, token = time.time(), self._token
        if token is not None and now < token.renew_at:
            return token.headers
        renewal = self._begin_renewal()
        if token is not None and now < token.ends_at:
            return token.headers
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                waiter = asyncio.wrap_future(renewal)
                waiter.add_done_callback(_is_seen)
                return (await waiter).headers
        except StorageException as error:
            # Others wait for the same one, and each disk adds its path to what it raises.
            raise copy.copy(error) from error.__cause__
        except TimeoutError as error:
            raise StorageTimeoutException("Google's credentials did not come in time") from error

    def expire(self) -> None:
        """Have the next request obtain a new token: the store refused the last one."""
        with self._lock:
            if self._token is not None:
                self._token = replace(self._token, renew_at=0.0, ends_at=0.0)

    def _begin_renewal(self) -> Future[_Token]:
        with self._lock:
            if self._renewal is None:
                renewal = self._renewal = Future()
                # From now on a waiter's cancellation does not cancel it.
                renewal.set_running_or_notify_cancel()
                try:
                    threading.Thread(
                        target=self._renew, args=(renewal,), name="jtc-gcs-token", daemon=True
                    ).start()
                except RuntimeError as error:
                    self._renewal = None
                    renewal.set_exception(StorageUnavailableException(f"No thread: {error}"))
                return renewal
            return self._renewal

    def _renew(self, renewal: Future[_Token]) -> None:
        outcome: _Token | StorageException
        try:
            outcome = self._obtained()
        except StorageException as error:
            outcome = error
        except BaseException as error:
            outcome = _exception_for(error)
        with self._lock:
            self._renewal = None
            old = self._token
            if isinstance(outcome, _Token):
                self._token, self._failing = outcome, False
            elif old is not None and time.time() < old.ends_at:
                self._token = replace(old, renew_at=min(time.time() + _PAUSE, old.ends_at))
                if not self._failing:
                    _log.warning("Google's old token is kept until it ends: %s", outcome)
                self._failing = True
        if isinstance(outcome, _Token):
            renewal.set_result(outcome)
        else:
            renewal.set_exception(outcome)

    def _obtained(self) -> _Token:
        """Obtain a token; blocks."""
        from jtc.storage.drivers.gcs_driver._transport.google_requests import (  # noqa: PLC0415
            BlockingRequests,
        )

        began = time.time()
        with self._loading:
            credentials = self._loaded()
            credentials.refresh(BlockingRequests(self._settings))
            headers: dict[str, str] = {}
            credentials.apply(headers)
        headers = {name.lower(): value for name, value in headers.items()}
        expiry = credentials.expiry
        if expiry is None:
            return _Token(headers, math.inf, math.inf)
        ends_at = expiry.replace(tzinfo=UTC).timestamp()
        renew_at = ends_at - min(_MARGIN, max(0.0, ends_at - began) / 4)
        return _Token(headers, renew_at, ends_at)

    def _loaded(self) -> Any:
        """Return google-auth's credentials; reads files, and may ask the machine's server."""
        with self._loading:
            if self._given is None:
                with_google_auth = _load(self._settings)
                self._given = with_google_auth
            return self._given

    async def signer(self) -> Signer:
        """Return what signs URLs; waits only at the first use.

        Raises:
            StorageConfigException: There are no credentials, or they name no service account.
            UnsupportedOperationException: The disk is `anonymous`.
        """
        if self._signer is not None:
            return self._signer
        if self._settings.anonymous:
            raise UnsupportedOperationException(
                "An anonymous disk has no credentials to sign with: use url()"
            )
        try:
            self._signer = await in_thread(self._make_signer)
        except StorageException:
            raise
        except Exception as error:
            ours = _exception_for(error)
            raise ours from ours.__cause__
        return self._signer

    def _make_signer(self) -> Signer:
        import google.oauth2.service_account  # noqa: PLC0415

        credentials = self._loaded()
        wanted = self._settings.signing_email
        if isinstance(credentials, google.oauth2.service_account.Credentials):
            email = credentials.service_account_email
            if wanted in (None, email):
                return Signer(email, credentials.sign_bytes, is_local=True)
        email = wanted or getattr(credentials, "service_account_email", None)
        if email == "default":  # that of a machine is known once it was asked
            self._obtained()
            email = credentials.service_account_email
        if not email or email == "default":
            raise StorageConfigException(
                "The credentials name no service account whose key signs URLs: set the option "
                "signing_email to one for which they have the role "
                "roles/iam.serviceAccountTokenCreator"
            )
        return Signer(email, self._sign_by_iam, is_local=False)

    def _sign_by_iam(self, data: bytes) -> bytes:
        """Have Google sign: https://cloud.google.com/iam/docs/reference/credentials/rest."""
        from jtc.storage.drivers.gcs_driver._transport.google_requests import (  # noqa: PLC0415
            BlockingRequests,
        )

        email = self._signer.email if self._signer else ""
        token = self._token
        if token is None or time.time() >= token.renew_at:
            token = self._token = self._obtained()
        answer = BlockingRequests(self._settings)(
            f"{self._settings.iam_endpoint_url}/v1/projects/-/serviceAccounts/{email}:signBlob",
            "POST",
            json.dumps({"payload": base64.b64encode(data).decode()}),
            {**token.headers, "content-type": "application/json"},
        )
        if answer.status != _OK:
            raise StoragePermissionException(
                f"IAM does not sign for {email} (HTTP {answer.status}): grant the credentials the "
                "role roles/iam.serviceAccountTokenCreator on it"
            )
        try:
            return base64.b64decode(json.loads(answer.data)["signedBlob"])
        except (ValueError, KeyError, TypeError) as error:
            raise StorageUnavailableException("IAM's answer cannot be understood") from error


def _load(settings: Settings) -> Any:
    import google.auth  # noqa: PLC0415

    from jtc.storage.drivers.gcs_driver._transport.google_requests import (  # noqa: PLC0415
        BlockingRequests,
    )

    info, request = settings.credentials_info, BlockingRequests(settings)
    if settings.credentials_file is not None:
        try:
            with open(settings.credentials_file, "rb") as file:  # noqa: PTH123 - may be a descriptor
                info = json.load(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
            settings.refuse("credentials_file", f"cannot be read: {reason}")
    if info is None:
        credentials, _ = google.auth.default(scopes=_SCOPES, request=request)
        return credentials
    return _from_info(dict(info))


def _from_info(info: dict[str, Any]) -> Any:
    """Return credentials by their configuration.

    google-auth's own function for that warns, as it may be asked to load anyone's.
    """
    kind = str(info.get("type"))
    if kind == "external_account":
        if info.get("subject_token_type") == _AWS_TOKEN:
            kind = "aws"
        elif "executable" in (info.get("credential_source") or {}):
            kind = "pluggable"
    if kind not in _LOADERS:
        raise StorageConfigException(
            f"The credentials for Google are of no known type: {kind[:40]!r}; there are "
            f"{', '.join(sorted(_LOADERS))}"
        )
    module, load = _LOADERS[kind]
    credentials: Any = importlib.import_module(module).Credentials
    return getattr(credentials, load)(info, scopes=_SCOPES)


def _exception_for(error: BaseException) -> StorageException:
    """Return our exception for one of google-auth, without its texts, which may quote secrets."""
    from google.auth import exceptions  # noqa: PLC0415

    try:
        scrub_error(error)
    finally:
        kind = type(error).__name__
    if isinstance(error, exceptions.TransportError) or getattr(error, "retryable", False):
        ours: StorageException = StorageUnavailableException(
            f"Google's credentials do not come now ({kind})"
        )
    elif isinstance(error, exceptions.DefaultCredentialsError):
        ours = StorageConfigException(
            "There are no credentials for Google Cloud Storage that can be used: set "
            "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, run 'gcloud auth "
            f"application-default login', or pass credentials_file ({kind})"
        )
    elif isinstance(error, exceptions.RefreshError):
        ours = StoragePermissionException(
            f"Google refuses the credentials: the key may be deleted, or the clock wrong ({kind})"
        )
    else:
        ours = StorageConfigException(f"The credentials for Google cannot be used ({kind})")
    return ours


def _is_seen(waiter: asyncio.Future[_Token]) -> None:
    if not waiter.cancelled():
        waiter.exception()
