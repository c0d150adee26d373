"""What tools ask of execution: which orders there are and what its broker takes. Not where anything is changed."""

from __future__ import annotations

from bus.messages import Capabilities, GetOrders, Orders, OrderState
from execution.broker import Offered
from execution.orders import Order, OrderBook
from execution.spec import GatewaySpec
from execution.states import WORKING
from execution.waiting import taken

__all__ = ["capabilities", "orders_page"]

_MOST = 1_000


def capabilities(spec: GatewaySpec, offered: Offered, now_ns: int) -> Capabilities:
    """Return whose gateway this is and what can be asked of it.

    Stops wait here where the broker has none, so they are always offered.
    """
    return Capabilities(
        client=spec.client,
        run_id=spec.run_id,
        broker=offered.name,
        mode=spec.mode,
        now_ns=now_ns,
        order_types=taken(offered),
        times_in_force=offered.times_in_force,
        order_classes=offered.order_classes,
        replaces=offered.replaces,
        shorts=offered.shorts,
    )


def orders_page(ask: GetOrders, book: OrderBook, now_ns: int) -> Orders:
    """Return a page of the orders that fit, newest first.

    Args:
        ask: Which; at most a thousand at once.
        book: All there are, in the order they were sent.
        now_ns: The last settled instant.
    """
    symbols, ids = set(ask.symbols), set(ask.client_order_ids)
    found = [
        order
        for order in reversed(book.orders.values())
        if (not symbols or order.intent.symbol in symbols)
        and (not ids or order.intent.client_order_id in ids)
        and (ask.status == "all" or (order.status in WORKING) == (ask.status == "open"))
    ]
    start = max(ask.offset, 0)
    page = found[start : start + min(max(ask.limit, 0), _MOST)]
    return Orders(now_ns, tuple(map(_state, page)), len(found))


def _state(order: Order) -> OrderState:
    fills = order.fills.values()
    filled = sum(fill.qty_nano for fill in fills)
    paid = sum(fill.price_nano * fill.qty_nano for fill in fills)
    last = order.events[-1] if order.events else None
    return OrderState(
        intent=order.intent,
        status=order.status,
        filled_nano=order.filled_nano,
        avg_price_nano=(2 * paid + filled) // (2 * filled) if filled else 0,
        fees_nano=sum(fill.fee_nano for fill in fills),
        reason=last.reason if last is not None else "",
        sent_ns=order.sent_ns,
        updated_ns=last.time_ns if last is not None else order.sent_ns,
    )
