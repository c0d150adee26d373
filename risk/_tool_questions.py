"""What tools ask of the gate beside verdicts: its limits in words, and cancels. Not a way to loosen a limit.

Canceling needs the gate because execution believes nobody else: each order gets a ticket of its own. It works while the
kill switch is engaged, because it only takes risk away.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from bus.clock import NS
from bus.errors import BusError
from bus.fixed import from_nano, notional_nano
from bus.messages import (
    AskCancel,
    Canceled,
    CancelOrder,
    CancelRefusal,
    GetOrders,
    LimitLine,
    OrderEvent,
    OrderEvents,
    Orders,
    RiskLimits,
)
from bus.transport import Client
from risk import ceilings
from risk.book import Book
from risk.limits import version
from risk.sight import Sight
from risk.spec import GateSpec
from risk.tickets import Signer, cancel_digest, sign

__all__ = ["cancel_orders", "limits_in_words"]

_ASK_S = 5.0
_MOST_CANCELS = ceilings.MAX_OPEN_ORDERS
_WORKING = frozenset({"in_flight", "unknown", "accepted", "partially_filled"})
_UNKNOWN = "not known now"


def cancel_orders(ask: AskCancel, spec: GateSpec, sight: Sight, signer: Signer, execution: Client) -> Canceled:
    """Have working orders canceled, each with a ticket over exactly that.

    An order that is not known or is over is refused by name and nothing else happens to it. An order that execution did
    not answer about is refused as *not known*: it may be canceled or not.

    Args:
        ask: Which orders, why and by whom.
        spec: Whose gate this is.
        sight: The gate's clock.
        signer: The gate's key.
        execution: Who cancels.

    Raises:
        BusError: The gate has no clock yet, too many at once, or execution did not say which orders there are.
    """
    wanted = tuple(dict.fromkeys(ask.client_order_ids))
    now_ns = sight.now_ns
    if ask.client != spec.client or ask.run_id != spec.run_id:
        why = f"this gate cancels for {spec.client!r} in its own run; ask that client's gate"
        return Canceled(now_ns, (), tuple(CancelRefusal(client_order_id, why) for client_order_id in wanted))
    if len(wanted) > _MOST_CANCELS:
        raise BusError(f"{len(wanted):,} cancels at once; at most {_MOST_CANCELS:,}: ask in parts")
    if now_ns < 0:
        raise BusError("the gate has settled no instant yet, so nothing can be working; ask after the first one")
    if not wanted:
        return Canceled(now_ns, ())
    known = execution.call(GetOrders("all", (), wanted, len(wanted)), _ASK_S)
    if not isinstance(known, Orders):
        raise BusError(f"execution answered GetOrders with {type(known).__name__}; run one release in every process")
    status = {order.intent.client_order_id: order.status for order in known.orders}
    reason = f"{ask.reason[:160]}, by {ask.by[:80]}"
    events: list[OrderEvent] = []
    refused: list[CancelRefusal] = []
    for client_order_id in wanted:
        state = status.get(client_order_id)
        if state is None:
            refused.append(CancelRefusal(client_order_id, "there is no such order in this run; see which are open"))
        elif state not in _WORKING:
            refused.append(CancelRefusal(client_order_id, f"the order is {state}: nothing of it works any more"))
        else:
            outcome = _cancel(client_order_id, reason, spec, now_ns, signer, execution)
            if isinstance(outcome, CancelRefusal):
                refused.append(outcome)
            else:
                events.extend(outcome.events)
    return Canceled(now_ns, tuple(events), tuple(refused))


def _cancel(
    client_order_id: str, reason: str, spec: GateSpec, now_ns: int, signer: Signer, execution: Client
) -> OrderEvents | CancelRefusal:
    ticket = sign(
        signer,
        client=spec.client,
        over=cancel_digest(spec.client, client_order_id, now_ns, reason),
        subject=f"cancel:{client_order_id}:{now_ns}:{reason}",
        limits_version=version(spec.limits),
        issued_ns=now_ns,
        lifetime_ns=ceilings.CANCEL_LIFETIME_NS,
    )
    try:
        answer = execution.call(CancelOrder(now_ns, client_order_id, reason, ticket), _ASK_S)
    except BusError as error:
        return CancelRefusal(client_order_id, f"not known whether it is canceled ({error}); look at the order")
    if not isinstance(answer, OrderEvents):
        return CancelRefusal(client_order_id, f"not known whether it is canceled ({type(answer).__name__} came back)")
    return answer


def limits_in_words(spec: GateSpec, limits_version: str, sight: Sight, approved_ns: Iterable[int]) -> RiskLimits:
    """Return every limit with what is used of it; where the book cannot be brought up to date, that is *not known*.

    Args:
        spec: Whose limits.
        limits_version: Their digest.
        sight: The clock and the book.
        approved_ns: When orders were approved lately.
    """
    limits, book, money = spec.limits, sight.book, spec.currency
    try:
        sight.wake()
        known = True
    except BusError:
        known = False
    recent = sum(time_ns > sight.now_ns - 60 * NS for time_ns in approved_ns)
    used = _used(book, sight, recent) if known else {}

    def line(name: str, value: int, ceiling: int, unit: str) -> LimitLine:
        told = used.get(name, "") if known or name not in _USED else _UNKNOWN
        return LimitLine(name, _number(name, value), told, _number(name, ceiling) if ceiling else "", unit)

    lines = (
        line("max_order_qty_nano", limits.max_order_qty_nano, ceilings.MAX_ORDER_QTY_NANO, "units an order"),
        line("max_order_notional_nano", limits.max_order_notional_nano, ceilings.MAX_ORDER_NOTIONAL_NANO, money),
        line(
            "max_position_notional_nano",
            limits.max_position_notional_nano,
            ceilings.MAX_POSITION_NOTIONAL_NANO,
            f"{money} a symbol, with all working orders",
        ),
        line("max_gross_nano", limits.max_gross_nano, ceilings.MAX_GROSS_NANO, f"{money} with all working orders"),
        LimitLine("buying_power", _equity(book, known=known), used.get("max_gross_nano", _UNKNOWN), "", money),
        line("collar_bps", limits.collar_bps, ceilings.MAX_COLLAR_BPS, "basis points from the last price"),
        line("max_daily_loss_nano", limits.max_daily_loss_nano, ceilings.MAX_DAILY_LOSS_NANO, f"{money} a day"),
        line("max_price_age_ns", limits.max_price_age_ns, ceilings.MAX_PRICE_AGE_NS, "seconds"),
        line(
            "max_orders_per_minute", limits.max_orders_per_minute, ceilings.MAX_ORDERS_PER_MINUTE, "approvals a minute"
        ),
        line("max_open_orders", limits.max_open_orders, ceilings.MAX_OPEN_ORDERS, "orders"),
        line("duplicate_window_ns", limits.duplicate_window_ns, 0, "seconds between equal orders"),
        line("ticket_lifetime_ns", limits.ticket_lifetime_ns, ceilings.MAX_TICKET_LIFETIME_NS, "seconds"),
    )
    symbols = sight.allowed or frozenset(limits.symbols)
    return RiskLimits(spec.client, limits_version, max(sight.now_ns, 0), lines, tuple(sorted(symbols)))


_USED = frozenset(
    {
        "max_position_notional_nano",
        "max_gross_nano",
        "max_daily_loss_nano",
        "max_orders_per_minute",
        "max_open_orders",
    }
)


def _used(book: Book, sight: Sight, recent: int) -> dict[str, str]:
    loss = _UNKNOWN if book.equity_nano is None else _text(max(0, book.day_start_nano - book.equity_nano))
    return {
        "max_position_notional_nano": _largest(book, sight),
        "max_gross_nano": _text(book.gross_nano()),
        "max_daily_loss_nano": f"{loss} (reached today: only reductions pass)" if book.halted else loss,
        "max_orders_per_minute": str(recent),
        "max_open_orders": str(len(book.reserved)),
    }


def _largest(book: Book, sight: Sight) -> str:
    """Return the symbol whose worst case is worth most, and how much."""
    worst: list[tuple[int, str]] = []
    for symbol in sorted({*book.positions, *(held.symbol for held in book.reserved.values())}):
        price, instrument = book.prices.get(symbol), sight.instruments.get(symbol)
        if price is not None and instrument is not None:
            worst.append((notional_nano(price.nano, book.worst_qty(symbol), instrument.multiplier), symbol))
    most = max(worst, default=(0, ""))
    return f"{_text(most[0])} ({most[1]})" if most[0] else "0"


def _equity(book: Book, *, known: bool) -> str:
    return _UNKNOWN if book.equity_nano is None or not known else _text(book.equity_nano)


def _number(name: str, value: int) -> str:
    if name.endswith("_nano"):
        return _text(value)
    return f"{Decimal(value) / NS:f}" if name.endswith("_ns") else str(value)


def _text(nano: int) -> str:
    return f"{from_nano(nano):f}"
