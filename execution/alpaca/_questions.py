"""What is asked of Alpaca over REST, with answers as records. Each question once; who asks decides what follows.

Not the words of the broker protocol: that is ``_broker``. Of one thread, as its connections are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast

from bus.clock import NS
from bus.errors import BusError, SchemaError
from execution.alpaca._exchange import CalmTradingClient, RefusedError
from execution.alpaca._records import AccountRecord, FillRecord, OrderRecord, PositionRecord, read, time_ns
from execution.alpaca._sdk import GetOrdersRequest, QueryOrderStatus, Sort

__all__ = ["Look", "Questions"]

_Answer = TypeVar("_Answer")
_ORDERS_PAGE = 500
_FILLS_PAGE = 100
_MOST_PAGES = 200
_OVERLAP = timedelta(microseconds=1)


class Look(NamedTuple):
    """What was found about orders: each with the executions that were found, newest state last."""

    orders: tuple[OrderRecord, ...]
    fills: tuple[FillRecord, ...]


class Questions:
    """Asks through one client."""

    def __init__(self, client: CalmTradingClient) -> None:
        """Ask through this client."""
        self._client: Any = client  # what the SDK's methods return, its annotations do not know: bytes, here
        self._names: dict[str, str] = {}

    # --- orders -----------------------------------------------------------------------------------------------------

    def place(self, fields: dict[str, str]) -> OrderRecord:
        """Send an order. Raises what ``CalmTradingClient`` does."""
        return self._one(lambda: self._client.post("/orders", fields), "an order")

    def change(self, broker_id: str, fields: dict[str, str]) -> OrderRecord:
        """Replace an order."""
        return self._one(lambda: self._client.patch(f"/orders/{broker_id}", fields), "a replacement")

    def cancel(self, broker_id: str) -> None:
        """Ask for an order to be canceled."""
        self._ask(lambda: self._client.delete(f"/orders/{broker_id}") or b"null", object, "a cancel")

    def find(self, client_order_id: str) -> OrderRecord | None:
        """Return an order by our id, None where Alpaca has none of it."""
        try:
            found = self._one(lambda: self._client.get_order_by_client_id(client_order_id), "an order")
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return None
        if found.client_order_id != client_order_id:
            raise SchemaError("alpaca answered about another order than it was asked for; nothing of it is used")
        return found

    def by_id(self, broker_id: str) -> OrderRecord:
        """Return an order by Alpaca's id."""
        found = self._one(lambda: self._client.get(f"/orders/{broker_id}"), "an order")
        if found.id != broker_id:
            raise SchemaError("alpaca answered about another order than it was asked for; nothing of it is used")
        return found

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Return every order that works."""
        found: dict[str, OrderRecord] = {}
        after: datetime | None = None
        for _ in range(_MOST_PAGES):
            asked = GetOrdersRequest(
                status=QueryOrderStatus.OPEN, limit=_ORDERS_PAGE, direction=Sort.ASC, nested=False, after=after
            )
            page = self._ask(lambda asked=asked: self._client.get_orders(asked), list[OrderRecord], "open orders")
            new = [order for order in page if order.id not in found]
            found.update((order.id, order) for order in page)
            if len(page) < _ORDERS_PAGE:
                return tuple(found.values())
            if not new:
                break
            # Orders of one instant can lie on both sides of a page's end: the next page begins just before it.
            after = _moment(time_ns(page[-1].submitted_at)) - _OVERLAP
        raise SchemaError("alpaca's pages of orders do not end; nothing of them is used")

    def fills(self, after_ns: int) -> tuple[FillRecord, ...]:
        """Return every execution since a time, oldest first."""
        found: dict[str, FillRecord] = {}
        asked: dict[str, Any] = {
            "after": _moment(after_ns).isoformat().replace("+00:00", "Z"),
            "direction": "asc",
            "page_size": _FILLS_PAGE,
        }
        for _ in range(_MOST_PAGES):
            fields = dict(asked)
            page = self._ask(
                lambda fields=fields: self._client.get("/account/activities/FILL", fields), list[FillRecord], "fills"
            )
            new = [fill for fill in page if fill.id not in found]
            found.update((fill.id, fill) for fill in page)
            if len(page) < _FILLS_PAGE:
                return tuple(found.values())
            if not new:
                break
            asked["page_token"] = page[-1].id
        raise SchemaError("alpaca's pages of fills do not end; nothing of them is used")

    def fills_of(self, orders: Sequence[OrderRecord]) -> tuple[FillRecord, ...]:
        """Return the executions of these orders; nothing is asked where none has any."""
        filled = {order.id: order for order in orders if order.filled_nano}
        if not filled:
            return ()
        first_ns = min(time_ns(order.submitted_at) for order in filled.values())
        return tuple(fill for fill in self.fills(max(0, first_ns - NS)) if fill.order_id in filled)

    def look(self, client_order_ids: Collection[str]) -> Look:
        """Return how orders of ours stand: those that work with one question, the others one by one."""
        wanted = set(client_order_ids)
        if not wanted:
            return Look((), ())
        found = {order.client_order_id: order for order in self.open_orders() if order.client_order_id in wanted}
        for client_order_id in sorted(wanted - found.keys()):
            if (order := self.find(client_order_id)) is not None:
                found[client_order_id] = order
        return Look(tuple(found.values()), self.fills_of(tuple(found.values())))

    def name(self, broker_id: str) -> str:
        """Return the client order id of an order by Alpaca's id, ours or derived; it is asked for once."""
        if broker_id not in self._names:
            self._names[broker_id] = self.by_id(broker_id).order_id
        return self._names[broker_id]

    def learn(self, orders: Sequence[OrderRecord]) -> None:
        """Remember orders' client order ids, so that they need not be asked for."""
        self._names.update((order.id, order.order_id) for order in orders)

    # --- the account ------------------------------------------------------------------------------------------------

    def account(self) -> AccountRecord:
        """Return the account."""
        return self._ask(self._client.get_account, AccountRecord, "the account")

    def positions(self) -> list[PositionRecord]:
        """Return every position."""
        return self._ask(self._client.get_all_positions, list[PositionRecord], "positions")

    @property
    def vendor_ns(self) -> int:
        """Alpaca's clock when it last answered."""
        return int(self._client.vendor_ns)

    def hang_up(self) -> None:
        """Close the connections."""
        self._client.hang_up()

    # --- how --------------------------------------------------------------------------------------------------------

    def _one(self, question: Callable[[], Any], what: str) -> OrderRecord:
        return self._ask(question, OrderRecord, what)

    def _ask(self, question: Callable[[], Any], kind: type[_Answer], what: str) -> _Answer:
        lost: BusError
        try:
            return read(cast("bytes", question()), kind, what)
        except BusError as error:
            # The frames that it came through hold the keys in their variables, which some tools print.
            lost = error.with_traceback(None)
        except (AttributeError, KeyError, TypeError, ValueError) as nonsense:
            lost = SchemaError(f"the question to alpaca about {what} could not be put ({type(nonsense).__name__})")
        raise lost


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS, UTC) + timedelta(microseconds=ns % NS // 1_000)
