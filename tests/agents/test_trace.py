"""The event log: one order, chained, whole instants only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agents.trace import GENESIS, Trace, blank_tickets, read_trace
from bus.errors import JournalError
from bus.messages import (
    Account,
    ClockTick,
    OrderIntent,
    Settled,
    StageResult,
    Ticket,
    TicketedOrder,
    Verdicts,
)

ACCOUNT = Account("c", "replay", 1, 0, 0, 0)
INTENT = OrderIntent("oo-1", "c", "run", 1, 0, "ACME", "buy", "market", "day", 10**9, 0, 1, "trend")


def ticketed(key: str) -> StageResult:
    ticket = Ticket("t-1", "c", "digest", "v1", 1, 2, key, key.encode())
    return StageResult("risk", 1, 1, Verdicts((), (TicketedOrder(INTENT, ticket),)))


def write(path: Path, instants: int, key: str = "k") -> str:
    trace = Trace(path)
    for now_ns in range(1, instants + 1):
        tick = ClockTick(now_ns, now_ns - 1, instants, now_ns == instants)
        trace.commit(now_ns, [("clock", "feed", tick), ("answer", "risk", ticketed(key))])
    chain = trace.chain
    trace.close()
    return chain


@pytest.mark.requirement("trace:same")
def test_the_gates_key_and_the_length_of_the_day_leave_no_trace(tmp_path: Path) -> None:
    assert write(tmp_path / "a", 3, "one") == write(tmp_path / "b", 3, "two")
    longer = list(iter(read_trace_of(tmp_path / "c", 5)))
    assert longer[5][1] == list(read_trace_of(tmp_path / "d", 3))[5][1]


def read_trace_of(path: Path, instants: int) -> list[tuple[int, str]]:
    write(path, instants)
    return [(record.seq, record.chain) for record in read_trace(path)]


@pytest.mark.requirement("trace:resume")
def test_a_log_that_is_opened_again_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", 4)
    trace = Trace(tmp_path / "part")
    assert (trace.seq, trace.last_ns, trace.chain) == (0, -1, GENESIS)
    for now_ns in range(1, 5):
        tick = ClockTick(now_ns, now_ns - 1, 4, False)
        trace.commit(now_ns, [("clock", "feed", tick), ("answer", "risk", ticketed("k"))])
        trace.close()
        trace = Trace(tmp_path / "part")
        assert trace.last_ns == now_ns
    assert trace.chain == whole
    trace.close()


@pytest.mark.requirement("trace:altered")
def test_an_altered_record_breaks_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, 3)
    db = sqlite3.connect(path)
    db.execute("UPDATE records SET now_ns = now_ns + 1 WHERE seq = 3")
    db.commit()
    db.close()
    with pytest.raises(JournalError, match="record 3"):
        list(read_trace(path))


@pytest.mark.requirement("trace:whole")
def test_an_instant_that_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "t"
    trace = Trace(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("INSERT INTO records VALUES (2, 0, 'clock', 'x', x'00', '')")
    with pytest.raises(JournalError, match="cannot be written"):
        trace.commit(
            1, [("clock", "feed", ClockTick(1, 0, 1, True)), ("settled", "execution", Settled(1, (), ACCOUNT))]
        )
    assert blocker.execute("SELECT count(*) FROM records").fetchone() == (1,)
    assert trace.last_ns == -1
    blocker.close()
    trace.close()


def test_blanking_leaves_everything_else_of_a_ticket() -> None:
    blanked = blank_tickets(ticketed("k"))
    assert isinstance(blanked, StageResult)
    assert isinstance(blanked.answer, Verdicts)
    ticket = blanked.answer.orders[0].ticket
    assert (ticket.key_id, ticket.signature) == ("", b"")
    assert (ticket.ticket_id, ticket.order_digest, ticket.expires_ns) == ("t-1", "digest", 2)
