"""One line a record: UTC time, level, stage, message. Why a log can be read with ``grep`` and never holds a key.

Not the event log of the run: nothing here is needed to understand what was traded.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from bus.clock import NS, iso, wall_ns

__all__ = ["OneLine", "configure", "is_secret"]

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_SHORTEST_SECRET = 6


def is_secret(name: str) -> bool:
    """Whether an environment variable of this name may hold a secret."""
    upper = name.upper()
    return upper.startswith("OPENAI_") or any(word in upper for word in _SECRET_WORDS)


class OneLine(logging.Formatter):
    """Formats a record on one line and blanks the secrets of this process's environment."""

    def __init__(self, stage: str) -> None:
        super().__init__("%(message)s")
        self._stage = stage

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = super().format(record).strip().replace("\n", " | ")
        for name, value in os.environ.items():
            if len(value) >= _SHORTEST_SECRET and is_secret(name) and not name.endswith("_URL"):
                text = text.replace(value, "[secret]")
        seconds, rest = divmod(wall_ns(), NS)
        return f"{iso(seconds * NS)[:-1]}.{rest // 1000:06d}Z {record.levelname} {self._stage} {text}"


def configure(stage: str, stream: TextIO | None = None) -> logging.Logger:
    """Send all logging of this process to one stream, and warnings with it.

    Args:
        stage: The name each line carries.
        stream: Where to; standard error when None.

    Returns:
        The stage's logger.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine(stage))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("httpx", "httpcore", "openai", "langsmith"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return logging.getLogger(f"outcry.{stage}")
