"""Whatever the judge reads is made no value or no number, one thing at a time: never an approval (law 3).

The reads are not listed here: they are recorded while an order is approved, so that a new control's inputs are in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType
from typing import Any

import msgspec
import pytest

from bus.errors import ConfigError, SchemaError
from bus.fixed import SCALE, to_nano
from bus.messages import Bar, Fill, OrderIntent, Quote, Snapshot
from risk import _special, checks, facts, standing
from risk.facts import Facts
from risk.limits import DeskLimits, Limits, StrategyLimits, default_desk_limits
from risk.reasons import REASONS
from tests.risk.core import CLIENT, INSTRUMENTS, OTHER, Core, limits

NAN, INFINITY = float("nan"), float("inf")
NONE: tuple[object, ...] = (None, NAN, "garbage", object())
"""What is tried in the gate's own records: what comes into them is tried by ``test_what_comes_in``."""
NUMBERS: tuple[object, ...] = (None, NAN, INFINITY, -INFINITY, "garbage", [], 1.5, 5e9, object())
TEXTS: tuple[object, ...] = (None, NAN, 7, [], object(), "garbage")
JUDGING = {module.__file__ for module in (checks, _special, facts, standing)}
HARMLESS = {
    ("intent", "strategy"),  # another name is another strategy: judged by its client's limits alone
    ("facts", "legs"),  # a text is a collection too, in which the order is not
    ("facts", "open_orders"),  # of a replacement: it adds none
    ("desk", "open_orders"),
    ("deployed", "open_orders"),
    ("deployed", "most_open_orders"),
    ("limits", "repeat_window_ns"),  # too long a window only counts more
}
"""What may be another text, or no number, without letting anything through."""


def plain(core: Core) -> OrderIntent:
    return core.intent(qty=5, limit=100)


def market(core: Core) -> OrderIntent:
    return core.intent(qty=5)


def short(core: Core) -> OrderIntent:
    return core.intent("NICK", "sell", qty=5, limit="100.05")


def bracket(core: Core) -> OrderIntent:
    return core.intent(
        qty=5, order_type="stop_limit", limit=102, stop_price_nano=to_nano(101), order_class="bracket",
        take_profit_nano=to_nano(104), stop_loss_nano=to_nano(98), stop_loss_limit_nano=to_nano(97),
        time_in_force="gtd", expires_ns=core.now_ns + SCALE,
    )  # fmt: skip


def trailing(core: Core) -> OrderIntent:
    return core.intent("NICK", qty=5, order_type="trailing_stop", trail_bps=100)


def replacing(core: Core) -> OrderIntent:
    old = core.intent(qty=6, limit="99.5")
    core.client.approved(old, core.client.priced_at(old), core.now_ns, core.now_ns + SCALE)
    return core.intent(qty=7, limit=99, replaces=old.client_order_id)


def repeating(core: Core) -> OrderIntent:
    """The same as one that was approved a while ago."""
    core.approve(core.intent(qty=5, limit=100))
    core.mark(2 * 60 * SCALE)
    return core.intent(qty=5, limit=100)


ORDERS: tuple[Callable[[Core], OrderIntent], ...] = (plain, market, short, bracket, trailing, replacing, repeating)


def made(make: Callable[[Core], OrderIntent]) -> tuple[Core, OrderIntent]:
    """A desk of two clients with a strategy that has limits, and an order that passes."""
    core = Core(
        limits(max_repeats=3),
        strategies={"test": StrategyLimits(symbols=("ACME", "NICK"), max_symbols=3, max_orders_per_day=9)},
        clients=(CLIENT, OTHER),
    )
    core.hold("ACME", qty=3)
    core.hold("NICK", "sell", qty=2)
    core.approve(core.intent(qty=1, limit=96))
    core.approve(core.intent("NICK", "sell", qty=1, limit=104))
    intent = make(core)
    assert core.code(intent) == "approved"
    return core, intent


def parts(core: Core, intent: OrderIntent) -> dict[str, object]:
    """Return the records that a judgement reads, by name."""
    client = core.client.facts
    terms = client.terms[intent.symbol]
    found: dict[str, object] = {
        "intent": intent, "facts": client, "limits": client.limits, "desk": client.desk,
        "desk limits": client.desk.limits, "terms": terms, "held": terms.held, "resting": terms.resting,
        "deployed": client.strategies[intent.strategy],
        "used": client.strategies[intent.strategy].used.get(intent.symbol),
        "old": client.working.get(intent.replaces),
        "twin": client.twins.get(facts.content(intent)),
    }  # fmt: skip
    return {name: part for name, part in found.items() if part is not None}


