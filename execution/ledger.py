"""Cash, positions and profit from fills and cash moves alone, in exact integers.

Not a risk book: the gate keeps its own. Conventions: every instrument is booked at its full notional (futures too);
a purchase is rounded up and a sale down to the billionth; a position carries its cost, and closing part of it releases
cost in proportion, rounded towards zero. So after every fill, exactly:
``cash + sum(cost) == start cash + cash moves + sum(realized) - fees``.
A bust or a correction makes the symbol's holding anew from the fills that count: as if it had always been so.
A position is marked at the last close seen, else at the middle of the last quote, else at its average price; its value
is rounded down. A position that was closed stays, with quantity 0, to carry what it realized.
"""

from __future__ import annotations

from typing import TypeAlias

from bus.fixed import SCALE
from bus.messages import Account, Bar, Fill, Instrument, OrderEvent, Position, Quote
from execution.spec import GatewaySpec

__all__ = ["Holding", "Ledger"]

_FillKey: TypeAlias = tuple[str, str]
"""Client order id and fill id: a venue may number the fills of each order from 1."""


class Holding:
    """One symbol's holding. ``cost_nano`` is what it cost, signed: negative for what a short sale brought in."""

    __slots__ = ("cost_nano", "multiplier", "qty_nano", "realized_nano", "symbol")

    def __init__(self, symbol: str, multiplier: int) -> None:
        self.symbol = symbol
        self.multiplier = multiplier
        self.qty_nano = 0
        self.cost_nano = 0
        self.realized_nano = 0

    @property
    def avg_price_nano(self) -> int:
        """The average cost of a unit, rounded towards zero; 0 when flat."""
        return abs(self.cost_nano) * SCALE // (abs(self.qty_nano) * self.multiplier) if self.qty_nano else 0

    def trade(self, qty_nano: int, spent_nano: int) -> None:
        """Take in a fill.

        Args:
            qty_nano: Signed quantity: positive for a purchase.
            spent_nano: Signed money: positive for a purchase, without the fee.
        """
        before = self.qty_nano
        if before and (before > 0) != (qty_nano > 0):
            closed = min(abs(qty_nano), abs(before))
            released = _towards_zero(self.cost_nano * closed, abs(before))
            closing = _towards_zero(spent_nano * closed, abs(qty_nano))
            self.realized_nano -= released + closing
            self.cost_nano += spent_nano - closing - released
        else:
            self.cost_nano += spent_nano
        self.qty_nano = before + qty_nano


class Ledger:
    """A client's account, rebuilt from its events after a restart."""

    def __init__(self, spec: GatewaySpec, instruments: dict[str, Instrument]) -> None:
        """Start with the start cash and nothing held."""
        self._spec = spec
        self._instruments = instruments
        self.cash_nano = spec.start_cash_nano
        self.fees_nano = 0
        self.moved_nano = 0
        self._fills: dict[str, dict[_FillKey, Fill]] = {}
        self._roots: dict[_FillKey, _FillKey] = {}
        self.holdings: dict[str, Holding] = {}
        self._bars: dict[str, Bar] = {}
        self._mids: dict[str, int] = {}

    def take(self, event: OrderEvent) -> None:
        """Book an event of the journal: a fill, its bust or correction, or money that moved without a trade."""
        fill = event.fill
        if event.kind == "cash":
            self.cash_nano += event.cash_nano
            self.moved_nano += event.cash_nano
        elif fill is not None and event.kind == "fill":
            self.apply(fill)
        elif fill is not None:
            self._amend(fill, undone=event.kind == "bust")

    def apply(self, fill: Fill) -> None:
        """Book one fill. A symbol that the day does not describe counts with multiplier 1: money is never dropped."""
        key = (fill.client_order_id, fill.fill_id)
        self._roots[key] = key
        self._fills.setdefault(fill.symbol, {})[key] = fill
        self._book(fill)

    def _amend(self, fill: Fill, *, undone: bool) -> None:
        """Book the symbol anew, without a fill or with other values in its place."""
        fills = self._fills.get(fill.symbol, {})
        root = self._roots.get((fill.client_order_id, fill.refers_to))
        if root is None or root not in fills:
            return
        self._roots[fill.client_order_id, fill.fill_id] = root
        for known in fills.values():
            self.cash_nano += self._spent(known) + known.fee_nano
            self.fees_nano -= known.fee_nano
        if undone:
            del fills[root]
        else:
            fills[root] = fill
        self.holdings[fill.symbol] = Holding(fill.symbol, self._multiplier(fill.symbol))
        for known in fills.values():
            self._book(known)

    def _book(self, fill: Fill) -> None:
        holding = self.holdings.get(fill.symbol)
        if holding is None:
            holding = self.holdings[fill.symbol] = Holding(fill.symbol, self._multiplier(fill.symbol))
        spent = self._spent(fill)
        holding.trade(fill.qty_nano if fill.side == "buy" else -fill.qty_nano, spent)
        self.cash_nano -= spent + fill.fee_nano
        self.fees_nano += fill.fee_nano

    def _multiplier(self, symbol: str) -> int:
        instrument = self._instruments.get(symbol)
        return instrument.multiplier if instrument else 1

    def _spent(self, fill: Fill) -> int:
        sign = 1 if fill.side == "buy" else -1
        return -(-sign * fill.price_nano * fill.qty_nano * self._multiplier(fill.symbol) // SCALE)

    def see(self, bars: tuple[Bar, ...], quotes: tuple[Quote, ...]) -> None:
        """Take in prices. A bar that comes late does not replace a younger one."""
        known = self._bars
        for bar in bars:
            last = known.get(bar.symbol)
            if last is None or last.open_time_ns <= bar.open_time_ns:
                known[bar.symbol] = bar
        for quote in quotes:
            if quote.symbol not in known:
                self._mids[quote.symbol] = (quote.bid_nano + quote.ask_nano) // 2

    def mark_nano(self, symbol: str) -> int:
        """Return the last price seen of a symbol, 0 when there was none."""
        bar = self._bars.get(symbol)
        return bar.close_nano if bar is not None else self._mids.get(symbol, 0)

    def account(self, now_ns: int, halted: str = "") -> Account:
        """Return the account, positions sorted by symbol.

        Args:
            now_ns: The time that the account says it is of.
            halted: Why execution sends nothing for the client, empty when it does.
        """
        equity = self.cash_nano
        positions: list[Position] = []
        for symbol in sorted(self.holdings):
            holding = self.holdings[symbol]
            bar = self._bars.get(symbol)
            average = holding.avg_price_nano
            mark = bar.close_nano if bar is not None else self._mids.get(symbol, average)
            equity += holding.qty_nano * mark * holding.multiplier // SCALE
            positions.append(Position(symbol, holding.qty_nano, average, mark, holding.realized_nano))
        return Account(
            client=self._spec.client,
            mode=self._spec.mode,
            now_ns=now_ns,
            cash_nano=self.cash_nano,
            equity_nano=equity,
            fees_nano=self.fees_nano,
            positions=tuple(positions),
            halted=halted,
        )


def _towards_zero(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)
