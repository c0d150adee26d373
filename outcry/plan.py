"""From a configuration and a day to the specs that the stages are given: the whole desk, decided before it starts.

Not a place of defaults: those belong to who owns the value (``risk.limits``, ``execution.spec``, ``agents.spec``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import msgspec

from bus.errors import ConfigError
from bus.ids import derived_id, digest
from bus.messages import DayInfo
from execution.spec import FeeSchedule, FillModelSpec
from feed.source import SourceSpec
from feed.spec import FeedSpec
from outcry.clients import ClientTerms, client_terms, desk_limits, gate_spec, gateway_spec
from outcry.config import Config, nearest
from outcry.rundir import write_atomically
from outcry.sections import with_table
from outcry.stages import ORCHESTRATOR, kind_of, spec_path
from risk.limits import DeskLimits, Limits, check_layers, effective_version

__all__ = [
    "Terms",
    "config_digest",
    "live_info",
    "live_run_id",
    "make_specs",
    "make_terms",
    "run_id_of",
    "write_specs",
]


_TOOL_STAGES = ("feed", "execution", "risk", ORCHESTRATOR)


@dataclass(frozen=True)
class Terms:
    """What the configuration's tables come to.

    Attributes:
        clients: Every client with its limits, inside the gate's ceilings; the desk's own first.
        desk: The limits of all clients together.
        fills: How the paper broker fills.
        fees: What it charges.
    """

    clients: tuple[ClientTerms, ...]
    desk: DeskLimits
    fills: FillModelSpec
    fees: FeeSchedule

    @property
    def start_cash_nano(self) -> int:
        """The cash of the desk's own client at the start, billionths."""
        return self.clients[0].start_cash_nano

    @property
    def limits(self) -> Limits:
        """The limits of the desk's own client."""
        return self.clients[0].limits


def make_terms(config: Config) -> Terms:
    """Return the terms of a configuration.

    Raises:
        ConfigError: A key is unknown, of the wrong type, or looser than its ceiling.
    """
    clients = client_terms(config)
    desk = desk_limits(config, clients)
    check_layers(gate_spec(Path(), "", "replay", clients, desk))
    fills, fees = with_table("fills", FillModelSpec(), config.fills), with_table("fees", FeeSchedule(), config.fees)
    return Terms(clients, desk, fills, fees)


def config_digest(config: Config, terms: Terms) -> str:
    """Return the digest of what decides the trading: not how processes talk, nor when they are started again."""
    chosen = config.model_dump(mode="json", include={"desk", "model"}, exclude={"desk": {"start_cash", "mode"}})
    clients = [
        (one.client, one.start_cash_nano, one.limits, one.symbols, one.strategies, one.broker.kind, one.broker.sandbox)
        for one in terms.clients
    ]
    parts = (chosen, clients, terms.desk, terms.fills, terms.fees)
    return digest(msgspec.json.encode(parts, order="deterministic"))


def run_id_of(config: Config, terms: Terms, day_id: str) -> str:
    """Return the run's id: a function of the day, the seed, the model and the configuration, never of the time."""
    return derived_id("run", day_id, config.desk.seed, config.model.name, config_digest(config, terms))


def live_info(config: Config) -> DayInfo:
    """Return what is known of a live market before its vendor is asked.

    Raises:
        ConfigError: No symbols are named.
    """
    feed, desk = config.feed, config.desk
    if not desk.symbols:
        raise ConfigError(
            f"feed.source = {feed.source!r} needs desk.symbols: a live desk trades only symbols that are named"
        )
    name = f"ccxt:{feed.exchange}" if feed.source == "ccxt" else feed.source
    return DayInfo(
        day_id=name,
        kind="live",
        seal="",
        calendar=feed.calendar,
        timezone="UTC",
        bar_s=60,
        first_ns=0,
        last_ns=0,
        instants=0,
        bars=0,
        instruments=(),
        traded=desk.symbols,
    )


def live_run_id(config: Config, terms: Terms, started_ns: int) -> str:
    """Return the id of a run on a live market: no two are the same."""
    return derived_id("live", config.feed.source, config.desk.seed, config_digest(config, terms), started_ns)


