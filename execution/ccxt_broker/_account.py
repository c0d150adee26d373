"""The exchange's own account as a statement. Not a comparison with ours: that is reconciling's.

Balances, orders and executions are three questions, so the executions are asked for once more at the end: a statement
in which something moved is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bus.errors import BusError
from bus.fixed import SCALE
from bus.messages import Fill
from execution.broker import Held, OpenOrder, Statement
from execution.ccxt_broker._desk import ExchangeDesk
from execution.ccxt_broker._orders import fill_of
from execution.ccxt_broker._records import MS, MarketRules, VenueOrder, VenueTrade, external_id, is_ours

__all__ = ["name_of", "take_statement"]

_TRIES = 3
_DAY_MS = 86_400_000
_FEW = 3


def name_of(order: VenueOrder, rule: MarketRules) -> str:
    """Return the client order id of an order: ours when it has the form of ours, else the exchange's names of it."""
    return order.client_id if is_ours(order.client_id) else external_id(rule.market_id, order.order_id)


def take_statement(
    desk: ExchangeDesk, known: Callable[[str, str], str]
) -> tuple[Statement, list[tuple[str, VenueOrder]]]:
    """Ask for the account: a day's executions, what works, and the balances.

    Args:
        desk: Where to ask.
        known: Symbol and the exchange's order id → our client order id, empty when it is not known.

    Returns:
        The statement, and the orders that work by their client order ids.

    Raises:
        BusError: The exchange does not answer, or the account moved all the while.
    """
    for _ in range(_TRIES):
        now_ms = desk.now_ms()
        trades = {symbol: desk.trades_since(symbol, now_ms - _DAY_MS) for symbol in sorted(desk.rules)}
        working = desk.open_orders()
        rules = desk.rules
        balances = desk.balances([desk.currency, *(rule.base for rule in rules.values())])
        if any(_more(desk, symbol, found, now_ms - _DAY_MS) for symbol, found in trades.items()):
            continue
        orders = [(known(o.symbol, o.order_id) or name_of(o, rules[o.symbol]), o) for o in working]
        names = {(o.symbol, o.order_id): name for name, o in orders}
        fills: list[Fill] = []
        for symbol, found in trades.items():
            fills += _fills(desk, symbol, found, now_ms - _DAY_MS, known, names)
        statement = Statement(
            cash_nano=balances[desk.currency],
            held=tuple(
                Held(symbol, balances[rule.base]) for symbol, rule in sorted(rules.items()) if balances[rule.base]
            ),
            orders=tuple(_open(name, order) for name, order in orders),
            fills=tuple(sorted(fills, key=lambda fill: fill.time_ns)),
            seen_ns=now_ms * MS,
        )
        return statement, orders
    raise BusError("the account traded while it was looked at; ask for the statement again")


def _more(desk: ExchangeDesk, symbol: str, found: list[VenueTrade], since_ms: int) -> bool:
    if not found:
        return bool(desk.trades_since(symbol, since_ms))
    return bool(desk.trades_after(symbol, max(each.trade_id for each in found)))


def _open(name: str, order: VenueOrder) -> OpenOrder:
    return OpenOrder(
        client_order_id=name,
        broker_order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        qty_nano=order.qty_nano,
        filled_nano=order.filled_nano,
        price_nano=order.price_nano,
    )


def _fills(
    desk: ExchangeDesk,
    symbol: str,
    trades: Iterable[VenueTrade],
    since_ms: int,
    known: Callable[[str, str], str],
    names: dict[tuple[str, str], str],
) -> list[Fill]:
    """Return executions as fills under their orders' ids, each fee in coins as a fill of its own."""
    rule = desk.rules[symbol]
    trades = list(trades)
    nameless = {t.order_id for t in trades if (symbol, t.order_id) not in names and not known(symbol, t.order_id)}
    if len(nameless) > _FEW:
        for order in desk.recent_orders(symbol, since_ms):
            names[symbol, order.order_id] = name_of(order, rule)
    for order_id in sorted(nameless):
        if (symbol, order_id) not in names:
            order = desk.order(symbol, "", order_id)
            names[symbol, order_id] = external_id(rule.market_id, order_id) if order is None else name_of(order, rule)
    fills: list[Fill] = []
    for trade in trades:
        name = known(symbol, trade.order_id) or names[symbol, trade.order_id]
        fills.append(fill_of(trade, name, rule)[0])
        fee = _fee_in_coins(desk, trade)
        if fee is not None:
            fills.append(fee)
    return fills


def _fee_in_coins(desk: ExchangeDesk, trade: VenueTrade) -> Fill | None:
    """Return a fee that was taken out of coins that are traded here: they went, and no cash came for them."""
    if not trade.fee_nano or trade.fee_coin == desk.currency:
        return None
    rule = next((each for each in desk.rules.values() if each.base == trade.fee_coin), None)
    if rule is None:
        return None
    own = rule.symbol == trade.symbol
    price = trade.price_nano if own else desk.price_at(rule.symbol, trade.time_ns // MS)
    market_id = desk.rules[trade.symbol].market_id
    return Fill(
        fill_id=f"{market_id}-{trade.trade_id}-fee",
        client_order_id=f"fee-{market_id}-{trade.trade_id}",
        symbol=rule.symbol,
        side="sell",
        qty_nano=trade.fee_nano,
        price_nano=price,
        # What the sale brings as it is booked, so that cash does not move.
        fee_nano=price * trade.fee_nano // SCALE,
        time_ns=trade.time_ns,
        liquidity=trade.liquidity,
    )
