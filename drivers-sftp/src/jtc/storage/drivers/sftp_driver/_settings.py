"""Options of the driver, checked when it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from jtc.storage.driver_support.file_modes import Modes, modes_of
from jtc.storage.driver_support.option_checks import checked_base_url
from jtc.storage.exceptions import StorageConfigException

__all__ = ["Login", "Settings", "refuse", "settings_from"]

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_KEY = re.compile(r"(?:@\S+ )?(?:\S+ )?(?:ssh-|ecdsa-|sk-)\S+ AAAA\S")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_UNEXPANDED = re.compile(r"\$\{?\w+|%\w+%")
_JUMP = re.compile(r"(?:(?P<username>[^@\s]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?")


def refuse(option: str, reason: str) -> NoReturn:
    """Raise the exception for an option.

    Raises:
        StorageConfigException: Always.
    """
    raise StorageConfigException(f"The option {option!r} {reason}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Login:
    """How to log in at one server, checked when it is made.

    Attributes:
        host: The server.
        port: Its port; None: the configuration file's, else 22.
        username: The user; None: the configuration file's, else that of this process.
        password: The user's password.
        private_key: The text of a key, or the path of one.
        passphrase: That of the key.
        agent: Whether an agent's keys are tried, or the path of its socket; None: where there is
            neither a password nor a key.
        known_hosts: The path, or the text, of a file of known hosts; None: that of this user.
        host_keys: The keys, or fingerprints, of which the server must have one.
        any_host_key: Accept any host key.
        tunnel: The server to go through.

    Raises:
        StorageConfigException: An option is invalid.
    """

    host: str
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    agent: bool | str | None = None
    known_hosts: str | None = field(default=None, repr=False)
    host_keys: tuple[str, ...] = ()
    any_host_key: bool = False
    tunnel: Login | None = None

    def __post_init__(self) -> None:
        for name in ("host", "username", "password", "private_key", "passphrase", "known_hosts"):
            _check_text(name, getattr(self, name))
        if self.port is not None and not (
            type(self.port) is int and 0 < self.port < 65536  # noqa: PLR2004
        ):
            refuse("port", f"is a number from 1 to 65535, not {self.port!r}")
        if self.agent is not None and not isinstance(self.agent, (bool, str)):
            refuse("agent", "is true, false, or the path of an agent's socket")
        for key in self.host_keys:
            if not (_FINGERPRINT.fullmatch(key) or _KEY.match(key)):
                refuse(
                    "host_key",
                    "is a public key such as 'ssh-ed25519 AAAA…', or a fingerprint such as "
                    "'SHA256:…', as `ssh-keyscan` and `ssh-keygen -l` print them",
                )
        if not isinstance(self.any_host_key, bool):
            refuse("insecure_accept_any_host_key", "is true or false")
        if self.any_host_key and (self.host_keys or self.known_hosts):
            refuse("insecure_accept_any_host_key", "contradicts 'host_key' and 'known_hosts'")

    @property
    def at(self) -> str:
        """The server, for messages."""
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def tries_agent(self) -> bool:
        """Whether an agent's keys are tried."""
        if self.agent is None:
            return self.password is None and self.private_key is None
        return bool(self.agent)

    @property
    def has_known_hosts_text(self) -> bool:
        """Whether `known_hosts` is a text, and not a path."""
        text = self.known_hosts or ""
        return "\n" in text or _KEY.match(text) is not None


