"""What the market says and what the feed is asked. Not what is done about it: those are the order messages."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bus._struct import Struct

__all__ = [
    "Advance",
    "Bar",
    "Bars",
    "CalendarEvent",
    "CalendarEvents",
    "Chart",
    "ChartSet",
    "ClockTick",
    "DayInfo",
    "DescribeDay",
    "FeedClock",
    "FeedStats",
    "GetClock",
    "GetFeedStats",
    "Instrument",
    "Instruments",
    "NewsItem",
    "NewsItems",
    "NewsPage",
    "QueryBars",
    "QueryCalendar",
    "QueryChart",
    "QueryInstruments",
    "QueryNews",
    "QuerySessions",
    "QuerySnapshot",
    "Quote",
    "SearchNews",
    "Session",
    "Sessions",
    "Snapshot",
    "Tick",
    "TickAt",
    "Timeframe",
    "Trade",
    "UnwatchCharts",
    "WatchCharts",
]


Timeframe: TypeAlias = Literal[
    "1Min", "2Min", "3Min", "5Min", "10Min", "15Min", "30Min", "1Hour", "2Hour", "4Hour", "1Day", "1Week", "1Month"
]


class Bar(Struct, frozen=True):
    """An OHLC bar. It is complete at ``event_time_ns`` and may be shown from ``available_time_ns``.

    Prices are as traded, in billionths; ``volume_nano`` is 0 where the venue reports none.
    """

    symbol: str
    open_time_ns: int
    event_time_ns: int
    available_time_ns: int
    open_nano: int
    high_nano: int
    low_nano: int
    close_nano: int
    volume_nano: int
    session: str = ""


class Quote(Struct, frozen=True):
    """Best bid and ask over an interval: at its start (``*_open``) and at its end. Sizes are 0 where unknown."""

    symbol: str
    open_time_ns: int
    event_time_ns: int
    available_time_ns: int
    bid_open_nano: int
    ask_open_nano: int
    bid_nano: int
    ask_nano: int
    bid_size_nano: int = 0
    ask_size_nano: int = 0


class Trade(Struct, frozen=True):
    """One trade print."""

    symbol: str
    event_time_ns: int
    available_time_ns: int
    price_nano: int
    qty_nano: int


class NewsItem(Struct, frozen=True):
    """A headline or post. Its text comes from outside: data, never instructions (law 13)."""

    news_id: str
    symbols: tuple[str, ...]
    event_time_ns: int
    available_time_ns: int
    headline: str
    source: str
    body: str = ""


class CalendarEvent(Struct, frozen=True):
    """A scheduled release. ``actual`` is empty until it is available.

    ``kind`` is ``economic`` or ``earnings``; ``symbol`` names the company of the latter.
    """

    event_id: str
    event_time_ns: int
    available_time_ns: int
    name: str
    country: str
    importance: str
    forecast: str = ""
    actual: str = ""
    kind: str = "economic"
    symbol: str = ""


class Instrument(Struct, frozen=True):
    """What can be traded and in which steps.

    ``tick_nano`` and ``lot_nano`` are the price and quantity grids; ``multiplier`` is units per contract;
    ``has_volume`` is false where the venue reports none (FX, CFD, indices). ``shortable`` says whether the venue or its
    lender gives what is not held. ``min_qty_nano``, ``max_qty_nano`` and ``min_notional_nano`` are the venue's own
    bounds; 0 is none.
    """

    symbol: str
    kind: Literal["equity", "fx", "crypto", "future", "cfd", "index"]
    currency: str
    tick_nano: int
    lot_nano: int
    multiplier: int = 1
    has_volume: bool = True
    tradable: bool = True
    shortable: bool = True
    venue: str = ""
    min_qty_nano: int = 0
    max_qty_nano: int = 0
    min_notional_nano: int = 0


class DayInfo(Struct, frozen=True):
    """A market as the feed serves it: a recorded day, or a live one. ``seal`` is the digest of a day's manifest."""

    day_id: str
    kind: Literal["recorded", "synthetic", "live"]
    seal: str
    calendar: str
    timezone: str
    bar_s: int
    first_ns: int
    last_ns: int
    instants: int
    bars: int
    instruments: tuple[Instrument, ...]
    traded: tuple[str, ...]


class ClockTick(Struct, frozen=True):
    """The clock has moved to ``now_ns``, instant ``index`` of ``total`` (counted from 0); ``done`` is the last one."""

    now_ns: int
    index: int
    total: int
    done: bool


class Tick(Struct, frozen=True):
    """Everything that became available at one instant, sorted by symbol."""

    clock: ClockTick
    bars: tuple[Bar, ...] = ()
    quotes: tuple[Quote, ...] = ()
    news: tuple[NewsItem, ...] = ()
    calendar: tuple[CalendarEvent, ...] = ()


class Advance(Struct, frozen=True):
    """Move the clock to the first instant after ``after_ns`` (answer: ``Tick``). Asked again, it answers the same."""

    after_ns: int


class TickAt(Struct, frozen=True):
    """Ask for the tick of an instant that is not after the clock (answer: ``Tick``)."""

    now_ns: int


class DescribeDay(Struct, frozen=True):
    """Ask which day is served (answer: ``DayInfo``)."""


class QueryBars(Struct, frozen=True):
    """Ask for the last ``limit`` bars of a symbol available at ``as_of_ns`` (answer: ``Bars``)."""

    symbol: str
    limit: int
    as_of_ns: int


class QueryNews(Struct, frozen=True):
    """Ask for the last ``limit`` news items available in ``(since_ns, as_of_ns]``; no symbols means all."""

    symbols: tuple[str, ...]
    since_ns: int
    as_of_ns: int
    limit: int = 50


