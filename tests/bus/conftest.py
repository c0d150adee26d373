"""Makes the fixtures of ``desk`` known."""

from __future__ import annotations

from tests.bus.desk import short_folder, sockets

__all__ = ["short_folder", "sockets"]
