"""What the session is told, from the gateway's specification. Not a place for keys in text: they print as nothing.

Everything that ``BrokerSpec`` has no field for is a parameter of its ``url``::

    tcp://127.0.0.1:9880?heartbeat=30&account=ABC&positions=yes&reset=no

``heartbeat`` (seconds, 1 to 3600), ``account`` (tag 1 of every order), ``positions`` (``yes``: the counterparty answers
RequestForPositions; ``no``: what is held is what the executions of this session came to), ``reset`` (``yes``: every
Logon starts the numbers at 1, for counterparties that demand it; what was in flight is then settled by asking).
The connection is plain TCP, as it is over a leased line or a TLS tunnel on the same machine (stunnel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from bus.errors import ConfigError
from execution.spec import GatewaySpec

if TYPE_CHECKING:
    from execution.keys import Keys

__all__ = ["Settings", "settings"]

_EXAMPLE = "tcp://127.0.0.1:9880?heartbeat=30&account=ABC&positions=no&reset=no"
_PARAMETERS = ("account", "heartbeat", "positions", "reset")
_MOST_HEARTBEAT_S = 3600
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """One session. ``username`` and ``password`` are in the Logon only."""

    host: str
    port: int
    sender: str
    target: str
    folder: Path
    timeout_s: float
    username: str = field(repr=False, default="")
    password: str = field(repr=False, default="")
    heartbeat_s: int = 30
    account: str = ""
    positions: bool = False
    reset: bool = False


def settings(spec: GatewaySpec, keys: Keys) -> Settings:
    """Return the session's settings.

    Raises:
        ConfigError: A setting is missing or wrong.
    """
    broker = spec.broker
    for name, value in (("sender_comp_id", broker.sender_comp_id), ("target_comp_id", broker.target_comp_id)):
        if not value or not value.isascii() or not value.isprintable():
            raise ConfigError(
                f"broker.{name} is {value!r}; broker 'fix' needs the CompID that you agreed with the counterparty, in "
                "printable ASCII: set it"
            )
    if not broker.store:
        raise ConfigError(
            "broker.store is empty; broker 'fix' needs a folder that outlives restarts, for its sequence numbers: set "
            "it, for example to runs/fix"
        )
    if not broker.timeout_s > 0:
        raise ConfigError(f"broker.timeout_s is {broker.timeout_s}; it must be greater than 0, for example 10")
    host, port, parameters = _address(broker.url)
    return Settings(
        host=host,
        port=port,
        sender=broker.sender_comp_id,
        target=broker.target_comp_id,
        folder=Path(broker.store),
        timeout_s=broker.timeout_s,
        username=keys.key_id,
        password=keys.password or keys.secret,
        heartbeat_s=_heartbeat(parameters.get("heartbeat", "30")),
        account=parameters.get("account", ""),
        positions=_yes(parameters, "positions"),
        reset=_yes(parameters, "reset"),
    )


def _address(url: str) -> tuple[str, int, dict[str, str]]:
    parts = urlsplit(url)
    try:
        port = parts.port
        given = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError as error:
        raise ConfigError(f"broker.url {url!r} cannot be read ({error}); give one such as {_EXAMPLE}") from error
    plain = parts.username is None and parts.password is None and parts.path in {"", "/"}
    if parts.scheme != "tcp" or not parts.hostname or not port or port > _MOST_PORT or not plain:
        shown = parts.hostname or ""
        raise ConfigError(
            f"broker.url (host {shown!r}) is not tcp://host:port with parameters; give one such as {_EXAMPLE}, and "
            "keys in keys_file only"
        )
    parameters = dict(given)
    unknown = sorted(set(parameters) - set(_PARAMETERS))
    if unknown or len(parameters) != len(given):
        raise ConfigError(
            f"broker.url has the parameter {unknown or 'twice'}; allowed once each are {', '.join(_PARAMETERS)}, as in "
            f"{_EXAMPLE}"
        )
    return parts.hostname, port, parameters


def _heartbeat(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_HEARTBEAT_S:
        raise ConfigError(f"heartbeat={text} in broker.url; allowed are whole seconds from 1 to {_MOST_HEARTBEAT_S}")
    return int(text)


def _yes(parameters: dict[str, str], name: str) -> bool:
    value = parameters.get(name, "no")
    if value not in {"yes", "no"}:
        raise ConfigError(f"{name}={value} in broker.url; allowed are yes and no")
    return value == "yes"
