"""A gate that fails in the midst of a batch, and its cancels across a restart; not the cancels themselves."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.clock import iso
from bus.fixed import SCALE
from bus.messages import AskCancel, Canceled, GetLimits, Kill, RiskLimits
from tests.risk.desk import CLIENT, RUN, Desk, unsigned, verdicts


def _cancel(desk: Desk, *ids: str) -> str:
    """Ask for cancels; return how many of today's the gate says that it has counted."""
    assert isinstance(desk.ask(AskCancel(CLIENT, RUN, ids, "too late", "a model")), Canceled)
    told = desk.ask(GetLimits())
    assert isinstance(told, RiskLimits)
    return next(line.used for line in told.lines if line.name == "max_cancels_per_day")


@pytest.mark.requirement("risk:messages")
def test_a_cancel_that_was_counted_before_a_restart_is_not_counted_again_at_the_same_instant(desk: Desk) -> None:
    desk.advance()
    assert _cancel(desk, "oo-1", "oo-2") == "2"
    desk.start()
    desk.settle()
    assert _cancel(desk, "oo-1") == "2"
    assert _cancel(desk, "oo-2", "oo-3") == "3"
    assert _cancel(desk, "oo-3") == "3"
    desk.advance()
    assert _cancel(desk, "oo-3") == "4"


@pytest.mark.requirement("risk:check:failed")
def test_a_batch_that_fails_while_an_approval_is_being_counted_is_denied_whole(desk: Desk) -> None:
    state: Any = desk.gate._seats[CLIENT].state  # pyright: ignore[reportPrivateUsage] - broken on purpose
    state._times = deque(["no time"])
    answer = desk.judge(desk.intent("NICK"), desk.intent())
    assert [each.code for each in answer.verdicts] == ["check_failed", "check_failed"]
    assert answer.orders == ()


@pytest.mark.requirement("risk:clients")
def test_a_denial_is_on_disk_under_its_client_at_no_price_and_one_for_nobodys_under_none(desk: Desk) -> None:
    desk.judge(desk.intent(qty=10_000))
    desk.judge(desk.intent(client="mallory", index=1))
    written = list(desk.gate._journal.read())  # pyright: ignore[reportPrivateUsage] - what is on disk
    assert [(each.client, each.verdict.approved, each.ticket, each.price_nano, each.final) for each in written] == [
        (CLIENT, False, None, 0, True),
        ("", False, None, 0, False),
    ]


@pytest.mark.requirement("risk:check:failed")
def test_of_a_batch_that_fails_after_an_approval_nothing_stays_and_the_error_is_named(desk: Desk) -> None:
    state: Any = desk.gate._seats[CLIENT].state  # pyright: ignore[reportPrivateUsage] - broken on purpose
    counted, calls = state.approved, iter(range(9))

    def breaks_at_the_second(*args: Any) -> None:
        if next(calls) == 1:
            raise ZeroDivisionError
        counted(*args)

    state.approved = breaks_at_the_second
    answer = desk.judge(desk.intent("NICK"), desk.intent(index=1))
    state.approved = counted
    assert {each.code for each in answer.verdicts} == {"check_failed"}
    assert all("ZeroDivisionError" in each.message for each in answer.verdicts)
    assert {each.limits_version for each in answer.verdicts} == {desk.state().limits_version}
    assert state.book.reserved == {}
    assert desk.code(desk.intent("NICK")) == "approved"


@pytest.mark.requirement("risk:restart")
def test_approvals_and_denials_are_counted_and_the_counts_are_there_after_a_restart(desk: Desk) -> None:
    assert (desk.state().approved, desk.state().denied) == (0, 0)
    for n, qty in enumerate((1, 10_000, 2, 20_000, 30_000)):
        desk.judge(desk.intent(qty=qty, index=n))
    assert (desk.state().approved, desk.state().denied) == (2, 3)
    desk.start()
    assert (desk.state().approved, desk.state().denied) == (2, 3)


