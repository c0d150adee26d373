"""A batch that fails on the way, and cancels while feed or disk do not answer; not the verdicts themselves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from bus.messages import AskCancel, Canceled, GetLimits, OrderIntent, PreviewOrders, RiskLimits, Verdict
from risk.limits import default_limits
from tests.risk.desk import CASH_NANO, CLIENT, RUN, Desk, verdicts


def _preview(desk: Desk, *intents: OrderIntent) -> tuple[Verdict, ...]:
    return verdicts(desk.ask(PreviewOrders(CLIENT, RUN, desk.cycle, intents))).verdicts


def _full(desk: Desk) -> None:
    """Let SQLite believe that the file cannot grow."""
    database: sqlite3.Connection = desk.gate._journal._db  # pyright: ignore[reportPrivateUsage] - the disk of this test
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")


def _cancels(desk: Desk) -> str:
    told = desk.ask(GetLimits())
    assert isinstance(told, RiskLimits)
    return next(line.used for line in told.lines if line.name == "max_cancels_per_day")


def _cancel(desk: Desk, *ids: str) -> Canceled:
    answer = desk.ask(AskCancel(CLIENT, RUN, ids, "too late", "a model"))
    assert isinstance(answer, Canceled)
    return answer


def _working(desk: Desk) -> str:
    answer = desk.judge(desk.intent(limit="99"))
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.advance()
    return answer.orders[0].intent.client_order_id


@pytest.mark.requirement("risk:preview:same")
def test_a_preview_is_under_the_limits_of_the_verdict_and_speaks_of_no_ticket(desk: Desk) -> None:
    (told,) = _preview(desk, desk.intent())
    (real,) = desk.judge(desk.intent()).verdicts
    assert told.approved
    assert told.limits_version == real.limits_version != ""
    assert "ticket" not in told.message


@pytest.mark.requirement("risk:preview:same")
def test_a_preview_that_fails_is_a_denial_of_each_of_its_orders_and_leaves_the_gate_at_work(desk: Desk) -> None:
    """What fails is the noting of what a verdict came from: what is known of the symbol is no record."""
    good, bad = desk.intent(), desk.intent("NICK", index=1)
    terms = desk.gate._seats[CLIENT].state.facts.terms  # pyright: ignore[reportPrivateUsage] - broken on purpose
    kept = terms["NICK"]
    terms["NICK"] = "no terms"  # pyright: ignore[reportArgumentType] - broken on purpose
    told = _preview(desk, good, bad)
    terms["NICK"] = kept
    version = desk.judge(desk.intent(index=2)).verdicts[0].limits_version
    assert [(each.client_order_id, each.approved, each.code, each.limits_version) for each in told] == [
        (intent.client_order_id, False, "check_failed", version) for intent in (good, bad)
    ]
    assert "nothing of it would pass" in told[0].message
    assert "AttributeError" in told[0].message


@pytest.mark.requirement("risk:journal:closed")
def test_a_batch_that_cannot_be_written_is_denied_under_its_clients_limits(desk: Desk) -> None:
    version = desk.judge(desk.intent()).verdicts[0].limits_version
    _full(desk)
    answer = desk.judge(*(desk.intent(qty=n, index=n, reason="x" * 900) for n in range(1, 30)))
    assert {(each.code, each.limits_version) for each in answer.verdicts} == {("journal_unavailable", version)}


@pytest.mark.requirement("risk:messages")
def test_the_same_cancel_of_an_instant_counts_once_and_at_the_next_again(desk: Desk) -> None:
    for _ in range(3):
        _cancel(desk, "oo-none")
    assert _cancels(desk) == "1"
    desk.advance()
    _cancel(desk, "oo-none")
    _cancel(desk, "oo-none", "oo-other")
    assert _cancels(desk) == "3"


@pytest.mark.requirement("risk:kill:cancels-pass")
@pytest.mark.parametrize("trouble", ["feed", "disk"])
def test_neither_a_silent_feed_nor_a_full_disk_hinders_a_cancel(desk: Desk, trouble: str) -> None:
    order_id = _working(desk)
    if trouble == "feed":
        desk.start()
        desk.feed.down = True
    else:
        _full(desk)
        filler = [f"oo-{n}" + "x" * 60 for n in range(60)]
        _cancel(desk, *filler[:30])
        _cancel(desk, *filler[30:])
    _cancel(desk, order_id)
    assert desk.execution.status[order_id] == "canceled"


@pytest.mark.requirement("risk:kill:repeats")
def test_a_strategy_that_repeated_itself_is_told_how_often_and_in_how_many_seconds(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(
        default_limits(CASH_NANO), max_repeats=1, repeat_window_ns=3600 * 10**9, duplicate_window_ns=0
    )
    desk = Desk(tmp_path, limits)
    desk.settle()
    assert desk.code(desk.intent()) == "approved"
    desk.advance()
    assert desk.code(desk.intent()) == "repeated_executions"
    assert "3,600 s" in desk.state().kills[0].reason