def _feed_spec(config: Config, day: Path | None, run_dir: Path) -> FeedSpec:
    clock_file = str(run_dir / "feed.clock")
    if day is not None:
        return FeedSpec(day=str(day), symbols=config.desk.symbols, clock_file=clock_file)
    feed = config.feed
    source = SourceSpec(
        kind=cast("Literal['alpaca', 'ccxt', 'folder']", feed.source),
        symbols=config.desk.symbols,
        exchange=feed.exchange,
        path=feed.path,
        data_feed=feed.data_feed,
        rest_url=feed.rest_url,
        stream_url=feed.stream_url,
        calendar=feed.calendar,
        timeout_s=feed.timeout_s,
        silent_s=feed.silent_s,
    )
    cache_file = str(run_dir.parent / f"cache-{feed.source}{feed.exchange}.sqlite")
    return FeedSpec(day="", symbols=config.desk.symbols, clock_file=clock_file, source=source, cache_file=cache_file)


def make_specs(
    config: Config,
    terms: Terms,
    info: DayInfo,
    day: Path | None,
    run_dir: Path,
    run_id: str,
    speed: float,
    *,
    tools: bool = False,
    start_ns: int = 0,
) -> dict[str, msgspec.Struct]:
    """Return the spec of each stage.

    Args:
        config: The configuration.
        terms: What its tables come to.
        info: The day.
        day: The day's folder; None for a live market.
        run_dir: The run's folder.
        run_id: The run's id.
        speed: Simulated seconds a real second; 0 is as fast as it goes.
        tools: A desk for tools: no agents, and it stays when the day has ended.
        start_ns: For such a desk, the instant up to which the day is run through at once.

    Raises:
        ConfigError: A value does not fit the day.
    """
    from agents.orchestrator import OrchestratorSpec
    from agents.spec import AnalystSpec, ModelSpec, SentimentSpec, StrategySpec, TraderSpec

    desk = config.desk
    if not info.traded:
        raise ConfigError(f"day {info.day_id} has no symbol that this desk can trade; name some in desk.symbols")
    known = [instrument.symbol for instrument in info.instruments] or [*info.traded]
    mode: Literal["replay", "paper", "live"] = "replay" if day is not None else desk.mode
    for one in terms.clients:
        for symbol in (*one.limits.symbols, *one.symbols):
            if symbol not in known:
                raise ConfigError(
                    f"the limits of client {one.client} name {symbol!r}, which {info.day_id} has not"
                    f"{nearest(symbol, known)}"
                )
    gate = gate_spec(run_dir, run_id, mode, terms.clients, terms.desk, desk.currency)
    model = ModelSpec(name=config.model.name, seed=desk.seed, timeout_s=config.model.timeout_s)
    specs: dict[str, msgspec.Struct] = {
        "feed": _feed_spec(config, day, run_dir),
        **{
            one.gateway: gateway_spec(
                run_dir, run_id, mode, one, effective_version(gate, one.client), terms.fees, terms.fills, desk.currency
            )
            for one in terms.clients
        },
        "risk": gate,
        "analyst": AnalystSpec(model=model),
        "strategy": StrategySpec(strategies=desk.strategies),
        "trader": TraderSpec(model=model),
        "sentiment": SentimentSpec(),
        ORCHESTRATOR: OrchestratorSpec(
            run_id=run_id,
            client=desk.client,
            cycle_every_s=desk.cycle_every_s,
            speed=speed,
            run_dir=str(run_dir),
            model_timeout_s=config.model.timeout_s + 10.0,
            decide=not tools,
            hold=tools or day is None,
            start_ns=start_ns,
        ),
    }
    return {name: spec for name, spec in specs.items() if not tools or kind_of(name) in _TOOL_STAGES}


def write_specs(run_dir: Path, specs: dict[str, msgspec.Struct]) -> None:
    """Write each stage's spec where its process reads it."""
    for stage, spec in specs.items():
        write_atomically(spec_path(run_dir, stage), msgspec.json.format(msgspec.json.encode(spec), indent=2) + b"\n")
