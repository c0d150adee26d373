"""What a person may set about the servers. Not the gate's limits: nothing here can loosen those."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

__all__ = ["SERVERS", "ServerOptions"]

SERVERS: tuple[str, ...] = ("ohlc", "news", "calendar", "indicators", "orders")
"""Every server; ``all`` is all of them in one."""


@dataclass(frozen=True)
class ServerOptions:
    """How the servers of one process are run.

    Attributes:
        servers: Which of ``SERVERS``, in that order.
        confirm_above: An order whose notional (account currency) is above this is put to a person; None never asks.
        calls_per_minute: Calls of one client to one tool in any minute.
        order_calls_per_minute: The same for tools that change orders.
        host: Where HTTP listens.
        port: On which port; 0 takes a free one.
        tokens_file: TOML file of bearer tokens (their digests, scopes and expiry); None is no authentication.
        allowed_hosts: Host headers besides loopback that are served, as ``name:port``.
        allowed_origins: Origins of browsers that are served; none is the safe default.
        public_url: How clients reach this server, the audience of its tokens; empty is ``http://HOST:PORT/mcp``.
        max_body_bytes: The largest request.
        audit_file: Where every call is recorded; None is nowhere.
        conformance: Register the conformance suite's fixtures too; for tests only.
    """

    servers: tuple[str, ...] = SERVERS
    confirm_above: Decimal | None = Decimal(10_000)
    calls_per_minute: int = 300
    order_calls_per_minute: int = 60
    host: str = "127.0.0.1"
    port: int = 8000
    tokens_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    public_url: str = ""
    max_body_bytes: int = 1_000_000
    audit_file: Path | None = None
    conformance: bool = field(default=False)