_LOGIN = tuple(each.name for each in fields(Login) if each.name not in {"tunnel", "host_keys"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """Options of a driver.

    Attributes:
        login: How to log in.
        root: The directory, absolute or below the user's home.
        base_url: What URLs begin with, without a slash at its end; None: there are none.
        config: The paths of configuration files of OpenSSH's client.
        modes: Those of new files and directories.
        durable: Sync each file.
        replace_by_removal: Remove a file before another takes its name, on a server that cannot
            do it in one step.
        compression: Compress what is sent.
        max_concurrency: Operations of one event loop at once.
        max_attempts: How often an operation is tried.
        connect_timeout: Seconds for a connection with its login.
        request_timeout: Seconds without an answer.
        pool_timeout: Seconds that a call waits for its turn.
        keepalive_interval: Seconds of silence after which the server is asked for a sign of life.

    Raises:
        StorageConfigException: An option is invalid.
    """

    login: Login
    root: str = ""
    base_url: str | None = None
    config: tuple[str, ...] = ()
    modes: Modes = field(default_factory=Modes)
    durable: bool = False
    replace_by_removal: bool = False
    compression: bool = False
    max_concurrency: int = 64
    max_attempts: int = 3
    connect_timeout: float = 10.0
    request_timeout: float = 30.0
    pool_timeout: float = 60.0
    keepalive_interval: float = 15.0

    def __post_init__(self) -> None:
        for name in ("durable", "replace_by_removal", "compression"):
            if not isinstance(getattr(self, name), bool):
                refuse(name, f"is true or false, not {getattr(self, name)!r}")
        for name, highest in (("max_concurrency", 10_000), ("max_attempts", 100)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= highest:
                refuse(name, f"is a whole number from 1 to {highest}, not {value!r}")
        for each in fields(self):
            if each.type == "float":
                value = getattr(self, each.name)
                if type(value) not in (int, float) or not 0.001 <= value <= 86_400:  # noqa: PLR2004
                    refuse(each.name, f"is a number of seconds from 0.001 on, not {value!r}")

    @property
    def location(self) -> str:
        """Where the files are, as a URI."""
        user = f"{self.login.username}@" if self.login.username else ""
        return f"sftp://{user}{self.login.at}/{self.root or '~'}"


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Return the settings that the options of a driver describe.

    Raises:
        StorageConfigException: An option is invalid.
    """
    given = dict(options)
    given["any_host_key"] = given.pop("insecure_accept_any_host_key")
    login = {name: given.pop(name) for name in _LOGIN}
    modes = {name: given.pop(name) for name in ("visibility", "file_modes", "directory_modes")}
    base_url = given.pop("base_url")
    return Settings(
        login=login_from(given.pop("tunnel"), given.pop("host_key"), **login),
        root=_checked_root(given.pop("root")),
        base_url=None if base_url is None else checked_base_url(base_url).rstrip("/"),
        config=_paths("config", given.pop("config")),
        modes=modes_of(**modes, is_private=False),
        **given,
    )


def login_from(
    tunnel: str | Mapping[str, Any] | None,
    host_key: object,
    **options: Any,
) -> Login:
    """Return the login that the options describe.

    Args:
        tunnel: The option `tunnel`.
        host_key: The option `host_key`.
        **options: Fields of `Login`.

    Raises:
        StorageConfigException: An option is invalid.
    """
    for name in ("private_key", "known_hosts"):
        if isinstance(options.get(name), Path):
            options[name] = str(options[name])
    login = Login(**options, host_keys=_host_keys(host_key))
    if tunnel is None:
        return login
    if isinstance(tunnel, str):
        parts = _JUMP.fullmatch(tunnel)
        if parts is None:
            refuse("tunnel", "is '[user@]host[:port]', or a table of the options of its login")
        jump = replace(
            login,
            host=parts["host"].strip("[]"),
            port=int(parts["port"]) if parts["port"] else None,
            username=parts["username"],
            password=None,  # one server's password is not shown to another
            host_keys=(),
            any_host_key=False,
        )
        return replace(login, tunnel=jump)
    if not isinstance(tunnel, Mapping):
        refuse("tunnel", "is '[user@]host[:port]', or a table of the options of its login")
    return replace(login, tunnel=_jump_from(tunnel))


def _jump_from(options: Mapping[str, Any]) -> Login:
    """Return the login of a table of options.

    Raises:
        StorageConfigException: An option is invalid or unknown.
    """
    given = dict(options)
    inner, keys = given.pop("tunnel", None), given.pop("host_key", None)
    if "insecure_accept_any_host_key" in given:
        given["any_host_key"] = given.pop("insecure_accept_any_host_key")
    if unknown := sorted(set(given) - set(_LOGIN)):
        refuse("tunnel", f"has no option {unknown[0]!r}")
    if "host" not in given:
        refuse("tunnel", "needs a 'host'")
    return login_from(inner, keys, **given)


def _checked_root(root: object) -> str:
    """Return the option `root` without a slash at its end; ``""`` is the user's home directory.

    Raises:
        StorageConfigException: It is no path, or one that leads upwards.
    """
    if not isinstance(root, str):
        refuse("root", f"is a path as text, not {type(root).__name__}")
    if _CONTROL.search(root):
        refuse("root", "contains a control character")
    if root != root.strip():
        refuse("root", "begins or ends with a space")
    if root == "~" or root.startswith("~/"):
        root = root[2:]
    elif root.startswith("~") or _UNEXPANDED.match(root):
        refuse("root", f"begins with what only a shell expands: {root!r}")
    if "://" in root:
        refuse("root", f"is a path, not a URL: {root!r}")
    parts = [part for part in root.split("/") if part not in ("", ".")]
    if ".." in parts:
        refuse("root", "leads upwards by '..': write the whole path")
    return ("/" if root.startswith("/") else "") + "/".join(parts)


def _host_keys(given: object) -> tuple[str, ...]:
    keys = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(keys, (list, tuple)) or not all(isinstance(each, str) for each in keys):
        refuse("host_key", "is a public key or a fingerprint, or a list of them")
    return tuple(each.strip() for each in keys)


def _check_text(name: str, value: object) -> None:
    if value is None and name != "host":
        return
    if not isinstance(value, str) or not value:
        refuse(name, "is empty" if value == "" else f"is text, not {type(value).__name__}")
    many_lines = name in {"private_key", "known_hosts"}
    # A key's text ends in a newline; a password with one was read from a file by mistake.
    if not many_lines and (found := _CONTROL.search(value)):
        where = "ends in" if found.end() == len(value) else "contains"
        refuse(name, f"{where} {'a newline' if found[0] == chr(10) else 'a control character'}")
    if name in {"host", "username"} and (value != value.strip() or value.startswith("-")):
        refuse(name, "begins with '-', or with or ends in a space")
    if name == "host" and ("/" in value or "@" in value):
        refuse(name, "is a host's name, without a scheme, a user or a path")


def _paths(name: str, given: object) -> tuple[str, ...]:
    paths = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    if not all(isinstance(each, (str, os.PathLike)) for each in paths):
        refuse(name, "is the path of a file, or a list of them")
    return tuple(str(each) for each in paths)
