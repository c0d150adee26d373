"""The kill switch by scope: what is refused, what is canceled, what lasts, and that nothing inside loosens it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.errors import JournalError, RemoteError, TicketError
from bus.messages import AskCancel, Canceled, Kill, OrderIntent, PreviewOrders, TradingState
from risk.journal import GateJournal
from risk.kills import MOST_SCOPES
from risk.limits import default_limits
from tests.risk.desk import CASH_NANO, RUN, Desk, state, verdicts


@pytest.fixture
def two(tmp_path: Path) -> Desk:
    """A desk of two clients."""
    desk = Desk(tmp_path, clients=("alice", "bob"))
    desk.settle()
    return desk


SCOPES = [("", ""), ("alice", ""), ("", "momentum"), ("alice", "momentum")]
ORDERS = [("alice", "momentum"), ("alice", "value"), ("bob", "momentum"), ("bob", "value")]


def holds(scope: tuple[str, str], order: tuple[str, str]) -> bool:
    return all(part in ("", own) for part, own in zip(scope, order, strict=True))


def work(desk: Desk, client: str, strategy: str, index: int = 0, symbol: str = "ACME") -> str:
    """Have an order approved and sent, so that it works."""
    answer = desk.judge(desk.intent(symbol, limit="99", client=client, strategy=strategy, index=index, qty=10 + index))
    assert answer.orders, answer.verdicts
    desk.executions[client].send(answer.orders[0], desk.feed.now_ns)
    return answer.orders[0].intent.client_order_id


@pytest.mark.requirement("risk:kill:scope")
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("restart", [False, True])
def test_a_scope_refuses_and_cancels_its_own_orders_and_no_others(
    two: Desk, scope: tuple[str, str], restart: bool
) -> None:
    working = {order: work(two, *order, index=n) for n, order in enumerate(ORDERS)}
    two.advance()
    told = two.kill(*scope)
    assert told.killed == (scope == ("", ""))
    assert [(line.client, line.strategy, line.state) for line in told.kills] == [(*scope, "halted")]
    if restart:
        two.start()
    two.advance()
    for n, order in enumerate(ORDERS):
        client, strategy = order
        stopped = holds(scope, order)
        assert two.executions[client].status[working[order]] == ("canceled" if stopped else "accepted")
        code = two.code(two.intent(client=client, strategy=strategy, index=n, qty=20 + n))
        assert code == ("kill_switch" if stopped else "approved")
    two.resume(*scope)
    if restart:
        two.start()
    for n, (client, strategy) in enumerate(ORDERS):
        assert two.code(two.intent("NICK", client=client, strategy=strategy, index=10 + n, qty=30 + n)) == "approved"


@pytest.mark.requirement("risk:kill:epoch")
@pytest.mark.parametrize("scope", SCOPES)
def test_a_ticket_from_before_a_kill_is_refused_in_its_scope_and_good_elsewhere(
    two: Desk, scope: tuple[str, str]
) -> None:
    given = [
        two.judge(two.intent(limit="99", client=client, strategy=strategy, index=n, qty=10 + n)).orders[0]
        for n, (client, strategy) in enumerate(ORDERS)
    ]
    two.kill(*scope)
    for order, held in zip(given, ORDERS, strict=True):
        execution = two.executions[held[0]]
        if holds(scope, held):
            with pytest.raises(TicketError, match="before everything was canceled"):
                execution.send(order, two.feed.now_ns)
            assert order.intent.client_order_id not in execution.orders
        else:
            execution.send(order, two.feed.now_ns)


@pytest.mark.requirement("risk:kill:epoch")
@pytest.mark.parametrize("restart", [False, True])
def test_a_ticket_from_before_a_kill_is_refused_after_the_resume_too_and_a_newer_one_is_good(
    two: Desk, restart: bool
) -> None:
    intent = two.intent(limit="99", strategy="momentum")
    (old,) = two.judge(intent).orders
    two.kill("alice", "momentum")
    if restart:
        two.start()
        two.settle()
    two.resume("alice", "momentum")
    with pytest.raises(TicketError, match="before everything was canceled"):
        two.execution.send(old, two.feed.now_ns)
    (new,) = two.judge(intent).orders
    assert (new.intent, new.ticket.ticket_id) == (old.intent, old.ticket.ticket_id)
    two.execution.send(new, two.feed.now_ns)
    assert two.execution.status[intent.client_order_id] == "accepted"


@pytest.mark.requirement("risk:kill:epoch")
def test_a_kill_that_cannot_be_written_makes_the_tickets_before_it_void_all_the_same(
    two: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = two.judge(two.intent(limit="99", strategy="momentum")).orders

    def fails(*_: object) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(GateJournal, "write_kill", fails)
        with pytest.raises(RemoteError, match="the disk is full"):
            two.kill("alice", "momentum")
        with pytest.raises(TicketError, match="before everything was canceled"):
            two.execution.send(old, two.feed.now_ns)
        (other,) = two.judge(two.intent("NICK", limit="99", strategy="value", index=1)).orders
    two.advance()
    two.kill("alice")
    with pytest.raises(TicketError, match="before everything was canceled"):
        two.execution.send(other, two.feed.now_ns)


@pytest.mark.requirement("risk:kill:scope")
def test_a_stopped_strategy_is_canceled_again_only_while_something_of_it_may_work(two: Desk) -> None:
    work(two, "alice", "value")
    two.advance()
    two.kill("alice", "momentum")
    for _ in range(3):
        two.advance()
    assert [each.strategy for each in two.execution.canceled] == ["momentum"]
    two.execution.orders["stranger"] = two.intent("NICK", limit="99", index=9, strategy="momentum")
    two.execution.step("stranger", "accepted", "accepted", two.feed.now_ns)
    two.advance()
    assert two.execution.status["stranger"] == "canceled", "an order that the gate never judged may be anyone's"


@pytest.mark.requirement("risk:kill:scope")
@pytest.mark.parametrize("scope", SCOPES)
def test_an_order_that_was_approved_gets_no_second_ticket_while_its_scope_is_stopped(
    two: Desk, scope: tuple[str, str]
) -> None:
    intent = two.intent(strategy="momentum")
    assert two.judge(intent).orders
    two.kill(*scope)
    answer = two.judge(intent)
    assert answer.orders == ()
    assert answer.verdicts[0].code == "kill_switch"
    two.resume(*scope)
    assert two.judge(intent).orders


@pytest.mark.requirement("risk:kill:scope")
def test_a_kill_whose_cancels_get_no_answer_is_tried_again_at_every_instant(two: Desk) -> None:
    working = work(two, "alice", "momentum")
    two.advance()
    two.execution.lost.add(working)
    two.kill("alice", "momentum")
    two.advance()
    assert two.execution.status[working] == "accepted"
    asked = len(two.execution.canceled)
    assert asked >= 2
    two.execution.lost.clear()
    two.advance()
    assert two.execution.status[working] == "canceled"
    two.advance()
    two.advance()
    assert len(two.execution.canceled) == asked + 1, "and no longer than that"


@pytest.mark.requirement("risk:kill:scope")
def test_one_client_is_canceled_although_the_others_gateway_is_down(two: Desk) -> None:
    working = {client: work(two, client, "value") for client in ("alice", "bob")}
    two.advance()
    two.executions["alice"].down = True
    two.kill()
    assert two.executions["bob"].status[working["bob"]] == "canceled"
    two.executions["alice"].down = False
    two.advance()
    assert two.executions["alice"].status[working["alice"]] == "canceled"


@pytest.mark.requirement("risk:kill:reducing")
@pytest.mark.parametrize("scope", SCOPES)
def test_reducing_lets_only_what_shrinks_a_position_pass_and_cancels_nothing(two: Desk, scope: tuple[str, str]) -> None:
    two.buy(100, "100", strategy="momentum")
    two.advance()
    working = work(two, "alice", "momentum", symbol="NICK")
    two.advance()
    two.kill(*scope, to="reducing")
    two.advance()
    assert two.execution.status[working] == "accepted"

    def ask(side: str, qty: int, index: int) -> str:
        return two.code(two.intent("ACME", side, qty, strategy="momentum", index=index))  # pyright: ignore[reportArgumentType] # a text

    assert ask("buy", 1, 0) == "reducing", "more of it"
    assert ask("sell", 101, 1) == "reducing", "a flip"
    assert ask("sell", 60, 2) == "approved"
    assert ask("sell", 41, 3) == "reducing", "a flip, together with what works"
    assert ask("sell", 40, 4) == "approved"
    assert two.code(two.intent("NICK", strategy="momentum", index=5)) == "reducing", "a flat book opens nothing"


@pytest.mark.requirement("risk:kill:one-way")
def test_no_kill_loosens_what_is_in_force(two: Desk) -> None:
    before = two.kill("alice")
    after = two.kill("alice", to="reducing")
    assert after.kills == before.kills
    assert after.nonce == before.nonce, "nothing was written"
    with pytest.raises(RemoteError, match="a kill only tightens"):
        two.kill("alice", to="active")
    assert two.kill("bob", to="reducing").kills[1].state == "reducing"
    assert two.kill("bob").kills[1].state == "halted"
    assert two.code(two.intent()) == "kill_switch"


@pytest.mark.requirement("risk:kill:one-way")
def test_a_client_that_the_desk_has_not_cannot_be_killed_by_mistake(two: Desk) -> None:
    with pytest.raises(RemoteError, match="alice, bob"):
        two.kill("alcie")
    assert two.state().kills == ()


@pytest.mark.requirement("risk:kill:one-way")
def test_whoever_stops_more_scopes_than_can_be_kept_stops_the_desk(two: Desk) -> None:
    for n in range(MOST_SCOPES):
        two.kill("alice", f"s{n}", to="reducing")
    assert not two.state().killed
    told = two.kill("alice", "one more", to="reducing")
    assert told.killed
    assert len(told.kills) == MOST_SCOPES + 1
    assert two.code(two.intent(client="bob")) == "kill_switch"


@pytest.mark.requirement("risk:kill:cancels-pass")
@pytest.mark.parametrize("to", ["halted", "reducing"])
def test_a_cancel_is_never_refused_for_a_state_or_a_limit(tmp_path: Path, to: TradingState) -> None:
    limits = msgspec.structs.replace(default_limits(CASH_NANO), max_messages_per_minute=3, max_cancels_per_day=1)
    desk = Desk(tmp_path, limits)
    desk.settle()
    working = [work(desk, "alice", "value", n) for n in range(3)]
    desk.advance(1)
    assert desk.code(desk.intent()) == "message_rate"
    desk.kill(to="reducing")
    for order_id in working:
        answer = desk.ask(AskCancel("alice", RUN, (order_id,), "enough", "a model"))
        assert isinstance(answer, Canceled)
        assert answer.refused == ()
    assert {desk.execution.status[order_id] for order_id in working} == {"canceled"}
    desk.kill(to=to)


@pytest.mark.requirement("risk:messages")
@pytest.mark.parametrize("restart", [False, True])
def test_cancels_count_among_the_messages_and_over_the_days_limit_no_new_order_passes(
    tmp_path: Path, restart: bool
) -> None:
    limits = msgspec.structs.replace(default_limits(CASH_NANO), max_messages_per_minute=5, max_cancels_per_day=3)
    desk = Desk(tmp_path, limits)
    desk.settle()
    working = [work(desk, "alice", "value", n) for n in range(2)]
    for order_id in (*working, "oo-none"):
        desk.ask(AskCancel("alice", RUN, (order_id,), "enough", "a model"))
    if restart:
        desk.start()
    assert desk.code(desk.intent(index=5)) == "message_rate"
    desk.ask(AskCancel("alice", RUN, ("oo-none", "oo-other"), "enough", "a model"))
    if restart:
        desk.start()
    desk.advance(120 * 10**9)
    assert desk.code(desk.intent()) == "cancels_per_day"


# --- the throttle that a person re-enables ----------------------------------------------------------------------------


@pytest.fixture
def throttled(tmp_path: Path) -> Desk:
    limits = msgspec.structs.replace(
        default_limits(CASH_NANO), max_repeats=3, repeat_window_ns=3600 * 10**9, duplicate_window_ns=0
    )
    desk = Desk(tmp_path, limits, clients=("alice", "bob"))
    desk.settle()
    return desk


def again(desk: Desk, index: int = 0, strategy: str = "loop", client: str = "alice", qty: int = 1) -> OrderIntent:
    return desk.intent(index=index, strategy=strategy, client=client, qty=qty)


@pytest.mark.requirement("risk:kill:repeats")
@pytest.mark.parametrize("restart", [False, True])
def test_a_strategy_that_repeats_itself_is_killed_by_the_gate_until_a_person_resumes(
    throttled: Desk, restart: bool
) -> None:
    desk = throttled
    for _ in range(3):
        assert desk.code(again(desk)) == "approved"
        desk.advance()
    answer = desk.judge(again(desk), again(desk, 1, qty=2))
    assert [verdict.code for verdict in answer.verdicts] == ["repeated_executions", "kill_switch"]
    assert "outcry resume" in answer.verdicts[0].message
    if restart:
        desk.start()
    told = desk.state()
    assert not told.killed
    assert [(line.client, line.strategy, line.state, line.by) for line in told.kills] == [
        ("alice", "loop", "halted", "the gate")
    ]
    desk.advance(2 * 3600 * 10**9)
    assert desk.code(again(desk, qty=5)) == "kill_switch", "time alone re-enables nothing"
    assert desk.code(again(desk, 1, "other")) == "approved"
    assert desk.code(again(desk, 2, client="bob")) == "approved"
    desk.resume("alice", "loop")
    assert desk.code(again(desk, 3, qty=6)) == "approved"


@pytest.mark.requirement("risk:kill:epoch")
def test_what_was_approved_in_the_batch_that_stopped_its_strategy_is_void_too(throttled: Desk) -> None:
    desk = throttled
    for _ in range(3):
        assert desk.code(again(desk)) == "approved"
        desk.advance()
    answer = desk.judge(again(desk, 1, qty=2), again(desk, 2, "other"), again(desk))
    assert [verdict.code for verdict in answer.verdicts] == ["approved", "approved", "repeated_executions"]
    stopped, other = answer.orders
    with pytest.raises(TicketError, match="before everything was canceled"):
        desk.execution.send(stopped, desk.feed.now_ns)
    desk.execution.send(other, desk.feed.now_ns)


@pytest.mark.requirement("risk:kill:repeats")
def test_a_preview_of_a_repetition_kills_nothing(throttled: Desk) -> None:
    desk = throttled
    for _ in range(3):
        assert desk.code(again(desk)) == "approved"
        desk.advance()
    before = desk.state()
    told = desk.ask(PreviewOrders("alice", RUN, desk.cycle, (again(desk), again(desk, 1, qty=2))))
    assert [verdict.code for verdict in verdicts(told).verdicts] == ["repeated_executions", "kill_switch"]
    assert desk.state() == before
    assert desk.code(again(desk, 2, qty=7)) == "approved"
    desk.advance()
    assert desk.state().kills == ()


@pytest.mark.requirement("risk:kill:repeats")
def test_the_throttle_cancels_what_the_strategy_has_working(throttled: Desk) -> None:
    desk = throttled
    ids: list[str] = []
    for _ in range(3):
        answer = desk.judge(desk.intent(limit="99", qty=1, strategy="loop"))
        desk.execution.send(answer.orders[0], desk.feed.now_ns)
        ids.append(answer.orders[0].intent.client_order_id)
        desk.advance()
    assert desk.code(desk.intent(limit="99", qty=1, strategy="loop")) == "repeated_executions"
    assert {desk.execution.status[order_id] for order_id in ids} == {"canceled"}


# --- a gateway that halted its client ---------------------------------------------------------------------------------


@pytest.mark.requirement("risk:kill:halted-account")
@pytest.mark.parametrize("restart", [False, True])
def test_a_gateway_that_halts_its_client_engages_that_clients_kill_and_a_person_clears_both(
    tmp_path: Path, restart: bool
) -> None:
    desk = Desk(tmp_path, clients=("alice", "bob"), mode="paper")
    desk.settle()
    desk.executions["bob"].halted = "positions differ"
    desk.advance()
    told = desk.state()
    assert [(line.client, line.strategy, line.state) for line in told.kills] == [("bob", "", "halted")]
    assert "positions differ" in told.kills[0].reason
    if restart:
        desk.start()
    assert desk.code(desk.intent(client="bob")) == "kill_switch"
    assert desk.code(desk.intent(index=1)) == "approved"
    desk.resume("bob")
    cleared = desk.executions["bob"].cleared
    assert [request.ticket.client for request in cleared] == ["bob"]
    desk.advance()
    assert desk.state().kills == ()
    assert desk.code(desk.intent(client="bob")) == "approved"


@pytest.mark.requirement("risk:kill:halted-account")
def test_a_halt_that_is_not_cleared_at_the_gateway_engages_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, mode="paper")
    desk.settle()
    desk.execution.halted = "cash differs"
    desk.advance()
    assert desk.state().kills
    desk.execution.down = True
    desk.resume("alice")
    desk.execution.down = False
    desk.advance()
    assert [line.client for line in desk.state().kills] == ["alice"]


@pytest.mark.requirement("risk:kill:scope")
def test_the_state_tells_every_scope_with_its_reason(two: Desk) -> None:
    two.ask(Kill("one", "ann", "alice"))
    two.ask(Kill("two", "ben", "", "momentum", "reducing"))
    told = state(two.ask(Kill("three", "eve")))
    assert told.killed
    assert told.kill_reason == "three, by eve"
    assert [(line.client, line.strategy, line.state, line.reason, line.by) for line in told.kills] == [
        ("", "", "halted", "three", "eve"),
        ("", "momentum", "reducing", "two", "ben"),
        ("alice", "", "halted", "one", "ann"),
    ]
