"""The day of a live market: it ends at the venue's midnight, and with it the loss that halts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.clock import NS
from bus.messages import Session
from risk.limits import default_limits
from tests.risk.desk import CASH_NANO, MINUTE_NS, START_NS, Desk

_HOUR_NS = 3600 * NS


@pytest.mark.requirement("risk:day:live")
def test_a_loss_halts_until_the_venues_date_changes_and_no_longer(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.feed.kind, desk.feed.timezone = "live", "America/New_York"
    desk.feed.now_ns = 1_381_151_400 * NS  # 2013-10-07 09:10 in New York
    desk.feed.sessions = (Session("always", 0, 2**62),)
    desk.advance()
    desk.buy(180, "100")
    assert desk.advance(ACME="88").daily_loss_nano >= desk.limits.max_daily_loss_nano
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    # 23:00 in New York is the next day in UTC already.
    desk.advance(14 * _HOUR_NS - 12 * 60 * NS)
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    desk.advance(2 * _HOUR_NS)
    assert desk.code(desk.intent("NICK")) != "daily_loss"


def live(tmp_path: Path, *sessions: Session) -> Desk:
    """A desk on a live market that opens in a minute's time."""
    desk = Desk(tmp_path, mode="paper")
    desk.feed.kind, desk.feed.sessions = "live", sessions or None
    return desk


@pytest.mark.requirement("risk:session")
def test_on_a_live_market_orders_pass_from_the_opening_to_before_the_close_and_not_in_the_break(tmp_path: Path) -> None:
    at = START_NS // MINUTE_NS * MINUTE_NS

    def minute(n: int) -> int:
        return at + n * MINUTE_NS

    day = Session("2013-09-24", minute(2), minute(10), False, minute(5), minute(7))
    desk = live(tmp_path, day)
    desk.feed.now_ns = at
    seen: list[bool] = []
    for n in range(1, 12):
        desk.advance()
        seen.append(desk.code(desk.intent(qty=n)) == "approved")
        assert desk.feed.now_ns == minute(n)
    assert seen == [n in {2, 3, 4, 7, 8, 9} for n in range(1, 12)]
    assert desk.code(desk.intent("NICK", index=1)) == "session_closed"
    asked = desk.feed.asked.count("QuerySessions")
    assert asked == 1, "the calendar is known ahead"


@pytest.mark.requirement("risk:session")
@pytest.mark.parametrize("known", [False, True])
def test_where_nobody_says_when_the_venue_is_open_it_is_closed(tmp_path: Path, known: bool) -> None:
    desk = live(tmp_path, *([Session("always", 0, 2**62)] if known else []))
    desk.settle()
    assert (desk.code(desk.intent()) == "approved") == known


@pytest.mark.requirement("risk:session")
def test_a_recorded_day_is_open_at_every_instant_but_the_last(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.feed.last_ns = START_NS + 2 * MINUTE_NS
    desk.settle()
    codes = [desk.code(desk.intent(qty=9))]
    for n in range(2):
        desk.advance()
        codes.append(desk.code(desk.intent(qty=n + 1)))
    assert codes == ["approved", "approved", "session_closed"]


@pytest.mark.requirement("risk:halted")
def test_a_symbol_that_its_venue_halted_is_refused_until_it_is_not(desk: Desk) -> None:
    desk.feed.halted = {"ACME"}
    desk.advance()
    assert desk.code(desk.intent()) == "halted"
    assert desk.code(desk.intent("NICK", index=1)) == "approved"
    desk.feed.halted = set()
    desk.advance()
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:day:live")
@pytest.mark.parametrize("restart", [False, True])
def test_a_new_day_forgets_the_days_loss_and_counts_but_neither_drawdown_nor_rolling_loss(
    tmp_path: Path, restart: bool
) -> None:
    start = default_limits(CASH_NANO)
    for tighter, code in (
        ({}, "approved"),
        ({"max_drawdown_nano": 2_100 * 10**9}, "drawdown"),
        ({"max_rolling_loss_nano": 2_100 * 10**9}, "rolling_loss"),
    ):
        folder = tmp_path / code
        folder.mkdir()
        desk = Desk(folder, msgspec.structs.replace(start, max_orders_per_day=2, **tighter))
        desk.settle()
        desk.buy(180, "100")
        desk.advance(ACME="88")
        assert desk.code(desk.intent("NICK")) in {"daily_loss", "rolling_loss", "drawdown"}
        assert desk.code(desk.intent(side="sell", qty=1, index=1)) == "approved"
        assert desk.code(desk.intent(side="sell", qty=2, index=2)) == "orders_per_day"
        if restart:
            desk.start()
        desk.feed.day_id = "day-2"
        desk.advance(24 * _HOUR_NS, ACME="88")
        if restart:
            desk.start()
        assert desk.code(desk.intent("NICK", qty=3)) == code
        assert desk.code(desk.intent(side="sell", qty=4, index=1)) == "approved", "getting out is always allowed"


@pytest.mark.requirement("risk:day:live")
@pytest.mark.parametrize("restart", [False, True])
def test_the_best_equity_ever_is_known_after_a_restart(tmp_path: Path, restart: bool) -> None:
    limits = msgspec.structs.replace(
        default_limits(CASH_NANO), max_drawdown_nano=1_500 * 10**9, max_daily_loss_nano=1_900 * 10**9
    )
    desk = Desk(tmp_path, limits)
    desk.settle()
    desk.buy(180, "100")
    codes: list[str] = []
    for n, price in enumerate(("104", "108", "103", "99.7", "99.6", "120")):
        desk.advance(ACME=price)
        if restart:
            desk.start()
        codes.append(desk.code(desk.intent("NICK", qty=n + 1)))
    assert codes == ["approved", "approved", "approved", "approved", "drawdown", "approved"]
