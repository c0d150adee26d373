"""``outcry.toml``: what a person may set, checked before anything starts.

Not where limits are decided: ceilings are code (``risk.ceilings``), and a configuration can only tighten them. Not
imported by stages: they are given their specs.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from bus.errors import ConfigError

__all__ = [
    "BrokerConfig",
    "BusConfig",
    "ClientConfig",
    "Config",
    "DeskConfig",
    "FeedConfig",
    "McpConfig",
    "ModelConfig",
    "SupervisorConfig",
    "load_config",
    "nearest",
]

_CLIENT = re.compile(r"^[a-z][a-z0-9-]{0,31}$")
StrategyName = Literal["trend", "mean_reversion"]


def _decimal(value: object) -> object:
    """Let whole numbers, TOML decimals and quoted decimals be decimals; never a boolean."""
    if isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Money = Annotated[Decimal, BeforeValidator(_decimal)]


def _number(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


Seconds = Annotated[float, BeforeValidator(_number)]


def _listed(value: object) -> object:
    """Take a TOML list of names, each once."""
    if isinstance(value, list):
        values = cast("list[object]", value)
        if len({str(one) for one in values}) != len(values):
            raise ValueError("each name once")
        return tuple(values)
    return value


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class DeskConfig(_Section):
    """Who trades what, and how often."""

    mode: Literal["paper", "live"] = Field(
        default="paper", description="'paper' or 'live'; live needs --live on the command line as well"
    )
    client: str = Field(default="desk", pattern=_CLIENT.pattern, description="1-32 of a-z, 0-9 and -, a letter first")
    seed: int = Field(default=7, ge=0, lt=2**63, description="a whole number from 0")
    start_cash: Money = Field(
        default=Decimal(100_000), gt=0, le=1_000_000_000, description="an amount above 0, up to 1e9"
    )
    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3,8}$", description="what the accounts are kept in, such as USD or USDT"
    )
    symbols: tuple[str, ...] = Field(
        default=(), strict=False, description="a list of symbols of the day; [] is the day's own"
    )
    cycle_every_s: int = Field(default=300, ge=1, le=86_400, description="whole simulated seconds, 1 to 86400")
    strategies: tuple[StrategyName, ...] = Field(
        default=("trend", "mean_reversion"),
        strict=False,
        min_length=1,
        description=f"a list of {get_args(StrategyName)}",
    )

    @field_validator("symbols", "strategies", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return _listed(value)


class ModelConfig(_Section):
    """Which model the analyst and the trader ask."""

    name: str = Field(default="scripted", pattern=r"^(scripted|openai:\S+)$", description="'scripted' or 'openai:NAME'")
    timeout_s: Seconds = Field(default=20.0, gt=0, le=600, description="seconds above 0, up to 600")


class BrokerConfig(_Section):
    """Who executes a client's orders. Keys are never here: they are in a file that its gateway alone reads."""

    kind: Literal["paper", "alpaca", "ccxt", "fix"] = Field(
        default="paper", description="'paper', 'alpaca', 'ccxt' or 'fix'"
    )
    keys_file: str = Field(default="", description="a TOML file of this client's keys that only its owner can read")
    sandbox: bool = Field(default=True, description="true for the vendor's test service, false for real money")
    url: str = Field(default="", pattern=r"^((https?|tcp)://\S+)?$", description="an address; for fix, tcp://HOST:PORT")
    stream_url: str = Field(default="", pattern=r"^(wss?://\S+)?$", description="another address of the event stream")
    exchange: str = Field(default="", pattern=r"^[a-z0-9]{0,32}$", description="for ccxt, an exchange's id")
    sender_comp_id: str = Field(default="", pattern=r"^[\x21-\x7e]{0,64}$", description="for fix, who we are")
    target_comp_id: str = Field(default="", pattern=r"^[\x21-\x7e]{0,64}$", description="for fix, who they are")
    timeout_s: Seconds = Field(default=10.0, gt=0, le=120, description="seconds one question may take, up to 120")
    cancel_on_disconnect_s: Seconds = Field(
        default=60.0, ge=0, le=3600, description="seconds without the desk until all orders are canceled, 0 is never"
    )
    reconcile_every_s: Seconds = Field(
        default=60.0, ge=0, le=86_400, description="seconds between comparisons with the broker, 0 is at the start only"
    )


