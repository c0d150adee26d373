"""What the configuration comes to for each client of a desk: its limits, its broker and its gateway.

Not a place of defaults: those belong to ``risk.limits`` and ``execution.spec``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from bus.errors import ConfigError
from bus.fixed import to_nano
from execution.spec import BrokerSpec, FeeSchedule, FillModelSpec, GatewaySpec
from outcry.config import BrokerConfig, ClientConfig, Config
from outcry.sections import with_table
from outcry.stages import GATEWAY, gateway_of
from risk.limits import DeskLimits, Limits, StrategyLimits, SymbolLimits, default_desk_limits, default_limits
from risk.spec import ClientSpec, GateSpec

__all__ = ["ClientTerms", "check_brokers", "client_terms", "desk_limits", "gate_spec", "gateway_spec"]

_L = TypeVar("_L", bound=msgspec.Struct)


@dataclass(frozen=True)
class ClientTerms:
    """One client.

    Attributes:
        client: Its name.
        gateway: The name of its gateway's stage.
        start_cash_nano: Its cash before the first fill, billionths.
        limits: What it may do.
        symbols: Tighter limits of single symbols.
        strategies: Deployment limits of single strategies.
        broker: Who executes.
    """

    client: str
    gateway: str
    start_cash_nano: int
    limits: Limits
    symbols: dict[str, SymbolLimits]
    strategies: dict[str, StrategyLimits]
    broker: BrokerConfig


def _tables(section: str, empty: _L, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, _L]:
    return {name: with_table(f"{section}.{name}", empty, table) for name, table in tables.items()}


def _terms(prefix: str, client: str, gateway: str, given: ClientConfig) -> ClientTerms:
    cash = to_nano(given.start_cash)
    return ClientTerms(
        client=client,
        gateway=gateway,
        start_cash_nano=cash,
        limits=with_table(f"{prefix}limits", default_limits(cash), given.limits),
        symbols=_tables(f"{prefix}symbol_limits", SymbolLimits(), given.symbol_limits),
        strategies=_tables(f"{prefix}strategy_limits", StrategyLimits(), given.strategy_limits),
        broker=given.broker,
    )


def client_terms(config: Config) -> tuple[ClientTerms, ...]:
    """Return every client, the desk's own first.

    Raises:
        ConfigError: A key is unknown or of the wrong type, or two clients have one name.
    """
    desk = config.desk
    if desk.client in config.clients:
        raise ConfigError(
            f"clients.{desk.client} is the desk's own client already; give it another name, or set its limits and "
            "broker outside [clients]"
        )
    own = ClientConfig(
        start_cash=desk.start_cash,
        broker=config.broker,
        limits=config.limits,
        symbol_limits=config.symbol_limits,
        strategy_limits=config.strategy_limits,
    )
    others = sorted(config.clients.items())
    return (
        _terms("", desk.client, GATEWAY, own),
        *(_terms(f"clients.{name}.", name, gateway_of(name), given) for name, given in others),
    )


def desk_limits(config: Config, clients: tuple[ClientTerms, ...]) -> DeskLimits:
    """Return the limits of all clients together.

    Raises:
        ConfigError: A key is unknown or of the wrong type.
    """
    return with_table("desk_limits", default_desk_limits(one.limits for one in clients), config.desk_limits)


def check_brokers(config: Config, *, live_market: bool) -> None:
    """Refuse a broker that does not fit the market or the two keys to real money.

    Args:
        config: The configuration, with what the command line set.
        live_market: Whether the prices are of now, not of a recorded day.

    Raises:
        ConfigError: Names the key and what is allowed.
    """
    named = {"broker": config.broker} | {f"clients.{name}.broker": one.broker for name, one in config.clients.items()}
    live = config.desk.mode == "live"
    for key, broker in named.items():
        if broker.kind == "paper":
            if broker.keys_file:
                raise ConfigError(f"{key}.keys_file is given, but the paper broker has no keys; leave it out")
            continue
        if not live_market:
            raise ConfigError(
                f"{key}.kind = {broker.kind!r} needs a live market: a recorded day is traded on paper; name a "
                "feed.source, or leave the broker out"
            )
        if not broker.keys_file:
            raise ConfigError(f"{key}.keys_file is missing; name a TOML file with this client's keys (mode 600)")
        if not broker.sandbox and not live:
            raise ConfigError(
                f"{key}.sandbox = false is real money: it needs desk.mode = 'live' in the configuration and --live on "
                "the command line; or leave sandbox out"
            )
    if live and all(broker.kind == "paper" or broker.sandbox for broker in named.values()):
        raise ConfigError(
            "desk.mode = 'live', but no broker trades real money; set broker.kind and broker.sandbox = false, or "
            "desk.mode = 'paper'"
        )


def gate_spec(
    run_dir: Path,
    run_id: str,
    mode: str,
    clients: tuple[ClientTerms, ...],
    desk: DeskLimits,
    currency: str = "USD",
) -> GateSpec:
    """Return what the gate is told."""
    return GateSpec(
        run_id=run_id,
        mode=mode,
        clients=tuple(
            ClientSpec(one.client, one.limits, one.symbols, one.strategies, one.start_cash_nano, one.gateway)
            for one in clients
        ),
        desk=desk,
        database=str(run_dir / "gate.sqlite"),
        public_key_file=str(run_dir / "gate.pub"),
        resume_key_file=str(run_dir / "resume.key"),
        currency=currency,
    )


def gateway_spec(
    run_dir: Path,
    run_id: str,
    mode: Literal["replay", "paper", "live"],
    one: ClientTerms,
    limits_version: str,
    fees: FeeSchedule,
    fills: FillModelSpec,
    currency: str = "USD",
) -> GatewaySpec:
    """Return what a client's gateway is told; real money only where its own broker has it."""
    broker = one.broker
    suffix = "" if one.gateway == GATEWAY else f".{one.client}"
    real = broker.kind != "paper"
    return GatewaySpec(
        client=one.client,
        run_id=run_id,
        mode="live" if mode == "live" and real and not broker.sandbox else "paper" if mode == "live" else mode,
        database=str(run_dir / f"journal{suffix}.sqlite"),
        public_key_file=str(run_dir / "gate.pub"),
        start_cash_nano=one.start_cash_nano,
        fees=fees,
        fill_model=fills,
        currency=currency,
        limits_version=limits_version,
        broker=BrokerSpec(
            kind=broker.kind,
            keys_file=str(Path(broker.keys_file).expanduser().absolute()) if broker.keys_file else "",
            url=broker.url,
            stream_url=broker.stream_url,
            exchange=broker.exchange,
            sender_comp_id=broker.sender_comp_id,
            target_comp_id=broker.target_comp_id,
            store=str(run_dir / f"session{suffix}") if real else "",
            sandbox=broker.sandbox,
            timeout_s=broker.timeout_s,
        ),
        cancel_on_disconnect_s=broker.cancel_on_disconnect_s if real else 0.0,
        reconcile_every_s=broker.reconcile_every_s if real else 0.0,
    )
