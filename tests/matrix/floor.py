"""What a matrix run is played on: a feed over the bus, and each broker's loopback venue behind one face.

Not a market: prices stand still, and only what the play fills is filled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bus.clock import NS, wall_ns
from bus.errors import BusError, LookAheadError
from bus.fixed import SCALE, to_nano
from bus.messages import (
    Advance,
    Bar,
    ClockTick,
    DayInfo,
    DescribeDay,
    Instrument,
    Message,
    QuerySessions,
    QuerySnapshot,
    Session,
    Sessions,
    Side,
    Snapshot,
    Tick,
    TickAt,
)
from execution.broker import Offered
from execution.paper import PAPER_OFFERS
from execution.spec import BrokerSpec, FeeSchedule, FillModelSpec, GatewaySpec
from tests.brokers.kit import Mishap, Venue

__all__ = ["CLIENT", "KINDS", "RUN", "Floor", "StillFeed", "make_floor"]

CLIENT, RUN = "alice", "run-1"
KINDS = ("paper", "alpaca", "ccxt", "fix")
_DAY_NS = 86_400 * NS
_FREE = FeeSchedule(0, 0, 0, 0, 0, 0, 0)
_EXACT = FillModelSpec(latency_ns=0, half_spread_ppm=0, slippage_ppm=0, participation_ppm=1_000_000)


class StillFeed:
    """A bar a second, at one price but where the play says otherwise; it serves nothing after its clock."""

    def __init__(self, instrument: Instrument, price_nano: int) -> None:
        self.instrument = instrument
        self.price_nano = price_nano
        self.first_ns = wall_ns() // NS * NS
        self.index = 0
        self.moves: dict[int, tuple[int, int, int, int]] = {}

    @property
    def now_ns(self) -> int:
        return self.at(self.index)

    def at(self, index: int) -> int:
        return self.first_ns + index * NS

    def bar(self, index: int) -> Bar:
        price = self.price_nano
        high, low, last, volume = self.moves.get(index, (price, price, price, 1_000 * SCALE))
        now_ns = self.at(index)
        return Bar(self.instrument.symbol, now_ns - NS, now_ns, now_ns, last, high, low, last, volume)

    def tick(self, index: int) -> Tick:
        return Tick(ClockTick(self.at(index), index, 10**6, done=False), (self.bar(index),))

    def handle(self, request: Message) -> Message:
        known = (self.instrument,)
        symbols = (self.instrument.symbol,)
        match request:
            case DescribeDay():
                return DayInfo(
                    "matrix", "live", "", "24/7", "UTC", 1, self.first_ns, self.first_ns + _DAY_NS, 10**6, 0, known,
                    symbols,
                )  # fmt: skip
            case Advance(after_ns=after_ns):
                return self.tick(max(0, min(self.index, (after_ns - self.first_ns) // NS + 1)))
            case TickAt(now_ns=now_ns) if now_ns <= self.now_ns and not now_ns % NS:
                return self.tick((now_ns - self.first_ns) // NS)
            case QuerySnapshot(as_of_ns=as_of_ns):
                if as_of_ns > self.now_ns:
                    raise LookAheadError("that is after the clock")
                return Snapshot(as_of_ns, (self.bar((as_of_ns - self.first_ns) // NS),), ())
            case QuerySessions():
                return Sessions("24/7", "UTC", (Session("day", self.first_ns - _DAY_NS, self.first_ns + 9 * _DAY_NS),))
            case _:
                raise BusError(f"not a question that can be answered now: {request}")


@dataclass
class Floor:
    """One broker's side of a run.

    Attributes:
        venue: The loopback venue; None for paper, which is inside of the gateway.
        gateway: The gateway's spec.
        qty_nano: What an order is for; a quarter of it can be traded, too.
        violations: What the venue saw that its protocol forbids.
        age: Lets the venue's time pass, so that what never arrived is known to be so.
    """

    kind: str
    venue: Venue | None
    gateway: GatewaySpec
    instrument: Instrument
    bid_nano: int
    qty_nano: int
    offers: Offered
    feed: StillFeed
    age: Callable[[], None] = field(default=lambda: None)
    violations: Callable[[], list[str]] = field(default=list[str])

    @property
    def ages(self) -> bool:
        """Whether it is ever certain that an order never arrived."""
        return self.kind in ("paper", "ccxt", "fix")

    @property
    def tif(self) -> str:
        return "gtc" if "gtc" in self.offers.times_in_force else "day"

    @property
    def order_class(self) -> str:
        return "bracket" if "bracket" in self.offers.order_classes else "oto"

    def fill(self, client_order_id: str, side: Side, qty_nano: int, price_nano: int) -> bool:
        """Fill so much of an order; False when the venue has no such order that works."""
        if self.venue is None:
            tick = self.instrument.tick_nano
            low, high = (price_nano - tick, price_nano) if side == "buy" else (price_nano, price_nano + tick)
            self.feed.moves[self.feed.index + 1] = (high, low, price_nano, qty_nano)
            return True
        if self.venue.working().get(client_order_id, 0) < qty_nano:
            return False
        self.venue.fill(client_order_id, qty_nano, price_nano)
        return True

    def lose_the_next_answer(self) -> None:
        if self.venue is not None:
            self.venue.misbehave(Mishap.LOSE_ANSWER)

    def close(self) -> list[str]:
        """Stop the venue, and return what it has to say of the protocol."""
        if self.venue is None:
            return []
        told = [f"protocol: {each}" for each in self.violations()]
        if told:
            with contextlib.suppress(AssertionError):
                self.venue.close()
        else:
            self.venue.close()
        return told


def make_floor(kind: str, folder: Path) -> Floor:
    """Start a venue and return it with the spec of the gateway that trades there."""
    keys = folder / "keys.toml"
    base = GatewaySpec(
        client=CLIENT,
        run_id=RUN,
        mode="paper",
        database=str(folder / "journal.sqlite"),
        public_key_file=str(folder / "gate.pub"),
        start_cash_nano=100_000 * SCALE,
        fees=_FREE,
        fill_model=_EXACT,
    )
    if kind == "paper":
        instrument = Instrument("IBM", "equity", "USD", to_nano("0.01"), SCALE)
        price = to_nano(100)
        return Floor(kind, None, base, instrument, price, 8 * SCALE, PAPER_OFFERS, StillFeed(instrument, price))
    venue, broker, secrets, age, violations = _OPENED[kind](folder)
    keys.touch(0o600)
    keys.write_text("".join(f'{name} = "{value}"\n' for name, value in secrets.items()), encoding="utf-8")
    currency = venue.instruments[venue.symbol].currency
    cash = 10_000_000 if kind == "ccxt" else 100_000
    spec = msgspec.structs.replace(
        base,
        start_cash_nano=cash * SCALE,
        currency=currency,
        broker=msgspec.structs.replace(broker, keys_file=str(keys)),
    )
    instrument = venue.instruments[venue.symbol]
    venue.price(venue.symbol, venue.bid_nano, venue.ask_nano)
    qty = 20 * SCALE if kind == "fix" else venue.qty_nano
    feed = StillFeed(instrument, venue.bid_nano)
    return Floor(kind, venue, spec, instrument, venue.bid_nano, qty, venue.offers, feed, age, violations)


_Opened = tuple[Venue, BrokerSpec, dict[str, str], Callable[[], None], Callable[[], list[str]]]


def _alpaca(folder: Path) -> _Opened:
    from tests.brokers.alpaca_venue import KEY, SECRET, AlpacaVenue

    del folder
    venue = AlpacaVenue()
    spec = BrokerSpec(kind="alpaca", url=venue.url, stream_url=venue.stream_url, timeout_s=1.0)
    return venue, spec, {"key_id": KEY, "secret": SECRET}, lambda: None, list[str]


def _ccxt(folder: Path) -> _Opened:
    from tests.brokers.ccxt_venue import KEY, SECRET, CcxtVenue

    venue = CcxtVenue(folder)

    def age() -> None:
        venue.exchange.skew_ms += 7_000

    return venue, venue.spec.broker, {"key_id": KEY, "secret": SECRET}, age, list[str]


def _fix(folder: Path) -> _Opened:
    from tests.brokers.fix_venue import PASSWORD, USERNAME, FixVenue

    venue = FixVenue(folder, timeout_s=1.0)

    def told() -> list[str]:
        return [f"{each}" for each in venue.session.violations]

    return venue, venue.spec().broker, {"key_id": USERNAME, "secret": PASSWORD}, lambda: None, told


_OPENED: dict[str, Callable[[Path], _Opened]] = {"alpaca": _alpaca, "ccxt": _ccxt, "fix": _fix}
