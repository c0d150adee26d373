"""What a ticket is over: every part of it counts, and no ticket for one act is one for another."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from bus.ids import digest
from bus.messages import OrderIntent
from risk.tickets import cancel_all_digest, cancel_digest, clear_halt_digest, order_digest

ORDER = OrderIntent("oo-1", "alice", "run", 1, 0, "ACME", "buy", "limit", "day", 5, 7, 11, "trend")


@pytest.mark.requirement("hostile:tickets")
def test_a_digest_is_over_the_act_and_each_of_its_parts() -> None:
    assert cancel_digest("alice", "oo-1", 7, "why") == digest("cancel", "alice", "oo-1", 7, "why", size=32)
    assert cancel_all_digest("alice", 7, "why") == digest("cancel_all", "alice", 7, "why", "", size=32)
    assert cancel_all_digest("alice", 7, "why", "mean") == digest("cancel_all", "alice", 7, "why", "mean", size=32)
    assert clear_halt_digest("alice", 7, "me") == digest("clear_halt", "alice", 7, "me", size=32)


@pytest.mark.requirement("hostile:tickets")
def test_no_two_acts_have_one_digest() -> None:
    made = [
        order_digest(ORDER),
        *(
            cancel_digest(client, order, now_ns, why)
            for client, order, now_ns, why in itertools.product(("alice", "bob"), ("oo-1", "oo-2"), (7, 8), ("", "x"))
        ),
        *(cancel_all_digest(*parts) for parts in itertools.product(("alice", "bob"), (7, 8), ("", "x"), ("", "x"))),
        *(clear_halt_digest(*parts) for parts in itertools.product(("alice", "bob"), (7, 8), ("", "x"))),
    ]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {64}


@pytest.mark.requirement("hostile:tickets")
def test_an_orders_digest_is_over_every_field() -> None:
    others = [
        msgspec.structs.replace(ORDER, **{field.name: _other(getattr(ORDER, field.name))})
        for field in msgspec.structs.fields(OrderIntent)
    ]
    assert len({order_digest(order) for order in (ORDER, *others)}) == len(others) + 1


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}x"
