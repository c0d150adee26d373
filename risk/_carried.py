"""What is remembered of a client beside its facts: what is carried over a restart, and how an approval is undone."""

from __future__ import annotations

from collections import deque

import msgspec

from risk.facts import Content

__all__ = ["Approval", "Carried", "Known", "expire"]


class Carried(msgspec.Struct, frozen=True):
    """What of a client cannot be had again from approvals and events: written with each instant.

    Attributes:
        now_ns: The instant.
        last_seq: The last order event that is in it.
        best: Of the rolling loss.
        orders_by_symbol: Approvals of the day, before this instant.
        orders_by_strategy: The same.
    """

    now_ns: int
    last_seq: int
    day_start_nano: int
    peak_nano: int
    halted: bool
    desk_halted: bool
    best: tuple[tuple[int, int], ...]
    orders_today: int
    cancels_today: int
    orders_by_symbol: dict[str, int]
    orders_by_strategy: dict[str, int]


class Known(msgspec.Struct, frozen=True):
    """What has to be remembered of an approved order."""

    strategy: str
    awaits_legs: bool


class Approval(msgspec.Struct):
    """How an approval is taken back."""

    client_order_id: str
    content: Content
    twin_before_ns: int | None
    old_id: str
    old_group: str
    counted: bool


def expire(times: deque[int], before_ns: int) -> None:
    """Forget what is that old or older."""
    while times and times[0] <= before_ns:
        times.popleft()
