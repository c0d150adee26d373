"""The clock of a recorded day, read without asking: a microsecond where a question to the feed is 300.

Not a way to see more: whatever is served, the feed serves.

The feed writes its clock before it answers or publishes anything of an instant, so what is read here is never older
than what a reader was told.
"""

from __future__ import annotations

import os
from pathlib import Path

from feed._clock_file import CLOCK_FORMAT

__all__ = ["ClockReader"]


class ClockReader:
    """Reads a feed's clock file, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        """Remember where it is."""
        self._path = path
        self._file = -1

    def now_ns(self) -> int | None:
        """Return the clock; None before the first instant or without a file."""
        if self._file < 0:
            try:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
        data = os.pread(self._file, CLOCK_FORMAT.size, 0)
        return int(CLOCK_FORMAT.unpack(data)[0]) if len(data) == CLOCK_FORMAT.size else None

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
