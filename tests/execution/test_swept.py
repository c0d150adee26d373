"""What a sweep ends and what it leaves, by value. At a gateway, with a journal: ``test_tickets`` and ``test_legs``."""

from __future__ import annotations

import pytest

from bus.errors import TicketError
from bus.messages import Ticket
from execution.orders import Order, OrderBook
from execution.swept import EVERY, Sweep, check_epoch, goes_on, swept
from tests.execution.desk import intent


def ticket(epoch: int) -> Ticket:
    return Ticket("tk-1", "alice", "over", "v1", 0, 1, "key", b"signature", epoch)


def sent(*strategies: str) -> list[Order]:
    """Orders whose first events are 1, 2 and so on."""
    book = OrderBook()
    orders = [book.add(intent(n, 1, strategy=name), 0) for n, name in enumerate(strategies)]
    for order in orders:
        book.advance(order, "sent", 1)
    return orders


@pytest.mark.requirement("execution:tickets:epoch")
def test_a_sweep_of_all_stands_for_those_of_single_strategies_and_nothing_is_ever_loosened() -> None:
    one = swept({}, "mean", 3, 5)
    assert one == {"mean": Sweep(3, 5)}
    assert swept(one, EVERY, 7, 6) == {EVERY: Sweep(7, 6)}
    assert swept(one, EVERY, 7, 5) == {EVERY: Sweep(7, 5)}
    assert swept(one, EVERY, 7, 0) == {"mean": Sweep(3, 5), EVERY: Sweep(7, 0)}, "a lost desk says nothing of tickets"
    assert swept(one, "mean", 2, 4) == one
    assert swept(one, "trend", 4, 6) == {"mean": Sweep(3, 5), "trend": Sweep(4, 6)}


@pytest.mark.requirement("execution:tickets:epoch")
def test_a_ticket_is_as_good_as_the_later_sweep_of_its_strategy_and_of_all_lets_it_be() -> None:
    sweeps = {EVERY: Sweep(1, 4), "mean": Sweep(1, 6)}
    for strategy, lowest in (("mean", 6), ("trend", 4), ("", 4)):
        check_epoch(sweeps, strategy, ticket(lowest))
        check_epoch({}, strategy, ticket(0))
        with pytest.raises(TicketError, match=rf"epoch {lowest - 1}, now {lowest}\); ask the gate again"):
            check_epoch(sweeps, strategy, ticket(lowest - 1))


@pytest.mark.requirement("execution:legs:killed")
def test_an_order_goes_on_from_the_first_event_after_a_sweep_of_its_strategy_or_of_all() -> None:
    first, second, third = sent("mean", "mean", "trend")
    assert [goes_on({}, order) for order in (first, second, third)] == [True, True, True]
    assert [goes_on({"mean": Sweep(2)}, order) for order in (first, second, third)] == [False, True, True]
    both = {"mean": Sweep(2), EVERY: Sweep(3)}
    assert [goes_on(both, order) for order in (first, second, third)] == [False, False, True]
    never = OrderBook().add(intent(5, 1), 0)
    assert not goes_on({}, never), "what has no event has not begun"
