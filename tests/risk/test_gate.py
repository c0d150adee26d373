"""One intent, one order; the gate's own clock; the journal first; restart; the kill switch."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from bus.errors import ConfigError, RemoteError
from bus.messages import Advance, Kill, OrderIntent, RiskAsk, StageRequest
from risk.gate import build_gate
from risk.limits import default_desk_limits
from risk.tickets import order_digest, read_public_key, verify
from tests.risk.desk import DIRECTORY, MINUTE_NS, Desk, unsigned, verdicts


@pytest.mark.requirement("risk:identity")
def test_a_repeated_request_gets_the_same_verdicts_and_reserves_once(desk: Desk) -> None:
    request = desk.request(desk.intent(), desk.intent(qty=0, index=1))
    first = verdicts(desk.ask(request))
    assert verdicts(desk.ask(request)) == first
    twice = desk.judge(desk.intent(), desk.intent())
    assert len(twice.verdicts) == 2
    assert len(twice.orders) == 1
    assert desk.advance().reserved_nano == 1_050 * 10**9
    assert unsigned(verdicts(desk.ask(request))) == unsigned(first), "a verdict outlives the instant"


@pytest.mark.requirement("risk:identity")
@pytest.mark.parametrize("first", [{}, {"qty": 0}])
def test_an_order_id_keeps_its_first_content(desk: Desk, first: dict[str, object]) -> None:
    desk.judge(desk.intent(**first))  # pyright: ignore[reportArgumentType] - a table of keywords
    assert desk.code(desk.intent(qty=11)) == "order_id_reused"
    desk.start()
    assert desk.code(desk.intent(qty=11)) == "order_id_reused"


@pytest.mark.requirement("risk:identity:forged")
@pytest.mark.parametrize("forgery", [{"client": "mallory"}, {"cycle": 7}, {"index": 5}, {"decided_ns": 5}])
def test_a_forgery_does_not_spend_the_id_of_the_genuine_order(desk: Desk, forgery: dict[str, object]) -> None:
    genuine = desk.intent()
    forged = msgspec.structs.replace(genuine, **forgery)
    assert desk.code(forged) in {"wrong_client", "clock_mismatch", "order_id_not_derived"}
    assert desk.code(genuine) == "approved"
    assert desk.code(forged) in {"wrong_client", "clock_mismatch", "order_id_not_derived"}


@pytest.mark.requirement("risk:identity:forged")
@pytest.mark.parametrize(("client", "run_id"), [("mallory", "run-1"), ("alice", "run-2")])
def test_another_clients_request_is_denied_whole(desk: Desk, client: str, run_id: str) -> None:
    request = StageRequest(run_id, client, desk.cycle, desk.feed.now_ns, RiskAsk((desk.intent(),)))
    assert [verdict.code for verdict in verdicts(desk.ask(request)).verdicts] == ["wrong_client"]


@pytest.mark.requirement("risk:clock")
@pytest.mark.parametrize("shift_ns", [-MINUTE_NS, -1, 1, MINUTE_NS, 2**62])
def test_a_request_of_another_time_than_the_gates_is_denied(desk: Desk, shift_ns: int) -> None:
    desk.advance()
    when = desk.feed.now_ns + shift_ns
    intent = desk.intent(decided_ns=when)
    request = StageRequest("run-1", "alice", desk.cycle, when, RiskAsk((intent,)))
    assert [verdict.code for verdict in verdicts(desk.ask(request)).verdicts] == ["clock_mismatch"]
    assert desk.code(desk.intent()) == "approved", "and it spent nothing"


@pytest.mark.requirement("risk:clock")
def test_a_request_that_lies_about_its_time_is_denied_though_the_intent_does_not(desk: Desk) -> None:
    desk.advance()
    request = msgspec.structs.replace(desk.request(desk.intent()), now_ns=desk.feed.now_ns - 1)
    assert [verdict.code for verdict in verdicts(desk.ask(request)).verdicts] == ["clock_mismatch"]


@pytest.mark.requirement("risk:clock")
def test_the_clock_goes_no_further_than_the_feeds_and_never_back(desk: Desk) -> None:
    with pytest.raises(RemoteError, match="after the clock"):
        desk.settle(desk.feed.now_ns + 1)
    desk.advance()
    with pytest.raises(RemoteError, match="does not go back"):
        desk.settle(desk.feed.now_ns - MINUTE_NS)
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:clock")
def test_a_feed_or_execution_that_is_down_settles_nothing(desk: Desk) -> None:
    for end in (desk.feed, desk.execution):
        end.down = True
        with pytest.raises(RemoteError, match="is down"):
            desk.advance()
        end.down = False
        assert desk.code(desk.intent()) == "clock_mismatch"
        desk.settle()


@pytest.mark.requirement("risk:settle:same")
def test_an_instant_settled_again_answers_as_before(desk: Desk) -> None:
    first = desk.settle()
    answer = desk.judge(desk.intent(qty=100))
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.execution.step(answer.orders[0].intent.client_order_id, "rejected", "rejected", desk.feed.now_ns)
    desk.kill()
    assert desk.settle() == first
    desk.start()
    assert desk.settle() == first


# --- the journal ------------------------------------------------------------------------------------------------------


def lock(folder: Path) -> sqlite3.Connection:
    holder = sqlite3.connect(folder / "gate.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def fill_disk(desk: Desk) -> sqlite3.Connection:
    """Let SQLite believe that the file cannot grow: what a full disk does to it."""
    database: sqlite3.Connection = desk.gate._journal._db  # pyright: ignore[reportPrivateUsage] - the disk of this test
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")
    return database


@pytest.mark.requirement("risk:journal:closed")
def test_on_a_full_disk_the_whole_batch_is_denied_and_nothing_is_reserved(desk: Desk) -> None:
    database = fill_disk(desk)
    intents = tuple(desk.intent(qty=n + 1, index=n, reason="x" * 900) for n in range(30))
    for _ in range(3):
        answer = desk.judge(*intents)
        assert {verdict.code for verdict in answer.verdicts} == {"journal_unavailable"}
        assert "full" in answer.verdicts[0].message
        assert answer.orders == ()
    database.execute("PRAGMA max_page_count=1000000")
    again = desk.judge(*intents)
    assert all(verdict.approved for verdict in again.verdicts[:20]), again.verdicts[0]
    assert database.execute("SELECT count(*) FROM verdicts").fetchone() == (30,)


@pytest.mark.requirement("risk:journal:closed")
def test_a_journal_that_is_read_only_or_gone_denies(desk: Desk) -> None:
    database: sqlite3.Connection = desk.gate._journal._db  # pyright: ignore[reportPrivateUsage] - the disk of this test
    database.execute("PRAGMA query_only=1")
    assert desk.code(desk.intent()) == "journal_unavailable"
    with pytest.raises(RemoteError, match="cannot be written"):
        desk.advance()
    database.close()
    desk.feed.now_ns -= MINUTE_NS
    desk.cycle -= 1
    assert desk.code(desk.intent(index=1)) == "journal_unavailable"


@pytest.mark.requirement("risk:journal:foreign")
def test_a_journal_of_another_run_is_refused(desk: Desk) -> None:
    client = desk.spec.clients[0]
    poorer = msgspec.structs.replace(client, start_cash_nano=1)
    other = msgspec.structs.replace(client, client="bob")
    second = msgspec.structs.replace(other, execution="execution.bob")
    for change in ({"run_id": "run-2"}, {"clients": (poorer,)}, {"clients": (other,)}, {"clients": (client, second)}):
        spec = msgspec.structs.replace(desk.spec, **change)
        spec = msgspec.structs.replace(spec, desk=default_desk_limits(each.limits for each in spec.clients))
        with pytest.raises(ConfigError, match="new run directory"):
            build_gate(spec, desk.transport, DIRECTORY)


@pytest.mark.requirement("risk:journal:foreign")
def test_what_is_no_journal_is_refused(desk: Desk) -> None:
    path = desk.folder / "other.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Exception, match="cannot be opened"):
        build_gate(msgspec.structs.replace(desk.spec, database=str(path)), desk.transport, DIRECTORY)


# --- restart ----------------------------------------------------------------------------------------------------------


def eventful(desk: Desk, *, restarts: bool) -> list[bytes]:
    """Return every answer of an eventful hour, with or without a killed gate between any two questions."""
    answers: list[bytes] = []

    def ask(*intents: OrderIntent) -> None:
        if restarts:
            desk.start()
        answer = desk.judge(*intents)
        answers.append(msgspec.json.encode(unsigned(answer)))
        for ticketed in answer.orders:
            desk.execution.send(ticketed, desk.feed.now_ns)
            status: bool = ticketed.intent.index % 2 == 0
            order_id, qty = ticketed.intent.client_order_id, ticketed.intent.qty_nano // 10**9
            if status:
                desk.execution.step(order_id, "fill", "filled", desk.feed.now_ns, qty, "100", "1")
        if restarts:
            desk.start()
            assert msgspec.json.encode(unsigned(desk.judge(*intents))) == answers[-1]

    for price in ("100", "101", "99", "92", "30", "95", "100", "104"):
        ask(
            desk.intent(qty=30),
            desk.intent("NICK", "sell", 40, "100", index=1),
            desk.intent(qty=30, index=2),
            desk.intent("GOLD", "sell", 1, index=3),
            desk.intent("ACME", "sell", 5, index=4),
            desk.intent("NONE", index=6),
        )
        if restarts:
            desk.start()
        settled = desk.advance(30 * 10**9, ACME=price)
        answers.append(msgspec.json.encode(settled))
        if restarts:
            desk.start()
            assert desk.settle() == settled
    return answers


@pytest.mark.requirement("risk:restart")
def test_a_gate_killed_between_any_two_questions_answers_like_one_that_lives(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    runs: list[list[bytes]] = []
    for restarts in (False, True):
        desk = Desk(tmp_path_factory.mktemp("gate"))
        desk.settle()
        runs.append(eventful(desk, restarts=restarts))
    codes = b"".join(runs[0])
    for code in (b"approved", b"duplicate", b"position_limit", b"daily_loss", b"unknown_symbol"):
        assert b'"' + code + b'"' in codes, code
    assert runs[0] == runs[1]


@pytest.mark.requirement("risk:restart")
def test_the_signatures_of_a_restarted_gate_verify_with_its_new_key(desk: Desk) -> None:
    first = desk.judge(desk.intent()).orders[0]
    desk.start()
    again = desk.judge(desk.intent()).orders[0]
    assert again.ticket.key_id != first.ticket.key_id
    key_id, key = read_public_key(desk.folder / "gate.pub")
    verify(
        again.ticket, over=order_digest(again.intent), client="alice", now_ns=desk.feed.now_ns, key_id=key_id,
        public_key=key,
    )  # fmt: skip


@pytest.mark.requirement("risk:restart")
def test_a_restarted_gate_that_cannot_see_denies_and_then_recovers(desk: Desk) -> None:
    desk.start()
    desk.feed.down = True
    assert desk.code(desk.intent()) == "feed_unavailable"
    desk.feed.down = False
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:restart")
def test_without_its_journal_a_gate_reserves_what_execution_says_works(desk: Desk) -> None:
    answer = desk.judge(desk.intent(qty=100), desk.intent("NICK", index=1))
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.gate.close()
    for path in desk.folder.glob("gate.sqlite*"):
        path.unlink()
    desk.start()
    assert desk.advance().gross_nano == 10_000 * 10**9


# --- the kill switch --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:kill")
def test_the_kill_switch_denies_new_orders_and_old_approvals_and_survives_a_restart(desk: Desk) -> None:
    approved = desk.intent()
    assert desk.code(approved) == "approved"
    assert not desk.settle().killed
    state = desk.kill()
    assert state.killed
    assert state.kill_reason == "test, by a person"
    for _ in range(2):
        assert desk.code(approved) == "kill_switch", "a ticket is not signed again"
        assert desk.code(desk.intent(index=1)) == "kill_switch"
        assert desk.advance().killed
        assert desk.code(desk.intent("ACME", "sell")) == "kill_switch"
        approved = desk.intent("ACME", "sell")
        desk.start()
    assert not desk.resume().killed
    desk.start()
    desk.advance()
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:kill")
def test_killing_cancels_everything_with_a_ticket_once(desk: Desk) -> None:
    desk.kill()
    assert len(desk.execution.canceled) == 1
    desk.advance()
    assert len(desk.execution.canceled) == 1
    assert desk.execution.canceled[0].ticket.client == "alice"


@pytest.mark.requirement("risk:kill:down")
def test_the_kill_holds_while_execution_is_down_and_cancels_when_it_is_back(desk: Desk) -> None:
    desk.execution.down = True
    assert desk.kill().killed
    assert desk.code(desk.intent()) == "kill_switch"
    desk.start()
    desk.execution.down = False
    desk.advance(30 * MINUTE_NS)
    assert len(desk.execution.canceled) == 1


@pytest.mark.requirement("risk:kill")
def test_killing_cancels_though_execution_is_a_long_bar_ahead(desk: Desk) -> None:
    desk.execution.now_ns = desk.feed.now_ns + 72 * 60 * MINUTE_NS
    desk.kill()
    assert len(desk.execution.canceled) == 1


@pytest.mark.requirement("risk:kill:down")
def test_a_kill_before_the_first_instant_cancels_at_the_first_instant(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.kill().killed
    desk.settle()
    assert len(desk.execution.canceled) == 1
    assert desk.code(desk.intent()) == "kill_switch"


@pytest.mark.requirement("risk:kill:down")
def test_a_kill_that_cannot_be_written_holds_cancels_and_says_so(desk: Desk) -> None:
    database: sqlite3.Connection = desk.gate._journal._db  # pyright: ignore[reportPrivateUsage] - the disk of this test
    database.execute("PRAGMA query_only=1")
    with pytest.raises(RemoteError, match="cannot be written"):
        desk.kill()
    assert len(desk.execution.canceled) == 1
    database.execute("PRAGMA query_only=0")
    assert desk.code(desk.intent()) == "kill_switch"
    desk.ask(Kill("again", "a person"))
    desk.start()
    assert desk.code(desk.intent(index=1)) == "kill_switch"


@pytest.mark.requirement("risk:clock")
def test_a_question_that_is_not_for_the_gate_is_refused_with_what_is(desk: Desk) -> None:
    with pytest.raises(RemoteError, match="does not answer Advance; it answers"):
        desk.ask(Advance(0))
