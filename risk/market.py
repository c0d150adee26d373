"""The market as the gate sees it: instruments, prices, halts and sessions, from the feed and from nobody else.

Not a judge and not a book. It keeps no clock: what it is asked is about an instant, and the feed refuses one after its
own clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from bus.clock import NS, iso
from bus.errors import BusError, SchemaError
from bus.messages import (
    Bar,
    DayInfo,
    DescribeDay,
    Instrument,
    Message,
    QuerySessions,
    QuerySnapshot,
    Quote,
    Session,
    Sessions,
    Snapshot,
    Tick,
    TickAt,
)
from bus.transport import Client

__all__ = ["Market", "ask"]

_ASK_S = 5.0
_DAY_NS = 86_400 * NS
_T = TypeVar("_T", bound=Message)


class Market:
    """What the feed says.

    Attributes:
        instruments: By symbol; grows, never shrinks.
        traded: The symbols that the feed's day is for.
    """

    def __init__(self, feed: Client) -> None:
        """Know nothing yet; the feed may start later.

        Args:
            feed: Where everything comes from.
        """
        self._feed = feed
        self.instruments: dict[str, Instrument] = {}
        self.traded: tuple[str, ...] = ()
        self._info: DayInfo | None = None
        self._described_day = -1
        self._sessions: tuple[Session, ...] = ()
        self._done = True
        self._asked_from_ns = self._asked_to_ns = 0
        self._tick: Tick | None = None
        self._index = -1
        self._symbols: frozenset[str] = frozenset()
        self._whole = Snapshot(-1, (), ())
        self._bars: dict[str, Bar] = {}
        self._quotes: dict[str, Quote] = {}

    def describe(self, now_ns: int) -> bool:
        """Learn which instruments there are, once a day and anew when the day changes; return whether it was asked.

        Raises:
            BusError: The feed did not answer, or not sensibly; so for all that ask.
        """
        today = now_ns // _DAY_NS
        if self._info is not None and today == self._described_day:
            return False
        info = ask(self._feed, DescribeDay(), DayInfo)
        self.instruments.update((instrument.symbol, instrument) for instrument in info.instruments)
        self.traded = info.traded
        self._info = info
        self._described_day = today
        return True

    def check_clock(self, now_ns: int) -> None:
        """Have the feed confirm that an instant is one of its own and not after its clock."""
        tick = ask(self._feed, TickAt(now_ns), Tick)
        if tick.clock.now_ns != now_ns:
            raise SchemaError(f"the feed answered for another instant than {iso(now_ns)}; update both sides")
        self._tick = tick
        self._done = tick.clock.done

    def snapshot(self, symbols: frozenset[str], now_ns: int) -> Snapshot:
        """Return the newest prices, and the halts, of symbols at the instant that ``check_clock`` confirmed.

        On a recorded day, which has no halts, the instants are numbered: where this one follows the last one, its tick
        says all that is new.
        """
        tick, info = self._tick, self._info
        follows = tick is not None and tick.clock.now_ns == now_ns and tick.clock.index == self._index + 1
        recorded = info is not None and info.kind != "live"
        if tick is None or not (follows and recorded and symbols == self._symbols and symbols.issubset(self.traded)):
            self._index = -2  # whatever goes wrong now, the next one is asked whole
            self._ask_whole(symbols, now_ns)
            if recorded and tick is not None:
                self._index = tick.clock.index
            return self._whole
        self._bars.update((bar.symbol, bar) for bar in tick.bars if bar.symbol in symbols)
        self._quotes.update((quote.symbol, quote) for quote in tick.quotes if quote.symbol in symbols)
        self._index = tick.clock.index
        return Snapshot(now_ns, tuple(self._bars.values()), tuple(self._quotes.values()), self._whole.halted)

    def _ask_whole(self, symbols: frozenset[str], now_ns: int) -> None:
        snapshot = ask(self._feed, QuerySnapshot(tuple(sorted(symbols)), now_ns), Snapshot)
        if snapshot.now_ns != now_ns:
            raise SchemaError(f"the feed answered for another instant than {iso(now_ns)}; update both sides")
        self._whole = snapshot
        self._symbols = symbols
        self._bars = {bar.symbol: bar for bar in snapshot.bars}
        self._quotes = {quote.symbol: quote for quote in snapshot.quotes}

    def is_open(self, now_ns: int) -> bool | None:
        """Return whether the venue is open; None where nobody says.

        A recorded day serves instants of its sessions only and is open at each but the last, after which nothing can
        trade; when that will be, the feed does not tell beforehand. A live market is open in its sessions and not in
        their breaks.
        """
        info = self._info
        if info is None:
            return None
        if info.kind != "live":
            return not self._done
        if not self._asked_from_ns <= now_ns < self._asked_to_ns:
            start_ns, end_ns = now_ns - _DAY_NS, now_ns + _DAY_NS
            try:
                self._sessions = ask(self._feed, QuerySessions(start_ns, end_ns), Sessions).sessions
            except BusError:
                return None
            self._asked_from_ns, self._asked_to_ns = now_ns, end_ns - _DAY_NS // 2
        return any(_within(session, now_ns) for session in self._sessions)

    def day(self, now_ns: int) -> str:
        """Return the name of the day that an instant is in: where it changes, the day's counts begin anew."""
        info = self._info
        if info is None:
            return ""
        if info.kind == "live":  # the venue's own date: a loss of yesterday's does not count today
            return f"{info.day_id} {datetime.fromtimestamp(now_ns // NS, ZoneInfo(info.timezone)):%Y-%m-%d}"
        return f"{info.day_id} {iso(now_ns)[:10]}" if info.bar_s * NS >= _DAY_NS else info.day_id


def _within(session: Session, now_ns: int) -> bool:
    paused = session.break_start_ns <= now_ns < session.break_end_ns
    return session.open_ns <= now_ns < session.close_ns and not paused


def ask(client: Client, question: Message, kind: type[_T]) -> _T:
    """Ask and return an answer of the right kind.

    Raises:
        BusError: No answer, a refusal, or an answer of another kind.
    """
    answer = client.call(question, _ASK_S)
    if not isinstance(answer, kind):
        raise SchemaError(
            f"{type(question).__name__} was answered with {type(answer).__name__}, not {kind.__name__}; "
            "run the same release in every process"
        )
    return answer
