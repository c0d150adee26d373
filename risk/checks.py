"""Every control, in the order they are asked; each answers with a denial or nothing. Plain integers, no I/O.

Not where verdicts are written or tickets signed (``risk.gate``). A check that raises is a denial (law 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from bus.clock import NS, iso
from bus.fixed import from_nano, notional_nano
from bus.ids import client_order_id
from bus.messages import Instrument, OrderIntent
from risk.book import Book, Price
from risk.limits import Limits

__all__ = ["CHECKS", "Case", "Denial", "judge"]

Denial: TypeAlias = tuple[str, str]
"""Reason code and text: what was wrong, what is allowed, what to do next."""


class Case(msgspec.Struct, gc=False):
    """Everything one order is judged by. ``price`` and ``instrument`` are None where there is none.

    ``recent`` counts the approvals of the last minute; ``twin_ns`` is when an order of the same content was last
    approved, -1 for never.
    """

    intent: OrderIntent
    cycle: int
    now_ns: int
    client: str
    run_id: str
    currency: str
    killed: str
    limits: Limits
    book: Book
    allowed: frozenset[str]
    instrument: Instrument | None
    price: Price | None
    recent: int
    twin_ns: int

    _priced_nano: int = -1

    @property
    def priced_at_nano(self) -> int:
        """The price the order is valued at: its limit when that is worse, a market order at the collar's far end."""
        if self._priced_nano < 0:
            reference = self.price.nano if self.price is not None else 0
            if self.intent.order_type == "limit":
                self._priced_nano = max(reference, self.intent.limit_price_nano)
            else:
                self._priced_nano = reference + reference * self.limits.collar_bps // 10_000
        return self._priced_nano

    @property
    def reduces(self) -> bool:
        """Whether the order only shrinks the position."""
        return self.book.reduces(self.intent.symbol, self.intent.side, self.intent.qty_nano)


def _text(nano: int) -> str:
    return f"{from_nano(nano):,f}"


def _kill_switch(case: Case) -> Denial | None:
    if case.killed:
        return "kill_switch", f"the kill switch is engaged ({case.killed}); a person clears it with `outcry resume`"
    return None


def _identity(case: Case) -> Denial | None:
    intent = case.intent
    if intent.client != case.client or intent.run_id != case.run_id:
        return (
            "wrong_client",
            f"the intent is of client {intent.client!r}; this gate judges {case.client!r} in its own run",
        )
    if intent.decided_ns != case.now_ns or intent.cycle != case.cycle:
        return (
            "clock_mismatch",
            f"the intent was not decided at {iso(max(case.now_ns, 0))} in cycle {case.cycle}; decide again",
        )
    if intent.client_order_id != client_order_id(intent.client, intent.run_id, intent.cycle, intent.index):
        return (
            "order_id_not_derived",
            "the client order id must be derived from client, run, cycle and index; use bus.ids.client_order_id",
        )
    return None


def _symbol(case: Case) -> Denial | None:
    symbol, instrument = case.intent.symbol, case.instrument
    if instrument is None:
        return "unknown_symbol", f"{symbol[:20]!r} is not served; {_choice(case)}"
    if not instrument.tradable:
        return "not_tradable", f"{symbol} is an {instrument.kind} that cannot be traded; {_choice(case)}"
    if symbol not in case.allowed:
        return "symbol_not_allowed", f"{symbol} is not on this client's list; {_choice(case)}"
    if instrument.currency != case.currency:
        return (
            "currency",
            f"{symbol} is quoted in {instrument.currency}; allowed is {case.currency}: choose another symbol",
        )
    return None


def _choice(case: Case) -> str:
    return f"choose one of {', '.join(sorted(case.allowed))}"


def _quantity(case: Case) -> Denial | None:
    qty, lot = case.intent.qty_nano, case.instrument.lot_nano if case.instrument else 0
    most = case.limits.max_order_qty_nano
    if lot <= 0 or qty <= 0 or qty % lot:
        return (
            "quantity",
            f"quantity {_text(qty)} is not allowed; it must be above 0 in steps of {_text(lot)}: round it",
        )
    if qty > most:
        return "quantity", f"quantity {_text(qty)} is above the limit; at most {_text(most)}: ask for less"
    return None


def _limit_price(case: Case) -> Denial | None:
    price, tick = case.intent.limit_price_nano, case.instrument.tick_nano if case.instrument else 0
    if case.intent.order_type == "market":
        if price:
            return "limit_price", f"a market order has no limit price, this one has {_text(price)}; leave it out"
        return None
    if tick <= 0 or price <= 0 or price % tick:
        return (
            "limit_price",
            f"limit price {_text(price)} is not allowed; it must be above 0 in steps of {_text(tick)}: round it",
        )
    return None


