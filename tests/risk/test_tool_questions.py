"""What tools ask of the gate: a verdict without a trace, its limits in words, and cancels with its tickets."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import RemoteError
from bus.fixed import SCALE, to_nano
from bus.messages import (
    AskCancel,
    Canceled,
    GetLimits,
    OrderIntent,
    PreviewOrders,
    RiskLimits,
    Verdict,
)
from risk.book import Book
from risk.ceilings import MAX_ORDER_NOTIONAL_NANO
from tests.risk.desk import CASH_NANO, CLIENT, RUN, Desk, SmallExecution, verdicts

replace = msgspec.structs.replace


def preview(desk: Desk, *intents: OrderIntent, client: str = CLIENT) -> tuple[Verdict, ...]:
    answer = verdicts(desk.ask(PreviewOrders(client, RUN, desk.cycle, intents)))
    assert answer.orders == ()
    return answer.verdicts


def trace(desk: Desk) -> str:
    """Everything the gate holds, in memory and on disk, byte for byte."""
    judging = desk.gate._judging  # pyright: ignore[reportPrivateUsage] # nothing may be remembered, seen or not
    control, sight = desk.gate._control, desk.gate._sight  # pyright: ignore[reportPrivateUsage] # as above
    held: list[object] = [
        sorted(judging._known),  # pyright: ignore[reportPrivateUsage] # as above
        judging.approved, judging.denied, control.kills.copy(), control.kills.nonce, sight.last,
    ]  # fmt: skip
    held.extend(inside(seat.state) for seat in desk.gate._seats.values())  # pyright: ignore[reportPrivateUsage] # as above
    files = (desk.folder / name for name in ("gate.sqlite", "gate.sqlite-wal"))
    held.extend(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    return repr(held)


_CACHED = {"_fed", "_fed_cycle", "_last_cycle"}
"""The hasher of the last cycle's ids: a memory of a function, not of an order."""


def book(desk: Desk) -> Book:
    """The gate's own book of the first client."""
    return desk.gate._seats[CLIENT].state.book  # pyright: ignore[reportPrivateUsage] # to compare with what is told


def inside(item: object, seen: frozenset[int] = frozenset()) -> object:
    """Return everything that hangs on an object, as far down as it goes."""
    if isinstance(item, (str, int, float, bytes, type(None))):
        return item
    if id(item) in seen or type(item).__module__ == "_blake2":
        return "…"
    deeper = seen | {id(item)}
    if isinstance(item, dict):
        told = ((repr(inside(key, deeper)), inside(value, deeper)) for key, value in item.items())
        return sorted((key, value) for key, value in told if value != [])  # an empty shelf holds nothing
    if isinstance(item, (set, frozenset)):
        return sorted(repr(inside(each, deeper)) for each in item)
    if isinstance(item, (list, tuple, deque)):
        return [inside(each, deeper) for each in item]
    names = [*getattr(item, "__slots__", ()), *getattr(item, "__struct_fields__", ()), *getattr(item, "__dict__", ())]
    kept = sorted(set(names) - _CACHED)
    return [type(item).__name__, *((name, inside(getattr(item, name, None), deeper)) for name in kept)]


@pytest.mark.requirement("risk:preview:same")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["ACME", "NICK", "EURO", "DEAD", "HIDE", "NOPE", "GOLD"]),
            st.sampled_from(["buy", "sell"]),
            st.sampled_from(["0", "1", "10", "150", "190", "240", "1.5", "-3", "999999999"]),
            st.sampled_from(["0", "99.95", "100", "104.9", "120", "0.001", "-1"]),
        ),
        min_size=1,
        max_size=4,
    ),
    killed=st.booleans(),
)
def test_a_preview_says_what_the_verdict_would_be_and_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[str, str, str, str]], killed: bool
) -> None:
    desk = Desk(tmp_path_factory.mktemp("gate"))
    desk.settle()
    desk.buy(20, "100")
    desk.advance()
    if killed:
        desk.kill()
    intents = [
        desk.intent(symbol, side, qty, limit, index=index)  # pyright: ignore[reportArgumentType] # hypothesis gives texts
        for index, (symbol, side, qty, limit) in enumerate(orders)
    ]
    before = trace(desk)
    first = preview(desk, *intents)
    assert preview(desk, *intents) == first
    assert trace(desk) == before
    real = desk.judge(*intents).verdicts
    assert [(v.approved, v.code) for v in first] == [(v.approved, v.code) for v in real]
    assert [v.message for v in first if not v.approved] == [v.message for v in real if not v.approved]
    assert preview(desk, *intents) == real, "what was judged has its verdict"
    desk.close()
    Desk.made.remove(desk)


@pytest.mark.requirement("risk:preview:same")
def test_a_preview_is_judged_at_the_gates_clock_and_for_its_client(desk: Desk) -> None:
    early = desk.intent()
    desk.advance()
    before = trace(desk)
    assert preview(desk, replace(early, cycle=desk.cycle))[0].code == "clock_mismatch"
    assert preview(desk, desk.intent(), client="mallory")[0].code == "wrong_client"
    assert preview(desk, replace(desk.intent(), client_order_id="oo-1"))[0].code == "order_id_not_derived"
    assert trace(desk) == before


@pytest.mark.requirement("risk:preview:same")
def test_a_preview_before_the_first_instant_or_without_a_feed_passes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert preview(desk, desk.intent())[0].code == "clock_mismatch"
    desk.settle()
    desk.start()
    desk.feed.down = True
    assert preview(desk, desk.intent())[0].code == "feed_unavailable"


