"""What goes wrong between an adapter and its venue, each mishap a test. None may be skipped but what is declared."""

from __future__ import annotations

import pytest

from tests.brokers.kit_base import KitBase, order
from tests.brokers.kit_ear import Ear
from tests.brokers.kit_venue import CannotMisbehaveError, Mishap, Venue

__all__ = ["MishapKit"]


class MishapKit(KitBase):
    """Lost, late, doubled, reordered and garbled answers; disconnects and restarts."""

    def arm(self, venue: Venue, mishap: Mishap) -> None:
        """Arm a mishap; skip where the venue declares that it cannot be, and only there."""
        reason = venue.cannot.get(mishap)
        if reason is None:
            venue.misbehave(mishap)
            return
        assert len(reason) > 20
        with pytest.raises(CannotMisbehaveError):
            venue.misbehave(mishap)
        pytest.skip(f"{mishap.name} cannot happen here: {reason}")

    @pytest.mark.parametrize(
        "mishap", [Mishap.LOSE_ANSWER, Mishap.ERROR_500, Mishap.GARBAGE_ANSWER, Mishap.DISCONNECT_MID_ORDER]
    )
    def test_an_order_without_an_answer_is_unknown_and_settled_by_asking(
        self, venue: Venue, ear: Ear, mishap: Mishap
    ) -> None:
        self.arm(venue, mishap)
        intent = order(venue, 0)
        assert ear.submit(intent) == "unknown"
        assert venue.happened(mishap) == 1
        settled = ear.until_settled(intent.client_order_id)
        taken = venue.orders()
        assert taken in ({}, {intent.client_order_id: intent.qty_nano}), "never sent twice"
        if not taken:
            assert mishap is Mishap.ERROR_500, "the order arrived"
            assert settled in {None, "rejected"}
            return
        assert settled == "accepted"
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert venue.orders() == taken

    def test_an_order_that_never_arrived_is_not_made_up_and_not_sent_again(self, venue: Venue, ear: Ear) -> None:
        self.arm(venue, Mishap.LOSE_REQUEST)
        intent = order(venue, 0)
        assert ear.submit(intent) == "unknown"
        assert venue.happened(Mishap.LOSE_REQUEST) == 1
        assert ear.until_settled(intent.client_order_id) in {None, "rejected"}
        assert ear.filled(intent.client_order_id) == 0
        for report in ear.query(intent.client_order_id):
            assert (report.kind, report.reason) == ("rejected", "never_arrived")
        other = ear.submit_when_back(order(venue, index) for index in range(1, 10_000))
        ear.listen()
        assert venue.orders() == {other.client_order_id: other.qty_nano}, "the lost one did not come after all"

    def test_an_event_told_twice_is_one_fill(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        self.arm(venue, Mishap.DUPLICATE_EVENTS)
        quarter = intent.qty_nano // 4
        venue.fill(intent.client_order_id, quarter, intent.limit_price_nano)
        venue.fill(intent.client_order_id, 3 * quarter, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, 4 * quarter)
        assert venue.happened(Mishap.DUPLICATE_EVENTS) == 1
        assert sorted(fill.qty_nano for fill in ear.of(intent.client_order_id)) == [quarter, 3 * quarter]

    def test_events_out_of_order_lose_nothing(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        self.arm(venue, Mishap.REORDER_EVENTS)
        quarter = intent.qty_nano // 4
        venue.fill(intent.client_order_id, quarter, intent.limit_price_nano)
        venue.fill(intent.client_order_id, 3 * quarter, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, 4 * quarter)
        assert venue.happened(Mishap.REORDER_EVENTS) == 1
        assert sorted(fill.qty_nano for fill in ear.of(intent.client_order_id)) == [quarter, 3 * quarter]

    def test_a_fill_that_overtakes_the_acknowledgement_counts_once(self, venue: Venue, ear: Ear) -> None:
        self.arm(venue, Mishap.FILL_BEFORE_ACK)
        intent = order(venue, 0)
        assert ear.submit(intent) != "rejected"
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert venue.happened(Mishap.FILL_BEFORE_ACK) == 1
        ear.query(intent.client_order_id)
        ear.listen()
        assert [fill.qty_nano for fill in ear.of(intent.client_order_id)] == [intent.qty_nano]

    def test_an_order_whose_cancel_is_refused_works_on(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        self.arm(venue, Mishap.REJECT_CANCEL)
        assert ear.cancel(intent.client_order_id) in {"cancel_rejected", "pending_cancel"}
        ear.until_kind(intent.client_order_id, "cancel_rejected")
        assert venue.happened(Mishap.REJECT_CANCEL) == 1
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert "canceled" not in ear.kinds(intent.client_order_id)

    def test_orders_and_fills_outlive_a_restart_of_the_venue(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        self.arm(venue, Mishap.RESTART_VENUE)
        assert venue.happened(Mishap.RESTART_VENUE) == 1
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        other = ear.submit_when_back(order(venue, index) for index in range(1, 10_000))
        assert venue.orders() == {i.client_order_id: i.qty_nano for i in (intent, other)}
        assert len(ear.of(intent.client_order_id)) == 1

    def test_a_fill_after_a_confirmed_cancel_is_told(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        self.arm(venue, Mishap.LATE_FILL_AFTER_CANCEL)
        ear.cancel(intent.client_order_id)
        ear.until_kind(intent.client_order_id, "canceled")
        assert venue.happened(Mishap.LATE_FILL_AFTER_CANCEL) == 1
        venue.fill(intent.client_order_id, intent.qty_nano // 4, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano // 4)
        assert ear.filled(intent.client_order_id) == intent.qty_nano // 4

    def test_what_a_venue_cannot_do_is_named_with_a_reason(self, venue: Venue) -> None:
        assert set(venue.cannot) <= set(Mishap)
        assert all(len(reason) > 20 and reason.endswith(".") for reason in venue.cannot.values())
        for mishap in venue.cannot:
            with pytest.raises(CannotMisbehaveError):
                venue.misbehave(mishap)