def names_of(part: object) -> tuple[str, ...]:
    if isinstance(part, msgspec.Struct):
        return part.__struct_fields__
    return tuple(name for name in getattr(type(part), "__slots__", ()) if not name.startswith("_"))


def read_names(core: Core, intent: OrderIntent) -> set[str]:
    """Return the attribute names that the lines which ran while the order was approved can read."""
    seen: set[str] = set()

    def trace(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename in JUDGING:
            seen.update(frame.f_code.co_names)
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        core.code(intent)
    finally:
        sys.settrace(before)
    return seen


def spoiled(core: Core, intent: OrderIntent) -> Iterator[tuple[str, str, object]]:
    """Yield every record, name and value to be tried, for what the judge can read."""
    readable = read_names(core, intent)
    for label, part in parts(core, intent).items():
        for name in names_of(part):
            if name in readable:
                kinds = TEXTS if isinstance(getattr(part, name), str) else NUMBERS if label == "intent" else NONE
                yield from ((label, name, value) for value in kinds)


def judged(core: Core, intent: OrderIntent, label: str, name: str, value: object) -> str:
    """Return the verdict with one value spoiled."""
    part = parts(core, intent)[label]
    if label == "intent":
        return core.client.judge(msgspec.structs.replace(intent, **{name: value}), core.cycle)
    if label in {"limits", "desk limits"}:
        changed = msgspec.structs.replace(part, **{name: value})  # pyright: ignore[reportArgumentType] - limits are structs
        owner: Any = core.client.facts if label == "limits" else core.desk.facts
        owner.limits = changed
        verdict = again(core, intent)
        owner.limits = part
        return verdict
    before = getattr(part, name)
    setattr(part, name, value)
    verdict = again(core, intent)
    setattr(part, name, before)
    return verdict


def again(core: Core, intent: OrderIntent) -> str:
    """Judge, and judge again with everything that is computed beforehand computed from what is there now."""
    client: Facts = core.client.facts
    verdict = core.code(intent)
    if verdict != "approved":
        return verdict
    kept = client.closed, client.restricted, client.paced, client.desk.restricted
    if not (client.closed or client.restricted or client.paced or client.desk.restricted):
        client.desk.restricted = standing.desk_restricted(client.desk)
        client.closed = standing.closed(client)
        client.restricted = standing.restricted(client)
        client.paced = standing.paced(client)
        verdict = core.code(intent)
    client.closed, client.restricted, client.paced, client.desk.restricted = kept
    return verdict


@cache
def unread(make: Callable[[Core], OrderIntent]) -> set[tuple[str, str]]:
    """Return what this order is approved without, so that spoiling it may change nothing."""
    core, intent = made(make)
    indifferent: set[tuple[str, str]] = set()
    for label, name, value in spoiled(core, intent):
        if value is None and judged(core, intent, label, name, value) == "approved":
            indifferent.add((label, name))
    return indifferent


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("make", ORDERS)
def test_what_an_approval_needs_denies_when_it_is_no_value_or_no_number(make: Callable[[Core], OrderIntent]) -> None:
    core, intent = made(make)
    passed: list[str] = []
    tried = 0
    indifferent = unread(make)
    for label, name, value in spoiled(core, intent):
        if (label, name) in indifferent or ((label, name) in HARMLESS and value is not None):
            continue
        tried += 1
        code = judged(core, intent, label, name, value)
        if code == "approved":
            passed.append(f"{label}.{name} = {value!r}")
        assert code in REASONS
    assert not passed, f"approved with {passed}"
    assert tried > 150, "the reads were not recorded"
    assert core.code(intent) == "approved", "something was left spoiled"


@pytest.mark.requirement("gate:garbage")
def test_nothing_that_the_judge_can_read_is_without_use_to_every_order() -> None:
    """What is spoiled without harm in one order is needed by another; the rest is known, with its reason."""
    never = set[tuple[str, str]].intersection(*(unread(make) for make in ORDERS))
    assert never == {
        # Read beforehand, when a client's state is made.
        ("limits", "symbols"), ("limits", "venues"), ("limits", "order_types"), ("limits", "times_in_force"),
        ("limits", "order_classes"),
        # Empty for any: this strategy has no list of venues, and its list of symbols was made from typed limits.
        ("deployed", "symbols"), ("deployed", "venues"), ("terms", "venue"),
        # Anything but False is judged, and the desk's own is in the client's.
        ("deployed", "limited"), ("desk", "restricted"),
    }  # fmt: skip


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, INFINITY, -INFINITY, 1.5, "garbage"])
@pytest.mark.parametrize("field", ["close_nano", "event_time_ns"])
def test_a_bar_without_a_plain_number_is_no_price(value: object, field: str) -> None:
    core = Core()
    nano = 100 * SCALE
    bar = Bar("ACME", 0, core.now_ns, core.now_ns, nano, nano, nano, nano, SCALE)
    core.show(Snapshot(core.now_ns, (msgspec.structs.replace(bar, **{field: value}),), ()))
    assert core.code(core.intent()) == "no_price"
    core.show(Snapshot(core.now_ns, (bar,), ()))
    assert core.code(core.intent()) == "approved"


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, INFINITY, 1.5, "garbage"])
@pytest.mark.parametrize("field", ["bid_nano", "ask_nano", "event_time_ns"])
def test_a_quote_without_plain_numbers_is_no_price(value: object, field: str) -> None:
    core = Core()
    nano = 100 * SCALE
    quote = Quote("ACME", 0, core.now_ns, core.now_ns, nano, nano, nano, nano)
    core.show(Snapshot(core.now_ns, (), (msgspec.structs.replace(quote, **{field: value}),)))
    assert core.code(core.intent()) == "no_price"


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, INFINITY, 1.5, "garbage", -1])
@pytest.mark.parametrize(
    "field", ["tick_nano", "lot_nano", "multiplier", "min_qty_nano", "max_qty_nano", "min_notional_nano"]
)
def test_an_instrument_without_plain_numbers_is_not_tradable(value: object, field: str) -> None:
    broken = msgspec.structs.replace(INSTRUMENTS[0], **{field: value})
    core = Core(instruments=(broken, INSTRUMENTS[1]))
    assert core.code(core.intent()) == ("not_tradable" if value == -1 else "unknown_symbol")
    assert core.code(core.intent("NICK")) == "approved"


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, INFINITY, 1.5, "garbage", 0, -SCALE])
@pytest.mark.parametrize("field", ["qty_nano", "price_nano"])
def test_a_fill_that_cannot_be_is_not_taken_in(value: object, field: str) -> None:
    core = Core()
    intent = core.approve(core.intent())
    fill = Fill("f1", intent.client_order_id, "ACME", "buy", 10 * SCALE, 100 * SCALE, 0, core.now_ns)
    broken = msgspec.structs.replace(fill, **{field: value})
    with pytest.raises(SchemaError, match="cannot be"):
        core.tell(intent, "fill", "filled", fill=broken, filled_nano=10 * SCALE)
    assert core.client.book.working("ACME", "buy") == 10 * SCALE
    assert core.client.book.position("ACME") == 0


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, 1.5, "garbage"])
@pytest.mark.parametrize("field", ["qty_nano", "filled_nano", "price_nano", "cash_nano"])
def test_an_event_without_plain_numbers_is_not_taken_in(value: Any, field: str) -> None:
    core = Core()
    intent = core.approve(core.intent())
    with pytest.raises(SchemaError, match="a number that is none"):
        core.tell(intent, "accepted", "accepted", **{field: value})
    assert core.client.book.working("ACME", "buy") == 10 * SCALE
    assert core.client.last_seq == 0


