"""Alpaca's keys and addresses, taken from the environment and checked: the one place that has seen a key.

Not a store: keys are held in memory, never shown, and taken out of every text that leaves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bus.errors import ConfigError

__all__ = ["VARIABLES", "Keys", "address", "keys_from"]

_PAIRS = (("ALPACA_API_KEY", "ALPACA_SECRET_KEY"), ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"))
VARIABLES = " and ".join(_PAIRS[0]) + " (or " + " and ".join(_PAIRS[1]) + ")"
"""The variables that hold the keys, for error texts."""
_SHAPE = re.compile(r"[\x21-\x7e]{8,200}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Keys:
    """A key and its secret; printing it prints the names of the variables.

    Attributes:
        names: Which variables they came from.
    """

    __slots__ = ("_key", "_secret", "names")

    def __init__(self, key: str, secret: str, names: tuple[str, str]) -> None:
        """Hold a pair."""
        self._key = key
        self._secret = secret
        self.names = names

    def __repr__(self) -> str:
        return f"Keys({self.names[0]}, {self.names[1]})"

    def reveal(self) -> tuple[str, str]:
        """Return key and secret, for the SDK's clients alone."""
        return self._key, self._secret

    def scrub(self, text: str, limit: int = 200) -> str:
        """Return text from outside in one printable line, without the keys and not longer than ``limit``."""
        for value in (self._secret, self._key):
            text = text.replace(value, "[key]")
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= limit else line[: limit - 1] + "…"


def keys_from(environ: Mapping[str, str]) -> Keys:
    """Take the keys from the environment: a whole pair, never a key of one and a secret of another.

    Raises:
        ConfigError: A variable is missing or malformed; it is named, its value is not.
    """
    held = [(pair, tuple(environ.get(name, "").strip() for name in pair)) for pair in _PAIRS]
    whole = [(pair, values) for pair, values in held if all(values)]
    if not whole:
        missing = [
            name for pair, values in held if any(values) for name, value in zip(pair, values, strict=True) if not value
        ]
        named = f"{missing[0]} is not set" if missing else "they are not set"
        raise ConfigError(
            f"alpaca needs its keys in the environment variables {VARIABLES}; {named}: set both and start again"
        )
    names, (key, secret) = whole[0]
    for name, value in zip(names, (key, secret), strict=True):
        if not _SHAPE.fullmatch(value):
            raise ConfigError(
                f"the value of {name} cannot be a key: 8 to 200 printable characters without spaces are allowed; "
                "copy it again from Alpaca's dashboard"
            )
    return Keys(key, secret, names)


def address(url: str, schemes: tuple[str, str], what: str) -> str:
    """Check another address of the vendor; keys go in clear text to loopback only.

    Args:
        url: Empty is the vendor's own address.
        schemes: The encrypted scheme and the clear one.
        what: The setting's name, for the error.

    Raises:
        ConfigError: It is no such URL, or it would send the keys unencrypted over a network.
    """
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigError(
            f"{what} must be a plain {schemes[0]}:// address without user, query or fragment; correct it or drop it"
        )
    if parts.scheme == schemes[1] and parts.hostname not in _LOOPBACK:
        raise ConfigError(
            f"{what} would send keys unencrypted to {parts.hostname}; use {schemes[0]}:// "
            f"({schemes[1]}:// is allowed to this machine only)"
        )
    return url.rstrip("/")
