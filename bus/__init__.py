"""The bus: one vocabulary and how it travels. Not a place that knows what trading is.

Only what is light is re-exported; transports are imported from their own modules because they load pyzmq.
"""

from __future__ import annotations

from bus.errors import BusError, CallTimeoutError, GapError, OutcryError, RemoteError, SchemaError

__all__ = ["BusError", "CallTimeoutError", "GapError", "OutcryError", "RemoteError", "SchemaError"]
