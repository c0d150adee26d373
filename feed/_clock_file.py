"""Where the feed's clock survives ``kill -9``: a file of 24 bytes, overwritten in place by one small write.

Not a journal: only the newest instant stands in it, with a digest of the day and symbols that the instant belongs to,
so that a clock is never taken for one of another run. It outlives the process, not a loss of power.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from bus.errors import ConfigError
from bus.ids import digest
from bus.messages import DayInfo

__all__ = ["CLOCK_FORMAT", "ClockFile"]

CLOCK_FORMAT = struct.Struct(">q16s")
"""UTC nanoseconds, and a digest of the day and symbols."""


class ClockFile:
    """The clock on disk, or nowhere when there is no path."""

    def __init__(self, path: Path | None, info: DayInfo, traded: Sequence[str]) -> None:
        """Open the file, which need not exist.

        Args:
            path: Where; None for nowhere.
            info: The day.
            traded: The symbols that make its instants.

        Raises:
            ConfigError: The file cannot be opened.
        """
        self._path = path
        self._of = bytes.fromhex(digest(info.seal, *traded))
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600) if path else -1
        except OSError as error:
            raise ConfigError(
                f"clock_file {path} cannot be opened: {error.strerror}; name a file in a folder that exists"
            ) from error

    def read(self, instants: Sequence[int]) -> int:
        """Return the clock, -1 before the first instant.

        Raises:
            ConfigError: What stands there is no instant of this day and these symbols.
        """
        data = os.pread(self._file, CLOCK_FORMAT.size + 1, 0) if self._file >= 0 else b""
        if not data:
            return -1
        if len(data) == CLOCK_FORMAT.size:
            now_ns, of = CLOCK_FORMAT.unpack(data)
            index = bisect_left(instants, now_ns)
            if of == self._of and index < len(instants) and instants[index] == now_ns:
                return int(now_ns)
        self.close()
        raise ConfigError(
            f"clock_file {self._path} is the clock of another day or of other symbols; start a run with a new folder, "
            "or go on with the day it was written for"
        )

    def write(self, now_ns: int) -> None:
        """Put the clock in the file, in one write."""
        if self._file >= 0:
            os.pwrite(self._file, CLOCK_FORMAT.pack(now_ns, self._of), 0)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
