"""The day of a live market: it ends at the venue's midnight, and with it the loss that halts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.clock import NS
from tests.risk.desk import Desk

_HOUR_NS = 3600 * NS


@pytest.mark.requirement("risk:day:live")
def test_a_loss_halts_until_the_venues_date_changes_and_no_longer(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.feed.kind, desk.feed.timezone = "live", "America/New_York"
    desk.feed.now_ns = 1_381_151_400 * NS  # 2013-10-07 09:10 in New York
    desk.advance()
    desk.buy(180, "100")
    assert desk.advance(ACME="88").daily_loss_nano >= desk.limits.max_daily_loss_nano
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    # 23:00 in New York is the next day in UTC already.
    desk.advance(14 * _HOUR_NS - 12 * 60 * NS)
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    desk.advance(2 * _HOUR_NS)
    assert desk.code(desk.intent("NICK")) != "daily_loss"