class QueryCalendar(Struct, frozen=True):
    """Ask for scheduled releases known at ``as_of_ns`` (-1: the feed's clock) that fall in ``(from_ns, to_ns]``."""

    as_of_ns: int
    from_ns: int
    to_ns: int


class QuerySnapshot(Struct, frozen=True):
    """Ask for the latest bar and quote of each symbol at ``as_of_ns`` (-1: the feed's clock; answer: ``Snapshot``).

    No symbols means all.
    """

    symbols: tuple[str, ...]
    as_of_ns: int


class Bars(Struct, frozen=True):
    """Bars of one symbol, oldest first."""

    symbol: str
    bars: tuple[Bar, ...]


class NewsItems(Struct, frozen=True):
    """News, oldest first."""

    items: tuple[NewsItem, ...]


class CalendarEvents(Struct, frozen=True):
    """Scheduled releases, earliest first, as known at ``now_ns``."""

    events: tuple[CalendarEvent, ...]
    now_ns: int = 0


class Snapshot(Struct, frozen=True):
    """The latest bars and quotes at ``now_ns``, by symbol; a symbol that has none yet is absent.

    ``halted`` are the symbols whose venue has stopped their trading.
    """

    now_ns: int
    bars: tuple[Bar, ...]
    quotes: tuple[Quote, ...]
    halted: tuple[str, ...] = ()


class GetClock(Struct, frozen=True):
    """Ask what time it is and whether the market is open (answer: ``FeedClock``)."""


class FeedClock(Struct, frozen=True):
    """The feed's clock. Opening times come from the venue's calendar, which is known ahead; 0 is unknown.

    ``source`` is ``day`` or the vendor; ``session`` is the session date that is open or was last; ``ended`` is true
    when a recorded day has nothing more.
    """

    now_ns: int
    source: str
    day_id: str
    kind: Literal["recorded", "synthetic", "live"]
    calendar: str
    timezone: str
    bar_s: int
    is_open: bool
    session: str
    open_ns: int
    close_ns: int
    next_open_ns: int
    next_close_ns: int
    ended: bool = False


class QueryInstruments(Struct, frozen=True):
    """Ask which symbols there are; ``text`` is a part of a symbol (answer: ``Instruments``)."""

    text: str = ""
    limit: int = 50
    offset: int = 0


class Instruments(Struct, frozen=True):
    """Instruments by symbol, ``total`` of them without limit; ``traded`` are those the desk trades."""

    items: tuple[Instrument, ...]
    total: int
    traded: tuple[str, ...] = ()


class QueryChart(Struct, frozen=True):
    """Ask for the last ``limit`` bars of each symbol and timeframe (answer: ``ChartSet``).

    As known at ``as_of_ns`` (-1: the feed's clock). With ``start_ns`` or ``end_ns`` (0: open) only bars that open in
    ``[start_ns, end_ns)``, of these the last ``limit``.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    limit: int
    as_of_ns: int = -1
    start_ns: int = 0
    end_ns: int = 0


class Chart(Struct, frozen=True):
    """Rolling bars of one symbol and timeframe, oldest first.

    ``missing`` counts, for each bar, the base bars that its session should have had by now and has not;
    ``forming`` is true when the last bar is not complete; ``earlier`` when there are bars before the first.
    """

    symbol: str
    timeframe: Timeframe
    bars: tuple[Bar, ...]
    missing: tuple[int, ...] = ()
    forming: bool = False
    earlier: bool = False


class ChartSet(Struct, frozen=True):
    """Charts aligned at one instant. ``late`` names symbols whose newest bar has not come: they are not awaited."""

    name: str
    now_ns: int
    charts: tuple[Chart, ...]
    late: tuple[str, ...] = ()


class WatchCharts(Struct, frozen=True):
    """Keep these charts rolling and publish them as one set on the topic ``charts.NAME`` at every event.

    The answer is the first ``ChartSet``. Asked again with the same content it changes nothing.
    """

    name: str
    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...]
    limit: int


class UnwatchCharts(Struct, frozen=True):
    """Publish this set no more (answer: ``Ok``)."""

    name: str


class SearchNews(Struct, frozen=True):
    """Ask for news available in ``(since_ns, as_of_ns]`` (-1: the feed's clock) whose text has all words of ``text``.

    No symbols means all, no text means any (answer: ``NewsPage``).
    """

    text: str
    symbols: tuple[str, ...]
    since_ns: int
    as_of_ns: int = -1
    limit: int = 20
    offset: int = 0


class NewsPage(Struct, frozen=True):
    """News, newest first: a page of ``total`` items, as known at ``now_ns``."""

    items: tuple[NewsItem, ...]
    total: int
    now_ns: int


class QuerySessions(Struct, frozen=True):
    """Ask for the venue's sessions that overlap ``[from_ns, to_ns)`` (answer: ``Sessions``)."""

    from_ns: int
    to_ns: int


class Session(Struct, frozen=True):
    """One session of a venue: its date, when it opens and closes, and whether it closes early. Breaks are 0 if none."""

    date: str
    open_ns: int
    close_ns: int
    early_close: bool = False
    break_start_ns: int = 0
    break_end_ns: int = 0


class Sessions(Struct, frozen=True):
    """Sessions in order. ``timezone`` is the venue's."""

    calendar: str
    timezone: str
    sessions: tuple[Session, ...]


class GetFeedStats(Struct, frozen=True):
    """Ask what the feed was asked and what it asked its vendor (answer: ``FeedStats``)."""


class FeedStats(Struct, frozen=True):
    """Counts since the feed started: questions, vendor calls, answers from the cache, askers who joined a call."""

    source: str
    questions: int
    vendor_calls: int
    from_cache: int
    joined: int
    reconnects: int = 0
    rejected_records: int = 0
    last_record_ns: int = 0
    state: str = "ok"
