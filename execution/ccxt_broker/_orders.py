"""What one order has come to, so that each thing about it is told once. Not the journal: a restart begins from that."""

from __future__ import annotations

from collections.abc import Iterable

from bus.fixed import from_nano
from bus.messages import Fill
from execution.broker import BrokerReport, ReportKind
from execution.ccxt_broker._records import MarketRules, VenueOrder, VenueTrade

__all__ = ["Tracked", "fill_of"]

_ENDS: dict[str, ReportKind] = {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class Tracked:
    """One order that was sent, or taken up.

    Attributes:
        sent_ms: The exchange's time that it was signed with, 0 when an earlier process sent it.
        order_id: The exchange's, empty until it is known.
        over: How it ended: ``filled``, ``canceled``, ``expired`` or ``rejected``; empty while it works or may.
        ended_ns: When that was heard, on the clock that never goes back.
    """

    __slots__ = (
        "acked",
        "client_id",
        "ended_ns",
        "filled_nano",
        "fills",
        "order_id",
        "over",
        "sent_ms",
        "symbol",
        "woke",
    )

    def __init__(self, client_id: str, symbol: str) -> None:
        self.client_id = client_id
        self.symbol = symbol
        self.order_id = ""
        self.sent_ms = 0
        self.acked = False
        self.woke = False
        self.over = ""
        self.ended_ns = 0
        self.fills: set[str] = set()
        self.filled_nano = 0

    def learn(
        self, order: VenueOrder | None, trades: Iterable[VenueTrade], rule: MarketRules, now_ns: int
    ) -> list[BrokerReport]:
        """Take in what the exchange has and return what is new, in order; an end comes after its last fill."""
        told: list[BrokerReport] = []
        if order is not None:
            self.order_id = order.order_id
            if not self.acked and order.life != "rejected":
                told.append(BrokerReport(self.client_id, "accepted", time_ns=order.time_ns))
                self.acked = True
            if order.triggered and not self.woke and order.life == "working":
                self.woke = True
                told.append(BrokerReport(self.client_id, "triggered", time_ns=order.time_ns))
        for trade in trades:
            fill, reason = fill_of(trade, self.client_id, rule)
            if fill.fill_id not in self.fills:
                self.fills.add(fill.fill_id)
                self.filled_nano += fill.qty_nano
                told.append(BrokerReport(self.client_id, "fill", reason, fill, fill.time_ns))
        if order is not None and not self.over and order.life != "working" and self.filled_nano >= order.filled_nano:
            self.over = order.life
            self.ended_ns = now_ns
            end = _ENDS.get(order.life)
            if end is not None:
                told.append(BrokerReport(self.client_id, end, f"the exchange says {end}", time_ns=order.time_ns))
        return told


def fill_of(trade: VenueTrade, client_id: str, rule: MarketRules) -> tuple[Fill, str]:
    """Return an execution as a fill, and what else there is to say of its fee."""
    in_cash = trade.fee_coin == rule.quote
    fee = f"a fee of {from_nano(trade.fee_nano):f} {trade.fee_coin}" if trade.fee_nano and not in_cash else ""
    return (
        Fill(
            fill_id=f"{rule.market_id}-{trade.trade_id}",
            client_order_id=client_id,
            symbol=trade.symbol,
            side=trade.side,
            qty_nano=trade.qty_nano,
            price_nano=trade.price_nano,
            fee_nano=trade.fee_nano if in_cash else 0,
            time_ns=trade.time_ns,
            liquidity=trade.liquidity,
        ),
        fee,
    )
