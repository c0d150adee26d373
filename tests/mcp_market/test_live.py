"""The same tools on a live feed, whose clock is the wall's and whose vendor stands on a loopback socket."""

from __future__ import annotations

import pytest

from bus.clock import NS
from tests.live.scripted import MINUTE, NOON, ScriptedVendor, Wall, live_feed
from tests.mcp_market.floor import Floor, floor, rows_of
from tests.mcp_market.made import served
from tests.mcp_market.test_latest import EVERY_TOOL

OPEN = NOON + 3 * 3_600 * NS


@pytest.mark.requirement("market:live")
def test_every_tool_answers_on_a_live_feed_as_of_the_wall_clock() -> None:
    wall = Wall(OPEN)
    vendor = ScriptedVendor(wall)
    try:
        with live_feed(vendor, wall) as feed, served(feed, "paper") as (desk, _), floor(desk) as opened:
            see_all(opened, wall, "2024-03-13T15:00:00+00:00")
            wall.now_ns += 7 * MINUTE
            see_all(opened, wall, "2024-03-13T15:07:00+00:00")
    finally:
        vendor.close()


def see_all(opened: Floor, wall: Wall, now: str) -> None:
    for tool, arguments in EVERY_TOOL.items():
        answer = opened.data(tool, **arguments)
        assert answer["as_of"] == now, tool
        assert "simulated" not in opened.text(tool, **arguments)
    assert opened.data("get_clock")["mode"] == "paper"
    rows = rows_of(opened.data("get_bars", symbol="ACME", limit=20)["csv"])
    assert len(rows) == 20
    assert int(rows[-1]["open_time"]) * NS <= wall.now_ns - MINUTE
    assert opened.data("get_earnings_calendar")["offered"] is False
    assert "after the clock" in opened.error("get_bars", symbol="ACME", start="2024-03-13T15:08")