def _price(case: Case) -> Denial | None:
    price, symbol = case.price, case.intent.symbol
    if price is None or price.nano <= 0:
        return "no_price", f"{symbol} has no price yet; wait for its first bar or quote"
    age_ns = case.now_ns - price.event_time_ns
    if age_ns < 0:
        return "stale_price", f"the last price of {symbol} is from after the gate's clock; settle the gate, then ask"
    if age_ns > case.limits.max_price_age_ns:
        most = case.limits.max_price_age_ns // NS
        return (
            "stale_price",
            f"the last price of {symbol} is {age_ns // NS:,} s old; at most {most:,} s: wait for a new one",
        )
    if price.crossed:
        return "crossed_price", f"the last quote of {symbol} has its bid above its ask; wait for the next one"
    return None


def _collar(case: Case) -> Denial | None:
    if case.intent.order_type == "market" or case.price is None:
        return None
    reference, bps = case.price.nano, case.limits.collar_bps
    if abs(case.intent.limit_price_nano - reference) * 10_000 > reference * bps:
        low, high = reference - reference * bps // 10_000, reference + reference * bps // 10_000
        limit = _text(case.intent.limit_price_nano)
        return "price_collar", f"limit price {limit} is outside the collar; allowed is {_text(low)} to {_text(high)}"
    return None


def _notional(case: Case) -> Denial | None:
    multiplier = case.instrument.multiplier if case.instrument else 1
    worth, most = (
        notional_nano(case.priced_at_nano, case.intent.qty_nano, multiplier),
        case.limits.max_order_notional_nano,
    )
    if worth > most:
        return "order_notional", f"the order is worth up to {_text(worth)} USD; at most {_text(most)}: ask for less"
    return None


def _position(case: Case) -> Denial | None:
    intent, most = case.intent, case.limits.max_position_notional_nano
    multiplier = case.instrument.multiplier if case.instrument else 1
    worst = notional_nano(
        case.priced_at_nano, case.book.worst_qty(intent.symbol, intent.side, intent.qty_nano), multiplier
    )
    if worst > most and not case.reduces:
        return "position_limit", (
            f"{intent.symbol} could reach {_text(worst)} USD with all working orders; at most {_text(most)}: "
            "ask for less, or wait for fills"
        )
    return None


def _exposure(case: Case) -> Denial | None:
    intent, book = case.intent, case.book
    gross, equity = (
        book.gross_with(intent.symbol, intent.side, intent.qty_nano, case.priced_at_nano),
        book.equity_nano,
    )
    if equity is not None and gross <= equity and gross <= case.limits.max_gross_nano:
        return None
    if case.reduces:
        return None
    if gross > case.limits.max_gross_nano:
        most = _text(case.limits.max_gross_nano)
        return "gross_limit", f"gross exposure could reach {_text(gross)} USD; at most {most}: reduce something first"
    if equity is None:
        return "equity_unknown", "a held symbol has no price, so the equity is not known; wait for its next price"
    return (
        "buying_power",
        f"gross exposure could reach {_text(gross)} USD; the equity is {_text(equity)}: reduce first",
    )


def _daily_loss(case: Case) -> Denial | None:
    equity = case.book.equity_nano
    if equity is None:
        # A price that comes back late must not trap a position: getting out is allowed, getting in is not.
        if case.reduces:
            return None
        return "equity_unknown", "a held symbol has no price, so the equity is not known; wait for its next price"
    loss = case.book.day_start_nano - equity
    if (case.book.halted or loss >= case.limits.max_daily_loss_nano) and not case.reduces:
        most = _text(case.limits.max_daily_loss_nano)
        return (
            "daily_loss",
            f"the day's loss is {_text(loss)} USD and has reached {most}; for the rest of the day only orders that "
            "reduce a position pass",
        )
    return None


def _pace(case: Case) -> Denial | None:
    if case.recent >= case.limits.max_orders_per_minute:
        return (
            "order_rate",
            f"{case.recent:,} orders in a minute; at most {case.limits.max_orders_per_minute:,}: slow down",
        )
    if len(case.book.reserved) >= case.limits.max_open_orders:
        count, most = len(case.book.reserved), case.limits.max_open_orders
        return "open_orders", f"{count:,} orders are working; at most {most:,}: wait for them to end"
    return None


def _duplicate(case: Case) -> Denial | None:
    if case.twin_ns >= 0 and case.now_ns - case.twin_ns < case.limits.duplicate_window_ns:
        window = case.limits.duplicate_window_ns // NS
        return "duplicate", f"an order of this content was approved less than {window:,} s ago; wait, or change it"
    return None


CHECKS: tuple[Callable[[Case], Denial | None], ...] = (
    _identity,
    _kill_switch,
    _symbol,
    _quantity,
    _limit_price,
    _price,
    _collar,
    _notional,
    _daily_loss,
    _position,
    _exposure,
    _pace,
    _duplicate,
)
"""All controls, in order: the first that denies ends it."""


def judge(case: Case) -> Denial | None:
    """Return the first denial, or None when every control passes. Never raises (law 3)."""
    for check in CHECKS:
        try:
            denial = check(case)
        except Exception as error:
            return (
                "check_failed",
                f"the check {check.__name__.strip('_')} failed ({type(error).__name__}); nothing passes it",
            )
        if denial is not None:
            return denial
    return None
