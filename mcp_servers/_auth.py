"""Bearer tokens of HTTP clients: a file of digests, scopes, audience and expiry. Not an authorization server.

The file holds nothing that opens a door: a token is shown once, when it is minted. The file is read again when it
changes, so deleting an entry revokes its token at once; a file that cannot be read lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from mcp.server.auth.provider import AccessToken, TokenVerifier

from bus.clock import NS, iso, wall_ns
from bus.errors import ConfigError
from bus.ids import token_hex

__all__ = ["SCOPES", "Grant", "TokenFile", "load_tokens", "mint_token"]

SCOPES: tuple[str, ...] = ("market:read", "account:read", "orders:write")
"""Every scope there is."""

_log = logging.getLogger("outcry.mcp")
_KEYS = {"client", "digest", "scopes", "audience", "expires"}
_DAY_NS = 86_400 * NS


@dataclass(frozen=True)
class Grant:
    """What one token allows.

    Attributes:
        client: Whose token it is; names the client in limits and in the audit record.
        digest: The BLAKE2b-256 of the token, hexadecimal.
        scopes: What it may do, of ``SCOPES``.
        audience: The server's URL it was made for; it opens no other.
        expires_ns: When it ends, UTC nanoseconds.
    """

    client: str
    digest: str
    scopes: tuple[str, ...]
    audience: str
    expires_ns: int


def _digest(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=32).hexdigest()


def mint_token(
    path: Path, client: str, scopes: tuple[str, ...], audience: str, days: float = 90.0, now_ns: int = -1
) -> str:
    """Make a token, add its digest to the file and return the token, which is kept nowhere else.

    Args:
        path: The TOML file; made when it does not exist.
        client: Whose token it is.
        scopes: What it may do.
        audience: The URL of the server it is for.
        days: For how long.
        now_ns: When it is made; -1 is now.

    Raises:
        ConfigError: A scope, name, URL or duration that is not allowed, or a file that cannot be written.
    """
    now = wall_ns() if now_ns < 0 else now_ns
    if not 0 < days <= 3650:
        raise ConfigError(f"a token lives for more than 0 and at most 3650 days, not {days:g}.")
    token = f"oo_{token_hex(32)}"
    expires = iso((now + int(days * _DAY_NS)) // NS * NS).replace(" ", "T")
    entry = {
        "client": client,
        "digest": _digest(token),
        "scopes": list(scopes),
        "audience": audience,
        "expires": datetime.fromisoformat(expires),
    }
    grant = _grant(entry, "the new token")
    scopes_text = ", ".join(f'"{scope}"' for scope in grant.scopes)
    text = (
        f'\n[[token]]\nclient = "{grant.client}"\ndigest = "{grant.digest}"\nscopes = [{scopes_text}]\n'
        f'audience = "{grant.audience}"\nexpires = {expires}\n'
    )
    if path.exists():
        load_tokens(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"the tokens file {path} cannot be written ({error.strerror}).") from error
    return token


def load_tokens(path: Path) -> tuple[Grant, ...]:
    """Read a tokens file.

    Raises:
        ConfigError: It is missing, unreadable, writable by others, or has an entry that is not allowed.
    """
    try:
        if path.stat().st_mode & 0o022:
            raise ConfigError(f"{path} can be written by others, who could let themselves in. Say: chmod 600 {path}")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the tokens file {path} cannot be read ({error.strerror}). Make one with `outcry mcp token`."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    unknown = sorted(set(document) - {"token"})
    entries = document.get("token", [])
    if unknown or not isinstance(entries, list):
        raise ConfigError(f"{path} holds [[token]] entries only, not {', '.join(unknown) or 'a single token'}.")
    return tuple(
        _grant(entry, f"{path}, token {number}") for number, entry in enumerate(cast("list[object]", entries), start=1)
    )


def _grant(entry: object, where: str) -> Grant:
    if not isinstance(entry, dict) or set(cast("dict[str, Any]", entry)) != _KEYS:
        raise ConfigError(f"{where}: an entry has exactly {', '.join(sorted(_KEYS))}.")
    fields = cast("dict[str, Any]", entry)
    client, digest, audience, expires = (fields[key] for key in ("client", "digest", "audience", "expires"))
    if not isinstance(client, str) or not client.isascii() or not client.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"{where}: client is a name of letters, digits, - and _.")
    if len(client) > 64:
        raise ConfigError(f"{where}: client has at most 64 characters.")
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ConfigError(f"{where}: digest is the BLAKE2b-256 of the token, 64 hexadecimal characters.")
    scopes = fields["scopes"]
    if not isinstance(scopes, list) or not scopes or set(cast("list[Any]", scopes)) - set(SCOPES):
        raise ConfigError(f"{where}: scopes are one or more of {', '.join(SCOPES)}.")
    if not isinstance(audience, str) or not audience.startswith(("http://", "https://")) or '"' in audience:
        raise ConfigError(f"{where}: audience is the server's URL, for example http://127.0.0.1:8000/mcp.")
    if not isinstance(expires, datetime) or expires.tzinfo is None:
        raise ConfigError(f"{where}: expires is a time with its zone, for example 2027-01-31T00:00:00Z.")
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    return Grant(client, digest, ordered, audience, int(expires.astimezone(UTC).timestamp()) * NS)


class TokenFile(TokenVerifier):
    """Checks tokens against a file of digests."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ConfigError: It cannot be read or holds something that is not allowed.
        """
        self._path = path
        self._seen = self._stamp()
        self._grants = load_tokens(path)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what a token allows, or None. Every digest is compared, in constant time."""
        self._reload()
        digest = _digest(token).encode()
        found: Grant | None = None
        for grant in self._grants:
            if hmac.compare_digest(grant.digest.encode(), digest):
                found = grant
        if found is None or found.expires_ns <= wall_ns():
            return None
        return AccessToken(
            token=found.digest,
            client_id=found.client,
            scopes=list(found.scopes),
            expires_at=found.expires_ns // NS,
            resource=found.audience,
        )

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def _reload(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._grants = load_tokens(self._path)
        except ConfigError as error:
            self._grants = ()
            _log.error("no token is accepted: %s", error)
