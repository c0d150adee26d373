"""Law 4: reserve at send, gross per side, until a definite answer."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bus.errors import RemoteError
from bus.fixed import SCALE, to_nano
from bus.messages import BookSettled, OrderEvent, OrderEventKind, OrderStatus, Side
from risk.limits import default_limits
from tests.risk.desk import CASH_NANO, MINUTE_NS, Desk


@pytest.mark.requirement("risk:book:gross")
def test_a_buy_never_makes_room_for_a_second_sell(tmp_path: Path) -> None:
    """Tickets +10, -10, -10 and only the sells sent would break a limit of 15."""
    limits = msgspec.structs.replace(default_limits(CASH_NANO), max_position_notional_nano=1_500 * SCALE)
    desk = Desk(tmp_path, limits)
    desk.settle()
    tickets = (
        desk.intent(side="buy", qty=10, limit="99"),
        desk.intent(side="sell", qty=10, limit="100", index=1),
        desk.intent(side="sell", qty=10, limit="100.01", index=2),
    )
    assert [verdict.code for verdict in desk.judge(*tickets).verdicts] == ["approved", "approved", "position_limit"]


@pytest.mark.requirement("risk:book:release")
@pytest.mark.parametrize("kind", ["canceled", "expired", "rejected"])
def test_a_definite_end_releases_the_rest_and_nothing_else_does(desk: Desk, kind: OrderEventKind) -> None:
    answer = desk.judge(desk.intent(qty=190))
    order_id = answer.orders[0].intent.client_order_id
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    steps: list[tuple[OrderEventKind, OrderStatus]] = [
        ("sent", "in_flight"), ("unknown", "unknown"), ("accepted", "accepted"),
    ]  # fmt: skip
    for name, status in steps:
        desk.execution.step(order_id, name, status, desk.feed.now_ns)
        assert desk.advance(10 * MINUTE_NS).reserved_nano == to_nano("19950")
    desk.execution.step(order_id, "fill", "partially_filled", desk.feed.now_ns, 90, "100")
    partly = desk.advance()
    assert partly.reserved_nano == to_nano("10500")
    assert partly.gross_nano == to_nano("19000")  # held and working together, at the mark
    desk.execution.step(order_id, kind, kind, desk.feed.now_ns)  # pyright: ignore[reportArgumentType] - a status too
    after = desk.advance()
    assert after.reserved_nano == 0
    assert after.gross_nano == to_nano("9000")


@pytest.mark.requirement("risk:book:release")
def test_a_fill_after_a_cancel_still_counts(desk: Desk) -> None:
    answer = desk.judge(desk.intent(qty=10))
    order_id = answer.orders[0].intent.client_order_id
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.execution.step(order_id, "canceled", "canceled", desk.feed.now_ns)
    desk.execution.step(order_id, "fill", "filled", desk.feed.now_ns, 10, "90")
    settled = desk.advance()
    assert settled.reserved_nano == 0
    assert settled.equity_nano == CASH_NANO + to_nano("100")


@pytest.mark.requirement("risk:book:release")
def test_an_unsent_ticket_reserves_until_execution_has_lived_past_its_expiry(desk: Desk) -> None:
    """A caller that moves only the gate's clock must not get the same room twice."""
    held = desk.judge(desk.intent(qty=190)).orders[0]
    assert desk.advance(desk.limits.ticket_lifetime_ns).reserved_nano == to_nano("19950")
    desk.execution.now_ns = 0
    desk.feed.now_ns += 1
    desk.cycle += 1
    assert desk.settle().reserved_nano == 0
    assert desk.execution.now_ns == desk.feed.now_ns, "the gate released before execution's clock had come that far"
    with pytest.raises(Exception, match="is good from"):
        desk.execution.send(held, held.ticket.issued_ns)


@pytest.mark.requirement("risk:book:events")
def test_a_late_word_of_an_order_that_was_released_reserves_it_again(desk: Desk) -> None:
    held = desk.judge(desk.intent(qty=100)).orders[0]
    desk.execution.send(held, desk.feed.now_ns)
    late = desk.execution.events.pop()
    desk.advance(10 * MINUTE_NS)
    desk.execution.events.append(late)
    assert desk.advance().gross_nano == to_nano("10000")


@pytest.mark.requirement("risk:book:equity")
def test_equity_is_cash_after_fees_and_positions_at_their_marks(desk: Desk) -> None:
    desk.buy(100, "100")
    order = desk.execution.events[-1]
    assert order.fill is not None
    desk.execution.events[-1] = msgspec.structs.replace(order, fill=msgspec.structs.replace(order.fill, fee_nano=SCALE))
    settled = desk.advance(ACME="101")
    assert settled == BookSettled(
        desk.feed.now_ns, CASH_NANO + to_nano("99"), to_nano("10100"), 0, 0, killed=False
    )  # fmt: skip
    desk.buy(150, "102", side="sell")
    settled = desk.advance(ACME="103")
    assert settled.equity_nano == CASH_NANO + to_nano("99") + to_nano("100") + to_nano("50") - to_nano("100")
    assert settled.gross_nano == to_nano("5150")


@pytest.mark.requirement("risk:book:equity")
def test_a_contract_counts_with_its_multiplier(desk: Desk) -> None:
    desk.advance(GOLD="1500")
    desk.buy(1, "1500", "GOLD")
    settled = desk.advance(GOLD="1501")
    assert settled.gross_nano == to_nano("15010")
    assert settled.equity_nano == CASH_NANO + 10 * SCALE


