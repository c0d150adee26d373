"""Cash, positions and profit from fills alone, in exact integers.

Not a risk book: the gate keeps its own. Conventions: every instrument is booked at its full notional (futures too);
a purchase is rounded up and a sale down to the billionth; a position carries its cost, and closing part of it releases
cost in proportion, rounded towards zero. So after every fill, exactly:
``cash + sum(cost) == start cash + sum(realized) - fees``.
A position is marked at the last close seen, else at the middle of the last quote, else at its average price; its value
is rounded down. A position that was closed stays, with quantity 0, to carry what it realized.
"""

from __future__ import annotations

from bus.fixed import SCALE
from bus.messages import Account, Bar, Fill, Instrument, Position, Quote
from execution.spec import GatewaySpec

__all__ = ["Holding", "Ledger"]


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
    """A client's account, rebuilt from its fills after a restart."""

    def __init__(self, spec: GatewaySpec, instruments: dict[str, Instrument]) -> None:
        """Start with the start cash and nothing held."""
        self._spec = spec
        self._instruments = instruments
        self.cash_nano = spec.start_cash_nano
        self.fees_nano = 0
        self.holdings: dict[str, Holding] = {}
        self._bars: dict[str, Bar] = {}
        self._mids: dict[str, int] = {}

    def apply(self, fill: Fill) -> None:
        """Book one fill. A symbol that the day does not describe counts with multiplier 1: money is never dropped."""
        holding = self.holdings.get(fill.symbol)
        if holding is None:
            instrument = self._instruments.get(fill.symbol)
            holding = self.holdings[fill.symbol] = Holding(fill.symbol, instrument.multiplier if instrument else 1)
        sign = 1 if fill.side == "buy" else -1
        spent = -(-sign * fill.price_nano * fill.qty_nano * holding.multiplier // SCALE)
        holding.trade(sign * fill.qty_nano, spent)
        self.cash_nano -= spent + fill.fee_nano
        self.fees_nano += fill.fee_nano

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

    def account(self, now_ns: int) -> Account:
        """Return the account, positions sorted by symbol."""
        if not self.holdings:
            return Account(self._spec.client, self._spec.mode, now_ns, self.cash_nano, self.cash_nano, self.fees_nano)
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
            self._spec.client, self._spec.mode, now_ns, self.cash_nano, equity, self.fees_nano, tuple(positions)
        )


def _towards_zero(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)