@pytest.mark.requirement("gate:garbage")
@pytest.mark.parametrize("value", [None, NAN, INFINITY, -INFINITY, 1.5, "garbage"])
def test_limits_that_are_no_plain_numbers_start_no_gate(value: object) -> None:
    for field in msgspec.structs.fields(Limits):
        if field.type is int:
            with pytest.raises(ConfigError, match="is not allowed"):
                Core(limits(**{field.name: value}), desk=default_desk_limits([limits()]))
    for field in msgspec.structs.fields(DeskLimits):
        desk = msgspec.structs.replace(default_desk_limits([limits()]), **{field.name: value})
        with pytest.raises(ConfigError, match="is not allowed"):
            Core(desk=desk)


@pytest.mark.requirement("risk:check:failed")
@pytest.mark.requirement("gate:garbage")
def test_a_judge_whose_records_are_gone_says_no_and_never_raises() -> None:
    core = Core()
    intent = core.intent()
    client: Any = core.client.facts
    for name in names_of(client):
        kept = getattr(client, name)
        for value in (None, 7, "garbage", object()):
            setattr(client, name, value)
            assert core.client.judge(intent, core.cycle) in REASONS
        setattr(client, name, kept)
    assert checks.judge(None, 1, client) == "check_failed"  # pyright: ignore[reportArgumentType] - broken on purpose
    assert checks.judge(intent, 1, None) == "check_failed"  # pyright: ignore[reportArgumentType] - as above
    assert core.code(intent) == "approved"
