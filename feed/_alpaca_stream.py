"""Alpaca's streams on a thread of their own: what comes is translated and delivered, what breaks is connected again.

Not a filler of gaps: the feed asks for the bars that it missed while a stream was down. A state is that of the market
data; trouble of the news is told beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

import msgpack

from bus.clock import NS, monotonic_ns, wall_ns
from feed._alpaca_deliver import Delivery
from feed._alpaca_keys import Keys
from feed._alpaca_line import Addresses, Kind, Line, LineError, open_line
from feed._alpaca_sdk import reconnect_delay
from feed._alpaca_spans import Spans, is_coin
from feed._loop_thread import LoopThread
from feed.source import Sink

__all__ = ["Addresses", "AlpacaStream"]

State: TypeAlias = Literal["connecting", "connected", "silent", "down"]

_CHANNELS = {"b": "bars", "u": "updatedBars", "q": "quotes", "n": "news", "s": "statuses"}
_FIRST_RETRY_S, _LAST_RETRY_S = 0.25, 30.0
_LASTED_NS = 60 * NS
_LOG = logging.getLogger(__name__)
_RANK: tuple[State, ...] = ("connected", "connecting", "silent", "down")


class AlpacaStream:
    """The running subscription of a source."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        sink: Sink,
        keys: Keys,
        addresses: Addresses,
        *,
        timeout_s: float,
        silent_s: float,
        share_spans: Spans,
        coin_spans: Spans,
    ) -> None:
        """Plan the lines: shares, coins and news as far as there are symbols; ``start`` opens them."""
        board = _Board(sink)
        delivery = Delivery(sink, symbols)
        shares = [symbol for symbol in symbols if not is_coin(symbol)]
        coins = [symbol for symbol in symbols if is_coin(symbol)]
        named = [symbol.replace("/", "") for symbol in symbols]
        plan: list[tuple[Kind, list[str], Spans | None]] = [
            ("shares", shares, share_spans),
            ("coins", coins, coin_spans),
            ("news", named, None),
        ]
        self._keepers: list[_Keeper] = []
        for kind, listed, spans in plan:
            if listed:
                is_open = _never if spans is None else _open_by(spans)
                handlers = delivery.handlers(kind)
                line = open_line(kind, keys, addresses, timeout_s, handlers, listed)
                self._keepers.append(_Keeper(kind, line, delivery, board, timeout_s, silent_s, is_open))
        self._thread = LoopThread("alpaca-stream", self._keep, self._stop)

    def start(self) -> AlpacaStream:
        """Start the thread and return the stream."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop; returns when the thread has ended (at once when the sink itself calls this)."""
        self._thread.close()

    def _stop(self) -> None:
        for keeper in self._keepers:
            keeper.stopped = True

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as group:
            for keeper in self._keepers:
                group.create_task(keeper.run())


