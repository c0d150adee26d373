"""The small parts: decimals, cursors and times."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp.server.mcpserver.exceptions import ToolError

from bus.clock import NS
from bus.fixed import SCALE, from_nano
from bus.messages import Bar, Chart, Instrument
from mcp_servers._page import make_cursor, read_cursor
from mcp_servers._render import BarTexts, decimals, decimals_of, rounded
from mcp_servers._times import day_start_ns, read_time

NEW_YORK = "America/New_York"
NANOS = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.mark.requirement("market:decimals")
@settings(deadline=None)
@given(NANOS, st.integers(0, 9))
@example(0, 2)
@example(-1, 0)
@example(5 * 10**8, 0)
def test_decimals_are_exact_with_at_least_the_places_of_the_tick(nano: int, places: int) -> None:
    text = decimals(nano, places)
    assert Decimal(text) * SCALE == nano
    whole, _, part = text.partition(".")
    assert len(part) >= places
    if nano % 10 ** (9 - places) == 0:
        assert len(part) == places
    assert whole.lstrip("-").isdigit()


@pytest.mark.requirement("market:decimals")
@settings(deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_a_rounded_quantity_keeps_its_whole_part_and_four_digits(nano: int) -> None:
    text = rounded(nano)
    error = abs(Decimal(text) - from_nano(nano))
    assert error <= Decimal(max(nano, 1)) / SCALE / 2_000
    if nano % SCALE == 0:
        assert error == 0


@pytest.mark.requirement("market:decimals")
@pytest.mark.parametrize(
    ("tick", "places"),
    [(SCALE, 0), (5 * SCALE, 0), (SCALE // 4, 2), (SCALE // 100, 2), (SCALE // 10, 1), (1, 9), (SCALE // 200_000, 6)],
)
def test_the_places_of_a_tick(tick: int, places: int) -> None:
    assert decimals_of(tick) == places


def bar(open_s: int, length_s: int, price: int, volume: int = 1_500 * SCALE) -> Bar:
    end_ns = (open_s + length_s) * NS
    return Bar("X", open_s * NS, end_ns, end_ns, price, price, price, price, volume)


@pytest.mark.requirement("market:decimals")
def test_a_corrected_bar_is_written_anew_and_others_are_not() -> None:
    texts = BarTexts()
    item = Instrument("X", "future", "USD", tick_nano=SCALE // 4, lot_nano=SCALE)
    first = [bar(60 * at, 60, 5_200 * SCALE) for at in range(3)]
    texts.chart(Chart("X", "1Min", tuple(first)), item, ZoneInfo("UTC"))
    first[1] = bar(60, 60, 5_201 * SCALE + SCALE // 2)
    again = texts.chart(Chart("X", "1Min", tuple(first), (0, 0, 0), forming=True), item, ZoneInfo("UTC"))
    assert again.lines == [
        "1970-01-01 UTC",
        "00:00,5200.00,5200.00,5200.00,5200.00,1500",
        "00:01,5201.50,5201.50,5201.50,5201.50,1500",
        "00:02,5200.00,5200.00,5200.00,5200.00,1500,*",
    ]


@pytest.mark.requirement("market:compact")
def test_the_date_is_written_again_when_the_offset_changes() -> None:
    item = Instrument("X", "crypto", "USD", tick_nano=SCALE // 100, lot_nano=1)
    fall_back = 1_730_613_600
    bars = tuple(bar(fall_back - 1_800 + 1_800 * at, 1_800, 68_000 * SCALE + 12, 12_345_678_900) for at in range(3))
    lines = BarTexts().chart(Chart("X", "30Min", bars), item, ZoneInfo(NEW_YORK)).lines
    assert [line for line in lines if "," not in line] == ["2024-11-03 EDT", "2024-11-03 EST"]
    assert [line[:5] for line in lines if "," in line] == ["01:30", "01:00", "01:30"]
    assert lines[1].endswith(",12.35")


@pytest.mark.requirement("market:compact")
def test_a_hundred_bars_of_a_coin_fit_too() -> None:
    item = Instrument("BTC/USD", "crypto", "USD", tick_nano=SCALE // 100, lot_nano=1)
    bars = tuple(bar(60 * at, 60, 98_765 * SCALE + 12 * SCALE // 100, 123_456_789_012) for at in range(100))
    rendered = BarTexts().chart(Chart("BTC/USD", "1Min", bars), item, ZoneInfo("UTC"))
    assert len("\n".join(rendered.lines)) <= 4_850


@pytest.mark.requirement("market:compact")
def test_a_venue_without_volume_has_an_empty_column() -> None:
    item = Instrument("X", "fx", "USD", tick_nano=SCALE // 100_000, lot_nano=SCALE, has_volume=False)
    rendered = BarTexts().chart(Chart("X", "1Min", (bar(0, 60, SCALE, 0),)), item, ZoneInfo("UTC"))
    assert rendered.lines[1] == "00:00,1.00000,1.00000,1.00000,1.00000,"
    assert rendered.csv.endswith("\n0,1.00000,1.00000,1.00000,1.00000,,0")


@pytest.mark.requirement("market:cursors")
@settings(deadline=None)
@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4))
def test_a_cursor_holds_its_numbers(numbers: list[int]) -> None:
    question = ("get_bars", "ACME", "1Min")
    cursor = make_cursor(question, *numbers)
    most = [2**63 - 1] * len(numbers)
    assert read_cursor(cursor, question, *most) == tuple(numbers)
    with pytest.raises(ToolError, match="another question"):
        read_cursor(cursor, ("get_bars", "BOLT", "1Min"), *most)
    with pytest.raises(ToolError, match="next_cursor"):
        read_cursor(cursor, question, *most, 1)
    if numbers[0]:
        with pytest.raises(ToolError, match="next_cursor"):
            read_cursor(cursor, question, numbers[0] - 1, *most[1:])


@pytest.mark.requirement("market:cursors")
@settings(deadline=None)
@given(st.text(max_size=100))
@example("")
@example("a.-1.0")
@example("a.é.0")
@example("a.1_0.0")
@example("x." + "z" * 60 + ".0")
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ToolError, match="cursor = "):
        read_cursor(text, ("get_bars", "ACME", "1Min"), 2**63 - 1, 2**63 - 1)


@pytest.mark.requirement("market:times")
@pytest.mark.parametrize(
    ("text", "seconds", "only_date"),
    [
        ("2024-03-13", 1_710_302_400, True),
        ("20240313", 1_710_302_400, True),
        ("2024-03-13T10:30", 1_710_340_200, False),
        (" 2024-03-13 10:30:59.9 ", 1_710_340_259, False),
        ("2024-03-13T10:30Z", 1_710_325_800, False),
        ("2024-03-13T10:30+05:30", 1_710_306_000, False),
        ("2024-03-09T12:00", 1_710_003_600, False),
    ],
)
def test_a_time_is_read_in_the_venues_zone(text: str, seconds: int, only_date: bool) -> None:
    assert read_time("start", text, NEW_YORK) == (seconds * NS, only_date)


@pytest.mark.requirement("market:times")
@pytest.mark.parametrize(
    "text", ["soon", "", "2024-02-30", "1710302400", "1969-01-01", "9999-12-31", "2024-03-13T25:00"]
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ToolError, match=r"start = .* is not a time.*2024-03-13T10:30.*America/New_York"):
        read_time("start", text, NEW_YORK)


@pytest.mark.requirement("market:times")
def test_a_day_begins_at_local_midnight_also_when_the_clocks_change() -> None:
    zone = ZoneInfo(NEW_YORK)
    sunday = day_start_ns(1_710_072_000 * NS, zone)
    assert day_start_ns(sunday, zone, 1) - sunday == 23 * 3_600 * NS
    assert day_start_ns(day_start_ns(sunday, zone, 1) - 1, zone) == sunday
