"""Gathers answers of many messages (AF, AN) and reads them as a statement. Not the asking: that is ``adapter``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from execution.broker import Held, OpenOrder
from execution.fix.codec import Message
from execution.fix.executions import SIDES, nano
from execution.fix.reports import Reader
from execution.fix.values import parse_nano

__all__ = ["Gathered", "held_of", "open_orders"]

_ID_TAGS = {"AF": 584, "AN": 710, "H": 790}
_COUNT_TAGS = {"AF": 911, "AN": 727}
_WORKING = frozenset("01356789ADE") - frozenset("58")
_NO_POSITIONS = "2"
_TOTAL = b"TQ"


class Gathered:
    """The messages that answer one question, until all are there."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self.messages: list[Message] = []
        self.whole = False
        self.refused = False

    def take(self, message: Message, request_id: str) -> None:
        """Take a message up if it answers the question of that id."""
        if message.raw(_ID_TAGS[self._asked]) != request_id.encode():
            return
        if message.msg_type == "AO":
            self.refused = message.text(728) not in {"0", _NO_POSITIONS}
            self.whole = self.refused or message.text(728) == _NO_POSITIONS or self._expected(message) == 0
            return
        if message.msg_type not in {"8", "AP"}:
            return
        empty = self._asked == "AF" and (message.text(39) == "8" or self._expected(message) == 0)
        if not empty:
            self.messages.append(message)
        expected = self._expected(message)
        self.whole = (
            empty or self._asked == "H" or message.flag(912) or (expected > 0 and len(self.messages) >= expected)
        )

    def _expected(self, message: Message) -> int:
        raw = message.text(_COUNT_TAGS.get(self._asked, 0))
        return int(raw) if raw.isdecimal() else -1


def open_orders(statuses: Iterable[Message], reader: Reader) -> tuple[OpenOrder, ...]:
    """Return the orders that work, ours in our quantities: without what the orders before them filled."""
    orders: list[OpenOrder] = []
    for message in statuses:
        if message.text(39) not in _WORKING:
            continue
        known = reader.named(message)
        if known is None:
            continue
        side = SIDES[message.text(54)]
        total = nano(message, 38) or nano(message, 14) + nano(message, 151)
        orders.append(
            OpenOrder(
                client_order_id=known.client_order_id,
                broker_order_id=message.text(37),
                symbol=message.text(55) or known.symbol,
                side=side,
                qty_nano=total - known.base_nano,
                filled_nano=nano(message, 14) - known.base_nano,
                price_nano=nano(message, 44) or nano(message, 99) or known.price_nano,
            )
        )
    return tuple(orders)


def held_of(reports: Iterable[Message]) -> tuple[Held, ...]:
    """Return the positions of PositionReports (AP): long less short, of the total where there is one."""
    held: dict[str, int] = defaultdict(int)
    for message in reports:
        entries = list(message.entries(703))
        total = [entry for entry in entries if entry.get(703) == _TOTAL]
        for entry in total or entries:
            held[message.text(55)] += parse_nano(entry.get(704, b"0")) - parse_nano(entry.get(705, b"0"))
    return tuple(Held(symbol, qty) for symbol, qty in sorted(held.items()) if qty)