class _Keeper:
    """Keeps one line: connects it, delivers what it says, and connects it again.

    Attributes:
        stopped: Whether it shall end. Cancelling alone does not do: websockets' legacy ``close`` swallows it.
    """

    def __init__(
        self,
        kind: Kind,
        line: Line,
        delivery: Delivery,
        board: _Board,
        timeout_s: float,
        silent_s: float,
        is_open: Callable[[int], bool],
    ) -> None:
        self._kind: Kind = kind
        self._line = line
        self._delivery = delivery
        self._board = board
        self._timeout_s = timeout_s
        self._silent_ns = int(silent_s * NS)
        self._is_open = is_open
        self._subscribed = False
        self._failures = 0
        self._heard_ns = 0
        self._given_up: LineError | None = None
        self.stopped = False

    async def run(self) -> None:
        """Keep the line until the task is cancelled."""
        why = ""
        while not self.stopped:
            self._board.tell(self._kind, "connecting", why)
            began_ns = monotonic_ns()
            lost = await self._hold()
            if self.stopped:
                return
            why = lost.why
            if self._subscribed and not lost.silent and monotonic_ns() - began_ns > _LASTED_NS:
                self._failures = 0
            if not lost.silent:
                self._board.tell(self._kind, "down", why)
            self._failures += 1
            pause_s = reconnect_delay(self._failures, _FIRST_RETRY_S, _LAST_RETRY_S)
            await asyncio.sleep(max(pause_s, lost.wait_s))

    async def _hold(self) -> LineError:
        """Hold one connection; return why it ended."""
        self._subscribed, self._given_up = False, None
        try:
            await self._line.connect(self._timeout_s)
            await self._listen()
        except LineError as error:
            return self._given_up or error
        except Exception as error:
            # Whatever a sink may raise, the other lines go on and the feed is told.
            _LOG.exception("the sink of the stream failed")
            return LineError(f"a record could not be handed on ({type(error).__name__})")
        finally:
            await self._line.hang_up()
        return LineError("the connection ended")

    async def _listen(self) -> None:
        """Deliver until the line is lost; beside it runs the watch on silence and on the subscription's answer."""
        self._heard_ns = monotonic_ns()
        watch = asyncio.ensure_future(self._watch())
        try:
            while True:
                await self._take(await self._line.frame())
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self) -> None:
        began_ns = monotonic_ns()
        period_s = max(0.02, min(self._silent_ns / NS / 5, self._timeout_s / 5, 5.0))
        while True:
            await asyncio.sleep(period_s)
            now_ns = monotonic_ns()
            if not self._subscribed:
                if now_ns - began_ns > self._timeout_s * NS:
                    self._given_up = LineError(f"no answer to the subscription within {self._timeout_s:g} s")
                    await self._line.hang_up()
                    return
            elif not self._is_open(wall_ns()):
                self._heard_ns = now_ns
            elif now_ns - self._heard_ns > self._silent_ns:
                why = f"connected, but nothing was heard for {self._silent_ns / NS:g} s"
                self._given_up = LineError(why, silent=True)
                self._board.tell(self._kind, "silent", why)
                await self._line.hang_up()
                return

    async def _take(self, frame: bytes | str) -> None:
        try:
            if isinstance(frame, str):
                raise ValueError
            messages: object = msgpack.unpackb(frame)
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
            self._delivery.rejected(self._kind, "a frame that is not msgpack")
            return
        if not isinstance(messages, list):
            self._delivery.rejected(self._kind, "a frame that is not a list")
            return
        for message in cast("list[object]", messages):
            if isinstance(message, dict):
                await self._one(cast("dict[str, Any]", message))
            else:
                self._delivery.rejected(self._kind, "a message that is not a record")

    async def _one(self, message: dict[str, Any]) -> None:
        kind = message.get("T")
        if kind == "error":
            raise self._line.refusal(str(message.get("msg", "")), message.get("code"))
        if kind == "subscription":
            self._confirm(message)
        elif kind == "success":
            return
        elif isinstance(kind, str) and kind in _CHANNELS:
            if await self._delivery.deliver(self._line, self._kind, _CHANNELS[kind], message):
                self._heard_ns = monotonic_ns()
                self._failures = 0
        else:
            self._delivery.rejected(self._kind, "a message of a kind that was not asked for")

    def _confirm(self, message: dict[str, Any]) -> None:
        """Compare what the vendor says it will send with what was asked for."""
        lacking: list[str] = []
        for channel, symbols in sorted(self._line.asked().items()):
            listed = message.get(channel)
            given = {str(name) for name in cast("list[object]", listed)} if isinstance(listed, list) else set[str]()
            if "*" not in given:
                lacking += [f"{channel} of {symbol}" for symbol in sorted(symbols - given)]
        if lacking:
            self._delivery.rejected(self._kind, f"not subscribed to {', '.join(lacking[:5])}: check the symbols")
        self._subscribed = True
        self._heard_ns = monotonic_ns()
        self._board.tell(self._kind, "connected")


class _Board:
    """How the lines are, as one state: the worst of the market data's; the news' trouble is told with it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._states: dict[Kind, tuple[State, str]] = {}
        self._told: tuple[State, str] | None = None

    def tell(self, kind: Kind, state: State, why: str = "") -> None:
        """Take the state of a line, and tell the sink where the whole has changed."""
        self._states[kind] = (state, why)
        market = [(_RANK.index(found[0]), name) for name, found in self._states.items() if name != "news"]
        if not market:
            return
        worst = _RANK[max(market)[0]]
        reasons = [
            f"{name}: {reason}" for name, (found, reason) in self._states.items() if reason and found != "connected"
        ]
        told = (worst, "; ".join(reasons))
        if told != self._told:
            self._told = told
            try:
                self._sink.state(*told)
            except Exception:
                # As with records: a sink's fault must not end the stream.
                _LOG.exception("the sink of the stream failed")


def _open_by(spans: Spans) -> Callable[[int], bool]:
    calendar = spans.calendar
    return lambda now_ns: calendar.session_at(now_ns) is not None


def _never(now_ns: int) -> bool:
    """Return that silence is no sign: hours without news are usual."""
    del now_ns
    return False
