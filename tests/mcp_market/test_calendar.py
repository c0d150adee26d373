"""Schedules: releases without their results, earnings or the lack of them, sessions to come."""

from __future__ import annotations

from typing import Any

import pytest

from bus.clock import NS
from feed.sessions import session_calendar
from tests.mcp_market.floor import Floor, floor, rows_of
from tests.mcp_market.made import OPEN_NS, EarlyResults, NoCalendar, made_feed
from tests.mcp_servers.desk import RunningDesk


@pytest.mark.requirement("market:releases")
def test_what_a_release_said_is_empty_until_it_is_out(market: Floor, running: RunningDesk) -> None:
    events = market.data("get_economic_calendar")["events"]
    known = {event.event_id: event for event in running.store().calendar(running.clock_ns, 0, 2**62)}
    assert len(events) == 4
    for event in events:
        stored = known[event["id"]]
        out = stored.available_time_ns <= running.clock_ns
        assert event["released"] is (out and bool(stored.actual))
        assert event["actual"] == (stored.actual if out else "")
    assert [event["released"] for event in events] == [True, True, False, False]
    assert market.text("get_economic_calendar").count("not out") == 2


@pytest.mark.requirement("market:releases")
def test_a_result_that_a_source_gives_away_is_not_passed_on() -> None:
    with made_feed(around=EarlyResults) as (desk, _), floor(desk) as opened:
        (event,) = opened.data("get_economic_calendar")["events"]
        assert (event["released"], event["forecast"], event["actual"]) == (False, "1", "")
        assert opened.text("get_economic_calendar").count(",1,not out") == 1


@pytest.mark.requirement("market:releases")
@pytest.mark.parametrize(("importance", "count"), [(None, 4), ("low", 4), ("medium", 3), ("high", 1)])
def test_importance_is_at_least_what_was_asked(market: Floor, importance: str | None, count: int) -> None:
    assert market.data("get_economic_calendar", importance=importance)["total"] == count


@pytest.mark.requirement("market:releases")
def test_releases_come_in_pages_that_hold_each_once() -> None:
    rows = [
        [
            f"made-{at:03d}",
            at_ns := OPEN_NS + at * 60 * NS,
            at_ns,
            f"release {at}",
            "US",
            "low",
            "",
            "1",
            "economic",
            "",
        ]
        for at in range(120)
    ]
    with made_feed(calendar=rows) as (desk, move), floor(desk) as opened:
        found: list[str] = []
        cursor = ""
        while True:
            page = opened.data("get_economic_calendar", **({"cursor": cursor} if cursor else {}))
            found += [event["id"] for event in page["events"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
            move()
        assert found == [row[0] for row in rows]


@pytest.mark.requirement("market:releases")
def test_other_days_are_asked_for_by_date(market: Floor) -> None:
    assert market.data("get_economic_calendar", start="2024-03-12", days=2)["total"] == 4
    assert market.data("get_economic_calendar", start="2024-03-12")["total"] == 0
    late = market.data("get_economic_calendar", start="2024-03-13T12:00")
    assert [event["id"] for event in late["events"]] == ["syn-auction", "syn-beige"]
    assert "1 to 366" in market.error("get_economic_calendar", days=0)


@pytest.mark.requirement("market:no-earnings")
def test_a_source_without_earnings_says_so() -> None:
    row: list[Any] = ["made", OPEN_NS, OPEN_NS, "prices", "US", "low", "", "1", "economic", ""]
    with made_feed(calendar=[row]) as (desk, _), floor(desk) as opened:
        answer = opened.data("get_earnings_calendar")
        assert (answer["offered"], answer["events"], answer["total"]) == (False, [], 0)
        assert "source day has no earnings calendar" in opened.text("get_earnings_calendar")
        assert opened.data("get_economic_calendar")["offered"] is True
    with made_feed(around=NoCalendar) as (desk, _), floor(desk) as opened:
        for tool in ("get_earnings_calendar", "get_economic_calendar"):
            answer = opened.data(tool)
            assert (answer["offered"], answer["events"]) == (False, [])
            assert "has no" in opened.text(tool)


@pytest.mark.requirement("market:no-earnings")
def test_a_week_without_earnings_is_not_a_source_without(market: Floor) -> None:
    answer = market.data("get_earnings_calendar", symbols=["ACME"])
    assert (answer["offered"], answer["total"]) == (True, 0)
    assert [event["symbol"] for event in market.data("get_earnings_calendar")["events"]] == ["ECHO"]


@pytest.mark.requirement("market:sessions")
def test_sessions_to_come_are_told_with_their_early_closes(market: Floor) -> None:
    rows = rows_of(market.data("get_market_calendar", start="2024-11-25", days=7)["csv"])
    assert [(row["date"], row["early_close"]) for row in rows] == [
        ("2024-11-25", "no"),
        ("2024-11-26", "no"),
        ("2024-11-27", "no"),
        ("2024-11-29", "yes"),
    ]
    text = market.text("get_market_calendar", start="2024-11-25", days=7)
    assert "2024-11-29,09:30,13:00,closes early" in text
    assert "closed on all these days" in market.text("get_market_calendar", start="2024-03-16", days=1)


@pytest.mark.requirement("market:sessions")
def test_a_year_of_sessions_is_walked_once(market: Floor) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        asked: dict[str, Any] = {"start": "2024-01-01", "days": 366}
        page = market.data("get_market_calendar", **asked, **({"cursor": cursor} if cursor else {}))
        found += [row["date"] for row in rows_of(page["csv"])]
        cursor = page["next_cursor"]
        if not cursor:
            break
    first, last = 1_704_067_200 * NS, 1_735_689_600 * NS
    assert found == [session.date for session in session_calendar("XNYS").sessions(first, last)]
    assert len(found) == 252
