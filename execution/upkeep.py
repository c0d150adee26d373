"""What a gateway does by itself while nobody asks: hears its broker, compares with it, watches for a desk that is gone.

Not a thread: the service calls it between two requests. It reads a clock that only goes forward; a recorded day has no
upkeep, because nothing of it may depend on the wall. What cannot be done now is tried again at the next turn.
"""

from __future__ import annotations

import logging

from bus.clock import NS
from bus.errors import BusError, JournalError
from execution.engine import Engine
from execution.spec import GatewaySpec

__all__ = ["ASK_PACE_NS", "Upkeep"]

ASK_PACE_NS = NS
"""How long between two rounds of asking about orders without a definite answer."""
_LOG = logging.getLogger("execution")


class Upkeep:
    """When what is due.

    Attributes:
        seen_ns: The last sign of life from the desk.
    """

    def __init__(self, spec: GatewaySpec, engine: Engine, now_ns: int) -> None:
        """Start all clocks.

        Args:
            spec: What is to be watched, and how often.
            engine: What it is done with.
            now_ns: A clock that never goes back.
        """
        self._spec = spec
        self._engine = engine
        self.seen_ns = now_ns
        self._asked_ns = now_ns
        self._compared_ns = now_ns
        self._swept = False
        self._silent = False

    def seen(self, now_ns: int) -> None:
        """Note a sign of life from the desk."""
        self.seen_ns = now_ns
        self._swept = False

    def due(self, now_ns: int) -> None:
        """Do what is due; a broker, feed or journal that does not answer is tried again later, and told of once."""
        if self._spec.mode == "replay":
            return
        ask = now_ns - self._asked_ns >= ASK_PACE_NS
        if self._silent and not ask:
            return
        if ask:
            self._asked_ns = now_ns
        try:
            if not self._engine.ready:
                return
            self._watch(now_ns)
            self._engine.listen(ask=ask)
            self._compare(now_ns)
            self._silent = False
        except (OSError, BusError, JournalError) as error:
            if not self._silent:
                _LOG.warning("between two requests: %s", error)
            self._silent = True

    def _watch(self, now_ns: int) -> None:
        """Cancel everything once when the desk has given no sign of life for too long."""
        allowed = self._spec.cancel_on_disconnect_s
        if not allowed or self._swept or now_ns - self.seen_ns < allowed * NS:
            return
        if self._engine.book.working:
            self._engine.sweep(f"cancel_on_disconnect: no request from the desk for {allowed:g} s")
        self._swept = True

    def _compare(self, now_ns: int) -> None:
        every = self._spec.reconcile_every_s
        if every and now_ns - self._compared_ns >= every * NS:
            self._compared_ns = now_ns
            self._engine.compare()
