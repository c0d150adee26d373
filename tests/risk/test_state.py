"""What the gate knows as things happen: taking back is exact, groups and busts count, a restart changes nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import SchemaError
from bus.fixed import SCALE, to_nano
from bus.ids import client_order_id, leg_order_id
from bus.messages import Fill, OrderEvent, OrderIntent
from risk.facts import Facts
from risk.inputs import inputs_of, recompute
from risk.limits import StrategyLimits
from risk.state import ClientState, DeskState
from tests.risk.core import CASH_NANO, CLIENT, MINUTE_NS, OTHER, RUN, Core, limits

OPAQUE = (Facts, DeskState, ClientState)


def inside(thing: object, seen: frozenset[int] = frozenset()) -> object:
    """Return everything that an object holds, as plain values that can be compared."""
    if id(thing) in seen:
        return "seen"
    seen |= {id(thing)}
    if isinstance(thing, msgspec.Struct):
        return type(thing).__name__, {name: inside(getattr(thing, name), seen) for name in thing.__struct_fields__}
    if isinstance(thing, dict):
        return {repr(key): inside(value, seen) for key, value in sorted(thing.items(), key=repr)}
    if isinstance(thing, (list, tuple, deque)):
        return [inside(value, seen) for value in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(map(repr, thing))
    names = [*getattr(type(thing), "__slots__", ()), *getattr(thing, "__dict__", {})]
    if type(thing).__module__.startswith("risk.") and names:
        skipped = {"_fed", "_fed_cycle", "_last_cycle", "_base"}
        return {name: inside(getattr(thing, name), seen) for name in names if name not in skipped}
    return repr(thing)


def rich() -> Core:
    """A desk of two clients at which something of everything has happened."""
    core = Core(
        limits(duplicate_window_ns=0, max_orders_per_minute=200),
        strategies={"test": StrategyLimits(max_open_orders=30)},
        clients=(CLIENT, OTHER),
    )
    core.hold("ACME", qty=20)
    core.approve(core.intent("NICK", qty=5, limit=99, client=OTHER))
    core.approve(core.intent(qty=3, limit=97))
    core.approve(core.intent(side="sell", qty=5, limit=104, order_class="oco", stop_loss_nano=to_nano(97)))
    core.mark(MINUTE_NS)
    return core


ORDERS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["ACME", "NICK", "GOLD"]),
        "side": st.sampled_from(["buy", "sell"]),
        "qty": st.integers(1, 4),
        "kind": st.sampled_from(["market", "limit", "stop", "bracket", "oco", "replace"]),
        "strategy": st.sampled_from(["test", "other"]),
    }
)


def wanted(core: Core, order: dict[str, Any]) -> OrderIntent:
    """Return an order of that kind with prices that fit."""
    symbol, side, kind = order["symbol"], order["side"], order["kind"]
    base = core.prices[symbol] // SCALE
    near, far = (base - base // 50, base + base // 50) if side == "buy" else (base + base // 50, base - base // 50)
    more: dict[str, Any] = {"strategy": order["strategy"]}
    if kind == "replace":
        reserved = core.client.book.reserved
        old = next((key for key, held in reserved.items() if (held.symbol, held.side) == (symbol, side)), "")
        return core.intent(symbol, side, order["qty"], near, replaces=old, **more)
    if kind == "stop":
        return core.intent(symbol, side, order["qty"], order_type="stop", stop_price_nano=far * SCALE, **more)
    if kind == "bracket":
        more |= {"order_class": "bracket", "take_profit_nano": far * SCALE, "stop_loss_nano": (2 * near - base) * SCALE}
        return core.intent(symbol, side, order["qty"], near, **more)
    if kind == "oco":
        more |= {"order_class": "oco", "stop_loss_nano": far * SCALE}
        return core.intent(symbol, side, order["qty"], near, **more)
    return core.intent(symbol, side, order["qty"], near if kind == "limit" else 0, **more)


@pytest.mark.requirement("state:undo")
@settings(max_examples=60, deadline=None)
@given(st.lists(ORDERS, min_size=1, max_size=6), st.randoms(use_true_random=False), st.booleans())
def test_taking_approvals_back_in_any_order_leaves_no_trace(
    orders: list[dict[str, Any]], random: Any, keep: bool
) -> None:
    core = rich()
    if keep:
        core.approve(core.intent(qty=2, limit=98))
    before = inside(core.desk)
    given_: list[OrderIntent] = []
    for order in orders:
        intent = wanted(core, order)
        if core.code(intent) == "approved":
            core.approve(intent)
            given_.append(intent)
    # What replaces another of these is taken back before it, as whoever takes a batch back does.
    if any(intent.replaces for intent in given_):
        given_.reverse()
    else:
        random.shuffle(given_)
    for intent in given_:
        core.client.withdraw(intent)
    assert inside(core.desk) == before


@pytest.mark.requirement("state:undo")
def test_what_was_approved_at_another_instant_cannot_be_taken_back() -> None:
    core = Core()
    intent = core.approve(core.intent())
    core.mark(MINUTE_NS)
    with pytest.raises(KeyError, match="not approved at this instant"):
        core.client.withdraw(intent)


@pytest.mark.requirement("state:undo")
def test_judging_changes_nothing() -> None:
    core = rich()
    before = inside(core.desk)
    for symbol in ("ACME", "NICK", "NONE", "DEAD"):
        core.code(core.intent(symbol))
        core.code(core.intent(symbol, "sell", qty=500))
    assert inside(core.desk) == before


# --- reserving --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:group")
def test_an_oco_pair_is_reserved_once_and_follows_its_fills() -> None:
    core = Core()
    core.hold(qty=10)
    oco = core.approve(core.intent(side="sell", limit=104, order_class="oco", stop_loss_nano=to_nano(97)))
    book, group = core.client.book, f"{oco.client_order_id}/legs"
    assert book.working("ACME", "sell") == 10 * SCALE
    core.tell(oco, "sent", group=group)
    stop_id = leg_order_id(oco.client_order_id, "stop_loss", 0)
    leg = msgspec.structs.replace(oco, client_order_id=stop_id)
    core.tell(leg, "sent", group=group, origin="leg")
    assert book.working("ACME", "sell") == 10 * SCALE, "the pair can sell ten, not twenty"
    core.fill(oco, 104, 4)
    assert (book.position("ACME"), book.working("ACME", "sell")) == (6 * SCALE, 10 * SCALE)
    core.tell(leg, "canceled", group=group, origin="leg")
    assert book.working("ACME", "sell") == 6 * SCALE
    assert core.code(core.intent(side="sell", qty=1, limit=105)) == "approved"


@pytest.mark.requirement("state:group")
def test_the_legs_of_a_bracket_are_reserved_once_when_they_come() -> None:
    core = Core()
    entry = core.approve(
        core.intent(order_class="bracket", take_profit_nano=to_nano(104), stop_loss_nano=to_nano(97))
    )  # fmt: skip
    core.fill(entry)
    group, book = f"{entry.client_order_id}/legs", core.client.book
    for name in ("take_profit", "stop_loss"):
        leg = core.intent(side="sell", client_order_id=leg_order_id(entry.client_order_id, name, 0))
        core.tell(leg, "sent", group=group, origin="leg", price_nano=to_nano(104))
    assert (book.position("ACME"), book.working("ACME", "sell")) == (10 * SCALE, 10 * SCALE)
    assert core.code(core.intent(side="sell", qty=1, reduce_only=True)) == "reduce_only"


@pytest.mark.requirement("state:bust")
def test_a_bust_undoes_the_fill_that_it_names() -> None:
    core = Core()
    intent = core.approve(core.intent(qty=10))
    before = core.client.book.cash_nano
    told = core.fill(intent, 101)
    assert told.fill is not None
    assert core.client.book.cash_nano == before - 1_010 * SCALE
    bust = msgspec.structs.replace(told.fill, fill_id="b1", refers_to=told.fill.fill_id)
    core.tell(intent, "bust", "filled", fill=bust, filled_nano=0)
    assert (core.client.book.position("ACME"), core.client.book.cash_nano) == (0, before)
    again = msgspec.structs.replace(bust, fill_id="b2")
    core.tell(intent, "bust", "filled", fill=again, filled_nano=0)
    assert (core.client.book.position("ACME"), core.client.book.cash_nano) == (0, before), "undone twice"


@pytest.mark.requirement("state:bust")
def test_a_correction_puts_the_true_fill_in_the_place_of_the_other() -> None:
    core = Core()
    intent = core.approve(core.intent(qty=10))
    before, told = core.client.book.cash_nano, core.fill(intent, 101)
    assert told.fill is not None
    true = msgspec.structs.replace(
        told.fill, fill_id="c1", refers_to=told.fill.fill_id, price_nano=to_nano(99), qty_nano=8 * SCALE, fee_nano=SCALE
    )
    core.tell(intent, "correct", "filled", fill=true, filled_nano=8 * SCALE)
    assert core.client.book.position("ACME") == 8 * SCALE
    assert core.client.book.cash_nano == before - 793 * SCALE
    bust = msgspec.structs.replace(true, fill_id="b1", refers_to=told.fill.fill_id)
    core.tell(intent, "bust", "filled", fill=bust, filled_nano=0)
    assert (core.client.book.position("ACME"), core.client.book.cash_nano) == (0, before), "the first id names it too"
    lost = msgspec.structs.replace(true, fill_id="c9", refers_to="never seen")
    with pytest.raises(SchemaError, match="not seen"):
        core.tell(intent, "correct", "filled", fill=lost)


@pytest.mark.requirement("state:bust")
def test_a_busted_order_that_works_again_is_reserved_again_at_its_price() -> None:
    core = Core()
    intent = core.approve(core.intent(qty=10, limit=101))
    told = core.fill(intent, 101)
    assert told.fill is not None
    assert core.client.book.reserved == {}
    bust = msgspec.structs.replace(told.fill, fill_id="b1", refers_to=told.fill.fill_id)
    core.tell(intent, "bust", "accepted", fill=bust, filled_nano=0)
    held = core.client.book.reserved[intent.client_order_id]
    assert (held.remaining_nano, held.price_nano) == (10 * SCALE, to_nano(101))


@pytest.mark.requirement("state:cash")
def test_a_deposit_is_no_profit_and_a_withdrawal_is_a_loss() -> None:
    core = Core()

    def cash(amount: int) -> None:
        seq = core.client.last_seq + 1
        core.client.apply(OrderEvent(seq, "", "", "buy", "cash", "filled", core.now_ns, 0, 0, cash_nano=amount))
        core.mark(MINUTE_NS)

    cash(50_000 * SCALE)
    facts = core.client.facts
    assert facts.equity_nano == 150_000 * SCALE
    assert (facts.day_start_nano, facts.peak_nano, facts.recent_peak_nano) == (150_000 * SCALE,) * 3
    assert core.code(core.intent()) == "approved"
    cash(-1_999 * SCALE)
    assert core.code(core.intent()) == "approved"
    cash(-1 * SCALE)
    assert core.code(core.intent()) == "daily_loss"
    cash(10_000 * SCALE)
    assert core.code(core.intent()) == "daily_loss", "a deposit must not hide the loss"


@pytest.mark.requirement("state:cash")
@pytest.mark.parametrize("traded", [False, True])
def test_an_account_that_opens_smaller_than_it_was_told_has_lost_nothing(traded: bool) -> None:
    core = Core()
    if traded:
        core.hold("ACME", "buy", 1)
    for amount in (-60_000 * SCALE, -3_000 * SCALE):
        seq = core.client.last_seq + 1
        core.client.apply(OrderEvent(seq, "", "", "buy", "cash", "filled", core.now_ns, 0, 0, cash_nano=amount))
        core.mark(MINUTE_NS)
        lost = traded or amount != -60_000 * SCALE
        assert core.code(core.intent("NICK")) == ("daily_loss" if lost else "approved")


@pytest.mark.requirement("gate:rolling-loss")
def test_the_rolling_loss_forgets_its_best_after_the_window_and_not_before() -> None:
    core = Core(limits(max_rolling_loss_nano=1_000 * SCALE, rolling_window_ns=64 * 60 * MINUTE_NS))
    core.hold(qty=100)
    core.mark(60 * MINUTE_NS, ACME="110")
    core.mark(60 * MINUTE_NS, ACME="100")
    core.client.roll_day(core.client.facts.equity_nano or 0)
    for _ in range(62):
        core.mark(60 * MINUTE_NS)
        assert core.code(core.intent("NICK")) == "rolling_loss"
    for _ in range(3):
        core.mark(60 * MINUTE_NS)
    assert core.code(core.intent("NICK")) == "approved"


# --- who may meet whom ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("state:resting")
def test_a_stop_is_in_the_market_once_it_has_triggered_and_until_it_ends() -> None:
    core = Core()
    core.hold(qty=20)
    stop = core.approve(core.intent(side="sell", order_type="stop", stop_price_nano=to_nano(98)))
    core.tell(stop, "accepted")
    assert core.code(core.intent(qty=1, limit="99.5")) == "approved"
    core.tell(stop, "triggered")
    assert core.code(core.intent(qty=1, limit="99.5")) == "self_trade"
    core.fill(stop, 98)
    assert core.code(core.intent(qty=1, limit="99.5")) == "approved"


@pytest.mark.requirement("state:resting")
def test_legs_rest_where_their_parent_said() -> None:
    core = Core()
    entry = core.approve(
        core.intent(order_class="bracket", take_profit_nano=to_nano(103), stop_loss_nano=to_nano(97))
    )  # fmt: skip
    core.fill(entry)
    group = f"{entry.client_order_id}/legs"
    for name in ("take_profit", "stop_loss"):
        leg = core.intent(side="sell", client_order_id=leg_order_id(entry.client_order_id, name, 1))
        core.tell(leg, "accepted", group=group, origin="leg")
    assert core.code(core.intent(qty=1, limit="102.99")) == "approved", "the stop-loss has not triggered"
    assert core.code(core.intent(qty=1, limit="103")) == "self_trade"


@pytest.mark.requirement("state:resting")
def test_an_order_of_somebody_else_is_in_the_market_at_its_price_or_at_any() -> None:
    core = Core()
    theirs = core.intent(side="sell", client_order_id="their-own")
    core.tell(theirs, "accepted", origin="external", price_nano=to_nano(102))
    assert core.code(core.intent(limit="101.99")) == "approved"
    assert core.code(core.intent(limit="102")) == "self_trade"
    unknown = core.intent(side="sell", client_order_id="of-unknown-price")
    core.tell(unknown, "accepted", origin="external")
    assert core.code(core.intent(limit="95")) == "self_trade"
    core.tell(unknown, "canceled", origin="external")
    assert core.code(core.intent(limit="95")) == "approved"


@pytest.mark.requirement("state:trading")
def test_the_tightest_of_all_scopes_is_in_force_and_each_is_cleared_by_itself() -> None:
    core = Core(clients=(CLIENT, OTHER))
    core.desk.set_trading("", "test", "halted")
    core.desk.set_trading(CLIENT, "test", "reducing")
    assert core.code(core.intent()) == core.code(core.intent(client=OTHER)) == "kill_switch"
    core.desk.set_trading("", "test", "active")
    assert core.code(core.intent()) == "reducing"
    assert core.code(core.intent(client=OTHER)) == "approved"
    core.desk.set_trading(CLIENT, "", "halted")
    assert core.code(core.intent(strategy="x")) == "kill_switch"
    core.desk.set_trading(CLIENT, "", "active")
    core.desk.set_trading("", "", "reducing")
    assert core.code(core.intent(strategy="x")) == core.code(core.intent(client=OTHER, strategy="x")) == "reducing"
    core.desk.set_trading("", "", "active")
    core.desk.set_trading(CLIENT, "test", "active")
    assert core.code(core.intent()) == "approved"


# --- restarting -------------------------------------------------------------------------------------------------------


class Lived:
    """A desk, and the journal of what happened there."""

    def __init__(self) -> None:
        self.core = self.desk()
        self.journal: list[tuple[OrderIntent, int, int]] = []
        self.events: list[OrderEvent] = []
        self.cancels: list[int] = []

    @staticmethod
    def desk() -> Core:
        return Core(limits(duplicate_window_ns=0), strategies={"test": StrategyLimits(max_open_orders=30)})

    def order(self, intent: OrderIntent) -> None:
        if self.core.code(intent) == "approved":
            self.journal.append((intent, self.core.client.priced_at(intent), self.core.now_ns))
            self.core.approve(intent)

    def happen(self, symbol: str, then: str) -> None:
        core = self.core
        works = [key for key, held in core.client.book.reserved.items() if held.symbol == symbol]
        target = next((known for known, _, _ in self.journal if works and known.client_order_id == works[0]), None)
        if then == "cash":
            seq = core.client.last_seq + 1
            paid = OrderEvent(seq, "", "", "buy", "cash", "filled", core.now_ns, 0, 0, cash_nano=777 * SCALE)
            core.client.apply(paid)
            self.events.append(paid)
        elif target is not None and then in {"fill", "part"}:
            self.events.append(core.fill(target, core.prices[symbol] // SCALE, 0 if then == "fill" else 1))
        elif target is not None and then == "cancel":
            core.client.message("cancel", core.now_ns)
            self.cancels.append(core.now_ns)
            self.events.append(core.tell(target, "canceled"))
        elif target is not None and then == "unknown":
            self.events.append(core.tell(target, "unknown"))


@pytest.mark.requirement("state:carry")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ORDERS, st.sampled_from(["fill", "part", "cancel", "unknown", "none", "cash"])), max_size=12))
def test_a_state_is_made_again_from_what_was_carried_approvals_and_events(
    steps: list[tuple[dict[str, Any], str]],
) -> None:
    lived = Lived()
    core, journal, events, cancels = lived.core, lived.journal, lived.events, lived.cancels
    carried, last = core.client.carry(), core.now_ns
    for order, then in steps:
        lived.order(wanted(core, order))
        lived.happen(order["symbol"], then)
        core.mark(MINUTE_NS, ACME=str(100 + len(events)))
        carried, last = core.client.carry(), core.now_ns
    late = core.intent(qty=1, limit=core.prices["ACME"] // SCALE - 1)
    lived.order(late)
    other = Lived.desk()
    other.client.restore(carried)
    for intent, price_nano, now_ns in journal:
        other.client.approved(intent, price_nano, now_ns, now_ns + MINUTE_NS)
    for now_ns in cancels:
        other.client.message("cancel", now_ns)
    for event in events:
        other.client.apply(event)
    other.prices, other.now_ns, other.cycle = core.prices, last, core.cycle
    other.mark()
    names = [
        name for name in Facts.__slots__ if not name.startswith("_") and name not in {"twins", "desk", "strategies"}
    ]
    for name in names:
        assert inside(getattr(core.client.facts, name)) == inside(getattr(other.client.facts, name)), name
    for order, _ in steps[:4]:
        intent = wanted(core, order)
        assert core.code(intent) == other.code(intent)


# --- verdicts again ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("gate:recompute")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(ORDERS, max_size=8),
    ORDERS,
    st.sampled_from(["", "halted", "reducing", "strategy", "loss"]),
    st.integers(0, 300),
)
def test_a_verdict_is_computed_again_from_its_inputs(
    before: list[dict[str, Any]], order: dict[str, Any], what: str, qty: int
) -> None:
    core = Core(limits(max_repeats=3), strategies={"test": StrategyLimits(max_symbols=2, max_open_orders=3)})
    for each in before:
        intent = wanted(core, each)
        if core.code(intent) == "approved":
            core.approve(intent)
            if each["qty"] % 2:
                core.fill(intent, core.prices[intent.symbol] // SCALE)
            core.mark(MINUTE_NS)
    if what in {"halted", "reducing"}:
        core.desk.set_trading("", "", what)  # pyright: ignore[reportArgumentType] - a state
    elif what == "strategy":
        core.desk.set_trading(CLIENT, order["strategy"], "reducing")
    elif what == "loss":
        core.mark(MINUTE_NS, ACME="40", NICK="40")
    intent = msgspec.structs.replace(wanted(core, order), qty_nano=qty * SCALE)
    inputs = inputs_of(intent, core.cycle, core.client.facts)
    copied = msgspec.json.decode(msgspec.json.encode(inputs), type=dict[str, int | str | bool | None])
    assert recompute(core.spec, CLIENT, intent, copied) == core.code(intent)


@pytest.mark.requirement("gate:order-id")
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_the_judge_derives_the_order_ids_of_everybody(cycle: int, index: int) -> None:
    facts = Core().client.facts
    for each in (0, cycle, cycle, 1, cycle):
        for number in (index, 0, 255, 256):
            assert facts.order_id(each, number) == client_order_id(CLIENT, RUN, each, number)


@pytest.mark.requirement("gate:order-id")
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 9), st.booleans()), min_size=1, max_size=12))
def test_ids_that_were_made_ready_are_those_that_are_derived(asked: list[tuple[int, int, bool]]) -> None:
    facts = Core().client.facts
    for cycle, index, settled in asked:
        if settled:
            facts.prepare_ids()
        assert facts.order_id(cycle, index) == client_order_id(CLIENT, RUN, cycle, index)


@pytest.mark.requirement("gate:order-id")
def test_an_id_that_is_ready_is_not_given_for_an_index_that_is_no_whole_number() -> None:
    core = Core()
    core.mark(MINUTE_NS)
    core.code(core.intent())
    core.mark(MINUTE_NS)
    intent = core.intent()
    assert core.code(intent) == "approved"
    broken: Any = float(intent.index)
    assert core.code(msgspec.structs.replace(intent, index=broken)) == "check_failed"


@pytest.mark.requirement("risk:book:release")
def test_a_fill_after_the_end_counts_and_a_late_word_reserves_again() -> None:
    core = Core()
    intent = core.approve(core.intent(qty=10))
    core.tell(intent, "canceled")
    assert core.client.book.working("ACME", "buy") == 0
    fill = Fill("f9", intent.client_order_id, "ACME", "buy", 4 * SCALE, 100 * SCALE, 0, core.now_ns)
    core.tell(intent, "fill", "canceled", fill=fill, filled_nano=4 * SCALE)
    assert (core.client.book.position("ACME"), core.client.book.working("ACME", "buy")) == (4 * SCALE, 0)
    core.tell(intent, "accepted", "partially_filled", filled_nano=4 * SCALE)
    assert core.client.book.working("ACME", "buy") == 6 * SCALE
    assert CASH_NANO - core.client.book.cash_nano == 400 * SCALE
