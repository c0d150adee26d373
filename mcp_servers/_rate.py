"""How often one client may call one tool: so many in any minute, exactly. Not a queue: one too many is refused.

A refused call does not count, so waiting as long as the refusal says is always enough.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from bus.clock import NS, monotonic_ns

__all__ = ["RateLimits"]

_WINDOW_NS = 60 * NS
_MOST_PAIRS = 4096


class RateLimits:
    """The calls of the last minute, per client and tool."""

    def __init__(self, now_ns: Callable[[], int] = monotonic_ns) -> None:
        """Start with no calls.

        Args:
            now_ns: A clock that never goes back.
        """
        self._now_ns = now_ns
        self._calls: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()

    def take(self, client: str, tool: str, per_minute: int) -> float:
        """Count a call, unless it is one too many.

        Args:
            client: Who calls.
            tool: What is called.
            per_minute: Calls allowed in any 60 seconds.

        Returns:
            0.0 when the call was counted; otherwise the seconds after which one is allowed again.
        """
        now = self._now_ns()
        key = (client, tool)
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = deque()
            self._forget(now)
        self._calls.move_to_end(key)
        while calls and calls[0] <= now - _WINDOW_NS:
            calls.popleft()
        if len(calls) >= per_minute:
            return (calls[0] + _WINDOW_NS - now) / NS if calls else _WINDOW_NS / NS
        calls.append(now)
        return 0.0

    def _forget(self, now: int) -> None:
        """Drop the pairs that called least recently; only those whose minute is over, so nobody gains by being many."""
        while len(self._calls) > _MOST_PAIRS:
            key, calls = next(iter(self._calls.items()))
            if calls and calls[-1] > now - _WINDOW_NS:
                return
            del self._calls[key]
