"""The kit itself: each of its promises notices a broker that breaks it, and no mishap is without a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.messages import Fill, OrderIntent
from execution.broker import Broker, BrokerReport
from tests.brokers import kit_ear
from tests.brokers.kit import BrokerKit, Ear, Mishap, Venue, order
from tests.brokers.kit_mishaps import MishapKit
from tests.brokers.paper_venue import PaperVenue, Recorded


class SendsTwice(Recorded):
    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        report = super().submit(intent, now_ns)
        self._take(intent, now_ns)
        return report


class RejectsTheSameOrder(Recorded):
    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        if self.query(intent.client_order_id):
            return BrokerReport(intent.client_order_id, "rejected", "duplicate")
        return super().submit(intent, now_ns)


class NamesFillsAnew(Recorded):
    """Every time a fill is told it has another id."""

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        return tuple(
            msgspec.structs.replace(told, fill=msgspec.structs.replace(told.fill, fill_id=f"again-{told.fill.fill_id}"))
            if told.fill is not None
            else told
            for told in super().query(client_order_id)
        )


class ChangesFills(Recorded):
    """A fill is told again at another price."""

    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        def dearer(fill: Fill) -> Fill:
            return msgspec.structs.replace(fill, price_nano=fill.price_nano + 1)

        return tuple(
            msgspec.structs.replace(told, fill=dearer(told.fill)) if told.fill is not None else told
            for told in super().query(client_order_id)
        )


class CancelsEverything(Recorded):
    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        super().cancel(client_order_id, now_ns)
        return BrokerReport(client_order_id, "canceled")


class CancelsNothing(Recorded):
    def cancel(self, client_order_id: str, now_ns: int) -> BrokerReport:
        assert now_ns > 0
        return BrokerReport(client_order_id, "canceled")


class InventsOrders(Recorded):
    def query(self, client_order_id: str) -> tuple[BrokerReport, ...]:
        return super().query(client_order_id) or (BrokerReport(client_order_id, "accepted"),)


class KeepsTheOld(Recorded):
    """Says that it replaced, and has both."""

    def replace(self, intent: OrderIntent, now_ns: int) -> tuple[BrokerReport, ...]:
        self._take(intent, now_ns)
        return BrokerReport(intent.replaces, "replaced"), BrokerReport(intent.client_order_id, "accepted")


class TakesWhatItDoesNotHave(Recorded):
    def submit(self, intent: OrderIntent, now_ns: int) -> BrokerReport:
        super().submit(intent, now_ns)
        return BrokerReport(intent.client_order_id, "accepted")


Check = Callable[[BrokerKit, Venue, Ear], None]

FAULTS: list[tuple[type[Recorded], Check]] = [
    (SendsTwice, BrokerKit.test_an_order_is_accepted_and_the_venue_has_it_once),
    (SendsTwice, BrokerKit.test_an_order_sent_again_is_the_same_order),
    (RejectsTheSameOrder, BrokerKit.test_an_order_sent_again_is_the_same_order),
    (NamesFillsAnew, BrokerKit.test_a_query_tells_the_same_fills_under_the_same_ids),
    (NamesFillsAnew, BrokerKit.test_draining_again_tells_nothing_again),
    (ChangesFills, BrokerKit.test_draining_again_tells_nothing_again),
    (CancelsEverything, BrokerKit.test_a_cancel_of_a_filled_order_does_not_unfill_it),
    (CancelsEverything, BrokerKit.test_a_cancel_of_an_order_that_never_was_is_not_confirmed),
    (CancelsNothing, BrokerKit.test_a_canceled_order_is_over_at_both_ends),
    (InventsOrders, BrokerKit.test_a_query_about_an_order_that_never_was_invents_nothing),
    (KeepsTheOld, BrokerKit.test_a_replaced_order_goes_on_as_the_new_one),
    (TakesWhatItDoesNotHave, BrokerKit.test_what_is_not_offered_is_rejected_and_not_sent),
]


class FaultyVenue(PaperVenue):
    """The paper venue with another broker in it."""

    def __init__(self, fault: type[Recorded]) -> None:
        super().__init__()
        self._fault = fault

    def open(self) -> Broker:
        self._broker = self._fault(self._taken)
        return self._broker


class LosingVenue(PaperVenue):
    """Half of what is told is lost on the way."""

    def hear(self, broker: Broker) -> list[BrokerReport]:
        return super().hear(broker)[1:]


class Kit(BrokerKit):
    """The kit, to call its tests one by one."""

    def make_venue(self, folder: Path) -> Venue:
        assert folder
        return PaperVenue()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit_ear, "DEADLINE_S", 0.1)


@pytest.mark.requirement("brokers:kit:teeth")
@pytest.mark.parametrize(("fault", "check"), FAULTS, ids=lambda part: getattr(part, "__name__", ""))
def test_the_kit_notices_a_broker_that(fault: type[Recorded], check: Check) -> None:
    sound = PaperVenue()
    check(Kit(), sound, Ear(sound))
    faulty = FaultyVenue(fault)
    with pytest.raises(AssertionError):
        check(Kit(), faulty, Ear(faulty))


@pytest.mark.requirement("brokers:kit:teeth")
@pytest.mark.parametrize(
    "check",
    [
        BrokerKit.test_a_fill_is_told_once_and_whole,
        BrokerKit.test_partial_fills_are_told_apart_and_add_up,
        BrokerKit.test_a_restart_sends_nothing_and_forgets_nothing,
    ],
)
def test_the_kit_notices_fills_that_are_lost(check: Check) -> None:
    venue = LosingVenue()
    with pytest.raises(AssertionError, match="did not come"):
        check(Kit(), venue, Ear(venue))


@pytest.mark.requirement("brokers:kit:mishaps")
@pytest.mark.parametrize("mishap", list(Mishap))
def test_every_mishap_has_a_test_that_arms_it_and_sees_that_it_happened(mishap: Mishap) -> None:
    tests = [inspect.getsource(member) for name, member in vars(MishapKit).items() if name.startswith("test_")]
    arming = [source for source in tests if f"Mishap.{mishap.name}" in source and "self.arm(" in source]
    assert arming
    assert all("venue.happened(" in source for source in arming)


@pytest.mark.requirement("brokers:kit:mishaps")
def test_a_mishap_that_is_not_declared_is_not_skipped() -> None:
    class Careless(PaperVenue):
        cannot = {Mishap.LOSE_ANSWER: "this sentence is a reason that is long enough."}

        def misbehave(self, mishap: Mishap) -> None:
            """Pretend to, and do nothing."""

    venue, kit = Careless(), Kit()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        kit.arm(venue, Mishap.LOSE_ANSWER)
    kit.arm(venue, Mishap.REJECT_CANCEL)
    with pytest.raises(AssertionError):
        kit.test_an_order_whose_cancel_is_refused_works_on(venue, Ear(venue))


@pytest.mark.requirement("brokers:kit:mishaps")
def test_what_is_declared_is_what_is_skipped() -> None:
    venue, skipped = PaperVenue(), set[Mishap]()
    for mishap in Mishap:
        try:
            Kit().arm(venue, mishap)
        except pytest.skip.Exception:  # the skip itself is what is looked at here
            skipped.add(mishap)
    assert skipped == set(venue.cannot)


def test_the_kits_orders_rest() -> None:
    venue = PaperVenue()
    assert order(venue, 0).limit_price_nano < venue.bid_nano
    assert order(venue, 0, side="sell").limit_price_nano > venue.ask_nano
    assert order(venue, 0, order_type="stop").stop_price_nano > venue.ask_nano
    assert order(venue, 0, order_type="stop", side="sell").stop_price_nano < venue.bid_nano
