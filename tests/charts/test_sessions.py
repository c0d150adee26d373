"""When a venue is open, against dates that anybody can look up."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.clock import NS
from bus.errors import ConfigError
from feed._instruments import calendar_of
from feed.sessions import SessionCalendar
from tests.charts.made import ROOT, calendar, ns, utc

HOUR = 3600 * NS


def hours(code: str, date: str) -> tuple[str, str, bool]:
    session = calendar(code).session_on(date)
    assert session is not None
    return utc(session.open_ns), utc(session.close_ns), session.early_close


@pytest.mark.requirement("charts:sessions")
@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-27", ("11-27 14:30", "11-27 18:00", True)),
        ("2026-11-25", ("11-25 14:30", "11-25 21:00", False)),
        ("2024-07-03", ("07-03 13:30", "07-03 17:00", True)),
        ("2024-03-08", ("03-08 14:30", "03-08 21:00", False)),
        ("2024-03-11", ("03-11 13:30", "03-11 20:00", False)),
        ("2013-11-01", ("11-01 13:30", "11-01 20:00", False)),
        ("2013-11-04", ("11-04 14:30", "11-04 21:00", False)),
        ("2005-06-01", ("06-01 13:30", "06-01 20:00", False)),
        ("1990-01-02", ("01-02 14:30", "01-02 21:00", False)),
        ("1985-03-01", ("03-01 14:30", "03-01 21:00", False)),
        ("2045-01-03", ("01-03 14:30", "01-03 21:00", False)),
    ],
)
def test_new_york_opens_and_closes_when_it_does(date: str, expected: tuple[str, str, bool]) -> None:
    assert hours("XNYS", date) == expected


@pytest.mark.requirement("charts:sessions")
@pytest.mark.parametrize("date", ["2024-07-04", "2012-10-29", "2012-10-30", "2025-01-09", "2024-03-09", "2026-11-26"])
def test_there_is_no_session_on_a_holiday_a_weekend_or_a_day_of_mourning(date: str) -> None:
    assert calendar().session_on(date) is None
    noon = ns(f"{date} 17:00")
    assert calendar().session_at(noon) is None
    following = calendar().next_session(noon)
    assert following is not None
    assert following.open_ns > noon


@pytest.mark.requirement("charts:sessions")
def test_markets_that_never_close_have_days_from_midnight_to_midnight_utc() -> None:
    assert hours("24/7", "2018-04-07") == ("04-07 00:00", "04-08 00:00", False)
    assert hours("24/5", "2014-05-02") == ("05-02 00:00", "05-03 00:00", False)
    assert calendar("24/5").session_on("2014-05-03") is None
    assert (calendar("24/7").timezone, calendar("24/5").timezone) == ("UTC", "UTC")


@pytest.mark.requirement("charts:sessions")
def test_a_session_of_futures_opens_the_evening_before_and_follows_chicago_time() -> None:
    assert hours("CMES", "2013-10-08") == ("10-07 22:00", "10-08 22:00", False)
    assert hours("CMES", "2013-11-05") == ("11-04 23:00", "11-05 23:00", False)
    assert calendar("CMES").timezone == "America/Chicago"


@pytest.mark.requirement("charts:sessions")
def test_a_lunch_break_is_told() -> None:
    session = calendar("XTKS").session_on("2024-03-13")
    assert session is not None
    assert (utc(session.break_start_ns), utc(session.break_end_ns)) == ("03-13 02:30", "03-13 03:30")
    plain = calendar().session_on("2024-03-13")
    assert plain is not None
    assert plain.break_start_ns == plain.break_end_ns == 0


@pytest.mark.requirement("charts:sessions")
def test_a_bar_out_of_hours_belongs_to_its_date_or_to_the_session_that_opens_next() -> None:
    def of(code: str, text: str) -> str:
        session = calendar(code).session_of_bar(ns(text))
        return session.date if session else ""

    assert of("XNYS", "2024-03-13 08:00") == "2024-03-13"
    assert of("XNYS", "2024-03-13 23:59") == "2024-03-13"
    assert of("XNYS", "2024-03-14 03:30") == "2024-03-13"
    assert of("XNYS", "2026-11-27 20:00") == "2026-11-27"
    assert of("XNYS", "2024-03-09 17:00") == ""
    assert of("24/5", "2014-05-04 21:00") == "2014-05-05"
    assert of("24/5", "2014-05-04 00:00") == "2014-05-05"
    assert of("24/5", "2014-05-03 12:00") == ""
    assert of("CMES", "2013-11-03 16:00") == "2013-11-04"
    assert of("CMES", "2013-11-03 04:30") == of("CMES", "2013-11-02 16:00") == ""


@pytest.mark.requirement("charts:sessions")
@settings(max_examples=200, deadline=None)
@given(
    code=st.sampled_from(["XNYS", "CMES", "24/7", "24/5", "XTKS"]),
    at=st.integers(ns("1998-01-01 00:00"), ns("2035-01-01 00:00")),
)
def test_every_question_agrees_with_the_list_of_sessions(code: str, at: int) -> None:
    book = calendar(code)
    near = book.sessions(at - 20 * 24 * HOUR, at + 20 * 24 * HOUR)
    assert list(near) == sorted(near, key=lambda session: session.open_ns)
    assert len(near) == book.count(at - 20 * 24 * HOUR, at + 20 * 24 * HOUR)
    assert book.session_at(at) == next((one for one in near if one.open_ns <= at < one.close_ns), None)
    assert book.next_session(at) == next(one for one in near if one.open_ns > at)
    assert book.last_session(at) == [one for one in near if one.open_ns <= at][-1]
    assert book.sessions(at, at + 1) == tuple(one for one in near if one.open_ns <= at < one.close_ns)
    assert book.date_of(at) == datetime.fromtimestamp(at // NS, UTC).astimezone(ZoneInfo(book.timezone)).strftime(
        "%Y-%m-%d"
    )


@pytest.mark.requirement("charts:sessions")
@pytest.mark.parametrize("at", [-(2**62), -1, 0, 2**62, 2**63 - 1])
def test_no_time_is_too_early_or_too_late_to_ask_about(at: int) -> None:
    book = SessionCalendar("24/5")
    assert book.session_at(at) is None or book.session_at(at) == book.last_session(at)
    assert book.next_session(at) is None or at < 2**63 - 1
    book.session_of_bar(at)


@pytest.mark.requirement("charts:sessions")
def test_years_far_from_now_are_read_when_they_are_asked_for() -> None:
    book = SessionCalendar("XNYS")
    old = book.session_at(ns("1960-06-01 15:00"))
    assert old is not None
    assert old.date == "1960-06-01"
    assert len(book.sessions(ns("2050-01-01 00:00"), ns("2051-01-01 00:00"))) in range(245, 256)
    assert book.session_at(ns("1949-06-01 15:00")) is None
    assert book.next_session(ns("2101-01-01 00:00")) is None
    assert book.session_on("2024-03-13") == calendar().session_on("2024-03-13")


@pytest.mark.requirement("charts:sessions")
@settings(max_examples=60, deadline=None)
@given(day=st.dates(min_value=date(1995, 1, 1), max_value=date(2035, 1, 1)))
def test_in_new_york_every_session_opens_at_half_past_nine_whatever_the_season(day: date) -> None:
    session = calendar().session_on(day.isoformat())
    zone = ZoneInfo("America/New_York")
    if session is None:
        return
    opened = datetime.fromtimestamp(session.open_ns // NS, zone)
    closed = datetime.fromtimestamp(session.close_ns // NS, zone)
    assert (opened.hour, opened.minute) == (9, 30)
    assert closed.hour == (13 if session.early_close else 16)
    assert closed - opened == timedelta(hours=3.5 if session.early_close else 6.5)


@pytest.mark.requirement("charts:sessions")
def test_every_calendar_of_a_recorded_day_is_known() -> None:
    codes = {
        calendar_of(set(kinds))
        for kinds in (["equity"], ["index"], ["future"], ["crypto"], ["fx"], ["cfd"], ["fx", "crypto"])
    }
    assert codes == {"XNYS", "CMES", "24/7", "24/5"}
    for code in codes:
        assert calendar(code).session_on("2018-04-06") is not None


@pytest.mark.requirement("charts:unknown-calendar")
def test_an_unknown_calendar_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'NOPE' is unknown; allowed are XNYS .*CMES.*24/7.*24/5.*XLON"):
        SessionCalendar("NOPE")


@pytest.mark.requirement("charts:unknown-calendar")
def test_without_exchange_calendars_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['exchange_calendars'] = None\n"
        "from bus.errors import ConfigError\n"
        "from feed.sessions import SessionCalendar\n"
        "try: SessionCalendar('XNYS')\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'openoutcry[mcp]'" in done.stdout


@pytest.mark.requirement("charts:light")
def test_a_feed_that_is_asked_for_no_session_imports_no_calendar() -> None:
    code = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        "from bus.messages import Advance, DescribeDay, QueryBars, QuerySnapshot, QueryInstruments, SearchNews\n"
        "from feed.format import load_day\n"
        "from feed.sample import write_sample\n"
        "from feed.service import FeedService\n"
        "from feed.store import DayStore\n"
        "with tempfile.TemporaryDirectory() as where:\n"
        "    feed = FeedService(DayStore(load_day(write_sample(Path(where) / 'day'))), None, None)\n"
        "    for _ in range(5): feed.handle(Advance(feed.now_ns))\n"
        "    for ask in (DescribeDay(), QueryBars('ACME', 5, -1), QuerySnapshot((), -1), QueryInstruments(),\n"
        "                SearchNews('', (), 0)): feed.handle(ask)\n"
        "print(sorted({'exchange_calendars', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
