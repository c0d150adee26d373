"""Everything that must be true of a recorded day's rows, whoever wrote them. Nothing is repaired: a breach is refused.

Not the seal: a day can be sealed and still be impossible. Each rule is checked over a whole column at once, and its
refusal names the file, the first row, the symbol, the time and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bus.clock import NS, iso
from bus.errors import DayError
from bus.fixed import SCALE
from feed._parquet import Columns

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_table", "session_bounds", "session_zone"]

_ZONES = {"XNYS": "America/New_York", "CMES": "UTC", "24/5": "UTC", "24/7": "UTC"}
_MOST = 2**63 / SCALE
_KINDS = frozenset({"economic", "earnings"})
_NEXT = "mend the source and import it again, then run `outcry days check`"


def session_zone(calendar: str) -> str:
    """Return the time zone whose date is the session date: New York for its equities, UTC for everything else."""
    return _ZONES.get(calendar, "UTC")


def session_bounds(day: str, calendar: str) -> tuple[int, int] | None:
    """Return the first and last nanosecond of a session date; None for a calendar that is not known.

    Raises:
        DayError: The date is none.
    """
    try:
        first = date.fromisoformat(day)
    except ValueError as error:
        raise DayError(f"day.toml: date {day!r} is no date; write it as 2013-10-07 and import the day again") from error
    if calendar not in _ZONES:
        return None
    zone = ZoneInfo(_ZONES[calendar])
    ends = (datetime.combine(first + timedelta(days=more), time(), zone).astimezone(UTC) for more in (0, 1))
    begin, end = (int(moment.timestamp()) * NS for moment in ends)
    return begin, end


def check_table(
    file: str,
    table: str,
    columns: Columns,
    *,
    known: Collection[str],
    bar_s: int,
    bounds: tuple[int, int] | None,
) -> None:
    """Check every rule of a table.

    Args:
        file: The file's name, for messages.
        table: A key of ``feed._parquet.COLUMNS``.
        columns: Its columns.
        known: The symbols of the day.
        bar_s: The length of an interval, in seconds.
        bounds: What ``session_bounds`` gave.

    Raises:
        DayError: A rule is broken.
    """
    rules = _Rules(file, columns)
    rules.times(bounds)
    if table in ("bars", "quotes", "trades"):
        rules.symbols(known)
    if table in ("bars", "quotes"):
        rules.intervals(bar_s, bounds)
    {"bars": rules.bars, "quotes": rules.quotes, "trades": rules.trades}.get(table, rules.identified)()
    if "kind" in columns:
        rules.kinds(known)


class _Rules:
    """The rules over one file's columns."""

    def __init__(self, file: str, columns: Columns) -> None:
        self._file = file
        self._columns = columns

    def _refuse(self, bad: np.ndarray[Any, Any], say: Callable[[int], str]) -> None:
        if not bad.any():
            return
        row = int(bad.argmax())
        columns = self._columns
        who = columns[next(name for name in ("event_id", "news_id", "symbol") if name in columns)][row]
        where = f"{self._file}, row {row + 1:,} ({who}, {_when(columns['event_time'][row])})"
        raise DayError(f"{where}: {say(row)}: {_NEXT}")

    def times(self, bounds: tuple[int, int] | None) -> None:
        event, available = self._columns["event_time"], self._columns["available_time"]
        self._refuse(
            available < event,
            lambda row: f"available before it happened, at {_when(available[row])}; allowed is event_time or later",
        )
        self._refuse(_later(event[1:] < event[:-1]), lambda _: "out of order; rows are sorted by event_time")
        if bounds is not None and "event_id" not in self._columns:
            self._refuse(
                available > bounds[1],
                lambda row: f"available {_when(available[row])}, after the day's end, {_when(bounds[1])}",
            )

    def symbols(self, known: Collection[str]) -> None:
        symbol = self._columns["symbol"]
        strange = set(symbol.tolist()) - set(known)
        told = ", ".join(sorted(known))
        self._refuse(_among(symbol, strange), lambda row: f"{symbol[row]!r} is not in day.toml, which has {told}")

    def intervals(self, bar_s: int, bounds: tuple[int, int] | None) -> None:
        import numpy as np

        columns = self._columns
        symbol, opened, event = columns["symbol"], columns["open_time"], columns["event_time"]
        self._refuse(opened >= event, lambda _: "it ends before it begins; open_time must be before event_time")
        self._refuse(
            event - opened > bar_s * NS,
            lambda row: f"it lasts {(event[row] - opened[row]) / NS:g} s; allowed is at most bar_s, {bar_s} s",
        )
        same = event[1:] == event[:-1]
        twice = _later(same & (symbol[1:] == symbol[:-1]).astype(bool))
        self._refuse(twice, lambda _: "out of order or twice: this is there twice; a symbol has one row per event_time")
        unsorted = _later(same & (symbol[1:] < symbol[:-1]).astype(bool))
        self._refuse(unsorted, lambda _: "out of order; rows of one event_time are sorted by symbol")
        if bounds is not None:
            self._refuse(
                (opened < bounds[0]) | (event > bounds[1]),
                lambda _: f"outside the day, which is {_when(bounds[0])} to {_when(bounds[1])}",
            )
        available = columns["available_time"]
        back = np.zeros(len(symbol), dtype=bool)
        for one in sorted(set(symbol.tolist())):
            rows = np.flatnonzero(symbol == one)
            back[rows[1:]] = available[rows[1:]] < available[rows[:-1]]
        self._refuse(back, lambda _: "available before the one that precedes it; available_time never goes back")

    def _positive(self, name: str) -> None:
        values = self._columns[name]
        self._refuse(
            ~((values > 0) & (values < _MOST)),
            lambda row: f"{name} is {values[row]}; allowed is a finite number above 0",
        )

    def _counted(self, name: str) -> None:
        values = self._columns[name]
        self._refuse(
            ~((values >= 0) & (values < _MOST)),
            lambda row: f"{name} is {values[row]}; allowed is a finite number from 0 to {int(_MOST):,}",
        )

    def bars(self) -> None:
        columns = self._columns
        for name in ("open", "high", "low", "close"):
            self._positive(name)
        high, low = columns["high"], columns["low"]
        self._refuse(high < low, lambda row: f"high {high[row]} is below low {low[row]}")
        for name in ("open", "close"):
            price = columns[name]
            self._refuse(
                (price > high) | (price < low),
                lambda row, name=name, price=price: (
                    f"{name} {price[row]} is outside low {low[row]} and high {high[row]}"
                ),
            )
        self._counted("volume")

    def quotes(self) -> None:
        columns = self._columns
        for bid, ask in (("bid_open", "ask_open"), ("bid", "ask")):
            self._positive(bid)
            self._positive(ask)
            self._refuse(
                columns[bid] > columns[ask],
                lambda row, bid=bid, ask=ask: (
                    f"crossed, {bid} {columns[bid][row]} is above {ask} {columns[ask][row]}; allowed is at most equal"
                ),
            )
        self._counted("bid_size")
        self._counted("ask_size")

    def trades(self) -> None:
        self._positive("price")
        self._positive("size")

    def identified(self) -> None:
        import numpy as np

        name = "news_id" if "news_id" in self._columns else "event_id"
        ids = self._columns[name].tolist()
        if len(set(ids)) < len(ids):
            seen: set[str] = set()
            again = np.array([one in seen or seen.add(one) is not None for one in ids], dtype=bool)
            self._refuse(again, lambda row: f"{name} {ids[row]!r} is there twice; each is unique")

    def kinds(self, known: Collection[str]) -> None:
        kind, symbol = self._columns["kind"], self._columns["symbol"]
        self._refuse(
            _among(kind, set(kind.tolist()) - _KINDS),
            lambda row: f"kind is {kind[row]!r}; allowed are {', '.join(sorted(_KINDS))}",
        )
        strange = set(symbol.tolist()) - set(known) - {""}
        told = ", ".join(sorted(known))
        self._refuse(
            _among(symbol, strange), lambda row: f"{symbol[row]!r} is not in day.toml, which has {told}; or leave it ''"
        )


def _later(bad: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a comparison of neighbours as a mask over rows: the later of the two is at fault."""
    import numpy as np

    return np.concatenate((np.zeros(1, dtype=bool), bad))


def _among(values: np.ndarray[Any, Any], some: set[str]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.array([value in some for value in values], dtype=bool) if some else np.zeros(len(values), dtype=bool)


def _when(ns: Any) -> str:
    try:
        return iso(int(ns))
    except (OverflowError, ValueError, OSError):
        return f"{int(ns)} ns"