class ClientConfig(_Section):
    """Another client of the desk, with cash, limits and a broker of its own: ``[clients.NAME]``."""

    start_cash: Money = Field(
        default=Decimal(100_000), gt=0, le=1_000_000_000, description="an amount above 0, up to 1e9"
    )
    broker: BrokerConfig = BrokerConfig()
    limits: dict[str, Any] = Field(default={}, description="a table of limits, each tighter than its ceiling")
    symbol_limits: dict[str, dict[str, Any]] = Field(default={}, description="a table of limits for each symbol")
    strategy_limits: dict[str, dict[str, Any]] = Field(default={}, description="a table of limits for each strategy")


class FeedConfig(_Section):
    """Whose market data. Keys are never here: they are environment variables of the person who starts the desk."""

    source: Literal["day", "alpaca", "ccxt", "folder"] = Field(
        default="day", description="'day' (recorded), 'alpaca', 'ccxt' or 'folder'"
    )
    exchange: str = Field(default="", pattern=r"^[a-z0-9]{0,32}$", description="for ccxt, an exchange's id: 'kraken'")
    path: str = Field(default="", description="for folder, where the CSV or Parquet files are")
    data_feed: str = Field(default="", pattern=r"^[a-z_]{0,16}$", description="for alpaca, 'iex' or 'sip'")
    rest_url: str = Field(default="", pattern=r"^(https?://\S+)?$", description="another address of the REST service")
    stream_url: str = Field(default="", pattern=r"^(wss?://\S+)?$", description="another address of the stream")
    calendar: str = Field(default="", description="an exchange calendar's code, such as XNYS; empty is the source's")
    timeout_s: Seconds = Field(default=10.0, gt=0, le=120, description="seconds one vendor call may take, up to 120")
    silent_s: Seconds = Field(
        default=60.0, ge=1, le=3600, description="seconds of silence after which a stream is opened again, 1 to 3600"
    )


class McpConfig(_Section):
    """How the MCP servers are run. What a model may do at all is the gate's business, not theirs."""

    confirm_above: Money = Field(
        default=Decimal(10_000), ge=0, le=1_000_000_000, description="a notional from 0; above it a person is asked"
    )
    calls_per_minute: int = Field(default=300, ge=1, le=100_000, description="calls of one tool a minute, 1 to 100000")
    order_calls_per_minute: int = Field(default=60, ge=1, le=10_000, description="order calls a minute, 1 to 10000")
    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="an address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="a port, 0 to 65535 (0 takes a free one)")
    tokens_file: str = Field(default="", description="a file of bearer tokens made with `outcry mcp token`")
    allowed_hosts: tuple[str, ...] = Field(default=(), strict=False, description="a list of names as in Host headers")
    allowed_origins: tuple[str, ...] = Field(default=(), strict=False, description="a list of browsers' origins")
    public_url: str = Field(default="", pattern=r"^(https?://\S+)?$", description="how clients reach the server")
    max_body_bytes: int = Field(default=1_000_000, ge=1024, le=67_108_864, description="bytes, 1024 to 67108864")

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return _listed(value)


class BusConfig(_Section):
    """How the processes talk."""

    transport: Literal["ipc", "tcp"] = Field(default="ipc", description="'ipc' (one machine) or 'tcp' (loopback)")
    host: str = Field(default="127.0.0.1", description="a loopback address, such as 127.0.0.1")
    base_port: int = Field(
        default=7400, ge=1, le=65_500, description="a port from 1 to 65500; the services take those after it"
    )


