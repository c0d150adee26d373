"""Keeps keys out of every text that leaves, and out of every address that is not theirs. Not where keys are read."""

from __future__ import annotations

from urllib.parse import urlsplit

from bus.errors import ConfigError
from execution.keys import Keys

__all__ = ["address", "scrub"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LONGEST = 200


def scrub(keys: Keys, text: str) -> str:
    """Return text from outside in one printable line of at most 200 characters, without the keys."""
    for value in sorted(filter(None, (keys.secret, keys.key_id)), key=len, reverse=True):
        text = text.replace(value, "[key]")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def address(url: str, schemes: tuple[str, str], what: str) -> str:
    """Check another address than the vendor's; keys go in clear text to this machine only.

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
