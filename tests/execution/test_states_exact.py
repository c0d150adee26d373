"""How a fill bends the table: what is started, what is complete, whole steps. Not the table: `test_states` walks it."""

from __future__ import annotations

import pytest

from bus.messages import OrderEventKind, OrderStatus
from execution.states import FINAL, TABLE, WORKING, Step, first_status, step


@pytest.mark.requirement("execution:states:odd-rows")
@pytest.mark.parametrize(
    ("status", "kind", "started", "complete", "after"),
    [
        ("accepted", "fill", True, False, "partially_filled"),
        ("accepted", "fill", True, True, "filled"),
        ("canceled", "fill", True, False, "canceled"),
        ("canceled", "fill", True, True, "filled"),
        ("unknown", "fill", True, False, "unknown"),
        ("unknown", "fill", True, True, "filled"),
        ("filled", "correct", True, False, "partially_filled"),
        ("filled", "correct", True, True, "filled"),
        ("partially_filled", "correct", True, True, "filled"),
        ("partially_filled", "correct", True, False, "partially_filled"),
        ("partially_filled", "correct", False, False, "accepted"),
        ("pending_cancel", "correct", True, True, "filled"),
        ("pending_cancel", "correct", True, False, "pending_cancel"),
        # A correction of what is over completes nothing: it stays as it ended.
        ("canceled", "correct", True, True, "canceled"),
        ("expired", "correct", True, True, "expired"),
        ("rejected", "correct", True, True, "rejected"),
        ("filled", "bust", True, False, "partially_filled"),
        ("filled", "bust", False, False, "accepted"),
        ("partially_filled", "bust", True, False, "partially_filled"),
        # Only money completes an order.
        ("partially_filled", "accepted", True, True, "partially_filled"),
        ("pending_cancel", "cancel_rejected", True, True, "partially_filled"),
        ("pending_cancel", "cancel_rejected", True, False, "partially_filled"),
        ("pending_cancel", "cancel_rejected", False, False, "accepted"),
        ("unknown", "bust", True, True, "unknown"),
        ("accepted", "canceled", True, False, "canceled"),
        ("accepted", "suspended", True, False, "suspended"),
    ],
)
def test_what_is_filled_after_an_event_decides_between_the_rows_of_a_status(
    status: OrderStatus, kind: OrderEventKind, started: bool, complete: bool, after: OrderStatus
) -> None:
    assert step(status, kind, started=started, complete=complete) == Step(after, legal=True)


@pytest.mark.requirement("execution:states:alarm")
@pytest.mark.parametrize(
    ("status", "kind"), [("rejected", "fill"), ("intent", "fill"), ("accepted", "correct"), ("filled", "fill")]
)
def test_money_that_the_table_does_not_expect_never_moves_a_status(status: OrderStatus, kind: OrderEventKind) -> None:
    assert step(status, kind, started=True, complete=True) == Step(status, legal=False)
    assert step(status, kind) == Step(status, legal=False)


@pytest.mark.requirement("execution:states:table")
def test_without_a_word_about_fills_nothing_is_filled() -> None:
    for (status, kind), after in TABLE.items():
        assert step(status, kind) == step(status, kind, started=False, complete=False) == Step(after, legal=True)
        if status in WORKING and kind == "fill":
            assert step(status, kind, started=True, complete=True) == Step("filled", legal=True)
        if kind not in ("fill", "correct"):
            assert step(status, kind, complete=True) == Step(after, legal=True)
        if after in FINAL and kind != "fill":
            assert step(status, kind, started=True, complete=True) == Step(after, legal=True)


@pytest.mark.requirement("execution:states:odd-rows")
def test_ours_begin_as_intents_and_others_as_sent() -> None:
    assert [first_status(origin) for origin in ("desk", "leg", "external", "synthetic")] == [
        "intent",
        "intent",
        "in_flight",
        "in_flight",
    ]
