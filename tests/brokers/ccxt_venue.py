"""The conformance kit's venue for ccxt: Binance spot on loopback, which misbehaves when it is told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from bus.fixed import from_nano, to_nano
from bus.messages import Instrument, Side
from execution.broker import Broker, Offered
from execution.ccxt_broker import OFFERS, open_ccxt
from execution.keys import Keys
from execution.spec import BrokerSpec, GatewaySpec
from tests.brokers.ccxt_binance import Balance, Binance, Row, pair
from tests.brokers.ccxt_http import Fault, Wire
from tests.brokers.kit import CannotMisbehaveError, Mishap, Venue

__all__ = ["BTC", "CcxtVenue", "KEY", "SECRET"]

KEY = "fake-key-for-loopback-only"
SECRET = "fake-secret-that-signs-nothing-real"
BTC = "BTC/USDT"
_ENDED = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")


class CcxtVenue(Venue):
    """Binance with one account of 10,000,000 USDT; the adapter asks for news every 20 ms."""

    offers: Offered = OFFERS
    cannot: Mapping[Mishap, str] = {}
    symbol = BTC
    qty_nano = to_nano("0.4")
    bid_nano = to_nano("50000.00")
    ask_nano = to_nano("50000.50")

    def __init__(self, folder: Path, *, timeout_s: float = 1.0, pace_s: float = 0.02) -> None:
        self.instruments = {
            symbol: Instrument(symbol, "crypto", "USDT", to_nano("0.01"), to_nano(lot), shortable=False)
            for symbol, lot in ((BTC, "0.00001"), ("ETH/USDT", "0.0001"))
        }
        self.moved = threading.Event()
        self.exchange = Binance(
            KEY,
            SECRET,
            {each["symbol"]: each for each in (pair("BTC", "USDT"), pair("ETH", "USDT", lot="0.0001"))},
            balances={"USDT": Balance(Decimal(10_000_000)), "BTC": Balance(), "ETH": Balance()},
            weight_limit=10**9,
        )
        self.wire = Wire(self.exchange)
        self.wire.moved = self.moved
        self.pace_s = pace_s
        self.spec = GatewaySpec(
            client="alice",
            run_id="kit-run",
            mode="live",
            database=str(folder / "journal.sqlite"),
            public_key_file=str(folder / "gate.pub"),
            start_cash_nano=to_nano(10_000_000),
            currency="USDT",
            broker=BrokerSpec(kind="ccxt", url=self.wire.url, exchange="binance", timeout_s=timeout_s),
        )
        self._seen: Counter[Mishap] = Counter()
        self._swap: list[int] | None = None
        self._twice = False
        self._late = False

    def open(self) -> Broker:
        return open_ccxt(self.spec, self.instruments, Keys(KEY, SECRET), pace_s=self.pace_s)

    def price(self, symbol: str, bid_nano: int, ask_nano: int) -> None:
        with self.wire.lock:
            self.exchange.book[symbol.replace("/", "")] = (from_nano(bid_nano), from_nano(ask_nano))

    def row(self, client_order_id: str) -> Row:
        """Return the newest order of an id."""
        return next(row for row in reversed(self.exchange.rows.values()) if row.client_id == client_order_id)

    def fill(self, client_order_id: str, qty_nano: int, price_nano: int) -> None:
        with self.wire.lock:
            trade = self.exchange.fill(self.row(client_order_id), from_nano(qty_nano), from_nano(price_nano))
            if self._twice:
                self._twice = False
                self.exchange.trades.append(trade)
                self._seen[Mishap.DUPLICATE_EVENTS] += 1
            if self._swap is not None:
                self._hold_back(trade.trade_id)
        self.moved.set()

    def orders(self) -> dict[str, int]:
        with self.wire.lock:
            found: Counter[str] = Counter()
            for row in self.exchange.rows.values():
                if self.exchange.arrived[row.client_id]:
                    found[row.client_id] += to_nano(row.qty)
            return dict(found)

    def working(self) -> dict[str, int]:
        with self.wire.lock:
            return {
                row.client_id: to_nano(row.qty - row.filled)
                for row in self.exchange.rows.values()
                if row.status not in _ENDED and self.exchange.arrived[row.client_id]
            }

    def place_by_hand(self, symbol: str, side: Side, qty_nano: int, price_nano: int) -> str:
        listed = symbol.replace("/", "")
        with self.wire.lock:
            qty, price = from_nano(qty_nano), from_nano(price_nano)
            listing = self.exchange.pairs[listed]
            coin = self.exchange.coin(listing["baseAsset"] if side == "sell" else listing["quoteAsset"])
            coin.free += qty if side == "sell" else qty * price
            row = self.exchange.add(listed, f"web_{self.exchange.next_id}", side.upper(), "LIMIT", qty, price)
            return str(row.order_id)

    def misbehave(self, mishap: Mishap) -> None:
        def saw() -> None:
            self._seen[mishap] += 1

        order = ("POST", "/order")
        match mishap:
            case Mishap.LOSE_ANSWER:
                fault = Fault(*order, taken=True, does="hang", happened=saw)
            case Mishap.LOSE_REQUEST:
                fault = Fault(*order, taken=False, does="cut", happened=saw)
            case Mishap.ERROR_500:
                fault = Fault(*order, taken=True, does="say", status=500, body="<html>oops</html>", happened=saw)
            case Mishap.GARBAGE_ANSWER:
                fault = Fault(*order, taken=True, does="say", body="\x00{]garbage", happened=saw)
            case Mishap.DISCONNECT_MID_ORDER:
                fault = Fault(*order, taken=True, does="cut", happened=saw)
            case Mishap.REJECT_CANCEL:
                body = '{"code":-2011,"msg":"Order was not canceled due to cancel restrictions."}'
                fault = Fault("DELETE", "/order", taken=False, does="say", status=400, body=body, happened=saw)
            case _:
                self._misbehave_in_the_books(mishap)
                return
        self.wire.faults.append(fault)

    def happened(self, mishap: Mishap) -> int:
        if mishap is Mishap.LATE_FILL_AFTER_CANCEL and self._late:
            return int(any(row.status == "CANCELED" for row in self.exchange.rows.values()))
        if mishap is Mishap.FILL_BEFORE_ACK:
            return self._seen[mishap] - int(self.exchange.fill_on_arrival)
        return self._seen[mishap]

    def close(self) -> None:
        self.wire.close()

    def _misbehave_in_the_books(self, mishap: Mishap) -> None:
        match mishap:
            case Mishap.FILL_BEFORE_ACK:
                self.exchange.fill_on_arrival = True
                self._seen[mishap] += 1
            case Mishap.DUPLICATE_EVENTS:
                self._twice = True
            case Mishap.REORDER_EVENTS:
                self._swap = []
            case Mishap.RESTART_VENUE:
                self.wire.break_connections()
                self._seen[mishap] += 1
            case Mishap.LATE_FILL_AFTER_CANCEL:
                self._late = True
            case _:
                raise CannotMisbehaveError(mishap)

    def _hold_back(self, trade_id: int) -> None:
        """Tell the first of two executions only after the second."""
        assert self._swap is not None
        self._swap.append(trade_id)
        if len(self._swap) == 1:
            self.exchange.hidden.add(trade_id)
            return
        first, second = (
            next(n for n, each in enumerate(self.exchange.trades) if each.trade_id == t) for t in self._swap
        )
        trades = self.exchange.trades
        trades[first], trades[second] = trades[second], trades[first]
        self.exchange.hidden.clear()
        self._seen[Mishap.REORDER_EVENTS] += 1
        self._swap = None
