"""Reads a client's broker keys from a file that only their owner can read. Not a store: nothing is kept or cached.

Only the gateway process calls it, once, at its start. A key is never in an environment variable, an argument, a log, a
journal or an error: ``Keys`` shows nothing of itself, and what is wrong with a file is said without quoting it.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from bus.errors import ConfigError

__all__ = ["Keys", "read_keys", "refuse_keys_in_environment"]

_FIELDS = ("key_id", "secret", "password")
_REQUIRED = ("key_id", "secret")
_MOST_BYTES = 16_384
_KEY_LIKE = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ALPACA_API_KEY", "ALPACA_SECRET_KEY", "OUTCRY_BROKER_KEY")


class Keys:
    """A client's keys at a broker. Printing, comparing, pickling or copying one shows and gives nothing."""

    __slots__ = ("_key_id", "_password", "_secret")

    def __init__(self, key_id: str, secret: str, password: str = "") -> None:
        """Hold the three words."""
        self._key_id = key_id
        self._secret = secret
        self._password = password

    @property
    def key_id(self) -> str:
        """The public half, as the broker calls it."""
        return self._key_id

    @property
    def secret(self) -> str:
        """The private half."""
        return self._secret

    @property
    def password(self) -> str:
        """A third word that some venues want; empty where they do not."""
        return self._password

    def __repr__(self) -> str:
        return "Keys(...)"

    def __format__(self, spec: str) -> str:
        return "Keys(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not written anywhere; read them again from their file")


def refuse_keys_in_environment(environment: Mapping[str, str]) -> None:
    """Refuse to go on where a broker key is in the environment, which every child and every ``ps`` can read.

    Args:
        environment: This process's, such as ``os.environ``.

    Raises:
        ConfigError: A variable that brokers' libraries read keys from is set; its value is not shown.
    """
    found = sorted(name for name in _KEY_LIKE if environment.get(name))
    if found:
        raise ConfigError(
            f"broker keys are in the environment ({', '.join(found)}), where every child process can read them; "
            "allowed is a keys_file of the client's that only its owner can read: move them there and unset these"
        )


def read_keys(path: Path | str) -> Keys:
    """Read a keys file.

    Args:
        path: A TOML file with ``key_id``, ``secret`` and, where the venue wants one, ``password``.

    Returns:
        The keys.

    Raises:
        ConfigError: No such file; not a plain file, such as a symbolic link; owned by somebody else; readable or
            writable by group or others; no TOML; or other fields than these, or an empty one.
    """
    name = str(path)
    refuse_keys_in_environment(os.environ)
    raw = _read_private(name)
    try:
        fields = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        # Without the cause: its text quotes the file, which is the key.
        raise ConfigError(
            f'the keys file {name} is no TOML; allowed are lines such as key_id = "..." and secret = "..."'
        ) from None
    unknown = sorted(fields.keys() - set(_FIELDS))
    if unknown:
        raise ConfigError(
            f"the keys file {name} has {len(unknown)} fields that are not known; allowed are {', '.join(_FIELDS)}: "
            "remove the others"
        )
    words = {field: fields.get(field, "") for field in _FIELDS}
    bad = [field for field, word in words.items() if not isinstance(word, str) or word != word.strip()]
    bad += [field for field in _REQUIRED if not words[field]]
    if bad:
        raise ConfigError(
            f"the keys file {name} has no usable {', '.join(dict.fromkeys(bad))}; allowed is text without spaces at "
            "its ends: write it as the broker gave it"
        )
    return Keys(str(words["key_id"]), str(words["secret"]), str(words["password"]))


def _read_private(name: str) -> bytes:
    """Read a file that is judged by what was opened, not by its name, so that it cannot be exchanged in between."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(
            f"the keys file {name} cannot be opened ({os.strerror(error.errno or 0)}); allowed is a plain file, not a "
            "link: set keys_file to where it is"
        ) from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"the keys file {name} is no plain file; allowed is a TOML file: write the keys into one")
        if about.st_uid != os.geteuid():
            raise ConfigError(
                f"the keys file {name} belongs to user {about.st_uid}; allowed is the gateway's own user "
                f"{os.geteuid()}: change its owner"
            )
        if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"the keys file {name} can be used by group or others (mode {stat.S_IMODE(about.st_mode):04o}); "
                f"allowed is its owner alone: chmod 600 {name}"
            )
        if about.st_size > _MOST_BYTES:
            raise ConfigError(f"the keys file {name} has {about.st_size} bytes; at most {_MOST_BYTES} are allowed")
        raw = b""
        while len(raw) <= _MOST_BYTES and (part := os.read(handle, _MOST_BYTES + 1)):
            raw += part
        return raw
    finally:
        os.close(handle)
