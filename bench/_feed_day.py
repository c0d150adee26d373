"""What the servers and stages of one desk ask in a day: the same every time, as agents do, with their repetitions.

Not a recording: it is written down from what the stages ask each minute (``agents``) and what people's models ask
through the servers (a look at a chart, then at it again), for eight symbols over a session of 390 minutes.
"""

from __future__ import annotations

from bus.clock import NS
from bus.ids import seeded
from bus.messages import (
    GetClock,
    Message,
    QueryBars,
    QueryCalendar,
    QueryChart,
    QueryInstruments,
    QueryNews,
    QuerySnapshot,
    SearchNews,
    Timeframe,
)

__all__ = ["ASKERS", "MINUTES", "OPEN_NS", "SYMBOLS", "questions"]

SYMBOLS = ("AAPL", "AMZN", "GOOG", "META", "MSFT", "NVDA", "QQQ", "SPY")
ASKERS = ("ohlc", "news", "calendar", "indicators", "orders", "analyst", "strategy", "trader")
"""Five servers and three stages, each a process."""
OPEN_NS = 1_710_336_600 * NS
"""2024-03-13 09:30 in New York: a Wednesday with a whole session."""
MINUTES = 390
_HOUR_NS = 3600 * NS
_DAY_NS = 24 * _HOUR_NS
_FRAMES: tuple[tuple[Timeframe, ...], ...] = (
    ("5Min",),
    ("1Min", "5Min", "1Hour"),
    ("15Min", "1Hour", "1Day"),
    ("1Day",),
)


def questions(asker: str, minute: int, now_ns: int) -> list[Message]:
    """Return what somebody asks in a minute of the day.

    Args:
        asker: One of ``ASKERS``.
        minute: Counted from the open.
        now_ns: The clock.
    """
    chance = seeded(asker, minute)
    symbol = chance.choice(SYMBOLS)
    match asker:
        case "ohlc":
            frames = _FRAMES[chance.randrange(len(_FRAMES))]
            return [
                GetClock(),
                QueryBars(symbol, chance.choice((30, 100, 100, 200)), -1),
                QueryChart((symbol,), frames, chance.choice((20, 50, 100))),
                QueryChart(SYMBOLS, ("5Min",), 20),
                QuerySnapshot((symbol,), -1),
                *([QueryInstruments()] if minute % 30 == 0 else []),
            ]
        case "news":
            return [
                QueryNews((symbol,), now_ns - _DAY_NS, -1, 20),
                SearchNews(chance.choice(("news", "earnings", "")), (), now_ns - chance.choice((1, 6, 24)) * _HOUR_NS),
            ]
        case "calendar":
            return [QueryCalendar(-1, now_ns - _HOUR_NS, now_ns + _DAY_NS), GetClock()]
        case "indicators":
            looked_at = chance.sample(SYMBOLS, 3)
            return [QueryChart((one,), (chance.choice(("1Min", "5Min", "15Min")),), 200) for one in looked_at]
        case "orders":
            return [QuerySnapshot((symbol,), -1), QuerySnapshot((), -1)]
        case "analyst":
            return [
                *(QueryBars(one, 60, -1) for one in SYMBOLS),
                QueryNews(SYMBOLS, now_ns - 4 * _HOUR_NS, -1, 20),
                QueryCalendar(-1, now_ns - 4 * _HOUR_NS, now_ns + _HOUR_NS),
            ]
        case "strategy":
            return [QueryBars(one, 120, -1) for one in SYMBOLS]
        case _:
            return [QuerySnapshot(SYMBOLS, -1), *(QueryNews((one,), now_ns - _HOUR_NS, -1) for one in SYMBOLS)]
