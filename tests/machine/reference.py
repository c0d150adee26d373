"""What must hold, worked out anew from the feed, from what the venues received and from the gate's file on disk.

Not the gate's sums over again: quantities are the venues' own and prices the feed's, so they are never more than what
the gate has to reckon with. What it lets pass has to be within every limit here, too.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import msgspec

from bus.fixed import SCALE
from bus.messages import OrderIntent, Side, TradingState, Verdict
from execution.states import FINAL
from risk.spec import ClientSpec
from tests.machine.floor import CASH, CLIENTS, DAY, INSTRUMENTS, MINUTE, Floor, Moment

__all__ = ["Given", "Reference", "Row"]

TIGHT: dict[TradingState, int] = {"active": 0, "reducing": 1, "halted": 2}
BPS = 10_000
UP = SCALE - 1


class Row(msgspec.Struct, frozen=True):
    """One verdict, as the gate's file has it."""

    seq: int
    client: str
    intent: OrderIntent
    verdict: Verdict
    expires_ns: int
    final: bool
    old_left_nano: int


class Given(msgspec.Struct, frozen=True):
    """An order that the gate approved, and what a unit of it was worth at most."""

    row: Row
    price_nano: int
    old_filled_nano: int


class Reference:
    """The rules, on what is so."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.specs: dict[str, ClientSpec] = {each.client: each for each in floor.spec.clients}
        self.rows: list[Row] = []
        self.given: dict[str, Given] = {}
        self.final: dict[str, Row] = {}
        self.kills: dict[tuple[str, str], TradingState] = {}
        self.equity: dict[str, int | None] = dict(CASH)
        self.lost: dict[str, int] = {}
        self.clock = dict.fromkeys(CLIENTS, 0)
        """How far each gateway's clock has come, also in a life before the present one."""

    # --- the gate's file ----------------------------------------------------------------------------------------------

    def read(self) -> list[Row]:
        """Take in the verdicts that are new on disk; each that approves is judged here, in their order."""
        for client in CLIENTS:
            gateway = self.floor.gateway(client)
            self.clock[client] = max(self.clock[client], gateway.engine.now_ns if gateway else 0)
        with closing(sqlite3.connect(f"file:{self.floor.spec.database}?mode=ro", uri=True)) as db:
            found = db.execute(
                "SELECT seq, final, record FROM verdicts WHERE seq > ? ORDER BY seq", (len(self.rows),)
            ).fetchall()
        fresh = [_row(*each) for each in found]
        for row in fresh:
            assert row.seq == len(self.rows) + 1
            self.rows.append(row)
            if row.final:
                assert row.intent.client_order_id not in self.final, "two final verdicts on one order id"
                self.final[row.intent.client_order_id] = row
            if row.verdict.approved:
                self._approve(row)
        return fresh

    def _approve(self, row: Row) -> None:
        intent, name = row.intent, row.intent.client_order_id
        assert row.final
        assert row.client == intent.client
        moment = self.floor.feed.at(row.verdict.now_ns)
        assert intent.symbol in moment.prices, "approved without a price"
        price = self.unit(row.client, intent, moment)
        old_filled = 0
        if intent.replaces:
            old = self.given[intent.replaces]
            if self.may_fill(row.client, intent.replaces):
                price = max(price, old.price_nano)
            old_filled = old.row.intent.qty_nano - row.old_left_nano
        before = len(self.open_orders(row.client)), sum(len(self.open_orders(client)) for client in CLIENTS)
        given = Given(row, price, old_filled)
        self._form(given, moment)
        self._pace(given, before)
        self.given[name] = given
        self._exposure(given, moment)

    # --- what the venues say ------------------------------------------------------------------------------------------

    def may_come(self, client: str, name: str) -> bool:
        """Whether an approved order that its venue has not had may still come there; no where nobody can tell now."""
        given, house = self.given[name], self.floor.houses[client]
        gateway = self.floor.gateway(client)
        replaced = house.orders.get(given.row.intent.replaces)
        too_late = replaced is not None and not (replaced.open and replaced.filled_nano == given.old_filled_nano)
        if name in house.orders or gateway is None or too_late:
            return False
        before = given.row.intent.replaces
        if before and before not in gateway.engine.book.orders and not self.may_come(client, before):
            return False  # what it replaces will never be there
        order = gateway.engine.book.orders.get(name)
        return order.status not in FINAL if order is not None else given.row.expires_ns >= self.clock[client]

    def left(self, client: str, name: str) -> int:
        """Return what of an approved order may still fill."""
        order = self.floor.houses[client].orders.get(name)
        if order is not None:
            return order.left_nano if order.open else 0
        return self.given[name].row.intent.qty_nano if self.may_come(client, name) else 0

    def may_fill(self, client: str, name: str) -> bool:
        return self.left(client, name) > 0

    def open_orders(self, client: str) -> list[str]:
        return [n for n, given in self.given.items() if given.row.client == client and self.may_fill(client, n)]

    def root(self, name: str) -> str:
        while self.given[name].row.intent.replaces:
            name = self.given[name].row.intent.replaces
        return name

    def ahead(self, client: str, symbol: str, side: Side) -> int:
        """Return the position on a side if everything on it fills; of orders that replace each other, the largest.

        Without what legs may fill and filled on this side: they come and shrink between two judgements, to cover what
        was judged (``risk.book.Book.promise`` holds their place; ``tests/risk/test_promised.py`` shows it).
        """
        house, most = self.floor.houses[client], dict[str, int]()
        for name in self.open_orders(client):
            intent = self.given[name].row.intent
            if (intent.symbol, intent.side) == (symbol, side):
                root = self.root(name)
                most[root] = max(most.get(root, 0), self.left(client, name))
        position = house.held.get(symbol, 0) if side == "buy" else -house.held.get(symbol, 0)
        legs = (o for o in house.orders.values() if o.intent.parent_id and o.intent.symbol == symbol)
        covered = sum(order.filled_nano for order in legs if order.intent.side == side)
        return position - covered + sum(most.values())

    def worst(self, client: str, symbol: str) -> int:
        return max(self.ahead(client, symbol, "buy"), self.ahead(client, symbol, "sell"), 0)

    def settled(self, now_ns: int) -> None:
        """Note what each client is worth at an instant that the gate has just settled, where the gate can know it."""
        prices = self.floor.feed.at(now_ns).prices
        for client, house in self.floor.houses.items():
            held = {symbol: qty for symbol, qty in house.held.items() if qty}
            known = all(fill.fill_id in house.heard for fill in house.fills) and set(held) <= set(prices)
            equity = house.cash_nano + sum(prices[s][0] * qty // SCALE for s, qty in held.items()) if known else None
            self.equity[client] = equity
            first_day = now_ns // DAY == self.floor.feed.moments[0].now_ns // DAY
            most = self.specs[client].limits.max_daily_loss_nano
            if equity is not None and first_day and CASH[client] - equity >= most:
                self.lost[client] = now_ns // DAY

    # --- the rules ----------------------------------------------------------------------------------------------------

    def unit(self, client: str, intent: OrderIntent, moment: Moment) -> int:
        """Return what a unit is worth at most: its limit or where it triggers, never less than the reference."""
        reference, bps = moment.prices[intent.symbol][0], self.specs[client].limits.collar_bps
        if intent.order_type == "market":
            return reference + reference * bps // BPS
        if intent.order_type in ("limit", "stop_limit"):
            return max(reference, intent.limit_price_nano, intent.stop_price_nano)
        trail = max(intent.trail_nano, -(-reference * intent.trail_bps // BPS))
        far = max(reference + trail, intent.stop_price_nano)
        return far + far * bps // BPS

    def state(self, client: str, strategy: str) -> TradingState:
        scopes = (("", ""), (client, ""), ("", strategy), (client, strategy))
        return max((self.kills.get(scope, "active") for scope in scopes), key=lambda state: TIGHT[state])

    def _form(self, given: Given, moment: Moment) -> None:
        """The order by itself."""
        intent, client = given.row.intent, given.row.client
        limits, instrument = self.specs[client].limits, INSTRUMENTS[intent.symbol]
        reference, when, crossed = moment.prices[intent.symbol]
        own = self.specs[client].symbols.get(intent.symbol)
        most = min(limits.max_order_qty_nano, own.max_order_qty_nano or 2**63) if own else limits.max_order_qty_nano
        assert moment.open, "approved while the session is closed"
        assert intent.symbol not in moment.halted, "approved in a symbol that is halted"
        assert not crossed, "approved on a crossed price"
        assert moment.now_ns - when <= limits.max_price_age_ns, "approved on an old price"
        assert 0 < intent.qty_nano <= most, "more than an order may have"
        assert intent.qty_nano % instrument.lot_nano == 0, "no whole lots"
        assert given.price_nano * intent.qty_nano <= limits.max_order_notional_nano * SCALE, "worth more than an order"
        for price in (intent.limit_price_nano, intent.stop_price_nano):
            assert price % instrument.tick_nano == 0, "between two ticks"
            assert not price or abs(price - reference) * BPS <= reference * limits.collar_bps, "outside of the collar"
        assert intent.trail_nano * BPS <= reference * limits.collar_bps
        assert intent.trail_bps <= limits.collar_bps
        assert self.state(client, intent.strategy) != "halted", "approved while it is halted"
        for other, name in [(c, n) for c in CLIENTS for n in self.open_orders(c)]:
            self._not_itself(intent, self.given[name].row.intent, other)

    def _not_itself(self, intent: OrderIntent, other: OrderIntent, client: str) -> None:
        at_once = all(each.order_type in ("market", "limit") for each in (intent, other))
        if not at_once or (other.symbol, intent.side) == (intent.symbol, other.side) or other.symbol != intent.symbol:
            return
        buy, sell = (intent, other) if intent.side == "buy" else (other, intent)
        meets = (buy.limit_price_nano or 2**63) >= sell.limit_price_nano
        assert not meets, f"it would trade with the desk's own order of {client}"

    def _pace(self, given: Given, before: tuple[int, int]) -> None:
        """How much there is of it."""
        intent, client, now_ns = given.row.intent, given.row.client, given.row.verdict.now_ns
        limits = self.specs[client].limits
        mine = [each.row for each in self.given.values() if each.row.client == client]
        recent = sum(row.verdict.now_ns > now_ns - MINUTE for row in mine)
        assert recent < limits.max_orders_per_minute, "more orders than a minute may have"
        if not intent.replaces:
            assert before[0] < limits.max_open_orders, "more open orders than the client may have"
            assert before[1] < self.floor.spec.desk.max_open_orders, "more open orders than the desk may have"
        for row in mine:
            if row.verdict.now_ns > now_ns - limits.duplicate_window_ns:
                assert _content(row.intent) != _content(intent), "the same content within the window"

    def _exposure(self, given: Given, moment: Moment) -> None:
        """What it leads to, with everything that may still fill; an order that only reduces is not limited."""
        intent, client, price = given.row.intent, given.row.client, given.price_nano
        limits, symbol = self.specs[client].limits, intent.symbol
        toward = self.ahead(client, symbol, intent.side)
        if toward <= 0:
            return
        assert not intent.reduce_only, "reduce-only, and it opens or flips"
        assert self.state(client, intent.strategy) == "active", "it opens or flips while only reductions may pass"
        assert self.lost.get(client) != given.row.verdict.now_ns // DAY, "the day's loss is reached: only reductions"
        worst = (price * self.worst(client, symbol) + UP) // SCALE
        assert worst <= limits.max_position_notional_nano, "beyond the position limit"
        gross = worst + sum(self._worth(client, other, moment) for other in INSTRUMENTS if other != symbol)
        assert gross <= limits.max_gross_nano, "beyond the gross limit"
        equity = self.equity[client]
        if equity is not None:
            assert gross <= equity * BPS // limits.margin_bps, "beyond the buying power"
            assert worst <= equity * limits.max_concentration_bps // BPS, "too much in one symbol"
        desk = gross + sum(self._worth(c, s, moment) for c in CLIENTS if c != client for s in INSTRUMENTS)
        assert desk <= self.floor.spec.desk.max_gross_nano, "beyond the desk's gross limit"

    def _worth(self, client: str, symbol: str, moment: Moment) -> int:
        price = moment.prices.get(symbol, (0, 0, False))[0]
        return (price * self.worst(client, symbol) + UP) // SCALE


def _content(intent: OrderIntent) -> tuple[Any, ...]:
    who = {"client_order_id": "", "cycle": 0, "index": 0, "decided_ns": 0, "strategy": "", "reason": ""}
    rest = {"time_in_force": "day", "expires_ns": 0, "reduce_only": False}
    return msgspec.structs.astuple(msgspec.structs.replace(intent, **who, **rest))


def _row(seq: int, final: int, record: bytes) -> Row:
    raw: dict[str, Any] = msgspec.msgpack.decode(record)
    inputs: dict[str, Any] = msgspec.json.decode(raw["inputs"])
    intent = msgspec.convert(raw["intent"], OrderIntent)
    verdict = msgspec.convert(raw["verdict"], Verdict)
    expires = int(raw["ticket"][6]) if raw["ticket"] else 0
    left = int(inputs.get("replaces.remaining_nano", 0))
    return Row(seq, raw["client"], intent, verdict, expires, bool(final), left)
