"""Replacing through the gate: a ticket of its own, reserved with the old order as one; the broker is right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import risk.gate
from bus.fixed import SCALE
from bus.messages import OrderEvent, OrderIntent, TicketedOrder
from risk.journal import GateJournal
from risk.tickets import order_digest, read_public_key, verify
from tests.risk.desk import Desk


def gross(desk: Desk) -> int:
    return desk.gate._seats["alice"].state.book.gross_nano // SCALE  # pyright: ignore[reportPrivateUsage] # what is reserved


def working(desk: Desk, **other: object) -> TicketedOrder:
    answer = desk.judge(desk.intent(limit="99", qty=100, **other))  # pyright: ignore[reportArgumentType] # a table of keywords
    assert answer.orders, answer.verdicts
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.advance()
    return answer.orders[0]


def replacing(desk: Desk, old: OrderIntent, qty: int, limit: str = "100", **other: object) -> OrderIntent:
    return desk.intent(qty=qty, limit=limit, replaces=old.client_order_id, **other)  # pyright: ignore[reportArgumentType] # as above


@pytest.mark.requirement("risk:replace")
@pytest.mark.parametrize(("qty", "worth"), [(150, 15_000), (60, 10_000)])
@pytest.mark.parametrize("restart", [False, True])
def test_a_replacement_has_its_own_ticket_and_both_count_as_the_larger(
    desk: Desk, qty: int, worth: int, restart: bool
) -> None:
    old = working(desk).intent
    assert gross(desk) == 10_000
    answer = desk.judge(replacing(desk, old, qty))
    assert answer.verdicts[0].approved, answer.verdicts[0]
    new = answer.orders[0]
    key_id, key = read_public_key(desk.folder / "gate.pub")
    verify(
        new.ticket, over=order_digest(new.intent), client="alice", now_ns=desk.feed.now_ns, key_id=key_id,
        public_key=key,
    )  # fmt: skip
    assert new.intent.client_order_id != old.client_order_id
    assert gross(desk) == worth
    if restart:
        desk.start()
        desk.judge(replacing(desk, old, qty))
        assert gross(desk) == worth


@pytest.mark.requirement("risk:replace")
def test_when_the_new_order_works_the_old_one_counts_no_more(desk: Desk) -> None:
    old = working(desk).intent
    new = desk.judge(replacing(desk, old, 60)).orders[0]
    desk.execution.send(new, desk.feed.now_ns)
    desk.execution.step(old.client_order_id, "replaced", "replaced", desk.feed.now_ns)
    desk.advance()
    assert gross(desk) == 6_000


@pytest.mark.requirement("risk:replace")
def test_when_the_old_one_filled_first_the_refused_replacement_counts_no_more(desk: Desk) -> None:
    old = working(desk).intent
    new = desk.judge(replacing(desk, old, 150)).orders[0].intent
    desk.execution.step(old.client_order_id, "fill", "filled", desk.feed.now_ns, 100, "99")
    refused = OrderEvent(
        len(desk.execution.events) + 1, new.client_order_id, "ACME", "buy", "rejected", "rejected", desk.feed.now_ns,
        new.qty_nano, 0, group=old.client_order_id,
    )  # fmt: skip
    desk.execution.events.append(refused)
    desk.advance()
    assert gross(desk) == 10_000


@pytest.mark.requirement("risk:replace")
def test_what_cannot_be_replaced_is_refused_by_name_and_the_old_order_stays_reserved(desk: Desk) -> None:
    old = working(desk).intent
    assert desk.code(desk.intent("NICK", limit="100", replaces=old.client_order_id)) == "replace_differs"
    assert desk.code(desk.intent(side="sell", limit="101", index=1, replaces=old.client_order_id)) == "replace_differs"
    assert desk.code(desk.intent(limit="100", index=2, replaces="oo-none")) == "replace_unknown"
    assert desk.code(replacing(desk, old, 900, index=3)) == "order_notional"
    assert gross(desk) == 10_000
    desk.execution.step(old.client_order_id, "canceled", "canceled", desk.feed.now_ns)
    desk.advance()
    assert desk.code(replacing(desk, old, 10)) == "replace_unknown"
    assert gross(desk) == 0


@pytest.mark.requirement("risk:replace")
def test_a_replacement_is_refused_while_its_scope_is_stopped_and_a_reducing_one_may_not_grow(desk: Desk) -> None:
    old = working(desk).intent
    desk.kill(to="reducing")
    assert desk.code(replacing(desk, old, 150)) == "reducing"
    desk.execution.down = True  # so that the kill does not cancel the old one at once
    desk.kill()
    desk.execution.down = False
    assert desk.code(replacing(desk, old, 50, index=1)) == "kill_switch"


class Watched(GateJournal):
    """A journal that tells how each transaction is committed and what another reader sees after it."""

    seen: list[tuple[int, int]]

    def _commit(self) -> None:
        (level,) = self._db.execute("PRAGMA synchronous").fetchone()
        super()._commit()
        with closing(sqlite3.connect(self._paths[0])) as db:
            (count,) = db.execute("SELECT count(*) FROM verdicts").fetchone()
        self.seen = [*getattr(self, "seen", []), (level, count)]


@pytest.mark.requirement("risk:durable")
def test_each_verdict_is_committed_and_synced_before_its_ticket_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk.gate, "GateJournal", Watched)
    desk = Desk(tmp_path)
    desk.kill("alice", "y", "reducing")
    assert set(desk.gate._journal.seen) == {(2, 0)}  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] # the watched one
    desk.settle()
    journal = desk.gate._journal  # pyright: ignore[reportPrivateUsage] # the watched one
    signer = desk.gate._signer  # pyright: ignore[reportPrivateUsage] # to see when it signs
    assert isinstance(journal, Watched)
    signed: list[int] = []
    sign_bytes = type(signer).sign_bytes

    def watched(_self: object, data: bytes) -> bytes:
        with closing(sqlite3.connect(desk.spec.database)) as db:
            signed.append(db.execute("SELECT count(*) FROM verdicts").fetchone()[0])
        return sign_bytes(signer, data)

    monkeypatch.setattr(type(signer), "sign_bytes", watched)
    full, normal = 2, 1
    assert journal.seen[-1] == (normal, 0), "an instant is not synced by itself"
    answer = desk.judge(desk.intent(), desk.intent("NICK", index=1), desk.intent(qty=0, index=2))
    assert [verdict.approved for verdict in answer.verdicts] == [True, True, False]
    assert journal.seen[-1] == (full, 3)
    assert signed == [3, 3], "all three were readable by others when the two tickets were signed"
    desk.kill("alice", "x", "reducing")
    assert journal.seen[-1] == (full, 3)