@pytest.mark.requirement("risk:preview:same")
def test_a_preview_keeps_the_time_of_an_earlier_twin(desk: Desk) -> None:
    desk.judge(desk.intent())
    desk.advance()
    before = trace(desk)
    assert preview(desk, desk.intent())[0].approved
    assert trace(desk) == before


@pytest.mark.requirement("risk:limits:words")
def test_limits_are_told_with_what_is_used_and_their_ceilings(desk: Desk) -> None:
    desk.buy(20, "100")
    desk.advance(ACME="90")
    desk.judge(desk.intent("NICK", "buy", 5))
    before = trace(desk)
    told = desk.ask(GetLimits())
    assert isinstance(told, RiskLimits)
    lines = {line.name: line for line in told.lines}
    assert (told.client, told.now_ns, told.symbols) == (
        CLIENT,
        desk.feed.now_ns,
        ("ACME", "DEAD", "EURO", "GOLD", "NICK"),
    )
    notional = lines["max_order_notional_nano"]
    assert to_nano(notional.value) == CASH_NANO // 5
    assert to_nano(notional.ceiling) == MAX_ORDER_NOTIONAL_NANO
    assert lines["max_position_notional_nano"].used == "1800 (ACME)"
    assert to_nano(lines["max_gross_nano"].used) == book(desk).gross_nano > 1_800 * SCALE
    assert lines["max_daily_loss_nano"].used == "200"
    assert lines["max_open_orders"].used == "1"
    assert lines["max_orders_per_minute"].used == "1"
    assert lines["buying_power"].value == "99800"
    assert (lines["collar_bps"].value, lines["collar_bps"].used) == ("500", "")
    assert all(line.unit and line.value for line in told.lines)
    assert trace(desk) == before
    assert told.limits_version == desk.kill().limits_version


@pytest.mark.requirement("risk:limits:words")
def test_limits_are_told_although_what_is_used_is_not_known(desk: Desk) -> None:
    desk.start()
    desk.feed.down = True
    told = desk.ask(GetLimits())
    assert isinstance(told, RiskLimits)
    lines = {line.name: line for line in told.lines}
    assert (
        lines["max_gross_nano"].used == lines["buying_power"].used == lines["max_open_orders"].used == "not known now"
    )
    assert lines["max_gross_nano"].value == "100000"


@pytest.fixture
def canceling(desk: Desk) -> tuple[Desk, SmallExecution]:
    """A desk with three working orders."""
    for index in range(3):
        answer = desk.judge(desk.intent(qty=10 + index, index=index, limit="99"))
        desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.advance()
    return desk, desk.execution


def canceled(desk: Desk, *ids: str, client: str = CLIENT) -> Canceled:
    answer = desk.ask(AskCancel(client, RUN, ids, "too late", "a model"))
    assert isinstance(answer, Canceled)
    return answer


@pytest.mark.requirement("risk:cancel")
@pytest.mark.parametrize("killed", [False, True])
def test_a_cancel_is_done_with_a_ticket_for_each_order_also_while_killed(
    canceling: tuple[Desk, SmallExecution], killed: bool
) -> None:
    desk, execution = canceling
    first, second, third = execution.orders
    if killed:
        execution.down = True  # so that the kill itself cancels nothing yet
        desk.kill()
        execution.down = False
    answer = canceled(desk, first, third, first)
    assert [event.client_order_id for event in answer.events] == [first, third]
    assert answer.refused == ()
    assert answer.now_ns == desk.feed.now_ns
    assert [request.client_order_id for request in execution.asked] == [first, third]
    assert len({request.ticket.ticket_id for request in execution.asked}) == 2
    assert "too late, by a model" in execution.asked[0].reason
    desk.advance()
    assert execution.status[second] == ("canceled" if killed else "accepted")
    desk.advance()
    assert set(book(desk).reserved) == (set() if killed else {second})


@pytest.mark.requirement("risk:cancel")
def test_what_is_not_there_or_over_is_refused_by_name_and_the_rest_is_canceled(
    canceling: tuple[Desk, SmallExecution],
) -> None:
    desk, execution = canceling
    first, second, third = execution.orders
    execution.status[first] = "filled"
    execution.lost.add(second)
    answer = canceled(desk, "oo-none", first, second, third)
    why = {refusal.client_order_id: refusal.why for refusal in answer.refused}
    assert "no such order" in why["oo-none"]
    assert "is filled" in why[first]
    assert "not known whether" in why[second]
    assert [event.client_order_id for event in answer.events] == [third]
    again = canceled(desk, third)
    assert again.events == ()
    assert "is canceled" in again.refused[0].why


@pytest.mark.requirement("risk:cancel")
def test_another_clients_cancel_signs_nothing(canceling: tuple[Desk, SmallExecution]) -> None:
    desk, execution = canceling
    answer = canceled(desk, *execution.orders, client="mallory")
    assert len(answer.refused) == 3
    assert execution.asked == []


@pytest.mark.requirement("risk:cancel")
def test_without_a_clock_without_execution_or_too_many_at_once_nothing_is_signed(
    tmp_path: Path, canceling: tuple[Desk, SmallExecution]
) -> None:
    desk, execution = canceling
    with pytest.raises(RemoteError, match="at most 500"):
        canceled(desk, *(f"oo-{n}" for n in range(501)))
    assert canceled(desk).refused == ()
    execution.down = True
    with pytest.raises(RemoteError, match="execution is down"):
        canceled(desk, *execution.orders)
    assert execution.asked == []
    folder = tmp_path / "new"
    folder.mkdir()
    with pytest.raises(RemoteError, match="no instant"):
        canceled(Desk(folder), "oo-1")
