"""One gate, several clients: each has its own book, limits and gateway, and together they keep the desk's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.clock import NS
from bus.errors import ConfigError, RemoteError, TicketError
from bus.fixed import SCALE
from bus.messages import AskCancel, Canceled, GetLimits, PreviewOrders, RiskAsk, RiskLimits, Session, StageRequest
from risk.gate import build_gate
from risk.limits import default_desk_limits, default_limits, effective_version
from risk.spec import ClientSpec
from risk.tickets import order_digest, read_public_key, verify
from tests.risk.desk import CASH_NANO, DIRECTORY, RUN, Desk, verdicts

replace = msgspec.structs.replace


@pytest.fixture
def two(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path, clients=("alice", "bob"))
    desk.settle()
    return desk


@pytest.mark.requirement("risk:clients")
def test_each_client_is_judged_by_its_own_book_and_gets_tickets_of_its_own(two: Desk) -> None:
    two.buy(190, "100")
    two.advance()
    assert two.code(two.intent(qty=100)) == "position_limit"
    answer = two.judge(two.intent(qty=100, client="bob"))
    assert answer.verdicts[0].approved
    ticket = answer.orders[0].ticket
    key_id, key = read_public_key(two.folder / "gate.pub")
    over, now_ns = order_digest(answer.orders[0].intent), two.feed.now_ns
    verify(ticket, over=over, client="bob", now_ns=now_ns, key_id=key_id, public_key=key)
    with pytest.raises(TicketError, match="this gateway serves 'alice'"):
        verify(ticket, over=over, client="alice", now_ns=now_ns, key_id=key_id, public_key=key)


@pytest.mark.requirement("risk:clients")
def test_one_clients_orders_never_pass_under_anothers_request(two: Desk) -> None:
    for request_client, intent_client in (("alice", "bob"), ("bob", "alice"), ("mallory", "mallory"), ("", "")):
        intent = two.intent(client=intent_client)
        request = StageRequest(RUN, request_client, two.cycle, two.feed.now_ns, RiskAsk((intent,)))
        assert [verdict.code for verdict in verdicts(two.ask(request)).verdicts] == ["wrong_client"]
    assert two.code(two.intent(client="bob")) == "approved", "and nobody's id was spent"


@pytest.mark.requirement("risk:clients")
def test_previews_and_cancels_go_to_the_client_that_they_name(two: Desk) -> None:
    two.buy(190, "100")
    two.advance()
    for client, code in (("alice", "position_limit"), ("bob", "approved")):
        answer = two.ask(PreviewOrders(client, RUN, two.cycle, (two.intent(qty=100, client=client),)))
        assert [verdict.code for verdict in verdicts(answer).verdicts] == [code]
    answer = two.judge(two.intent("NICK", limit="99", client="bob"))
    two.executions["bob"].send(answer.orders[0], two.feed.now_ns)
    order_id = answer.orders[0].intent.client_order_id
    for client, times in (("alice", 0), ("mallory", 0), ("bob", 1)):
        told = two.ask(AskCancel(client, RUN, (order_id,), "enough", "a model"))
        assert isinstance(told, Canceled)
        assert len(told.events) == times
    assert two.execution.asked == []


@pytest.mark.requirement("risk:clients:version")
def test_every_verdict_carries_the_version_of_its_own_clients_limits(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clients=("alice", "bob"))
    desk.settle()
    seen = {name: desk.judge(desk.intent(client=name)) for name in ("alice", "bob")}
    for name, answer in seen.items():
        expected = effective_version(desk.spec, name)
        assert answer.verdicts[0].limits_version == answer.orders[0].ticket.limits_version == expected
    assert effective_version(desk.spec, "alice") != effective_version(desk.spec, "bob")
    tighter = replace(desk.spec, desk=replace(desk.spec.desk, max_open_orders=79))
    assert effective_version(tighter, "bob") != effective_version(desk.spec, "bob"), "the desk's layer counts"


@pytest.mark.requirement("risk:clients:desk")
@pytest.mark.parametrize("restart", [False, True])
def test_the_desks_limit_holds_over_all_clients_together(tmp_path: Path, restart: bool) -> None:
    limits = replace(default_limits(CASH_NANO), max_gross_nano=CASH_NANO // 5)
    both = replace(default_desk_limits([limits, limits]), max_gross_nano=CASH_NANO // 5)
    desk = Desk(tmp_path, limits, clients=("alice", "bob"), desk_limits=both)
    desk.settle()
    assert desk.code(desk.intent(qty=150)) == "approved"
    if restart:
        desk.start()
    assert desk.code(desk.intent(qty=100, client="bob")) == "desk_gross_limit"
    assert desk.code(desk.intent(qty=40, client="bob", index=1)) == "approved"


@pytest.mark.requirement("risk:clients:desk")
def test_no_client_is_judged_while_one_gateway_does_not_answer(two: Desk) -> None:
    two.executions["bob"].down = True
    with pytest.raises(RemoteError, match="is down"):
        two.advance()
    assert two.code(two.intent()) == "clock_mismatch"
    two.executions["bob"].down = False
    two.settle()
    assert two.code(two.intent()) == "approved"


@pytest.mark.requirement("risk:clients")
def test_a_restart_knows_each_clients_book_again(two: Desk) -> None:
    two.buy(100, "100")
    answer = two.judge(two.intent("NICK", qty=60, limit="99", client="bob"))
    two.executions["bob"].send(answer.orders[0], two.feed.now_ns)
    settled = two.advance()
    told = two.state()
    two.start()
    assert two.settle() == settled
    assert replace(two.state(), key_id="") == replace(told, key_id="")
    assert two.code(two.intent(qty=150)) == two.code(two.intent("NICK", qty=180, client="bob")) == "position_limit"
    assert two.code(two.intent("NICK", qty=150, index=1)) == "approved"


@pytest.mark.requirement("risk:clients:layers")
def test_a_gate_whose_layers_loosen_each_other_does_not_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    loose = replace(desk.spec.desk, max_gross_nano=desk.limits.max_gross_nano - 1)
    twin = (desk.spec.clients[0], desk.spec.clients[0])
    stranger = (ClientSpec("carol", desk.limits, start_cash_nano=CASH_NANO, execution="execution.carol"),)
    for change, words in (
        ({"desk": loose}, "max_gross"),
        ({"clients": twin}, "its own name"),
        ({"clients": ()}, "one client"),
        ({"clients": stranger}, "execution.carol"),
    ):
        spec = replace(desk.spec, database=str(tmp_path / "other.sqlite"), **change)
        with pytest.raises(ConfigError, match=words):
            build_gate(spec, desk.transport, DIRECTORY)


@pytest.mark.requirement("risk:clients")
def test_a_gateway_that_answers_for_another_client_settles_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clients=("alice", "bob"), mode="paper")
    desk.feed.kind, desk.feed.sessions = "live", (Session("always", 0, 2**62),)
    desk.settle()
    desk.executions["bob"].client = "alice"
    with pytest.raises(RemoteError, match="answered for 'alice'"):
        desk.advance()


@pytest.mark.requirement("risk:book:release")
def test_what_was_sent_late_to_a_slow_gateway_stays_reserved_over_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.settle()
    execution = desk.execution
    execution.now_ns = desk.feed.now_ns
    order = desk.judge(desk.intent(qty=100)).orders[0]
    execution.slow = True
    settled = desk.advance(61 * NS)
    execution.now_ns = order.ticket.issued_ns
    assert settled.gross_nano == 10_000 * SCALE, "by a clock that stands, the ticket may still be used"
    execution.send(order, order.ticket.issued_ns)
    execution.slow = False
    desk.start()
    assert desk.settle() == settled
    assert desk.code(desk.intent(qty=160)) == "position_limit"
    assert desk.advance().gross_nano == 10_000 * SCALE


@pytest.mark.requirement("risk:book:release")
@pytest.mark.parametrize("restart", [False, True])
def test_what_was_never_sent_is_released_when_the_gateways_clock_has_passed_its_ticket(
    tmp_path: Path, restart: bool
) -> None:
    desk = Desk(tmp_path)
    desk.settle()
    desk.judge(desk.intent(qty=100))
    assert desk.advance(60 * NS).gross_nano == 10_000 * SCALE
    if restart:
        desk.start()
    assert desk.advance(NS).gross_nano == 0
    if restart:
        desk.start()
        assert desk.code(desk.intent(qty=190)) == "approved"


@pytest.mark.requirement("risk:clients")
def test_limits_are_told_of_the_client_that_is_named(two: Desk) -> None:
    two.buy(100, "100")
    two.advance()
    told = {client: two.ask(GetLimits(client)) for client in ("", "alice", "bob")}
    used: dict[str, str] = {}
    for client, limits in told.items():
        assert isinstance(limits, RiskLimits)
        assert limits.client == (client or "alice")
        used[client] = next(line.used for line in limits.lines if line.name == "max_gross_nano")
    assert used[""] == used["alice"] != used["bob"] == "0"
    with pytest.raises(RemoteError, match="no client 'mallory'; it judges alice, bob"):
        two.ask(GetLimits("mallory"))
