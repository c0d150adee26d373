"""A market of bars by hand, and orders for it: what the paper broker's tests are played on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bus.fixed import SCALE, to_nano
from bus.ids import client_order_id
from bus.messages import Bar, ClockTick, Instrument, OrderIntent, OrderType, Side, Tick
from execution.broker import BrokerReport
from execution.paper import PaperBroker
from execution.spec import FillModelSpec, GatewaySpec

__all__ = ["LISTED", "MINUTE", "NIGHT", "SPEC", "at", "bar", "broker", "flat", "order", "tick", "told"]

MINUTE = 60_000_000_000
NIGHT = 86_400_000_000_000
T0 = 16_000 * NIGHT
CENT = to_nano("0.01")
STOCK = Instrument("IBM", "equity", "USD", CENT, to_nano(1))
BARE = msgspec.structs.replace(STOCK, symbol="BARE", shortable=False)
COIN = Instrument(
    "BTCUSD",
    "crypto",
    "USD",
    CENT,
    to_nano("0.0001"),
    min_qty_nano=to_nano("0.001"),
    max_qty_nano=to_nano(9),
    min_notional_nano=to_nano(10),
)
PAIR = Instrument("EURUSD", "fx", "USD", to_nano("0.00001"), to_nano(1), has_volume=False)
FUTURE = Instrument("ES", "future", "USD", to_nano("0.25"), to_nano(1), multiplier=50)
LISTED = {instrument.symbol: instrument for instrument in (STOCK, BARE, COIN, PAIR, FUTURE)}
SPEC = GatewaySpec("alice", "run-1", "replay", "", "", to_nano(100_000), fill_model=FillModelSpec(latency_ns=0))


def at(minute: int) -> int:
    return T0 + minute * MINUTE


def bar(minute: int, open_: str, high: str, low: str, close: str, volume: str = "1000000", symbol: str = "IBM") -> Bar:
    first, highest, lowest, last = (to_nano(price) for price in (open_, high, low, close))
    return Bar(symbol, at(minute), at(minute + 1), at(minute + 1), first, highest, lowest, last, to_nano(volume))


def flat(minute: int, price: str, volume: str = "1000000", symbol: str = "IBM") -> Bar:
    return bar(minute, price, price, price, price, volume, symbol)


def tick(*bars: Bar, done: bool = False, now_ns: int = 0) -> Tick:
    now_ns = now_ns or bars[0].event_time_ns
    return Tick(ClockTick(now_ns, (now_ns - T0) // MINUTE, 10**6, done), bars)


def order(index: int, side: Side, kind: OrderType, qty: str = "100", **fields: object) -> OrderIntent:
    """An order of any type; prices in words."""
    plain = OrderIntent(
        client_order_id=client_order_id("alice", "run-1", 1, index),
        client="alice",
        run_id="run-1",
        cycle=1,
        index=index,
        symbol="IBM",
        side=side,
        order_type=kind,
        time_in_force="day",
        qty_nano=to_nano(qty),
        limit_price_nano=0,
        decided_ns=at(0),
        strategy="test",
    )
    prices = ("limit_price_nano", "stop_price_nano", "trail_nano")
    exact = {name: to_nano(word) if name in prices and isinstance(word, str) else word for name, word in fields.items()}
    return msgspec.structs.replace(plain, **exact)


def told(reports: Sequence[BrokerReport]) -> list[tuple[str, str]]:
    """Reports in words: a fill with its price, the others with how the reason begins."""
    words: list[tuple[str, str]] = []
    for report in reports:
        if report.fill is not None:
            words.append((f"{report.fill.qty_nano / SCALE:g}", f"{report.fill.price_nano / SCALE:g}"))
        else:
            words.append((report.kind, report.reason.split(":")[0]))
    return words


def broker(*orders: OrderIntent, spec: GatewaySpec = SPEC) -> PaperBroker:
    """A paper broker that has taken these orders."""
    made = PaperBroker(spec, LISTED)
    made.restore((), day_done=False)
    for intent in orders:
        report = made.submit(intent, at(0))
        assert report.kind == "accepted", report
    return made
