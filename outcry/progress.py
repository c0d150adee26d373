"""How far a run is, on standard error: a bar on a terminal, elsewhere a line every tenth, or minute live. Not a log."""

from __future__ import annotations

from typing import TextIO

from bus.clock import NS, iso, monotonic_ns
from bus.fixed import from_nano
from bus.messages import Progress

__all__ = ["ProgressLine"]

_WIDTH = 24
_LIVE_EVERY_NS = 60 * NS
_EVERY_NS = NS // 10


class ProgressLine:
    """Shows progress."""

    def __init__(self, stream: TextIO, *, silent: bool = False) -> None:
        """Write to ``stream``, or nothing at all when ``silent``."""
        self._stream = stream
        self._silent = silent
        self._terminal = stream.isatty()
        self._next_ns = 0
        self._tenths = 0
        self._open = False

    def show(self, progress: Progress) -> None:
        """Take news of the run."""
        if self._silent:
            return
        clock = progress.clock
        share = (clock.index + 1) / clock.total if clock.total else 0.0
        far = f"{share:4.0%}" if clock.total else "live"  # nobody knows how long a live market goes on
        text = (
            f"{far}  {iso(clock.now_ns)}  cycles {progress.cycles}  orders wanted {progress.intents}  "
            f"fills {progress.fills}  denied {progress.denied}  equity {round(from_nano(progress.equity_nano), 2):,f}"
        )
        if self._terminal:
            now = monotonic_ns()
            if now < self._next_ns and not clock.done:
                return
            self._next_ns = now + _EVERY_NS
            full = int(share * _WIDTH)
            self._stream.write(f"\r\x1b[K[{'=' * full}{' ' * (_WIDTH - full)}] {text}")
            self._open = True
        elif (tenths := int(share * 10) if clock.total else clock.now_ns // _LIVE_EVERY_NS) > self._tenths:
            self._tenths = tenths
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False
