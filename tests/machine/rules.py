"""What must hold between gate, gateways and venues, each as a function that fails. Not what may happen next."""

from __future__ import annotations

from typing import Any

import msgspec

from bus.messages import (
    Account,
    AskReconcile,
    BookSettled,
    GetAccount,
    GetRiskState,
    OrderIntent,
    Reconciliation,
    RiskState,
    SettleBook,
    Settled,
    SettleOrders,
    TradingState,
    Verdicts,
)
from execution.states import FINAL
from risk.tickets import order_digest
from tests.execution.venue import Received
from tests.machine.floor import CLIENTS, INSTRUMENTS, MINUTE, Floor, Moment
from tests.machine.parts import Arrival, House
from tests.machine.reference import Reference, Row

__all__ = [
    "is_reserved",
    "known",
    "they_agree",
    "told",
    "uncovered",
    "verdicts_are_as_written",
    "was_approved",
    "what_is_stopped_is_being_canceled",
]


def verdicts_are_as_written(
    reference: Reference, intents: list[OrderIntent], answer: Verdicts, before: dict[str, Row]
) -> None:
    """An answer is what the file has; an order that has a verdict gets the same one, or that it is stopped."""
    tickets = {order.intent.client_order_id: order for order in answer.orders}
    for intent, verdict in zip(intents, answer.verdicts, strict=True):
        name = intent.client_order_id
        row, old = reference.final.get(name), before.get(name)
        halted = reference.state(intent.client, intent.strategy) == "halted"
        if old is not None and old.intent == intent and not (halted and old.verdict.approved):
            assert verdict == old.verdict, "another verdict on the same order"
        if old is not None and old.intent != intent:
            assert not verdict.approved, "an order id with other contents was approved"
        if verdict.approved:
            assert row is not None
            assert row.intent == intent
            assert not halted, "approved while it is halted"
            ticket = tickets[name].ticket
            assert tickets[name].intent == intent
            assert (ticket.client, ticket.order_digest) == (intent.client, order_digest(intent))
            assert (ticket.issued_ns, ticket.expires_ns) == (row.verdict.now_ns, row.expires_ns)
        else:
            assert name not in tickets


def was_approved(floor: Floor, reference: Reference, arrival: Arrival) -> None:
    """What reached a venue has a verdict on disk that says yes, to exactly this, in time; and it came once."""
    intent, client = arrival.intent, arrival.client
    assert intent.client == client, "at another client's venue"
    assert floor.houses[client].orders[intent.client_order_id].arrived == 1, "sent twice"
    if intent.parent_id:
        _is_leg(floor, reference, client, intent)
        return
    given = reference.given.get(intent.client_order_id)
    assert given is not None, "nobody approved it"
    judged = given.row.intent
    assert given.row.client == client
    if intent == judged:
        assert given.row.verdict.now_ns <= arrival.now_ns <= given.row.expires_ns, "its ticket was over"
        return
    plain = {"order_type": intent.order_type, "limit_price_nano": intent.limit_price_nano, "stop_price_nano": 0}
    waited = msgspec.structs.replace(judged, **plain, trail_nano=0, trail_bps=0)
    assert judged.order_type in ("stop", "stop_limit", "trailing_stop")
    assert msgspec.structs.replace(waited, reason=intent.reason) == intent, "not what was approved"
    assert intent.limit_price_nano == (judged.limit_price_nano if judged.order_type == "stop_limit" else 0)


def _is_leg(floor: Floor, reference: Reference, client: str, intent: OrderIntent) -> None:
    """A leg covers an order that was approved with legs, and no more than it filled or is for."""
    parent = reference.given[intent.parent_id].row.intent
    assert parent.client == client
    assert parent.order_class != "simple"
    oco = parent.order_class == "oco"
    assert (intent.side == parent.side) is oco
    assert intent.symbol == parent.symbol
    filled = floor.houses[client].orders[intent.parent_id].filled_nano
    assert 0 < intent.qty_nano <= (parent.qty_nano if oco else filled)


def uncovered(house: House, order: Received) -> int:
    """Return what legs that cover each other may still fill: an honest market does not fill both in one moment."""
    name = order.intent.parent_id or order.intent.client_order_id
    parent = house.orders[name]
    if parent.intent.order_class == "simple" or (parent is order and parent.intent.order_class != "oco"):
        return order.left_nano
    legs = sum(each.filled_nano for each in house.orders.values() if each.intent.parent_id == name)
    oco = parent.intent.order_class == "oco"
    return (parent.intent.qty_nano - parent.filled_nano if oco else parent.filled_nano) - legs