@pytest.mark.requirement("risk:clock")
def test_a_request_of_another_instant_is_told_which_one_it_is(desk: Desk, tmp_path: Path) -> None:
    late = msgspec.structs.replace(desk.request(desk.intent()), now_ns=desk.feed.now_ns - 1)
    (verdict,) = verdicts(desk.ask(late)).verdicts
    assert verdict.code == "clock_mismatch"
    assert iso(desk.feed.now_ns) in verdict.message
    (tmp_path / "new").mkdir()
    fresh = Desk(tmp_path / "new")
    (verdict,) = fresh.judge(fresh.intent()).verdicts
    assert verdict.code == "clock_mismatch"
    assert "before its first instant" in verdict.message


@pytest.mark.requirement("risk:kill:reducing")
def test_an_answer_that_was_given_stands_unless_it_was_yes_and_everything_is_stopped(desk: Desk) -> None:
    yes, no = desk.intent(qty=1), desk.intent(qty=10_000, index=1)
    first = unsigned(desk.judge(yes, no))
    desk.kill(to="reducing")
    told, (ticket,) = unsigned(desk.judge(yes, no))
    assert (told, (msgspec.structs.replace(ticket, epoch=first[1][0].epoch),)) == first
    assert ticket.epoch > first[1][0].epoch
    desk.kill()
    again = desk.judge(yes, no).verdicts
    assert [each.code for each in again] == ["kill_switch", first[0][1].code]


@pytest.mark.requirement("risk:kill:scope")
def test_a_refusal_by_the_kill_switch_says_who_stopped_it_and_why(desk: Desk) -> None:
    desk.ask(Kill("the roof is on fire", "a neighbour", CLIENT, "test", "halted"))
    (verdict,) = desk.judge(desk.intent()).verdicts
    assert verdict.code == "kill_switch"
    assert "the roof is on fire, by a neighbour" in verdict.message
    assert "outcry resume" in verdict.message


@pytest.mark.requirement("risk:kill:reducing")
def test_a_refusal_for_another_reason_says_that_one_also_where_something_is_stopped(desk: Desk) -> None:
    desk.kill(to="reducing")
    (verdict,) = desk.judge(desk.intent("NOPE")).verdicts
    assert verdict.code == "unknown_symbol"
    assert "NOPE" in verdict.message
    assert "kill switch" not in verdict.message


@pytest.mark.requirement("risk:clients")
def test_a_stranger_is_told_whose_gate_this_is(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clients=("alice", "bob"))
    desk.settle()
    (verdict,) = desk.judge(desk.intent(client="mallory")).verdicts
    assert verdict.code == "wrong_client"
    assert "alice, bob" in verdict.message


@pytest.mark.requirement("risk:clients")
def test_every_denial_of_a_client_is_on_disk_under_its_name_and_version_and_a_strangers_under_none(desk: Desk) -> None:
    intent = desk.intent(qty=1)
    desk.judge(intent)
    desk.judge(msgspec.structs.replace(intent, qty_nano=2 * SCALE))
    desk.kill()
    desk.judge(intent)
    desk.resume()
    desk.ask(msgspec.structs.replace(desk.request(desk.intent(index=1)), run_id="another run"))
    desk.ask(msgspec.structs.replace(desk.request(desk.intent(index=2)), now_ns=desk.feed.now_ns - 1))
    desk.judge(desk.intent(client="mallory", index=3))
    version = desk.state().limits_version
    assert version.startswith("lim-")
    written = list(desk.gate._journal.read())  # pyright: ignore[reportPrivateUsage] - what is on disk
    assert [(each.client, each.verdict.code, each.verdict.limits_version) for each in written] == [
        (CLIENT, "approved", version),
        (CLIENT, "order_id_reused", version),
        (CLIENT, "kill_switch", version),
        (CLIENT, "wrong_client", version),
        (CLIENT, "clock_mismatch", version),
        ("", "wrong_client", ""),
    ]


@pytest.mark.requirement("risk:ticket:bound")
def test_each_order_has_a_ticket_of_its_own_and_asked_again_the_same_one(desk: Desk) -> None:
    one, other = desk.intent(qty=1), desk.intent(qty=2, index=1)
    tickets = [order.ticket.ticket_id for order in desk.judge(one, other).orders]
    assert len(set(tickets)) == 2
    assert [order.ticket.ticket_id for order in desk.judge(one, other).orders] == tickets