class SupervisorConfig(_Section):
    """When a stage is given up, and how often it is started again."""

    heartbeat_s: Seconds = Field(default=5.0, ge=0.5, le=300, description="seconds without a heartbeat, 0.5 to 300")
    busy_s: Seconds = Field(default=60.0, ge=1, le=3600, description="seconds that one request may take, 1 to 3600")
    start_s: Seconds = Field(default=30.0, ge=1, le=600, description="seconds until a stage is ready, 1 to 600")
    stop_s: Seconds = Field(default=5.0, ge=0.1, le=60, description="seconds to stop in, 0.1 to 60")
    restarts: int = Field(
        default=8, ge=0, le=1000, description="restarts of one stage before the run is given up, 0 to 1000"
    )


class Config(_Section):
    """The whole file. ``limits``, ``fills`` and ``fees`` belong to their owners' structs: see ``outcry.plan``.

    What stands outside ``clients`` is the desk's own client, whom the agents trade for.
    """

    desk: DeskConfig = DeskConfig()
    model: ModelConfig = ModelConfig()
    feed: FeedConfig = FeedConfig()
    mcp: McpConfig = McpConfig()
    broker: BrokerConfig = BrokerConfig()
    limits: dict[str, Any] = Field(default={}, description="a table of limits, each tighter than its ceiling")
    symbol_limits: dict[str, dict[str, Any]] = Field(default={}, description="a table of limits for each symbol")
    strategy_limits: dict[str, dict[str, Any]] = Field(default={}, description="a table of limits for each strategy")
    desk_limits: dict[str, Any] = Field(default={}, description="a table of limits of all clients together")
    clients: dict[str, ClientConfig] = Field(default={}, description="a table for each other client of the desk")
    fills: dict[str, Any] = Field(default={}, description="a table of the fill model")
    fees: dict[str, Any] = Field(default={}, description="a table of the fee schedule")
    bus: BusConfig = BusConfig()
    supervisor: SupervisorConfig = SupervisorConfig()

    @field_validator("clients")
    @classmethod
    def _client_names(cls, value: dict[str, ClientConfig]) -> dict[str, ClientConfig]:
        for name in value:
            if not _CLIENT.fullmatch(name):
                raise ValueError(f"{name!r} is no client's name: 1-32 of a-z, 0-9 and -, a letter first")
        return value


def nearest(word: str, allowed: Sequence[str]) -> str:
    """Return ``; did you mean 'x'?`` where a name is close, else nothing."""
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _model_at(path: Sequence[str | int]) -> tuple[type[BaseModel], str]:
    """Return the innermost model on the way to a key, and what is allowed there."""
    model: type[BaseModel] = Config
    allowed = ""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        allowed = field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model, allowed = field.annotation, "a table"
    return model, allowed


def _told(error: ValidationError, source: str) -> str:
    lines: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        key = ".".join(str(part) for part in path if not isinstance(part, int))
        model, allowed = _model_at(path)
        if detail["type"] == "extra_forbidden":
            names = sorted(model.model_fields)
            hint = nearest(str(path[-1]), names)
            told = f"{source}: unknown key {key!r}{hint}; allowed here: {', '.join(names)}"
        else:
            told = f"{source}: {key} = {detail['input']!r} cannot be used; allowed is {allowed or detail['msg']}"
        lines.setdefault(key, told)
    return "\n".join(lines.values())


def load_config(path: Path | None, overrides: Mapping[str, Mapping[str, object]] | None = None) -> Config:
    """Return the configuration of a file with the command line's options over it.

    Args:
        path: The TOML file; None is the defaults.
        overrides: Section → key → value, from the command line.

    Raises:
        ConfigError: The file is missing or broken, or a key is unknown, of the wrong type or out of range; the message
            names the key, the value and what is allowed.
    """
    source = str(path) if path else "command line"
    table: dict[str, Any] = {}
    if path is not None:
        try:
            with path.open("rb") as file:
                table = tomllib.load(file, parse_float=Decimal)
        except FileNotFoundError as error:
            raise ConfigError(f"--config {path} is not there; name an existing file, or leave it out") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--config {path} cannot be read: {error}; name a TOML file") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not TOML: {error}; see https://toml.io for the syntax") from error
    for section, values in (overrides or {}).items():
        present = table.get(section, {})
        if isinstance(present, dict):
            table[section] = {**cast("dict[str, object]", present), **values}
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise ConfigError(_told(error, source)) from error