def is_reserved(floor: Floor, reference: Reference, client: str) -> None:
    """The gate reserves no less than what may still fill, order by order and in sum."""
    seat = floor.seat(client)
    if seat is None or floor.gateway(client) is None:
        return
    book = seat.state.book
    for name in reference.open_orders(client):
        held = book.reserved.get(name)
        assert held is not None, f"{name} may still fill and is not reserved"
        assert held.remaining_nano >= reference.left(client, name), f"less of {name} is reserved than may fill"
    for symbol in INSTRUMENTS:
        position = book.position(symbol)
        up, down = position + book.working(symbol, "buy"), book.working(symbol, "sell") - position
        assert up >= reference.ahead(client, symbol, "buy"), "more may be bought than the gate reckons with"
        assert down >= reference.ahead(client, symbol, "sell"), "more may be sold than the gate reckons with"


def what_is_stopped_is_being_canceled(floor: Floor, reference: Reference) -> None:
    """After a settled instant nothing works in a halted scope that was not asked to be canceled."""
    for client, house in floor.houses.items():
        asked = {name for what, name in house.calls if what == "cancel"}
        for name in house.working():
            if reference.state(client, house.orders[name].intent.strategy) == "halted":
                assert name in asked, "it works on while it is halted"


def told(state: RiskState) -> dict[tuple[str, str], TradingState]:
    """Return what is stopped, as the gate says."""
    return {(line.client, line.strategy): line.state for line in state.kills}


def known(floor: Floor) -> dict[str, Any] | None:
    """Return all that a gate must know again after a restart; None when it has not looked yet."""
    found: dict[str, Any] = {}
    for client in CLIENTS:
        seat = floor.seat(client)
        if seat is None:
            return None
        book, facts = seat.state.book, seat.state.facts
        reserved = {
            name: (held.symbol, held.side, held.remaining_nano, held.price_nano) for name, held in book.reserved.items()
        }
        held = {symbol: book.position(symbol) for symbol in INSTRUMENTS}
        sides = {s: (book.working(s, "buy"), book.working(s, "sell")) for s in INSTRUMENTS}
        counts = facts.recent_orders, facts.recent_messages, facts.orders_today, facts.cancels_today, facts.open_orders
        worth = facts.equity_nano, facts.gross_nano, facts.day_start_nano, facts.halted
        found[client] = (reserved, held, sides, book.cash_nano, counts, worth)
    state = floor.ask("gate", GetRiskState(), RiskState)
    found["gate"] = (state.approved, state.denied, told(state), state.now_ns, state.equity_nano, state.gross_nano)
    return found


def they_agree(floor: Floor, reference: Reference, last: dict[str, int]) -> None:
    """Once everything is up, answered and compared, gate, gateway and venue have the same orders, holdings and cash.

    Args:
        floor: With everything that is on it.
        reference: What is stopped, and what was approved.
        last: The last prices.
    """
    floor.start()
    for house in floor.houses.values():
        house.deaf = 0
    for _ in range(4):
        now_ns = floor.feed.now_ns + 2 * MINUTE
        prices = {symbol: (nano, now_ns, False) for symbol, nano in last.items()}
        floor.feed.moments.append(Moment(now_ns, prices))
        for client in CLIENTS:
            floor.ask(client, SettleOrders(now_ns), Settled)
            floor.ask(client, AskReconcile(), Reconciliation)
        floor.ask("gate", SettleBook(now_ns), BookSettled)
    reference.read()
    for client, house in floor.houses.items():
        gateway, seat = floor.gateway(client), floor.seat(client)
        assert gateway is not None
        assert seat is not None
        account, book = floor.ask(client, GetAccount(0), Account), seat.state.book
        assert account.halted == ""
        assert account.cash_nano == house.cash_nano == book.cash_nano
        held = {symbol: qty for symbol, qty in house.held.items() if qty}
        assert {p.symbol: p.qty_nano for p in account.positions if p.qty_nano} == held
        assert {s: book.position(s) for s in INSTRUMENTS if book.position(s)} == held
        orders = gateway.engine.book.orders
        waiting = {n for n, o in orders.items() if o.waits_here}
        left = {name: house.orders[name].left_nano for name in house.working()}
        left |= {name: orders[name].intent.qty_nano for name in waiting}
        assert {name: kept.remaining_nano for name, kept in book.reserved.items()} == left
        for name, order in house.orders.items():
            assert orders[name].filled_nano == order.filled_nano
            assert (orders[name].status in FINAL) == (not order.open)
    assert told(floor.ask("gate", GetRiskState(), RiskState)) == reference.kills