def broken(event: OrderEvent, **fill: object) -> OrderEvent:
    assert event.fill is not None
    return msgspec.structs.replace(event, fill=msgspec.structs.replace(event.fill, **fill))


@pytest.mark.requirement("risk:book:events")
@pytest.mark.parametrize("what", ["gap", "twice", "lost", "symbol", "qty", "price"])
def test_events_that_cannot_be_settle_nothing_and_approve_nothing(desk: Desk, what: str) -> None:
    desk.buy(10, "100")
    desk.advance()
    desk.buy(11, "100")
    events = desk.execution.events
    match what:
        case "gap":
            events[-1] = msgspec.structs.replace(events[-1], seq=9)
        case "twice":
            events[-2] = events[-1]
        case "lost":
            del events[1:]
        case "symbol":
            events[-1] = broken(events[-1], symbol="NONE")
        case "qty":
            events[-1] = broken(events[-1], qty_nano=-SCALE)
        case _:
            events[-1] = broken(events[-1], price_nano=0)
    before = desk.feed.now_ns
    with pytest.raises(RemoteError, match="closed"):
        desk.advance()
    assert desk.code(desk.intent(qty=1)) == "clock_mismatch"
    desk.start()
    if what == "lost":
        with pytest.raises(RemoteError, match="closed"):
            desk.settle(before)
        assert desk.code(desk.intent(qty=1, index=1)) == "feed_unavailable"
    with pytest.raises(RemoteError, match="closed"):
        desk.settle(desk.feed.now_ns)
    assert desk.code(desk.intent(qty=1, index=2)) in {"clock_mismatch", "feed_unavailable"}


class WhateverFills(RuleBasedStateMachine):
    """Approve, send, fill, cancel, restart, in any order: no subset of fills takes a position over its limit."""

    @initialize()
    def begin(self) -> None:
        limits = msgspec.structs.replace(
            default_limits(CASH_NANO), max_position_notional_nano=3_000 * SCALE, max_daily_loss_nano=CASH_NANO
        )
        self.desk = Desk(Path(mkdtemp(prefix="gate-")), limits)
        self.desk.settle()
        self.index = 0
        self.working: dict[str, int] = {}
        self.position = 0

    @rule(buy=st.booleans(), qty=st.integers(1, 25), send=st.booleans())
    def order(self, *, buy: bool, qty: int, send: bool) -> None:
        self.index += 1
        desk = self.desk
        answer = desk.judge(
            desk.intent(side="buy" if buy else "sell", qty=qty, limit="99" if buy else "101", index=self.index)
        )
        for order in answer.orders:
            signed = qty if buy else -qty
            self.working[order.intent.client_order_id] = signed
            if send:
                desk.execution.send(order, desk.feed.now_ns)
            else:
                desk.execution.orders[order.intent.client_order_id] = order.intent

    def chosen(self, data: st.DataObject) -> str | None:
        return data.draw(st.sampled_from(sorted(self.working))) if self.working else None

    @rule(data=st.data(), part=st.integers(1, 25))
    def fill(self, data: st.DataObject, part: int) -> None:
        order_id = self.chosen(data)
        if order_id is None:
            return
        left = self.working[order_id]
        qty = min(part, abs(left))
        signed = qty if left > 0 else -qty
        done = qty == abs(left)
        self.desk.execution.step(
            order_id, "fill", "filled" if done else "partially_filled", self.desk.feed.now_ns, qty, "100"
        )
        self.position += signed
        self.working[order_id] -= signed
        if done:
            del self.working[order_id]

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = self.chosen(data)
        if order_id is not None:
            self.desk.execution.step(order_id, "canceled", "canceled", self.desk.feed.now_ns)
            del self.working[order_id]

    @rule()
    def settle(self) -> None:
        self.desk.advance(1)

    @rule()
    def restart(self) -> None:
        self.desk.start()

    @invariant()
    def no_subset_of_what_works_breaks_the_limit(self) -> None:
        most = self.position + sum(qty for qty in self.working.values() if qty > 0)
        least = self.position + sum(qty for qty in self.working.values() if qty < 0)
        assert -30 <= least <= most <= 30

    def teardown(self) -> None:
        for path in [*self.desk.folder.iterdir()]:
            path.unlink()
        self.desk.folder.rmdir()


WhateverFills.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.requirement("risk:book:gross")
class TestWhateverFills(WhateverFills.TestCase):
    """Run the machine."""


@pytest.mark.requirement("risk:book:gross")
def test_every_subset_of_the_approved_orders_stays_inside(desk: Desk) -> None:
    turns: tuple[Side, ...] = ("buy", "sell", "sell")
    sides = itertools.cycle(turns)
    chosen: list[Side] = [next(sides) for _ in range(8)]
    intents = [
        desk.intent(side=side, qty=20 * n, limit="99" if side == "buy" else "101", index=n)
        for n, side in enumerate(chosen, 1)
    ]
    answer = desk.judge(*intents)
    signed = [order.intent.qty_nano * (1 if order.intent.side == "buy" else -1) // SCALE for order in answer.orders]
    assert 2 <= len(signed) < len(intents)
    for size in range(len(signed) + 1):
        for subset in itertools.combinations(signed, size):
            assert abs(sum(subset)) * 100 <= 25_000
